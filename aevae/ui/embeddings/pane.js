// One pane of the maps: a raster of the map, painted once per view, and above it a layer for the pointer. The pane has its
// own view; selected, hovered and chosen points belong to the atlas, because all panes show the same points.

import { ARROWS, clearedContext, framedImage, paint, pixelIn, pixelRatio, ring } from "../live/canvas.js";
import { button, div, element, fill, imageCanvas } from "../live/dom.js";
import { clamp } from "../live/maths.js";
import {
  discs, Grid, panBy, parseColour, radiusFor, Raster, sameView, scaleOf, textOn, toPixels, toPlace, toSquare, WHOLE,
  zoomAt,
} from "./points.js";

const MAX_HIT_DISTANCE = 9; // CSS pixels between the pointer and a hovered point
const MAX_CLICK_MOVE = 4; // CSS pixels that a click may move
const RIM = 40; // device pixels around the raster, more than the radius of a disc
const ZOOM_PER_WHEEL_UNIT = 1.0018;
const TIP_WIDTH = 84; // CSS pixels of the image at the pointer

export class Pane {
  constructor(atlas, number, view) {
    this.atlas = atlas;
    this.number = number;
    this.view = view;
    this.points = new Float32Array(0);
    this.pointers = new Map();
    this.press = null;
    this.build();
  }

