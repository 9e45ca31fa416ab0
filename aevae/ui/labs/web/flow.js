// One change made in three ways: by a model's flow, exactly, and by a model that generates pixels.
import { paint, PIXELS, SIDE } from "../../live/canvas.js";
import { div, element, fill, imageCanvas, slider } from "../../live/dom.js";
import { clamp } from "../../live/maths.js";
import { Stage } from "../../live/page.js";

/** The flow at `amount` in -most..most, interpolated linearly between the steps of `flows` (steps, 2, 784). */
export function flowAt(flows, steps, most, amount, out = new Float32Array(2 * PIXELS)) {
  const place = ((amount + most) / (2 * most)) * (steps - 1);
  const low = clamp(Math.floor(place), 0, steps - 2);
  const part = place - low;
  const size = 2 * PIXELS;
  for (let i = 0; i < size; i++) out[i] = (1 - part) * flows[low * size + i] + part * flows[(low + 1) * size + i];
  return out;
}

/** out(p) = x(p + F(p)): bilinear between pixels, black outside. flow (2, 784): to the right, down. */
export function warp(x, flow, out = new Float32Array(PIXELS)) {
  const at = (row, column) => (row < 0 || row >= SIDE || column < 0 || column >= SIDE ? 0 : x[row * SIDE + column]);
  for (let p = 0; p < PIXELS; p++) {
    const column = (p % SIDE) + flow[p], row = Math.floor(p / SIDE) + flow[PIXELS + p];
    const c = Math.floor(column), r = Math.floor(row);
    const u = column - c, v = row - r;
    out[p] = (1 - v) * ((1 - u) * at(r, c) + u * at(r, c + 1)) + v * ((1 - u) * at(r + 1, c) + u * at(r + 1, c + 1));
  }
  return out;
}

/** Sum of squared differences of neighbouring pixels. */
export function energy(x) {
  let sum = 0;
  for (let p = 0; p < PIXELS; p++) {
    if (p % SIDE < SIDE - 1) sum += (x[p + 1] - x[p]) ** 2;
    if (p < PIXELS - SIDE) sum += (x[p + SIDE] - x[p]) ** 2;
  }
  return sum;
}

/** White lines every four pixels. */
export const gridImage = () =>
  Float32Array.from({ length: PIXELS }, (_, p) => Number((p % SIDE) % 4 === 1 || Math.floor(p / SIDE) % 4 === 1));

const NAMES = ["source", "warped", "grid", "exact", "painted"];

class Flow extends Stage {
  create({ root, outbox, show, spec }) {
    this.flow = new Float32Array(2 * PIXELS);
    this.images = Object.fromEntries(NAMES.map((name) => [name, new Float32Array(PIXELS)]));
    this.grid = gridImage();
    const range = { min: -spec.most, max: spec.most, step: 0.02, "aria-label": spec.texts.slider };
    const change = () => outbox.postLater(() => ({ amount: +this.slider.input.value }));
    this.slider = slider(range, { input: show, change });
    this.slider.name.textContent = spec.texts.slider;
    this.canvases = Object.fromEntries(NAMES.map((name) => [name, imageCanvas()]));
    this.captions = Object.fromEntries(NAMES.map((name) => [name, element("figcaption")]));
    const figures = NAMES.map((name) => element("figure", {}, this.canvases[name], this.captions[name]));
    root.replaceChildren(div("images", ...figures), this.slider.box);
  }

  build({ spec }) {
    this.slider.input.value = spec.amount;
  }

  draw({ spec, arrays, images, programs: [program] }) {
    const amount = +this.slider.input.value, clean = this.drawing ?? arrays.clean;
    const at = (flows) => flowAt(flows, arrays.learnt.shape[0], spec.most, amount, this.flow);
    images.source.set(clean);
    warp(clean, at(arrays.learnt), images.warped);
    warp(this.grid, this.flow, images.grid);
    warp(clean, at(arrays.exact), images.exact);
    const z = Float32Array.from(program.encode(clean).mu, (v, d) => v + amount * arrays.step[d]);
    images.painted.set(program.decode(z));
    const full = energy(clean) || 1;
    for (const name of NAMES) {
      paint(this.canvases[name], images[name]);
      this.captions[name].textContent = fill(spec.texts[name], { edges: Math.round((100 * energy(images[name])) / full) });
    }
    this.slider.say(fill(spec.texts.said, { amount: amount.toFixed(2) }));
  }
}

export const mount = (ctx) => new Flow(ctx, "flow");
