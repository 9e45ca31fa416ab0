// Ten densities and one net look at a picture: bars of log p(x|c) and of p(c|x), while it is drawn.
import { paint, stage } from "../../live/core.js";
import { el, fill } from "../../live/dom.js";

const CLASSES = 10;

/** out = w x + b, w (out.length, x.length) from `at` on; rectified if asked. */
export function affine(w, at, b, from, x, out, rectify = false) {
  for (let i = 0; i < out.length; i++) {
    let sum = b[from + i];
    const row = at + i * x.length;
    for (let j = 0; j < x.length; j++) sum += w[row + j] * x[j];
    out[i] = rectify ? Math.max(sum, 0) : sum;
  }
  return out;
}

/** log of the mean of exp(values). */
export function logMeanExp(values) {
  const most = Math.max(...values);
  return most + Math.log(values.reduce((sum, v) => sum + Math.exp(v - most), 0) / values.length);
}

/** Shares of exp(scores). */
export function softmax(scores) {
  const most = Math.max(...scores);
  const e = scores.map((v) => Math.exp(v - most));
  const total = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / total);
}

const softplus = (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)));

/** Bounds on log p(x|c) of every class, in nats: `scores` of aevae/metrics/class_densities.py, for one picture. */
export function densities(net, x, eps, draws) {
  const [classes, hidden, pixels] = net.w1.shape;
  const width = net.wm.shape[1];
  const h = new Float32Array(hidden), mu = new Float32Array(width), logvar = new Float32Array(width);
  const z = new Float32Array(width), g = new Float32Array(hidden), logits = new Float32Array(pixels);
  return Array.from({ length: classes }, (_, c) => {
    affine(net.w1, c * hidden * pixels, net.b1, c * hidden, x, h, true);
    affine(net.wm, c * width * hidden, net.bm, c * width, h, mu);
    affine(net.wv, c * width * hidden, net.bv, c * width, h, logvar);
    const logs = [];
    for (let r = 0; r < draws; r++) {
      let log = 0;
      for (let j = 0; j < width; j++) {
        const v = Math.min(10, Math.max(-10, logvar[j])), e = eps[r * width + j];
        z[j] = mu[j] + Math.exp(v / 2) * e;
        log += 0.5 * (e * e - z[j] * z[j] + v);
      }
      affine(net.w2, c * hidden * width, net.b2, c * hidden, z, g, true);
      affine(net.w3, c * pixels * hidden, net.b3, c * pixels, g, logits);
      for (let i = 0; i < pixels; i++) log += x[i] * logits[i] - softplus(logits[i]);
      logs.push(log);
    }
    return logMeanExp(logs);
  });
}

/** p(c|x) of the net. */
export function read(net, x) {
  const h = affine(net.r1, 0, net.s1, 0, x, new Float32Array(net.s1.length), true);
  return softmax([...affine(net.r2, 0, net.s2, 0, h, new Float32Array(CLASSES))]);
}

export function mount(ctx) {
  let parts = null;

  function draw({ spec, arrays, picture }) {
    const x = picture ?? arrays.x;
    const draws = +parts.draws.value;
    paint(parts.canvas, x);
    parts.said.textContent = `R = ${draws}`;
    const found = densities(arrays, x, arrays.eps, draws);
    const best = found.indexOf(Math.max(...found));
    const shares = softmax(found);
    const net = read(arrays, x);
    const other = net.indexOf(Math.max(...net));
    parts.rows.forEach((row, c) => {
      const part = (found[c] - spec.least) / (spec.most - spec.least);
      row.density.style.width = `${100 * Math.min(1, Math.max(0, part))}%`;
      row.nats.textContent = found[c].toFixed(0);
      row.share.textContent = percent(shares[c]);
      row.net.style.width = `${100 * net[c]}%`;
      row.sure.textContent = percent(net[c]);
      row.row.classList.toggle("best", c === best);
      row.row.classList.toggle("read", c === other);
    });
    const low = found[best] < spec.usual[best];
    parts.verdict.textContent = fill(low ? spec.texts.low : spec.texts.usual, {
      best, other, nats: found[best].toFixed(0), floor: spec.usual[best].toFixed(0), sure: percent(net[other]),
    });
    parts.verdict.classList.toggle("low", low);
  }

  function build({ box, out, show, spec: { texts, draws, most_draws: most } }) {
    const kept = parts?.draws.value;
    parts = {
      canvas: el("canvas", { class: "digit", width: 28, height: 28, role: "img", "aria-label": texts.picture }),
      draws: el("input", {
        type: "range", min: 1, max: most, step: 1, "aria-label": texts.draws,
        oninput: show, onchange: () => out.later(() => ({ draws: +parts.draws.value })),
      }),
      said: el("output"),
      verdict: el("div", { class: "verdict" }),
      rows: Array.from({ length: CLASSES }, (_, c) => {
        const made = { density: el("i"), net: el("i"), nats: el("span"), share: el("span"), sure: el("span") };
        made.row = el(
          "div", { class: "row" }, el("b", { textContent: c }), el("div", { class: "track" }, made.density), made.nats,
          made.share, el("div", { class: "track net" }, made.net), made.sure,
        );
        return made;
      }),
    };
    parts.draws.value = kept ?? draws;
    box.replaceChildren(
      el(
        "div", { class: "side" }, parts.canvas,
        el("label", {}, el("span", { textContent: texts.draws }), parts.draws, parts.said), parts.verdict,
      ),
      el(
        "div", { class: "table" },
        el(
          "div", { class: "row head" }, el("b"), el("span", { textContent: "log p(x|c)" }), el("span", { textContent: texts.nats }),
          el("span", { textContent: "p(c|x)" }), el("span", { textContent: texts.net }), el("span", { textContent: "p(c|x)" }),
        ),
        ...parts.rows.map(({ row }) => row),
      ),
    );
  }

  return stage(ctx, "classes", { build, draw });
}

function percent(v) {
  if (v > 0.995 && v < 1) return v > 0.9995 ? "100 %" : `${(100 * v).toFixed(1)} %`;
  return `${(100 * v).toFixed(0)} %`;
}