  build() {
    this.title = element("strong");
    this.sub = element("span", { class: "sub" });
    this.morph = button("⇄", () => this.atlas.morph(this.number));
    this.closer = button("+", () => this.zoom(1.5));
    this.wider = button("−", () => this.zoom(1 / 1.5));
    this.whole = button("⤢", () => this.look(WHOLE));
    this.base = element("canvas", { class: "base" });
    this.over = element("canvas", { class: "over", tabIndex: 0, role: "application", "data-finger": "tap" });
    this.digit = imageCanvas();
    this.tipText = element("span");
    this.tip = element("div", { class: "tip", hidden: true }, this.digit, this.tipText);
    this.words = element("p");
    this.again = button("", () => this.atlas.request("make", this.number));
    this.stop = button("", () => this.atlas.request("cancel", this.number));
    this.bar = element("progress", { max: 1 });
    this.message = div("message", this.words, this.bar, this.again, this.stop);
    const tools = div("tools", this.closer, this.wider, this.whole, this.morph);
    this.stage = div("stage", this.base, this.over, this.message, tools, this.tip);
    this.foot = element("p", { class: "numbers" });
    this.root = element("figure", {}, element("figcaption", {}, this.title, this.sub), this.stage, this.foot);
    // Not onDrag (canvas.js): two fingers pinch, and a cancelled drag selects nothing.
    const on = { pointerdown: "pressed", pointermove: "moved", pointerup: "lifted", pointercancel: "dropped" };
    for (const [event, act] of Object.entries(on)) this.over[`on${event}`] = (e) => this[act](e);
    this.over.onpointerleave = () => this.press || this.leave();
    this.over.onblur = () => this.leave();
    this.over.onkeydown = (event) => this.key(event);
    this.over.oncontextmenu = (event) => event.preventDefault();
    this.over.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** Update the pane. xy: its points, or undefined while there are none. */
  update(spec, xy, lift) {
    const { texts } = this.atlas.spec;
    this.spec = spec;
    this.lift = lift;
    this.xy = xy;
    this.title.textContent = spec.title;
    this.sub.textContent = spec.sub;
    this.over.setAttribute("aria-label", fill(texts.pane, { number: this.number + 1, title: spec.title, sub: spec.sub }));
    const names = [[this.morph, texts.morph], [this.closer, texts.closer], [this.wider, texts.wider],
      [this.whole, texts.whole]];
    for (const [button, text] of names) {
      button.title = text;
      button.setAttribute("aria-label", text);
    }
    this.morph.hidden = this.atlas.spec.panes.length < 2;
    this.message.hidden = spec.state === "ready";
    this.message.dataset.over = xy ? "map" : "";
    this.words.textContent = spec.note;
    this.bar.hidden = spec.state !== "making";
    if (spec.part === null) this.bar.removeAttribute("value");
    else this.bar.value = spec.part;
    this.again.hidden = spec.state !== "stopped";
    this.again.textContent = texts.make;
    this.stop.hidden = spec.state !== "making";
    this.stop.textContent = texts.cancel;
    this.foot.replaceChildren(...spec.numbers.flatMap(([name, value, help]) => [
      element("span", { title: help }, `${name} `, element("b", { textContent: value })), " ",
    ]));
    this.foot.append(...spec.warnings.map((text) => element("small", { textContent: text })));
  }

  /** Other points, already in the square. */
  show(points) {
    this.points = points;
    this.grid = null;
    this.medians = null;
    this.atlas.touch(this);
  }

  /** This pane's own map in its square. */
  own() {
    return this.xy ? toSquare(this.xy, this.spec.frame) : new Float32Array(0);
  }

  get index() {
    return (this.grid ??= new Grid(this.points));
  }

  // -- the view

  layout() {
    const side = this.stage.clientWidth;
    const ratio = Math.min(pixelRatio(), 2);
    if (!side || (this.size?.w === side && this.ratio === ratio)) return;
    this.size = { w: side, h: side };
    this.ratio = ratio;
    const pixels = Math.round(side * ratio);
    for (const c of [this.base, this.over]) c.width = c.height = pixels;
    this.raster = new Raster(pixels, pixels, RIM);
    this.image = new ImageData(this.raster.bytes, this.raster.stride, pixels + 2 * RIM);
    this.atlas.touch(this);
  }

  look(view) {
    this.view = view;
    this.atlas.viewChanged();
    this.atlas.touch(this, true);
  }

  /** Set the view from Python, [x, y, zoom]; without one show everything. */
  setView(sent) {
    const view = sent ? { x: sent[0], y: sent[1], k: sent[2] } : WHOLE;
    if (sameView(view, this.view)) return;
    this.view = view;
    this.atlas.touch(this);
  }

  zoom(factor) {
    this.look(zoomAt(this.view, this.size, this.size.w / 2, this.size.h / 2, factor));
  }

  wheel(event) {
    if (!this.points.length) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    this.look(zoomAt(this.view, this.size, ...this.pixelOf(event), ZOOM_PER_WHEEL_UNIT ** (-event.deltaY * lines)));
  }

  pixelOf(event) {
    const { x, y } = pixelIn(this.over, event);
    return [x, y];
  }

  // -- painting

  /** All points, or every `step`-th while the hand moves. */
  paintBase(step) {
    if (!this.raster) return;
    const { labels, codes, palette, paperPixel, selected, any } = this.atlas;
    const { raster, view, ratio } = this, size = { w: this.size.w * ratio, h: this.size.h * ratio };
    raster.clear(paperPixel);
    if (this.points.length === 2 * labels.length) {
      const scale = scaleOf(view, this.size) * ratio;
      const place = { ox: size.w / 2 - view.x * scale, oy: size.h / 2 + view.y * scale, scale };
      const stamps = discs(radiusFor(labels.length, view.k) * ratio);
      if (any) {
        raster.paint(this.points, place, { codes, palette, state: selected, only: 0 }, stamps, 0.16, step);
        raster.paint(this.points, place, { codes, palette, state: selected, only: 1 }, stamps, 0.95, step);
      } else {
        raster.paint(this.points, place, { codes, palette }, stamps, this.atlas.opacity, step);
      }
    }
    this.base.getContext("2d").putImageData(this.image, -RIM, -RIM);
  }

  /** Paint the layer that follows the pointer. */
  paintOver() {
    if (!this.raster) return;
    const g = clearedContext(this.over, this.ratio), { theme: { ink, paper, accent }, point, hover } = this.atlas;
    if (!this.points.length) return;
    this.paintNames(g);
    if (this.press?.lasso) this.paintLasso(g, this.press.path);
    if (point >= 0) ring(g, this.pixel(point), 8, accent, paper, 2.5);
    const own = this.atlas.shown[this.number] === this.number && this.atlas.guest.placeIn(this);
    if (own) framedImage(g, this.atlas.guest.image, toPixels(this.view, this.size, ...own), 30, accent, paper, 2.5);
    if (hover >= 0) ring(g, this.pixel(hover), 6.5, ink, paper, 2);
  }

  /** Paint the name of each class at the median of its points. */
  paintNames(g) {
    const { spec, any, moving, labels, colours } = this.atlas;
    if (spec.shade || moving || spec.classes.length > 12) return;
    this.medians ??= medians(this.points, labels, spec.classes.length);
    g.font = `600 13px ${this.atlas.theme.font}`;
    g.textAlign = "center";
    g.textBaseline = "middle";
    this.medians.forEach((place, c) => {
      if (!place || (any && !this.atlas.counts[c])) return;
      const [x, y] = toPixels(this.view, this.size, ...place);
      const half = Math.max(g.measureText(spec.classes[c]).width / 2 + 5, 9);
      g.fillStyle = colours[c];
      g.beginPath();
      g.roundRect(x - half, y - 9, 2 * half, 18, 4);
      g.fill();
      g.fillStyle = textOn(parseColour(colours[c]));
      g.fillText(spec.classes[c], x, y + 0.5);
    });
  }

  paintLasso(g, path) {
    const { accent } = this.atlas.theme;
    g.beginPath();
    for (const [x, y] of path) g.lineTo(...toPixels(this.view, this.size, x, y));
    g.closePath();
    g.fillStyle = accent;
    g.globalAlpha = 0.1;
    g.fill();
    g.globalAlpha = 1;
    g.lineWidth = 1.5;
    g.strokeStyle = accent;
    g.stroke();
  }

  pixel(i) {
    return toPixels(this.view, this.size, this.points[2 * i], this.points[2 * i + 1]);
  }

  // -- pointer

  pressed(event) {
    if (!this.points.length) return;
    this.over.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.pixelOf(event));
    if (this.pointers.size > 1) { // two fingers: they move and zoom, nothing is selected
      if (this.press?.lasso) this.atlas.dropLasso();
      this.press = { pinch: true, moved: true };
      return;
    }
    const at = this.pixelOf(event), pan = event.button > 0 || event.altKey || this.atlas.tool === "move";
    const place = toPlace(this.view, this.size, ...at);
    this.press = { at, last: at, moved: false, lasso: !pan, path: [place], add: event.shiftKey };
  }

