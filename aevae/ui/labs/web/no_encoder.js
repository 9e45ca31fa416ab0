// A model without an encoder: gradient descent finds the code of a digit here, while parts of the digit are covered.
import { onDrag, paint, PIXELS, placeIn, SIDE } from "../../live/canvas.js";
import { button, div, element, fill, imageCanvas, setAll, svg } from "../../live/dom.js";
import { clamp, sigmoid, softplus } from "../../live/maths.js";
import { prefersReducedMotion, Stage } from "../../live/page.js";

const DECAY = [0.9, 0.99]; // betas of Adam, as in aevae/models/auto_decoder.py
const BRUSH_RADIUS = 2.6; // pixels
const COVERED = 0.32; // grey of covered pixels

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
 * Cost of the visible pixels, -log p in nats, and its gradient with respect to z (D).
 * variance: of a Gaussian pixel; 0: Bernoulli pixels, m are logits. mask (784): 1 if visible. l2: weight of |z|^2.
 */
export function costOf({ net, variance, l2 = 0 }, x, mask, z) {
  const H = net.b1.length;
  const hidden = new Float64Array(H);
  const m = decode(net, z, hidden);
  const pixelGradient = new Float64Array(PIXELS);
  let cost = 0;
  for (let p = 0; p < PIXELS; p++) {
    if (!mask[p]) continue;
    if (variance) {
      cost += ((m[p] - x[p]) ** 2 / variance + Math.log(2 * Math.PI * variance)) / 2;
      pixelGradient[p] = (m[p] - x[p]) / variance;
    } else {
      cost += softplus(m[p]) - m[p] * x[p];
      pixelGradient[p] = sigmoid(m[p]) - x[p];
    }
  }
  const gradient = new Float64Array(z.length);
  for (let h = 0; h < H; h++) {
    if (!hidden[h]) continue;
    let sum = 0;
    for (let p = 0, at = h * PIXELS; p < PIXELS; p++) sum += pixelGradient[p] * net.w2[at + p];
    for (let d = 0; d < z.length; d++) gradient[d] += sum * net.w1[d * H + h];
  }
  for (let d = 0; d < z.length; d++) {
    cost += l2 * z[d] ** 2;
    gradient[d] += 2 * l2 * z[d];
  }
  return { cost, gradient };
}

/** The nearest point of the unit ball. */
export function inBall(z) {
  const length = Math.hypot(...z);
  return length > 1 ? z.map((v) => v / length) : z;
}

/** Codes z_0 .. z_steps and their costs, by Adam with a linearly decreasing rate (`refine` of aevae/models). */
export function search(model, x, mask, start) {
  const { steps, rate, ball } = model;
  let z = Float64Array.from(start);
  const moment = new Float64Array(z.length);
  let square = 0;
  const path = [];
  for (let step = 0; step <= steps; step++) {
    const { cost, gradient } = costOf(model, x, mask, z);
    path.push({ z, cost });
    if (step === steps) break;
    square = DECAY[1] * square + (1 - DECAY[1]) * (gradient.reduce((a, v) => a + v * v, 0) / z.length);
    const size = Math.sqrt(square / (1 - DECAY[1] ** (step + 1))) + 1e-8;
    z = z.map((v, d) => {
      moment[d] = DECAY[0] * moment[d] + (1 - DECAY[0]) * gradient[d];
      return v - (rate * (1 - step / steps) * moment[d]) / (1 - DECAY[0] ** (step + 1)) / size;
    });
    if (ball) z = inBall(z);
  }
  return path;
}

/** Index of the row of `images` (n, 784) nearest to x on visible pixels. */
export function nearest(images, x, mask) {
  let best = 0;
  let least = Infinity;
  for (let n = 0; n < images.length / PIXELS; n++) {
    let far = 0;
    for (let p = 0; p < PIXELS; p++) if (mask[p]) far += (images[n * PIXELS + p] - x[p]) ** 2;
    if (far < least) {
      least = far;
      best = n;
    }
  }
  return best;
}

