// Draws of z, decoded: from the posterior of a digit, under one slider, to the prior that knows of no digit.
import { PIXELS, paint, stage } from "../../live/core.js";
import { el, fill, pictureRow } from "../../live/dom.js";
import { klToPrior, reparameterise } from "../../live/gaussian.js";

/** q on its way to the prior: N((1 - t) mu, ((1 - t) std + t)^2). */
export function between(mu, std, t) {
  return { mu: Float32Array.from(mu, (m) => (1 - t) * m), std: Float32Array.from(std, (s) => (1 - t) * s + t) };
}

/** Mean difference of two pictures, a pixel. */
export function apart(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i] - b[i]);
  return sum / a.length;
}

export function mount(ctx) {
  let parts = null;

  /** Codes of q at t, decoded one by one. */
  function decoded({ arrays, spec }, program, { mu, std }, fn) {
    const { eps } = arrays, width = mu.length;
    for (let r = 0; r < spec.draws; r++) fn(program.decode(reparameterise(mu, std, eps.subarray(r * width, (r + 1) * width))), r);
  }

  function draw(now) {
    const { spec, arrays, programs } = now;
    const x = now.picture ?? arrays.x, t = +parts.slider.value / 100;
    paint(parts.digit, x);
    parts.slider.setAttribute("aria-valuetext", fill(spec.texts.way, { part: parts.slider.value }));
    programs.forEach((program, i) => {
      const row = parts.rows[i];
      const { mu, logvar } = program.encode(x);
      const q = { mu: Float32Array.from(mu), std: Float32Array.from(logvar, (v) => Math.exp(v / 2)) };
      const means = [new Float32Array(PIXELS), new Float32Array(PIXELS)];
      const sum = (k) => (back) => back.forEach((v, p) => (means[k][p] += v / spec.draws));
      decoded(now, program, between(q.mu, q.std, t), (back, r) => paint(row.canvases[r], back));
      decoded(now, program, q, sum(0));
      decoded(now, program, between(q.mu, q.std, 1), sum(1));
      row.says.textContent = fill(spec.texts.says, {
        kl: klToPrior(q.mu, q.std).toFixed(2), apart: apart(...means).toFixed(3),
      });
    });
  }

  function build({ box, out, show, spec: { texts, titles, draws, at } }) {
    const kept = parts?.slider.value;
    parts = {
      digit: el("canvas", { class: "digit", width: 28, height: 28, role: "img", "aria-label": texts.digit }),
      slider: el("input", {
        type: "range", min: 0, max: 100, step: 1, value: kept ?? at, "aria-label": texts.slider,
        oninput: show, onchange: () => out.later(() => ({ at: +parts.slider.value })),
      }),
      rows: titles.map((title) => pictureRow(title, draws, fill(texts.pictures, { title }))),
    };
    box.replaceChildren(
      el("div", { class: "head" }, parts.digit, el(
        "div", { class: "way" }, parts.slider,
        el("div", { class: "ends" }, el("span", { textContent: texts.posterior }), el("span", { textContent: texts.prior })),
      )),
      ...parts.rows.map(({ node }) => node),
    );
  }

  return stage(ctx, "draws", { build, draw });
}