  moved(event) {
    const at = this.pixelOf(event), press = this.press;
    if (!press) return event.pointerType === "touch" || this.hoverAt(at);
    if (press.pinch) return this.pinch(event.pointerId, at);
    if (!press.moved && Math.hypot(at[0] - press.at[0], at[1] - press.at[1]) <= MAX_CLICK_MOVE) return;
    if (!press.moved) {
      press.moved = true;
      this.leave();
      if (press.lasso) this.atlas.beginLasso(press.add);
    }
    const [dx, dy] = [at[0] - press.last[0], at[1] - press.last[1]];
    if (!press.lasso) this.look(panBy(this.view, this.size, dx, dy));
    else if (Math.hypot(dx, dy) < 2) return;
    else {
      press.path.push(toPlace(this.view, this.size, ...at));
      this.atlas.growLasso(this, press.path);
    }
    press.last = at;
  }

  pinch(id, at) {
    const before = [...this.pointers.values()];
    this.pointers.set(id, at);
    const after = [...this.pointers.values()];
    if (after.length < 2) return;
    const middle = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const far = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
    const from = middle(before[0], before[1]), to = middle(after[0], after[1]);
    const moved = panBy(this.view, this.size, to[0] - from[0], to[1] - from[1]);
    this.look(zoomAt(moved, this.size, ...to, far(after[0], after[1]) / Math.max(far(before[0], before[1]), 1)));
  }