/** A mask as text: 784 bits in URL-safe base64, least significant bit first; 1: covered. */
export function pack(mask) {
  const bytes = new Uint8Array(PIXELS / 8);
  mask.forEach((seen, p) => (bytes[p >> 3] |= (seen ? 0 : 1) << (p & 7)));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Cover or uncover the pixels within the brush at (x, y). */
export function brush(mask, x, y, seen) {
  for (let p = 0; p < PIXELS; p++)
    if (Math.hypot((p % SIDE) + 0.5 - x, Math.floor(p / SIDE) + 0.5 - y) < BRUSH_RADIUS) mask[p] = seen ? 1 : 0;
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

const WIDTH = 320, HEIGHT = 96; // size of the curve
const STEP_MS = 70;

class NoEncoder extends Stage {
  create({ root, spec: { texts } }) {
    this.canvases = { seen: imageCanvas(), found: imageCanvas(), whole: imageCanvas() };
    const shown = (name) => element("figure", {}, this.canvases[name], element("figcaption", {}, texts[name]));
    this.brushOn(this.canvases.seen);
    this.play = button(texts.play, () => this.run());
    this.slider = element("input", { type: "range", min: 0, step: 1, "aria-label": texts.step });
    this.slider.oninput = () => {
      this.halt();
      this.at = +this.slider.value;
      this.show();
    };
    this.line = svg("polyline", { fill: "none", "stroke-width": 2, "vector-effect": "non-scaling-stroke" });
    this.dot = svg("circle", { r: 4 });
    this.code = element("div", { class: "code", role: "img" });
    this.curveName = element("figcaption");
    this.codeName = element("figcaption");
    this.said = element("p", { class: "said", role: "status" });
    const covers = Object.keys(COVERS).map((name) => button(texts[name], () => this.hide(cover(name))));
    const chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" }, this.line, this.dot);
    root.replaceChildren(
      div("images", ...Object.keys(this.canvases).map(shown)),
      element("div", { class: "row", role: "group", "aria-label": texts.covers }, element("span", {}, texts.covers), ...covers),
      div("row", this.play, this.slider, this.said),
      div(
        "charts",
        element("figure", {}, chart, this.curveName), element("figure", {}, this.code, this.codeName),
      ),
    );
  }

  build({ spec, arrays }) {
    this.mask = Uint8Array.from(arrays.mask);
    this.clean = arrays.clean;
    this.at = spec.model.steps;
    this.isStale = true;
    this.isNew = true;
  }

  refresh({ spec, arrays }) {
    if (spec.run !== this.runName) this.decoded = null;
    this.runName = spec.run;
    this.model = { ...spec.model, net: arrays };
    this.slider.max = spec.model.steps;
    if (this.isNew) this.run();
    this.isNew = false;
  }

  drawn({ drawing }) {
    if (!drawing) return;
    this.clean = drawing;
    this.restart();
  }

  /** A drag covers pixels; a drag that begins on a covered pixel uncovers them. */
  brushOn(canvas) {
    let isSeen = null;
    const move = (event) => {
      const place = placeIn(canvas, event), x = place.x * SIDE, y = place.y * SIDE;
      const pixel = (v) => clamp(Math.floor(v), 0, SIDE - 1);
      isSeen ??= !this.mask[pixel(y) * SIDE + pixel(x)];
      brush(this.mask, x, y, isSeen);
      this.restart();
    };
    const done = () => {
      isSeen = null;
      this.outbox.post({ covered: pack(this.mask) });
    };
    onDrag(canvas, "tap", { move, done });
  }

  hide(mask) {
    this.mask = mask;
    this.restart();
    this.outbox.post({ covered: pack(mask) });
  }

  /** Another image or mask: search again, and show the end of the search. */
  restart() {
    this.halt();
    this.at = this.spec.model.steps;
    this.isStale = true;
    this.show();
  }

  /** Play all steps once; with reduced motion show only the last. */
  run() {
    this.halt();
    if (prefersReducedMotion()) return;
    this.at = 0;
    this.show();
    this.timer = setInterval(() => {
      if (this.at >= this.spec.model.steps) return this.halt();
      this.at++;
      this.show();
    }, STEP_MS);
  }

  halt() {
    clearInterval(this.timer);
  }

  /** The code at which the search begins. */
  start() {
    const { w1, b1, codes } = this.arrays, size = w1.length / b1.length, count = codes.length / size;
    if (this.spec.model.start === "middle" || !count) return new Float64Array(size);
    const code = (n) => codes.subarray(n * size, (n + 1) * size);
    if (!this.decoded) {
      this.decoded = new Float32Array(count * PIXELS);
      for (let n = 0; n < count; n++) this.decoded.set(this.imageOf(code(n)), n * PIXELS);
    }
    return code(nearest(this.decoded, this.clean, this.mask));
  }

  imageOf(z) {
    return decode(this.arrays, z).map(this.model.variance ? (v) => clamp(v) : sigmoid);
  }

  draw({ clean, mask, canvases }) {
    if (this.isStale) {
      this.path = search(this.model, clean, mask, this.start());
      this.isStale = false;
      this.drawCurve();
    }
    this.at = Math.min(this.at, this.path.length - 1);
    const { z } = this.path[this.at], found = this.imageOf(z);
    paint(canvases.seen, clean.map((v, p) => (mask[p] ? v : (p + Math.floor(p / SIDE)) % 4 < 2 ? COVERED : COVERED / 2)));
    paint(canvases.found, found);
    paint(canvases.whole, clean);
    this.slider.value = this.at;
    const { x, y } = this.points[this.at];
    setAll(this.dot, { cx: x, cy: y });
    this.drawCode(z);
    const error = (isSeen) => {
      const errors = found.map((v, p) => (Boolean(mask[p]) === isSeen ? (v - clean[p]) ** 2 : 0));
      return errors.reduce((sum, v) => sum + v, 0).toFixed(1);
    };
    this.said.textContent = fill(this.spec.texts.said, { step: this.at, seen: error(true), hidden: error(false) });
    this.slider.setAttribute("aria-valuetext", this.said.textContent);
  }

  /** The cost at each step. */
  drawCurve() {
    const costs = this.path.map(({ cost }) => cost);
    const low = Math.min(...costs), high = Math.max(...costs, low + 1e-6);
    this.points = costs.map((cost, i) => ({
      x: 6 + ((WIDTH - 12) * i) / Math.max(costs.length - 1, 1),
      y: 8 + ((HEIGHT - 16) * (high - cost)) / (high - low),
    }));
    const nats = { high: high.toFixed(0), low: low.toFixed(0), steps: costs.length - 1 };
    this.curveName.textContent = fill(this.spec.texts.curve, nats);
    this.line.setAttribute("points", this.points.map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "));
  }

  /** The code as bars. */
  drawCode(z) {
    if (this.code.children.length !== z.length) this.code.replaceChildren(...Array.from(z, () => element("i")));
    const largest = Math.max(0.6, ...Array.from(z, Math.abs));
    this.codeName.textContent = fill(this.spec.texts.code, { most: largest.toFixed(1) });
    this.code.setAttribute("aria-label", this.codeName.textContent);
    Array.from(this.code.children).forEach((bar, d) => {
      const part = (50 * Math.abs(z[d])) / largest;
      bar.style.height = `${part}%`;
      bar.style.top = `${z[d] > 0 ? 50 - part : 50}%`;
    });
  }

  stop() {
    this.halt();
  }
}

export const mount = (ctx) => new NoEncoder(ctx, "no_encoder");
