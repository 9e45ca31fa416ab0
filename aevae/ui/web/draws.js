// Draws of z, decoded: from the posterior of a digit, under one slider, to the prior that knows of no digit.
import { PIXELS, onDrawing, onFrame, outbox, paint } from "./core.js";
import { el, fill, pictureRow } from "./dom.js";
import { klToPrior, reparameterise } from "./gaussian.js";

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

export function mount({ root, send }) {
  const box = root.appendChild(el("div", { class: "draws" }));
  const out = outbox(send);
  let now = null;
  let parts = null;
  let picture = null; // drawn by hand
  let off = () => {};

  /** Codes of q at t, decoded one by one. */
  function decoded(program, { mu, std }, fn) {
    const { eps } = now.arrays, width = mu.length;
    for (let r = 0; r < now.spec.draws; r++) fn(program.decode(reparameterise(mu, std, eps.subarray(r * width, (r + 1) * width))), r);
  }

  const show = onFrame(() => {
    const { spec, arrays, programs } = now;
    const x = picture ?? arrays.x, t = +parts.slider.value / 100;
    paint(parts.digit, x);
    parts.slider.setAttribute("aria-valuetext", fill(spec.texts.way, { part: parts.slider.value }));
    programs.forEach((program, i) => {
      const row = parts.rows[i];
      const { mu, logvar } = program.encode(x);
      const q = { mu: Float32Array.from(mu), std: Float32Array.from(logvar, (v) => Math.exp(v / 2)) };
      const means = [new Float32Array(PIXELS), new Float32Array(PIXELS)];
      const sum = (k) => (back) => back.forEach((v, p) => (means[k][p] += v / spec.draws));
      decoded(program, between(q.mu, q.std, t), (back, r) => paint(row.canvases[r], back));
      decoded(program, q, sum(0));
      decoded(program, between(q.mu, q.std, 1), sum(1));
      row.says.textContent = fill(spec.texts.says, {
        kl: klToPrior(q.mu, q.std).toFixed(2), apart: apart(...means).toFixed(3),
      });
    });
  });

  function build() {
    const { texts, titles, draws, at } = now.spec;
    parts = {
      digit: el("canvas", { class: "digit", width: 28, height: 28, role: "img", "aria-label": texts.digit }),
      slider: el("input", {
        type: "range", min: 0, max: 100, step: 1, value: at, "aria-label": texts.slider,
        oninput: () => show(), onchange: () => out.later(() => ({ at: +parts.slider.value })),
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

  return {
    update(spec, arrays, programs) {
      const fresh = now === null || now.spec.key !== spec.key;
      const at = parts?.slider.value;
      now = { spec, arrays, programs };
      if (fresh) {
        if (!parts) off = onDrawing(spec.picker, (pixels) => {
          picture = pixels;
          show();
        });
        picture = null;
        build();
        if (at !== undefined) parts.slider.value = at;
      }
      show();
    },
    destroy() {
      off();
      show.cancel();
      out.close();
      box.remove();
    },
  };
}
