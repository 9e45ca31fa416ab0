// The live sliders: a row per latent dimension, images of all chosen models, and a gauge of the norm of z.
// Every move decodes at once; the code is sent to Python after the release.

import { paint, SIDE, stamp } from "../live/canvas.js";
import { div, element, figures, imageCanvas } from "../live/dom.js";
import { logPrior } from "../live/gaussian.js";
import { clamp } from "../live/maths.js";
import { drawingChannel, idleWork, Stage } from "../live/page.js";
import { changedIndex, clampCode, decodedImage, sharedCodeOf, shownImage } from "./shared_code.js";

const ME = "latent_code";
const IMAGE_WIDTH = 30; // pixels of one small image along a slider, with its gap
const NUM_BUILT_AT_ONCE = 24; // sliders that exist before they come into view, also for keys and screen readers
const MIN_IMAGES = 5; // along a slider
const MAX_IMAGES = 9;

// ---- pure parts (tested with node) ----------------------------------------------------------------------------------

/** [shown, folded] dimensions, the most used first. order: all dimensions; alive: number of used ones. */
export function parted(order, alive) {
  return { open: Array.from(order.slice(0, alive)), folded: Array.from(order.slice(alive)) };
}

/** z with dimension d set to its value in `home`. */
export function reset(z, d, home) {
  const next = Float32Array.from(z);
  next[d] = home[d];
  return next;
}

/** Number of decimals for a slider's step. */
export function decimals(step) {
  return clamp(-Math.floor(Math.log10(step) + 1e-6), 0, 6);
}

/** Relative position of a value between low and high, 0..1. */
export function part(value, low, high) {
  return clamp((value - low) / (high - low));
}

/** Number of small images along a slider of this width. */
export function count(width) {
  return clamp(Math.floor(width / IMAGE_WIDTH), MIN_IMAGES, MAX_IMAGES);
}

/** Left edge of small image i of n, which is centred at the thumb's position for its value. */
export function left(i, n, width) {
  return Math.round((i / (n - 1)) * (width - SIDE));
}

export function norm(z) {
  return Math.sqrt(z.reduce((sum, v) => sum + v * v, 0));
}

/** Below, within or above a range: -1, 0, 1. */
export function beside(value, [low, high]) {
  return value < low ? -1 : value > high ? 1 : 0;
}

// ---- one slider -----------------------------------------------------------------------------------------------------

class Row {
  constructor(sliders, dim) {
    this.sliders = sliders;
    this.dim = dim;
    this.next = 0; // the first outdated small image
    this.root = div("row");
    this.built = false;
  }

  build() {
    if (this.built) return;
    this.built = true;
    const { sliders, dim } = this;
    const { spec, low, high, step } = sliders;
    this.digits = decimals(step[dim]);
    this.film = element("canvas", { class: "film", height: SIDE, "aria-hidden": "true" });
    this.thumb = imageCanvas({ "aria-hidden": "true" });
    this.thumb.classList.add("thumb");
    this.input = element("input", {
      type: "range",
      min: low[dim],
      max: high[dim],
      step: step[dim],
      "aria-label": `${spec.names[dim]} · ${spec.amounts[dim]}`,
    });
    this.value = element("output");
    this.home = element("i", { class: "home" });
    const soft = element("i", { class: "soft" });
    const from = part(sliders.softLow[dim], low[dim], high[dim]), to = part(sliders.softHigh[dim], low[dim], high[dim]);
    soft.style.setProperty("--from", from);
    soft.style.setProperty("--to", to);
    const names = [element("b", {}, spec.names[dim]), element("span", {}, spec.amounts[dim])];
    this.root.append(
      element("div", { class: "name", title: spec.texts.row }, ...names, this.value),
      div("track", this.film, this.thumb, this.input, div("rule", soft, this.home)),
    );
    this.input.onpointerdown = () => sliders.grab();
    this.input.oninput = () => sliders.turn(dim, Number(this.input.value));
    this.input.onchange = () => sliders.released();
    this.input.onkeydown = (event) => {
      sliders.isKeyboard = true;
      if (event.key === "Backspace" || event.key === "Delete") sliders.goHome(dim);
    };
    this.root.ondblclick = () => sliders.goHome(dim);
    this.width = 0;
    this.sized();
    this.show();
    this.mark();
  }

  /** Adapt the number of small images to the width of the slider. */
  sized() {
    const width = this.film.clientWidth;
    if (!width || width === this.width) return;
    this.width = width;
    this.film.width = width;
    this.n = count(width);
    this.next = 0;
  }

