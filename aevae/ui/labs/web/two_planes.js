// The lab Two planes, one hand: an autoencoder and a β-VAE side by side. The hand is at the same place in both planes.
// Random codes are samples of N(0, I); a classifier says which of their images look like a digit.

import { paint } from "../../live/canvas.js";
import { button, div, element, fill, imageCanvas, imageCanvases, slider } from "../../live/dom.js";
import { Stage } from "../../live/page.js";
import { classDots, codeAt, HandPlane, letWander, mapOf, placeOf } from "../../sliders/hand_plane.js";

const MAX_PLANE = 320; // CSS pixels

/** {index, probability} of the largest of these logits. */
export function verdict(logits) {
  let index = 0, total = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[index]) index = i;
  for (const logit of logits) total += Math.exp(logit - logits[index]);
  return { index, probability: 1 / total };
}

/** The codes of handful `i`: count pairs of an array of shape (handfuls, count, 2). */
export function handfulOf(random, i) {
  const count = random.shape[1];
  return Array.from({ length: count }, (_, k) => Array.from(random.subarray(2 * (i * count + k), 2 * (i * count + k) + 2)));
}

/** A plane with its image, the verdict about it, and the random codes. */
class Side {
  constructor(lab, head) {
    this.plane = new HandPlane(MAX_PLANE, (place) => lab.take(place));
    this.area = div("area", this.plane.canvas);
    this.image = imageCanvas({ role: "img" });
    this.looks = element("output", { class: "looks" });
    this.count = element("output", { class: "count" });
    this.says = element("span");
    this.sheet = element("div", { class: "sheet", role: "img" });
    const stage = div("stage", this.area, div("seen", this.image, this.looks));
    this.node = div("side", head, stage, div("tally", this.count, " · ", this.says), this.sheet);
  }
}

class TwoPlanes extends Stage {
  create({ spec }) {
    const { beta, x, y, handful } = spec.state;
    this.place = [x, y];
    this.handful = handful;
    this.title = element("b");
    const last = spec.models.length - 2;
    this.slider = slider({ min: 0, max: last, step: 1, value: beta }, { input: () => this.turned(), change: () => this.post() });
    this.heads = [div("head", this.title, element("span")), div("head", this.slider.box)];
    this.sides = this.heads.map((head) => new Side(this, head));
    this.again = button("", () => this.next(), { class: "again" });
    this.legend = element("p", { class: "help" });
    this.reader = element("p", { class: "help" });
    this.classes = div("classes");
    this.aloud = element("div", { class: "aloud", "aria-live": "polite" });
    const foot = div("foot", this.again, this.classes);
    this.root.append(div("pair", ...this.sides.map(({ node }) => node)), foot, this.legend, this.reader, this.aloud);
    for (const { plane, area } of this.sides) this.onResize(() => plane.layout(), area);
    if (spec.isTouched) this.move(this.place);
    else this.idle = letWander(this.root, (place) => this.move(place));
  }

  refresh({ root, spec, arrays }) {
    const { texts, models } = spec;
    this.maps = models.map((_, i) => mapOf(arrays[`places${i}`], arrays.labels));
    this.title.textContent = models[0].name;
    this.heads[0].lastChild.textContent = texts.no_prior;
    this.slider.name.textContent = texts.beta;
    this.slider.input.setAttribute("aria-label", texts.beta);
    this.again.textContent = texts.again;
    this.legend.textContent = arrays.own.length ? `${texts.legend} ${texts.own}` : texts.legend;
    this.reader.textContent = texts.reader;
    this.classes.replaceChildren(...classDots(root, spec.classes));
    this.open();
  }

  stop() {
    this.idle?.stop();
  }

  /** Indices of the two models that are shown. */
  get shown() {
    return [0, 1 + Number(this.slider.input.value)];
  }

  /** Show the chosen models with the random codes. */
  open() {
    const { texts, models } = this.spec, codes = handfulOf(this.arrays.random, this.handful);
    this.shown.forEach((index, i) => {
      const model = models[index], side = this.sides[i], { name } = model;
      const images = codes.map((z) => Float32Array.from(this.programs[index].decode(z)));
      const looks = images.map((image) => this.look(image));
      const samples = codes.map((z, k) => ({ place: placeOf(model, z), isGood: looks[k].isGood }));
      side.plane.belief = this.believe(model, this.programs[index]);
      side.plane.open({ map: this.maps[index], frame: model, label: fill(texts.label, { model: name }), samples });
      side.image.setAttribute("aria-label", fill(texts.image, { model: name }));
      side.sheet.setAttribute("aria-label", fill(texts.samples, { model: name }));
      side.says.textContent = model.says;
      this.tally(side, images, looks);
    });
    this.slider.say(models[this.shown[1]].name);
    this.show();
  }

  /** The code of the reader's own digit, as a place; null without one. */
  believe(model, program) {
    const { own } = this.arrays;
    if (!own.length) return null;
    const { mu, logvar } = program.encode(own);
    return { mu: placeOf(model, mu), logvar: logvar && Float64Array.from(logvar) };
  }

  tally(side, images, looks) {
    const canvases = imageCanvases(images.length), good = looks.filter(({ isGood }) => isGood);
    canvases.forEach((canvas, k) => {
      paint(canvas, images[k]);
      canvas.classList.toggle("good", looks[k].isGood);
    });
    side.sheet.replaceChildren(...canvases);
    const kinds = new Set(good.map(({ index }) => index)).size;
    side.count.textContent = fill(this.spec.texts.count, { count: good.length, all: images.length, kinds });
  }

  /** What the classifier says about an image: {index of the class, isGood: it looks like a digit}. */
  look(image) {
    const { index, probability } = verdict(this.programs.at(-1).read(image));
    return { index, isGood: probability >= this.spec.sure };
  }

  turned() {
    this.idle?.stop();
    this.open();
  }

  next() {
    this.handful = (this.handful + 1) % this.arrays.random.shape[0];
    this.turned();
    this.post();
  }

  /** A hand is at a place. */
  take(place) {
    this.idle?.stop();
    this.move(place);
    this.post();
  }

  move(place) {
    this.place = place;
    for (const { plane } of this.sides) plane.move(place);
    this.show();
  }

  post() {
    this.outbox.postLater(() => {
      const [x, y] = this.place.map((v) => Number(v.toFixed(3)));
      this.aloud.textContent = `${x}, ${y}: ${this.sides.map(({ looks }) => looks.textContent).join("; ")}`;
      return { beta: this.shown[1] - 1, x, y, handful: this.handful };
    });
  }

  draw() {
    const { texts, models, classes } = this.spec;
    this.shown.forEach((index, i) => {
      const image = this.programs[index].decode(codeAt(models[index], this.place)), { image: canvas, looks } = this.sides[i];
      paint(canvas, image);
      const { index: c, isGood } = this.look(image);
      looks.textContent = isGood ? fill(texts.looks, { name: classes[c] }) : texts.none;
    });
  }
}

export const mount = (ctx) => new TwoPlanes(ctx, "two_planes");