  lifted(event) {
    this.pointers.delete(event.pointerId);
    const press = this.press;
    if (!press || this.pointers.size) return;
    this.press = null;
    if (press.pinch || (press.moved && !press.lasso)) return this.atlas.settle();
    if (press.moved) return this.atlas.endLasso();
    this.atlas.choose(this.pointAt(press.at), event.shiftKey);
  }

  dropped(event) {
    this.pointers.delete(event.pointerId);
    if (this.press?.lasso && this.press.moved) this.atlas.dropLasso();
    this.press = null;
  }

  pointAt(at) {
    const place = toPlace(this.view, this.size, ...at);
    const reach = MAX_HIT_DISTANCE + radiusFor(this.atlas.labels.length, this.view.k);
    return this.index.nearest(...place, reach / scaleOf(this.view, this.size));
  }

  hoverAt(at) {
    if (!this.points.length) return;
    const i = this.pointAt(at);
    this.atlas.hoverOn(i);
    if (i >= 0) this.tell(at, this.atlas.imageOf(i), this.atlas.wordsOf(i));
    else this.guess(at);
  }

  /** Show the decoded image of empty space. */
  guess(at) {
    const place = toPlace(this.view, this.size, ...at);
    const found = Math.max(...place.map(Math.abs)) < 1.6 && this.atlas.decodeAt(this, place);
    if (found) this.tell(at, found.pixels, found.words);
    else this.tip.hidden = true;
  }

  /** @param {number[]} at */
  tell([x, y], pixels, words) {
    this.digit.hidden = !pixels;
    if (pixels) paint(this.digit, pixels);
    this.tipText.textContent = words;
    this.tip.hidden = false;
    const left = x + 18 + TIP_WIDTH > this.size.w ? x - 18 - TIP_WIDTH : x + 18;
    const top = clamp(y - TIP_WIDTH / 2, 2, this.size.h - TIP_WIDTH - 44);
    this.tip.style.transform = `translate(${Math.round(Math.max(left, 2))}px, ${Math.round(top)}px)`;
  }

  leave() {
    this.tip.hidden = true;
    this.atlas.hoverOn(-1);
  }

  key(event) {
    const way = ARROWS[event.key], { atlas } = this;
    if (!this.points.length || event.ctrlKey || event.metaKey) return;
    if (way) {
      const from = atlas.hover >= 0 ? atlas.hover : atlas.point;
      const next = from >= 0 ? this.index.towards(from, way) : this.index.nearest(this.view.x, this.view.y);
      atlas.hoverOn(next);
      this.tell(this.pixel(next), atlas.imageOf(next), atlas.wordsOf(next));
      atlas.say(atlas.wordsOf(next));
    } else if (event.key === "Enter" || event.key === " ") atlas.choose(atlas.hover, event.shiftKey);
    else if (event.key === "Escape") atlas.clear();
    else if (event.key === "+" || event.key === "=") this.zoom(1.25);
    else if (event.key === "-") this.zoom(0.8);
    else if (event.key === "0") this.look(WHOLE);
    else return;
    event.preventDefault();
  }
}

/** The median point of each class, null for a class without points. */
export function medians(points, labels, classes) {
  const places = Array.from({ length: classes }, () => [[], []]);
  for (let i = 0; i < labels.length; i++)
    if (Number.isFinite(points[2 * i])) {
      places[labels[i]]?.[0].push(points[2 * i]);
      places[labels[i]]?.[1].push(points[2 * i + 1]);
    }
  const middle = (values) => Float32Array.from(values).sort()[values.length >> 1];
  return places.map(([x, y]) => (x.length ? [middle(x), middle(y)] : null));
}