  /** Mark the value of the chosen digit. */
  mark() {
    const { sliders, dim } = this;
    this.home.style.setProperty("--at", part(sliders.home[dim], sliders.low[dim], sliders.high[dim]));
  }

  show() {
    const { sliders, dim } = this;
    const v = sliders.z[dim];
    if (v === this.shown) return;
    this.shown = v;
    const text = v.toFixed(this.digits);
    const outside = v < sliders.softLow[dim] || v > sliders.softHigh[dim];
    this.input.value = v;
    this.thumb.style.left = `calc(${part(v, sliders.low[dim], sliders.high[dim])} * (100% - ${SIDE}px))`;
    this.value.textContent = text;
    this.input.setAttribute("aria-valuetext", outside ? `${text}, ${sliders.spec.texts.outside}` : text);
    this.root.classList.toggle("outside", outside);
  }

  /** Decode one more small image; false if all are up to date. */
  develop() {
    if (!this.width || this.next >= this.n) return false;
    const { sliders, dim } = this;
    const i = this.next++;
    const z = Float32Array.from(sliders.z);
    z[dim] = sliders.low[dim] + (i / (this.n - 1)) * (sliders.high[dim] - sliders.low[dim]);
    const pixels = sliders.programs[0].decode(z);
    stamp(this.film.getContext("2d"), pixels, left(i, this.n, this.width), 0);
    return true;
  }
}

// ---- all sliders ----------------------------------------------------------------------------------------------------

class LatentCodeSliders extends Stage {
  constructor({ root, send }, name) {
    const sendAndRelease = (payload) => {
      this.code.release(ME);
      send(payload);
    };
    super({ root, send: sendAndRelease }, name);
  }

  create({ root }) {
    this.isKeyboard = false; // the last change of a slider was by key
    this.filmsWork = idleWork(() => this.develop());
    this.figures = div("figures");
    this.gauge = div("gauge");
    this.rowsBox = div("rows");
    this.help = element("p", { class: "help" });
    this.image = imageCanvas(); // the image of z, which all thumbs show
    root.append(div("parts", this.figures, this.rowsBox, this.gauge, this.help));
    this.release = () => this.released(false);
    this.onResize(() => this.resized(), this.rowsBox);
  }

  refresh({ spec, arrays }) {
    const models = spec.models.map((m) => m.run).join();
    const exact = (values) => Float64Array.from(values, (v) => +v.toPrecision(6));
    this.low = exact(arrays.low);
    this.high = exact(arrays.high);
    this.step = exact(arrays.step);
    this.home = arrays.home;
    this.softLow = arrays.soft_low;
    this.softHigh = arrays.soft_high;
    if (spec.run !== this.run) this.open(spec, arrays);
    if (models !== this.models) this.canvases = figures(this.figures, spec.images ? spec.models : [], spec.texts.image);
    this.models = models;
    this.code.offer(arrays.z, spec.read);
    this.take(this.code.live ?? arrays.z);
    for (const row of this.rows) if (row.built) row.mark();
  }

  /** Build the rows for another run. */
  open(spec, arrays) {
    this.shut();
    this.run = spec.run;
    this.z = Float32Array.from(arrays.z);
    this.code = sharedCodeOf(spec.run);
    this.code.join(ME, this.outbox);
    this.runOffs = [
      this.code.channel.on((value) => this.take(value.z), ME),
      drawingChannel(spec.key).on((value) => this.follow(value), ME),
      () => this.code.leave(ME),
    ];
    this.buildGauge();
    this.layRows(parted(arrays.order, spec.alive));
    this.help.textContent = spec.texts.help;
  }

  shut() {
    for (const off of this.runOffs ?? []) off();
    this.runOffs = [];
    this.visibility?.disconnect();
  }

  stop() {
    this.shut();
    this.filmsWork.stop();
    window.removeEventListener("pointerup", this.release, true);
    window.removeEventListener("pointercancel", this.release, true);
  }

  layRows({ open, folded }) {
    this.rows = [];
    this.seen = new Set();
    this.visibility = new IntersectionObserver((entries) => this.look(entries), { rootMargin: "80px" });
    const place = (dims) => {
      const box = div("grid");
      for (const dim of dims) {
        const row = new Row(this, dim);
        row.root.row = row;
        this.rows.push(row);
        this.visibility.observe(row.root);
        box.append(row.root);
      }
      return box;
    };
    this.rowsBox.replaceChildren(place(open));
    for (const row of this.rows.slice(0, NUM_BUILT_AT_ONCE)) row.build();
    if (!open.length) this.rowsBox.append(element("p", { class: "none" }, this.spec.texts.none));
    if (!folded.length) return;
    const summary = element("summary", {}, this.spec.texts.dead);
    this.rowsBox.append(element("details", { open: !open.length }, summary, place(folded)));
  }

