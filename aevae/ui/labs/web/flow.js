// One change, three ways: the picture warped by the flow that a model gives, warped exactly, and painted anew.
import { PIXELS, SIDE, channel, onFrame, outbox, paint } from "../../live/core.js";
import { el, fill } from "../../live/dom.js";

/** Flow at `amount` in -most..most between the steps of `flows` (steps, 2, 784): linear. */
export function flowAt(flows, steps, most, amount, out = new Float32Array(2 * PIXELS)) {
  const place = ((amount + most) / (2 * most)) * (steps - 1);
  const low = Math.min(Math.max(Math.floor(place), 0), steps - 2);
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

/** Squared differences of neighbours, down and across, summed. */
export function energy(x) {
  let sum = 0;
  for (let p = 0; p < PIXELS; p++) {
    if (p % SIDE < SIDE - 1) sum += (x[p + 1] - x[p]) ** 2;
    if (p < PIXELS - SIDE) sum += (x[p + SIDE] - x[p]) ** 2;
  }
  return sum;
}

/** White lines every four pixels. */
export const lines = () => Float32Array.from({ length: PIXELS }, (_, p) => Number(p % SIDE % 4 === 1 || Math.floor(p / SIDE) % 4 === 1));

const NAMES = ["source", "warped", "grid", "exact", "painted"];

class View {
  constructor({ root, send }) {
    this.box = root.appendChild(el("div", { class: "flow" }));
    this.out = outbox(send);
    this.render = onFrame(() => this.draw());
    this.flow = new Float32Array(2 * PIXELS);
    this.pictures = Object.fromEntries(NAMES.map((name) => [name, new Float32Array(PIXELS)]));
    this.grid = lines();
  }

  update(spec, arrays, [program]) {
    const fresh = this.spec?.key !== spec.key;
    const other = !this.spec;
    Object.assign(this, { spec, arrays, program });
    if (other) this.build();
    if (fresh) this.clean = arrays.clean;
    this.off ??= channel(`picture:${spec.picture}`).on((value) => {
      if (value?.pixels?.length !== PIXELS) return;
      this.clean = value.pixels; // somebody draws: the same flow moves what is drawn
      this.render();
    });
    this.render();
  }

  build() {
    const { spec } = this;
    this.slider = el("input", { type: "range", min: -spec.most, max: spec.most, step: 0.02, value: spec.amount, "aria-label": spec.texts.slider });
    this.slider.oninput = () => this.render();
    this.slider.onchange = () => this.out.later(() => ({ amount: +this.slider.value }));
    this.said = el("output");
    this.shown = Object.fromEntries(NAMES.map((name) => [name, el("canvas", { class: "digit", width: SIDE, height: SIDE })]));
    this.captions = Object.fromEntries(NAMES.map((name) => [name, el("figcaption")]));
    this.box.replaceChildren(
      el("label", { class: "knob" }, el("span", { textContent: spec.texts.slider }), this.slider, this.said),
      el("div", { class: "pictures" }, ...NAMES.map((name) => el("figure", {}, this.shown[name], this.captions[name]))),
    );
  }

  draw() {
    const { spec, arrays, pictures } = this;
    const amount = +this.slider.value;
    const at = (flows) => flowAt(flows, arrays.learnt.shape[0], spec.most, amount, this.flow);
    pictures.source.set(this.clean);
    warp(this.clean, at(arrays.learnt), pictures.warped);
    warp(this.grid, this.flow, pictures.grid);
    warp(this.clean, at(arrays.exact), pictures.exact);
    const z = Float32Array.from(this.program.encode(this.clean).mu, (v, d) => v + amount * arrays.step[d]);
    pictures.painted.set(this.program.decode(z));
    const full = energy(this.clean) || 1;
    for (const name of NAMES) {
      paint(this.shown[name], pictures[name]);
      this.captions[name].textContent = fill(spec.texts[name], { edges: Math.round((100 * energy(pictures[name])) / full) });
    }
    this.said.textContent = fill(spec.texts.said, { amount: amount.toFixed(2) });
    this.slider.setAttribute("aria-valuetext", this.said.textContent);
  }

  destroy() {
    this.off?.();
    this.render.cancel();
    this.out.close();
    this.box.remove();
  }
}

export const mount = (ctx) => new View(ctx);
