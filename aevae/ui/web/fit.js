// A model without an encoder: the code of a digit is found by descent, here, while parts of the digit are covered.
import { PIXELS, SIDE, channel, onFrame, outbox, paint, stillness } from "./core.js";
import { el, fill, svg } from "./dom.js";

const MEMORY = [0.9, 0.99]; // of the moments, as in aevae/models/auto_decoder.py
const BRUSH = 2.6; // pixels
const COVERED = 0.32; // grey of what nobody sees

// ---- mathematics ----------------------------------------------------------------------------------------------------

/** A decoder of two layers: m (784) = relu(z w1 + b1) w2 + b2. net: {w1 (D, H), b1, w2 (H, 784), b2}. */
export function decode(net, z, hidden = new Float64Array(net.b1.length), out = new Float64Array(PIXELS)) {
  const { w1, b1, w2, b2 } = net;
  const H = b1.length;
  hidden.set(b1);
  for (let d = 0; d < z.length; d++) for (let h = 0; h < H; h++) hidden[h] += z[d] * w1[d * H + h];
  out.set(b2);
  for (let h = 0; h < H; h++) {
    const v = (hidden[h] = Math.max(hidden[h], 0));
    if (v !== 0) for (let p = 0, at = h * PIXELS; p < PIXELS; p++) out[p] += v * w2[at + p];
  }
  return out;
}

/**
 * What the seen pixels cost, -log p in nats, and its slope along z (D).
 * variance: of a Gaussian pixel; 0: Bernoulli pixels, m are logits. mask (784): 1 where seen. l2: weight of |z|^2.
 */
export function costOf({ net, variance, l2 = 0 }, x, mask, z) {
  const H = net.b1.length;
  const hidden = new Float64Array(H);
  const m = decode(net, z, hidden);
  const slopes = new Float64Array(PIXELS);
  let cost = 0;
  for (let p = 0; p < PIXELS; p++) {
    if (!mask[p]) continue;
    if (variance) {
      cost += ((m[p] - x[p]) ** 2 / variance + Math.log(2 * Math.PI * variance)) / 2;
      slopes[p] = (m[p] - x[p]) / variance;
    } else {
      cost += Math.max(m[p], 0) - m[p] * x[p] + Math.log1p(Math.exp(-Math.abs(m[p])));
      slopes[p] = 1 / (1 + Math.exp(-m[p])) - x[p];
    }
  }
  const slope = new Float64Array(z.length);
  for (let h = 0; h < H; h++) {
    if (!hidden[h]) continue;
    let sum = 0;
    for (let p = 0, at = h * PIXELS; p < PIXELS; p++) sum += slopes[p] * net.w2[at + p];
    for (let d = 0; d < z.length; d++) slope[d] += sum * net.w1[d * H + h];
  }
  for (let d = 0; d < z.length; d++) {
    cost += l2 * z[d] ** 2;
    slope[d] += 2 * l2 * z[d];
  }
  return { cost, slope };
}

/** The nearest point of the unit ball. */
export function inBall(z) {
  const length = Math.hypot(...z);
  return length > 1 ? z.map((v) => v / length) : z;
}

/** Codes z_0 .. z_steps and their costs, by Adam whose rate falls linearly to 0 (`refine` of the models). */
export function search(model, x, mask, start) {
  const { steps, rate, ball } = model;
  let z = Float64Array.from(start);
  const moment = new Float64Array(z.length);
  let square = 0;
  const path = [];
  for (let step = 0; step <= steps; step++) {
    const { cost, slope } = costOf(model, x, mask, z);
    path.push({ z, cost });
    if (step === steps) break;
    square = MEMORY[1] * square + (1 - MEMORY[1]) * (slope.reduce((a, v) => a + v * v, 0) / z.length);
    const size = Math.sqrt(square / (1 - MEMORY[1] ** (step + 1))) + 1e-8;
    z = z.map((v, d) => {
      moment[d] = MEMORY[0] * moment[d] + (1 - MEMORY[0]) * slope[d];
      return v - (rate * (1 - step / steps) * moment[d]) / (1 - MEMORY[0] ** (step + 1)) / size;
    });
    if (ball) z = inBall(z);
  }
  return path;
}

