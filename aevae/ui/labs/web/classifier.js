// Ten densities and one classifier on an image that the user draws: bars of log p(x|c) and of p(c|x).
import { paint } from "../../live/canvas.js";
import { div, element, fill, imageCanvas, slider } from "../../live/dom.js";
import { clamp, softplus } from "../../live/maths.js";
import { Stage } from "../../live/page.js";

const CLASSES = 10;

/** out = w x + b with w (out.length, x.length) at offset `at`, b at offset `from`; with a ReLU if `rectify`. */
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

/** softmax(scores). */
export function softmax(scores) {
  const most = Math.max(...scores);
  const e = scores.map((v) => Math.exp(v - most));
  const total = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / total);
}

/** Bounds on log p(x|c) of every class, in nats: `scores` of aevae/metrics/class_densities.py, for one image. */
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
        const v = clamp(logvar[j], -10, 10), e = eps[r * width + j];
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

/** p(c|x) of the discriminative network. */
export function classify(net, x) {
  const h = affine(net.r1, 0, net.s1, 0, x, new Float32Array(net.s1.length), true);
  return softmax([...affine(net.r2, 0, net.s2, 0, h, new Float32Array(CLASSES))]);
}

class Classifier extends Stage {
  build({ root, outbox, show, spec: { texts, draws, most_draws: most } }) {
    this.canvas = imageCanvas({ role: "img", "aria-label": texts.image });
    const change = () => outbox.postLater(() => ({ draws: +this.draws.input.value }));
    this.draws = slider({ min: 1, max: most, step: 1, value: draws, "aria-label": texts.draws }, { input: show, change });
    this.draws.name.textContent = texts.draws;
    this.verdict = div("verdict");
    this.rows = Array.from({ length: CLASSES }, (_, c) => rowOf(c));
    const heads = ["", texts.densities, texts.bayes, texts.net];
    const head = div("row head", ...heads.map((text, i) => element(i ? "span" : "b", {}, text)));
    root.replaceChildren(
      div("side", this.canvas, this.draws.box, this.verdict),
      div("table", head, ...this.rows.map(({ node }) => node)),
    );
  }

  draw({ spec, arrays, drawing, rows }) {
    const x = drawing ?? arrays.x, draws = +this.draws.input.value;
    paint(this.canvas, x);
    this.draws.value.textContent = `R = ${draws}`;
    const found = densities(arrays, x, arrays.eps, draws), shares = softmax(found), net = classify(arrays, x);
    const best = found.indexOf(Math.max(...found)), other = net.indexOf(Math.max(...net));
    rows.forEach((row, c) => {
      row.density.style.width = `${100 * clamp((found[c] - spec.least) / (spec.most - spec.least))}%`;
      row.nats.textContent = found[c].toFixed(0);
      row.share.textContent = percent(shares[c]);
      row.net.style.width = `${100 * net[c]}%`;
      row.sure.textContent = percent(net[c]);
      row.node.classList.toggle("best", c === best);
      row.node.classList.toggle("read", c === other);
    });
    const low = found[best] < spec.usual[best];
    this.verdict.textContent = fill(low ? spec.texts.low : spec.texts.usual, {
      best, other, nats: found[best].toFixed(0), floor: spec.usual[best].toFixed(0), sure: percent(net[other]),
    });
    this.verdict.classList.toggle("low", low);
  }
}

function rowOf(c) {
  const [density, net] = [0, 1].map(() => element("i")), [nats, share, sure] = [0, 1, 2].map(() => element("span"));
  const name = element("b", { textContent: c });
  const node = div("row", name, div("track", density), nats, share, div("track net", net), sure);
  return { node, density, net, nats, share, sure };
}

function percent(v) {
  if (v > 0.995 && v < 1) return v > 0.9995 ? "100 %" : `${(100 * v).toFixed(1)} %`;
  return `${(100 * v).toFixed(0)} %`;
}

export const mount = (ctx) => new Classifier(ctx, "classifier");
