// Rotation of a linear autoencoder's code: the directions change, and the images do not, unless dimensions are dropped.
import { imageAt, paint, PIXELS, SIDE } from "../../live/canvas.js";
import { button, div, element, fill, slider } from "../../live/dom.js";
import { Stage } from "../../live/page.js";
import { maxAbs, paintSigned } from "../../live/signed.js";

// ---- pure parts: square matrices (d, d) row by row ------------------------------------------------------------------

export function times(a, b, d) {
  const out = new Float64Array(d * d);
  for (let i = 0; i < d; i++)
    for (let k = 0; k < d; k++) for (let j = 0; j < d; j++) out[i * d + j] += a[i * d + k] * b[k * d + j];
  return out;
}

export function transposed(a, d) {
  return Float64Array.from({ length: d * d }, (_, i) => a[(i % d) * d + Math.floor(i / d)]);
}

/** exp(t A): a rotation where A is skew. A Taylor series of the angle halved six times, squared again. */
export function exponential(a, t, d) {
  const small = Float64Array.from(a, (v) => (v * t) / 64);
  const one = Float64Array.from({ length: d * d }, (_, i) => (i % (d + 1) ? 0 : 1));
  let out = one, term = one;
  for (let n = 1; n <= 12; n++) {
    term = times(term, small, d).map((v) => v / n);
    out = out.map((v, i) => v + term[i]);
  }
  for (let n = 0; n < 6; n++) out = times(out, out, d);
  return out;
}

/** M = Q diag(0 ... 0, 1 ... 1) Q^T: M z is lost if only the first k rotated coordinates of z are kept. */
export function dropped(q, k, d) {
  const out = new Float64Array(d * d);
  for (let i = 0; i < d; i++)
    for (let j = 0; j < d; j++) for (let n = k; n < d; n++) out[i * d + j] += q[i * d + n] * q[j * d + n];
  return out;
}

/** Mean squared error if M z is subtracted from every code (error_without in aevae/latent/rotation.py). */
export function errorWithout(m, { full, second, gram, cross }, d) {
  const lost = times(times(gram, m, d), times(second, transposed(m, d), d), d);
  const mixed = times(m, cross, d);
  let sum = full;
  for (let i = 0; i < d; i++) sum += 2 * mixed[i * (d + 1)] + lost[i * (d + 1)];
  return sum;
}

/** out (P) = offset + sum of the first k rows of columns (d, P), each times its code. */
export function through(offset, columns, code, k, out) {
  out.set(offset);
  const width = offset.length;
  for (let n = 0; n < k; n++) for (let p = 0; p < width; p++) out[p] += code[n] * columns[n * width + p];
  return out;
}

/** Q^T B: d rows of P numbers in the rotated axes. */
export function turnedRows(q, rows, d, out) {
  const width = rows.length / d;
  out.fill(0);
  for (let n = 0; n < d; n++)
    for (let i = 0; i < d; i++) {
      const weight = q[i * d + n];
      for (let p = 0; p < width; p++) out[n * width + p] += weight * rows[i * width + p];
    }
  return out;
}

// ---- the view -------------------------------------------------------------------------------------------------------

class Pca extends Stage {
  build({ root, spec }) {
    const { d, texts } = spec;
    this.chosen = spec.chosen;
    this.state = () => ({ turn: +this.turn.input.value, keep: +this.keep.input.value, chosen: this.chosen });
    const on = { input: this.show, change: () => this.outbox.postLater(this.state) };
    this.turn = slider({ min: 0, max: 90, step: 1, value: spec.turn }, on);
    this.keep = slider({ min: 1, max: d, step: 1, value: spec.keep }, on);
    this.turn.name.textContent = texts.turn;
    this.keep.name.textContent = texts.keep;
    this.verdict = element("div", { class: "verdict", role: "status" });
    this.columns = new Float32Array(d * PIXELS);
    this.image = new Float32Array(PIXELS);
    this.tiles = Array.from({ length: d }, tileOf);
    this.pairs = Array.from({ length: spec.count }, (_, i) => this.pairOf(i));
    root.replaceChildren(
      div("knobs", this.turn.box, this.keep.box),
      div("name", texts.directions),
      element("div", { class: "row", role: "img", "aria-label": texts.directions }, ...this.tiles.map((tile) => tile.box)),
      this.verdict,
      div("name", texts.pairs),
      div("row", ...this.pairs.map((pair) => pair.node)),
    );
  }

  /** A digit before and after, as a button that chooses it. */
  pairOf(i) {
    const [before, after] = [0, 1].map(() => element("canvas", { width: SIDE, height: SIDE }));
    const name = fill(this.spec.texts.choose, { digit: this.spec.labels[i] });
    const node = button("", () => this.choose(i), { class: "pair", "aria-label": name });
    node.append(before, after);
    paint(before, imageAt(this.arrays.digits, i));
    return { after, node };
  }

  choose(i) {
    this.chosen = i;
    this.show();
    this.outbox.post(this.state());
  }

  draw({ spec, arrays }) {
    const { d, texts } = spec, angle = +this.turn.input.value, k = +this.keep.input.value;
    const q = exponential(arrays.skew, (angle * Math.PI) / 180, d);
    turnedRows(q, arrays.columns, d, this.columns);
    const codes = this.pairs.map((_, i) => turnedRows(q, arrays.codes.subarray(i * d, (i + 1) * d), d, new Float32Array(d)));
    this.drawTiles(codes[this.chosen], k);
    this.pairs.forEach((pair, i) => {
      paint(pair.after, through(arrays.offset, this.columns, codes[i], k, this.image));
      pair.node.setAttribute("aria-pressed", i === this.chosen);
    });
    const parts = { full: spec.full, second: arrays.second, gram: arrays.gram, cross: arrays.cross };
    const error = errorWithout(dropped(q, k, d), parts, d).toFixed(2);
    const straight = errorWithout(dropped(exponential(arrays.skew, 0, d), k, d), parts, d).toFixed(2);
    this.turn.say(`${angle}°`);
    this.keep.say(fill(texts.of, { k, d }));
    this.verdict.textContent = fill(k === d ? texts.nothing : texts.lost, { error, straight, k });
  }

  /** The turned directions, and how much of each the chosen digit has. */
  drawTiles(code, k) {
    const largest = maxAbs(this.arrays.codes);
    this.tiles.forEach(({ canvas, bar, box }, n) => {
      paintSigned(canvas, imageAt(this.columns, n));
      box.classList.toggle("off", n >= k);
      const part = code[n] / largest;
      bar.style.cssText = `left: ${50 + 50 * Math.min(part, 0)}%; width: ${50 * Math.abs(part)}%`;
      bar.className = part < 0 ? "below" : "above";
    });
  }
}

function tileOf() {
  const canvas = element("canvas", { width: SIDE, height: SIDE }), bar = element("i");
  return { canvas, bar, box: div("tile", canvas, div("track", bar)) };
}

export const mount = (ctx) => new Pca(ctx, "pca");