/** Number of the row of `pictures` (n, 784) that is nearest to x where the mask shows it. */
export function nearest(pictures, x, mask) {
  let best = 0;
  let least = Infinity;
  for (let n = 0; n < pictures.length / PIXELS; n++) {
    let far = 0;
    for (let p = 0; p < PIXELS; p++) if (mask[p]) far += (pictures[n * PIXELS + p] - x[p]) ** 2;
    if (far < least) {
      least = far;
      best = n;
    }
  }
  return best;
}

/** A mask as text of 131 letters or more, and back: 784 bits, 8 in a byte, the first one lowest. */
export function pack(mask) {
  const bytes = new Uint8Array(PIXELS / 8);
  mask.forEach((seen, p) => (bytes[p >> 3] |= (seen ? 0 : 1) << (p & 7)));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** All that is within the brush at (x, y), in pixels, is covered or uncovered. */
export function brush(mask, x, y, seen) {
  for (let p = 0; p < PIXELS; p++)
    if (Math.hypot((p % SIDE) + 0.5 - x, Math.floor(p / SIDE) + 0.5 - y) < BRUSH) mask[p] = seen ? 1 : 0;
}

const COVERS = {
  none: () => 1,
  lower: (p) => p < PIXELS / 2,
  right: (p) => p % SIDE < SIDE / 2,
  most: (p) => Math.hypot((p % SIDE) - 13.5, Math.floor(p / SIDE) - 7) < 6,
};

/** Masks that a button sets. */
export const cover = (name) => Uint8Array.from({ length: PIXELS }, (_, p) => Number(COVERS[name](p)));

// ---- the view -------------------------------------------------------------------------------------------------------

const WIDE = 320, HIGH = 96; // of the curve

class View {
  constructor({ root, send }) {
    this.box = root.appendChild(el("div", { class: "fit" }));
    this.out = outbox(send);
    this.render = onFrame(() => this.draw());
    this.stale = true;
  }

  update(spec, arrays) {
    const fresh = !this.spec || this.spec.key !== spec.key;
    const other = this.spec?.run !== spec.run;
    Object.assign(this, { spec, arrays });
    this.model = { ...spec.model, net: arrays };
    if (other) this.learnt = null;
    if (!this.canvases) this.build();
    if (fresh) {
      this.mask = Uint8Array.from(arrays.mask);
      this.clean = arrays.clean;
      this.at = spec.model.steps;
      this.stale = true;
    }
    this.off ??= channel(`picture:${spec.picture}`).on((value) => {
      if (value?.pixels?.length !== PIXELS) return;
      this.clean = value.pixels; // somebody draws
      this.follow();
    });
    this.slider.max = spec.model.steps;
    this.render();
  }

  build() {
    const { texts } = this.spec;
    const canvas = () => el("canvas", { class: "digit", width: SIDE, height: SIDE });
    this.canvases = { seen: canvas(), found: canvas(), whole: canvas() };
    const shown = (name) => el("figure", {}, this.canvases[name], el("figcaption", { textContent: texts[name] }));
    this.listen(this.canvases.seen);
    const button = (name, act) => el("button", { type: "button", textContent: texts[name], onclick: act });
    this.play = button("play", () => this.run());
    this.slider = el("input", { type: "range", min: 0, step: 1, "aria-label": texts.step });
    this.slider.oninput = () => {
      this.halt();
      this.at = +this.slider.value;
      this.render();
    };
    this.line = svg("polyline", { fill: "none", "stroke-width": 2, "vector-effect": "non-scaling-stroke" });
    this.dot = svg("circle", { r: 4 });
    this.code = el("div", { class: "code", role: "img", "aria-label": texts.code });
    this.said = el("p", { class: "said", role: "status" });
    const covers = Object.keys(COVERS).map((name) => button(name, () => this.hide(cover(name))));
    this.box.replaceChildren(
      el("div", { class: "pictures" }, ...Object.keys(this.canvases).map(shown)),
      el("div", { class: "row", role: "group", "aria-label": texts.covers }, el("span", { textContent: texts.covers }), ...covers),
      el("div", { class: "row" }, this.play, this.slider, this.said),
      el(
        "div",
        { class: "charts" },
        el("figure", {}, svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, "aria-hidden": "true" }, this.line, this.dot), el("figcaption", { textContent: texts.curve })),
        el("figure", {}, this.code, el("figcaption", { textContent: texts.code })),
      ),
    );
  }

  /** The hand covers what it passes, or uncovers where it began on something covered. */
  listen(canvas) {
    canvas.dataset.finger = "tap";
    let seen = null;
    const pass = (event) => {
      const box = canvas.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * SIDE;
      const y = ((event.clientY - box.top) / box.height) * SIDE;
      const here = Math.min(Math.max(Math.floor(y), 0), SIDE - 1) * SIDE + Math.min(Math.max(Math.floor(x), 0), SIDE - 1);
      seen ??= !this.mask[here];
      brush(this.mask, x, y, seen);
      this.follow();
    };
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      pass(event);
    };
    canvas.onpointermove = (event) => seen !== null && pass(event);
    canvas.onpointerup = canvas.onpointercancel = () => {
      if (seen !== null) this.out.post({ covered: pack(this.mask) });
      seen = null;
    };
  }

  hide(mask) {
    this.mask = mask;
    this.follow();
    this.out.post({ covered: pack(mask) });
  }

  follow() {
    this.halt();
    this.at = this.spec.model.steps;
    this.stale = true;
    this.render();
  }

  /** Once through all steps; at once to the end for who wants no motion. */
  run() {
    this.halt();
    if (stillness()) return;
    this.at = 0;
    this.render();
    this.timer = setInterval(() => {
      if (this.at >= this.spec.model.steps) return this.halt();
      this.at++;
      this.render();
    }, 70);
  }

  halt() {
    clearInterval(this.timer);
  }

  start() {
    const { w1, b1, codes } = this.arrays;
    const size = w1.length / b1.length;
    if (this.spec.model.start === "middle" || !codes.length) return new Float64Array(size);
    const count = codes.length / size;
    if (!this.learnt) {
      this.learnt = new Float32Array(count * PIXELS);
      for (let n = 0; n < count; n++) this.learnt.set(this.picture(codes.subarray(n * size, (n + 1) * size)), n * PIXELS);
    }
    const n = nearest(this.learnt, this.clean, this.mask);
    return codes.subarray(n * size, (n + 1) * size);
  }

  picture(z) {
    const m = decode(this.arrays, z);
    return this.model.variance ? m.map((v) => Math.min(Math.max(v, 0), 1)) : m.map((v) => 1 / (1 + Math.exp(-v)));
  }

  draw() {
    const { clean } = this;
    if (this.stale) {
      this.path = search(this.model, clean, this.mask, this.start());
      this.stale = false;
      this.curve();
    }
    this.at = Math.min(this.at, this.path.length - 1);
    const { z } = this.path[this.at];
    const found = this.picture(z);
    paint(this.canvases.seen, clean.map((v, p) => (this.mask[p] ? v : (p + Math.floor(p / SIDE)) % 4 < 2 ? COVERED : COVERED / 2)));
    paint(this.canvases.found, found);
    paint(this.canvases.whole, clean);
    this.slider.value = this.at;
    const { x, y } = this.points[this.at];
    this.dot.setAttribute("cx", x);
    this.dot.setAttribute("cy", y);
    this.bars(z);
    const error = (seen) => found.reduce((sum, v, p) => sum + (Boolean(this.mask[p]) === seen ? (v - clean[p]) ** 2 : 0), 0).toFixed(1);
    const text = fill(this.spec.texts.said, { step: this.at, seen: error(true), hidden: error(false) });
    this.said.textContent = text;
    this.slider.setAttribute("aria-valuetext", text);
  }

  curve() {
    const costs = this.path.map(({ cost }) => cost);
    const low = Math.min(...costs), high = Math.max(...costs, low + 1e-6);
    this.points = costs.map((cost, i) => ({
      x: 6 + ((WIDE - 12) * i) / Math.max(costs.length - 1, 1),
      y: 8 + ((HIGH - 16) * (high - cost)) / (high - low),
    }));
    this.line.setAttribute("points", this.points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "));
  }

  bars(z) {
    if (this.code.children.length !== z.length) this.code.replaceChildren(...Array.from(z, () => el("i")));
    const largest = Math.max(0.6, ...Array.from(z, Math.abs));
    Array.from(this.code.children).forEach((bar, d) => {
      const part = (50 * Math.abs(z[d])) / largest;
      bar.style.height = `${part}%`;
      bar.style.top = `${z[d] > 0 ? 50 - part : 50}%`;
    });
  }

  destroy() {
    this.off?.();
    this.halt();
    this.render.cancel();
    this.out.close();
    this.box.remove();
  }
}

export const mount = (ctx) => new View(ctx);
