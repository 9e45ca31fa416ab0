// The code of a linear autoencoder, turned while the hand moves: other directions, the same pictures, until some of the
// numbers are dropped.
import { PIXELS, onFrame, outbox, paint } from "../../live/core.js";
import { el, fill } from "../../live/dom.js";
import { paintSigned, reach } from "../../live/signed.js";

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

/** M = Q diag(0 ... 0, 1 ... 1) Q^T: what is lost of a code when only the first k of its turned numbers are kept. */
export function dropped(q, k, d) {
  const out = new Float64Array(d * d);
  for (let i = 0; i < d; i++)
    for (let j = 0; j < d; j++) for (let n = k; n < d; n++) out[i * d + j] += q[i * d + n] * q[j * d + n];
  return out;
}

/** Mean squared error when M z is taken out of every code (aevae/latent/rotation.py, error_without). */
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

/** Rows of Q^T B: what stood in d rows of P numbers, in the turned axes. */
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

function knob(max, min, on) {
  const slider = el("input", { type: "range", min, max, step: 1, oninput: on.move, onchange: on.rest });
  const said = el("output");
  const name = el("span", { class: "what" });
  return { slider, said, name, box: el("label", { class: "knob" }, name, slider, said) };
}

export function mount({ root, send }) {
  const box = root.appendChild(el("div", { class: "rotate" }));
  const out = outbox(send);
  let now = null, tiles = [], pairs = [], chosen = 0, buffers = null;
  const show = onFrame(draw);
  const state = () => ({ turn: +turn.slider.value, keep: +keep.slider.value, chosen });
  const on = { move: show, rest: () => out.later(state) };
  const turn = knob(90, 0, on), keep = knob(10, 1, on);
  const verdict = el("div", { class: "verdict", role: "status" });

  function build({ spec, arrays }) {
    const d = spec.d;
    turn.name.textContent = spec.texts.turn;
    keep.name.textContent = spec.texts.keep;
    turn.slider.value = spec.turn;
    keep.slider.max = d;
    keep.slider.value = spec.keep;
    chosen = spec.chosen;
    buffers = { columns: new Float32Array(d * PIXELS), code: new Float32Array(d), picture: new Float32Array(PIXELS) };
    tiles = Array.from({ length: d }, () => {
      const canvas = el("canvas", { width: 28, height: 28 });
      const bar = el("i");
      return { canvas, bar, box: el("div", { class: "tile" }, canvas, el("div", { class: "track" }, bar)) };
    });
    pairs = Array.from({ length: spec.count }, (_, i) => {
      const before = el("canvas", { width: 28, height: 28 }), after = el("canvas", { width: 28, height: 28 });
      const name = fill(spec.texts.choose, { digit: spec.labels[i] });
      const button = el("button", { class: "pair", type: "button", "aria-label": name, onclick: () => choose(i) }, before, after);
      paint(before, arrays.digits.subarray(i * PIXELS, (i + 1) * PIXELS));
      return { after, button };
    });
    box.replaceChildren(
      el("div", { class: "knobs" }, turn.box, keep.box),
      el("div", { class: "name", textContent: spec.texts.directions }),
      el("div", { class: "row", role: "img", "aria-label": spec.texts.directions }, ...tiles.map((t) => t.box)),
      verdict,
      el("div", { class: "row" }, ...pairs.map((p) => p.button)),
    );
  }

  function choose(i) {
    chosen = i;
    show();
    out.post(state());
  }

  function draw() {
    const { spec, arrays } = now, { d, texts } = spec;
    const angle = +turn.slider.value, k = +keep.slider.value;
    const q = exponential(arrays.skew, (angle * Math.PI) / 180, d);
    turnedRows(q, arrays.columns, d, buffers.columns);
    const codes = pairs.map((_, i) => turnedRows(q, arrays.codes.subarray(i * d, (i + 1) * d), d, new Float32Array(d)));
    const most = reach(arrays.codes);
    tiles.forEach((tile, n) => {
      paintSigned(tile.canvas, buffers.columns.subarray(n * PIXELS, (n + 1) * PIXELS));
      tile.box.classList.toggle("off", n >= k);
      const part = codes[chosen][n] / most;
      tile.bar.style.cssText = `left: ${50 + 50 * Math.min(part, 0)}%; width: ${50 * Math.abs(part)}%`;
      tile.bar.className = part < 0 ? "below" : "above";
    });
    pairs.forEach((pair, i) => {
      paint(pair.after, through(arrays.offset, buffers.columns, codes[i], k, buffers.picture));
      pair.button.setAttribute("aria-pressed", i === chosen);
    });
    const parts = { full: spec.full, second: arrays.second, gram: arrays.gram, cross: arrays.cross };
    const error = errorWithout(dropped(q, k, d), parts, d).toFixed(2);
    const straight = errorWithout(dropped(exponential(arrays.skew, 0, d), k, d), parts, d).toFixed(2);
    turn.said.textContent = `${angle}°`;
    keep.said.textContent = fill(texts.of, { k, d });
    turn.slider.setAttribute("aria-valuetext", turn.said.textContent);
    keep.slider.setAttribute("aria-valuetext", keep.said.textContent);
    verdict.textContent = fill(k === d ? texts.nothing : texts.lost, { error, straight, k });
  }

  return {
    update(spec, arrays) {
      const fresh = now === null || now.spec.key !== spec.key;
      now = { spec, arrays };
      if (fresh) build(now);
      show();
    },
    destroy() {
      show.cancel();
      out.close();
      box.remove();
    },
  };
}
