// One digit as a sum of units: all filters as one image, the active ones bright, and the digit made of the strongest k.
import { imageAt, paint, PIXELS, SIDE } from "../../live/canvas.js";
import { div, element, fill, imageCanvas, slider } from "../../live/dom.js";
import { clamp, sigmoid } from "../../live/maths.js";
import { Stage } from "../../live/page.js";
import { maxAbs, paintSigned, tint } from "../../live/signed.js";

const NUM_STRONGEST = 8; // units that are shown individually
const DIMMED = 1.2, BRIGHT = 0.6; // values of full brightness, of inactive and of active units; the largest is 1

// ---- pure parts -----------------------------------------------------------------------------------------------------

/** Indices of the active units, the strongest first. */
export function ranked(h) {
  return [...h.keys()].filter((i) => h[i] !== 0).sort((a, b) => Math.abs(h[b]) - Math.abs(h[a]) || a - b);
}

/** out = offset + sum over `units` of h times their filters; isSquashed: apply a sigmoid. */
export function summed(offset, filters, h, units, isSquashed, out) {
  const width = offset.length;
  out.set(offset);
  for (const u of units) for (let p = 0; p < width; p++) out[p] += h[u] * filters[u * width + p];
  if (isSquashed) for (let p = 0; p < width; p++) out[p] = sigmoid(out[p]);
  return out;
}

/** Squared error of two images, the first clamped to [0, 1]. */
export function clampedError(a, b) {
  let sum = 0;
  for (let p = 0; p < b.length; p++) sum += (clamp(a[p]) - b[p]) ** 2;
  return sum;
}

/** Columns of a sheet of `count` tiles about `width` CSS pixels wide, tiles no smaller than `least`. */
export const columnsFor = (count, width, least = 30) => Math.max(5, Math.min(count, 25, Math.floor(width / least)));

// ---- the view -------------------------------------------------------------------------------------------------------

class Sparse extends Stage {
  create({ root, outbox, show }) {
    const change = () => outbox.postLater(() => ({ kept: +this.slider.input.value }));
    this.slider = slider({ min: 0, step: 1 }, { input: show, change });
    this.verdict = element("div", { class: "verdict", role: "status" });
    this.sheet = element("canvas", { class: "sheet", role: "img" });
    const shown = (kind) => {
      const canvas = imageCanvas(), name = element("span");
      return { canvas, name, box: element("div", { class: kind }, canvas, name) };
    };
    this.clean = shown("part main");
    this.made = shown("part main");
    this.parts = Array.from({ length: NUM_STRONGEST }, () => shown("part"));
    this.partsName = div("name");
    this.sheetName = div("name");
    const row = div("row", ...[this.clean, this.made, ...this.parts].map((part) => part.box));
    root.append(this.slider.box, this.partsName, row, this.verdict, this.sheetName, this.sheet);
    this.image = new Float32Array(PIXELS);
    this.onResize(() => root.clientWidth !== this.width && show());
  }

  build({ spec, arrays }) {
    const { length } = ranked(arrays.h);
    this.encoded = null; // {digit, h} of the image that the user draws
    this.slider.input.max = length;
    this.slider.input.value = spec.kept < 0 ? length : spec.kept;
  }

  refresh({ spec: { texts }, arrays }) {
    this.order = ranked((this.encoded ?? arrays).h);
    this.slider.name.textContent = texts.slider;
    this.clean.name.textContent = texts.clean;
    this.made.name.textContent = texts.made;
    this.partsName.textContent = texts.parts;
    this.sheetName.textContent = texts.sheet;
    this.sheet.setAttribute("aria-label", texts.sheet);
  }

  /** Of a drawing all active units are shown. */
  drawn({ drawing, programs: [program], arrays }) {
    this.encoded = drawing && { digit: drawing, h: Float32Array.from(program.encode(drawing).mu) };
    this.order = ranked((this.encoded ?? arrays).h);
    this.slider.input.max = this.slider.input.value = this.order.length;
  }

  draw({ root, spec, arrays, order }) {
    if (!root.clientWidth) return;
    const { texts } = spec, { digit, h } = this.encoded ?? arrays;
    const k = Math.min(+this.slider.input.value, order.length), kept = order.slice(0, k);
    summed(arrays.offset, arrays.filters, h, kept, spec.sigmoid, this.image);
    paint(this.clean.canvas, digit);
    paint(this.made.canvas, this.image);
    this.parts.forEach(({ canvas, name, box }, i) => {
      box.classList.toggle("off", i >= k);
      if (i >= order.length) return;
      paintSigned(canvas, imageAt(arrays.filters, order[i]));
      name.textContent = `× ${h[order[i]].toFixed(1)}`;
    });
    this.slider.say(fill(texts.of, { k, on: order.length }));
    this.verdict.textContent = fill(texts.verdict, { error: clampedError(this.image, digit).toFixed(1), k });
    this.paintSheet(new Set(kept));
  }

  /** All filters, those in `kept` bright and framed. */
  paintSheet(kept) {
    const { spec, arrays, sheet } = this;
    this.width = this.root.clientWidth;
    const columns = columnsFor(spec.units, this.width), rows = Math.ceil(spec.units / columns), cell = SIDE + 4;
    const image = new ImageData(columns * cell, rows * cell);
    for (let n = 0; n < spec.units; n++) {
      const u = arrays.shown[n], values = imageAt(arrays.filters, u);
      const at = (Math.floor(n / columns) * cell + 2) * columns * cell + (n % columns) * cell + 2;
      tint(values, maxAbs(values) * (kept.has(u) ? BRIGHT : DIMMED), image.data, SIDE, at, columns * cell);
    }
    sheet.width = image.width;
    sheet.height = image.height;
    const g = sheet.getContext("2d");
    g.putImageData(image, 0, 0);
    g.strokeStyle = "#fff";
    g.lineWidth = 2;
    for (let n = 0; n < spec.units; n++)
      if (kept.has(arrays.shown[n])) g.strokeRect((n % columns) * cell + 1, Math.floor(n / columns) * cell + 1, cell - 2, cell - 2);
  }
}

export const mount = (ctx) => new Sparse(ctx, "sparse");
