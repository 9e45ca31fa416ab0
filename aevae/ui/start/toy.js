// The figure of the page Start: board -> encoder -> plane of codes -> decoder -> image. A hand wanders over the plane
// until somebody draws or touches the plane. Everything is computed in the browser.

import { ARROWS, paint } from "../live/canvas.js";
import { button, div, element, fill, imageCanvas } from "../live/dom.js";
import { Stage } from "../live/page.js";
import { Board } from "../digit/draw.js";
import { classDots, codeAt, HandPlane, letWander, mapOf, placeOf } from "../sliders/hand_plane.js";

const MAX_PLANE = 340; // CSS pixels

/** "**AE**: text" -> [bold text, rest]. */
export function parted(text) {
  const [, bold = "", rest = text] = /^\*\*(.+?)\*\*(.*)$/s.exec(text) ?? [];
  return [bold, rest];
}

/** A code as text. */
export const codeText = (z) => `z = (${Array.from(z, (v) => v.toFixed(2).replace("-", "−")).join(", ")})`;

class Toy extends Stage {
  create({ root, spec }) {
    this.chosen = spec.chosen;
    this.isDrawn = false; // the hand is the code of the drawing
    this.plane = new HandPlane(MAX_PLANE, (place) => this.take(place));
    this.image = imageCanvas({ role: "img" });
    this.code = element("output", { class: "code" });
    this.buttons = spec.models.map((_, i) => button("", () => this.choose(i, true), { role: "radio" }));
    this.switch = element("div", { class: "switch", role: "radiogroup" }, ...this.buttons);
    this.switch.onkeydown = (event) => this.turn(event);
    this.says = element("p", { class: "says", role: "status" });
    this.names = ["board", "encoder", "plane", "decoder", "image"].map((name) => [name, div("name")]);
    const [paper, encoder, plane, decoder, image] = this.names.map(([, node]) => node);
    const pad = div("pad"), area = div("area", this.plane.canvas);
    this.legend = element("div", { class: "legend", role: "group" });
    root.append(
      div("top", this.switch, this.says),
      div(
        "figure", div("part paper", paper, pad), div("funnel encoder", encoder),
        div("part map", plane, area, this.code, this.legend), div("funnel decoder", decoder),
        div("part image", image, this.image),
      ),
    );
    this.board = new Board({ root: pad, send: (payload) => this.drew(payload) }, "draw");
    this.offs.push(() => this.board.destroy());
    this.onResize(() => this.plane.layout(), area);
    this.idle = letWander(this.root, (place) => this.move(place));
  }

  build({ spec: { board, picker, strokes } }) {
    this.board.update({ key: picker, strokes, texts: board, names: [] }, {}, []);
    const bytes = this.board.paintAll(false);
    if (!bytes) return;
    this.drawing = Float32Array.from(bytes, (v) => v / 255); // of an earlier visit
    this.isDrawn = true;
    this.idle.stop();
  }

  refresh({ root, spec, arrays }) {
    const { texts } = spec;
    for (const [name, node] of this.names) node.textContent = texts[name];
    this.image.setAttribute("aria-label", texts.decoded);
    this.switch.setAttribute("aria-label", texts.switch);
    this.legend.setAttribute("aria-label", texts.classes);
    this.legend.replaceChildren(...classDots(root, spec.classes));
    this.maps = spec.models.map((_, i) => mapOf(arrays[`places${i}`], arrays.labels));
    this.choose(this.chosen, false);
  }

  stop() {
    this.idle.stop();
  }

  get model() {
    return this.spec.models[this.chosen];
  }

  /** Show another model, with the hand at the same place, or at its code of the drawing. */
  choose(i, isByHand) {
    this.chosen = i;
    this.buttons.forEach((each, k) => {
      each.textContent = this.spec.models[k].name;
      each.setAttribute("aria-checked", String(k === i));
      each.tabIndex = k === i ? 0 : -1;
    });
    const [bold, rest] = parted(this.model.says);
    this.says.replaceChildren(element("b", {}, bold), rest);
    const label = fill(this.spec.texts.label.replace("{}", "{model}"), { model: this.model.name });
    this.plane.open({ map: this.maps[i], frame: this.model, label });
    if (isByHand) this.outbox.post({ chosen: i });
    if (this.drawing) this.follow(this.isDrawn);
    else this.move(this.plane.place);
  }

  /** The arrow keys choose the model. */
  turn(event) {
    const way = ARROWS[event.key], count = this.buttons.length;
    if (!way) return;
    event.preventDefault();
    const [right, up] = way;
    this.choose((this.chosen + right - up + count) % count, true);
    this.buttons[this.chosen].focus();
  }

  /** A hand is at a place. */
  take(place) {
    this.idle.stop();
    this.isDrawn = false;
    this.move(place);
  }

  move(place) {
    this.plane.move(place);
    this.show();
  }

  /** The drawing changes under the pen. */
  drawn() {
    this.idle.stop();
    if (this.drawing) this.follow(true);
  }

  /** Mark the code of the drawing; isDrawn: the hand goes there. */
  follow(isDrawn) {
    this.isDrawn = isDrawn;
    const { mu, logvar } = this.programs[this.chosen].encode(this.drawing);
    const place = placeOf(this.model, mu);
    this.plane.move(isDrawn ? place : this.plane.place, { mu: place, logvar: logvar && Float64Array.from(logvar) });
    this.show();
  }

  /** The pen rests: the drawing becomes the reader's own image on all pages. */
  drew(payload) {
    if (!payload.pixels.length) {
      this.drawing = null;
      this.plane.move(this.plane.place, null);
    }
    this.send(payload);
  }

  draw() {
    const z = codeAt(this.model, this.plane.place);
    paint(this.image, this.programs[this.chosen].decode(z));
    this.code.textContent = codeText(z);
  }
}

export const mount = (ctx) => new Toy(ctx, "toy");