  /** Build rows when they come into view; only visible rows decode small images. */
  look(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) {
        target.row.build();
        target.row.sized();
        target.row.show();
        this.seen.add(target.row);
      } else {
        this.seen.delete(target.row);
      }
    }
    this.filmsWork.start();
    this.show();
  }

  resized() {
    for (const row of this.rows ?? []) if (row.built) row.sized();
    this.filmsWork.start();
  }

  // -- the images and the gauge

  buildGauge() {
    const { gauge, texts } = this.spec;
    const lane = (name, range, text) => {
      const band = element("i", { class: "band" });
      band.style.setProperty("--from", part(range[0], 0, gauge.end));
      band.style.setProperty("--to", part(range[1], 0, gauge.end));
      return div(`lane ${name}`, element("span", {}, text), div("scale", band));
    };
    this.needle = element("i", { class: "needle" });
    this.norm = element("b");
    this.density = element("b");
    this.verdict = div("verdict");
    const numbers = div("numbers", element("span", {}, "‖z‖ ", this.norm));
    if (gauge.prior) numbers.append(element("span", {}, "log p(z) ", this.density, ` ${texts.nats}`));
    const lanes = div("lanes");
    if (gauge.prior) lanes.append(lane("prior", gauge.prior, texts.draws));
    const ends = div("ends", element("span", {}, "0"), element("span", {}, gauge.end.toPrecision(2)));
    lanes.append(lane("codes", gauge.codes, texts.codes), div("over", this.needle), ends);
    this.gauge.replaceChildren(numbers, lanes, this.verdict);
    this.gauge.title = texts.gauge;
  }

  draw() {
    const { z } = this;
    this.canvases.forEach((canvas, i) => paint(canvas, shownImage(this.programs, i, z)));
    paint(this.image, decodedImage(this.programs[0], z));
    for (const row of this.rows) if (row.built) row.show(); // those out of view, too, are read aloud
    for (const row of this.seen) row.thumb.getContext("2d").drawImage(this.image, 0, 0);
    const { gauge, texts } = this.spec;
    const length = norm(z);
    this.norm.textContent = length.toFixed(2);
    this.density.textContent = logPrior(z, gauge.std).toFixed(1);
    this.needle.style.setProperty("--at", part(length, 0, gauge.end));
    const where = beside(length, gauge.codes);
    this.gauge.classList.toggle("outside", where > 0);
    this.verdict.textContent = texts.verdict[where + 1];
  }

  // -- z

  /** z has changed, here or in another component. */
  take(z) {
    const moved = changedIndex(this.z, z);
    this.z = z;
    this.show();
    for (const row of this.rows) if (moved !== -1 && moved !== row.dim) row.next = 0;
    this.filmsWork.start();
  }

  /** A slider stands at `value`. */
  turn(dim, value) {
    if (this.isKeyboard) {
      this.code.hold(ME);
      this.outbox.postLater(() => this.message());
    }
    const z = Float32Array.from(this.z);
    z[dim] = value;
    this.code.channel.set({ z }, ME);
    this.take(z);
  }

  grab() {
    this.isKeyboard = false;
    this.code.hold(ME);
    window.addEventListener("pointerup", this.release, true);
    window.addEventListener("pointercancel", this.release, true);
  }

  /** After the release of a slider. post: send the code, because it has changed. */
  released(post = true) {
    window.removeEventListener("pointerup", this.release, true);
    window.removeEventListener("pointercancel", this.release, true);
    if (this.isKeyboard) return;
    if (post) this.outbox.post(this.message());
    else this.code.settle(this.z, ME);
  }

  message() {
    this.code.settle(this.z, ME);
    return { z: Array.from(this.z, (v) => Number(v.toPrecision(6))) };
  }

  /** Set dimension d to the chosen digit's value. */
  goHome(dim) {
    const z = clampCode(reset(this.z, dim, this.home), this.low, this.high);
    this.code.channel.set({ z }, ME);
    this.take(z);
    this.outbox.post(this.message());
  }

  /** Set z to the code of the user's drawing. */
  follow(value) {
    if (this.code.isHeldByOther(ME)) return;
    if (!value?.pixels) return this.code.restore(ME);
    const z = clampCode(this.programs[0].encode(value.pixels).mu, this.low, this.high);
    this.code.channel.set({ z }, ME);
    this.take(z);
  }

  /** One small image in idle time. */
  develop() {
    for (const row of this.seen) if (row.develop()) return true;
    return false;
  }
}

export const mount = (ctx) => new LatentCodeSliders(ctx, "latent_code");
