// Decoded samples of z: a slider interpolates between the posterior of a digit and the prior.
import { paint, PIXELS } from "../../live/canvas.js";
import { div, element, fill, imageCanvas, imageRow } from "../../live/dom.js";
import { gaussianOf, klToPrior, reparameterise } from "../../live/gaussian.js";
import { stage } from "../../live/page.js";

/** q interpolated to the prior: N((1 - t) mu, ((1 - t) std + t)^2). */
export function between(mu, std, t) {
  return { mu: Float32Array.from(mu, (m) => (1 - t) * m), std: Float32Array.from(std, (s) => (1 - t) * s + t) };
}

/** Mean absolute difference of two images per pixel. */
export function meanDifference(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i] - b[i]);
  return sum / a.length;
}

export function mount(ctx) {
  let parts = null;

  /** fn(image, number) of each decoded sample of N(mu, std^2). */
  function decodeSamples({ arrays, spec }, program, { mu, std }, fn) {
    const { eps } = arrays, width = mu.length;
    for (let r = 0; r < spec.draws; r++) {
      const z = reparameterise(mu, std, eps.subarray(r * width, (r + 1) * width));
      fn(program.decode(z), r);
    }
  }

  function draw(now) {
    const { spec, arrays, programs } = now;
    const x = now.drawing ?? arrays.x, t = +parts.slider.value / 100;
    paint(parts.digit, x);
    parts.slider.setAttribute("aria-valuetext", fill(spec.texts.way, { part: parts.slider.value }));
    programs.forEach((program, i) => {
      const row = parts.rows[i];
      const q = gaussianOf(program.encode(x));
      const means = [new Float32Array(PIXELS), new Float32Array(PIXELS)];
      const sum = (k) => (decoded) => decoded.forEach((v, p) => (means[k][p] += v / spec.draws));
      decodeSamples(now, program, between(q.mu, q.std, t), (decoded, r) => paint(row.canvases[r], decoded));
      decodeSamples(now, program, q, sum(0));
      decodeSamples(now, program, between(q.mu, q.std, 1), sum(1));
      row.says.textContent = fill(spec.texts.says, {
        kl: klToPrior(q.mu, q.std).toFixed(2), apart: meanDifference(...means).toFixed(3),
      });
    });
  }

  function build({ root, outbox, show, spec: { texts, titles, draws, at } }) {
    const kept = parts?.slider.value;
    parts = {
      digit: imageCanvas({ role: "img", "aria-label": texts.digit }),
      slider: element("input", {
        type: "range", min: 0, max: 100, step: 1, value: kept ?? at, "aria-label": texts.slider,
        oninput: show, onchange: () => outbox.postLater(() => ({ at: +parts.slider.value })),
      }),
      rows: titles.map((title) => imageRow(title, draws, fill(texts.images, { title }))),
    };
    root.replaceChildren(
      div("head", parts.digit, div(
        "way", parts.slider,
        div("ends", element("span", { textContent: texts.posterior }), element("span", { textContent: texts.prior })),
      )),
      ...parts.rows.map(({ node }) => node),
    );
  }

  return stage(ctx, "collapse", { build, draw });
}
