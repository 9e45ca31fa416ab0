// Decoded samples of z: a slider interpolates between the posterior of a digit and the prior.
import { paint } from "../../live/canvas.js";
import { div, element, fill, imageCanvas, imageRow } from "../../live/dom.js";
import { gaussianOf, klToPrior, reparameterise } from "../../live/gaussian.js";
import { stage } from "../../live/page.js";

/** q interpolated to the prior: N((1 - t) mu, ((1 - t) std + t)^2). */
export function between(mu, std, t) {
  return { mu: Float32Array.from(mu, (m) => (1 - t) * m), std: Float32Array.from(std, (s) => (1 - t) * s + t) };
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
      decodeSamples(now, program, between(q.mu, q.std, t), (decoded, r) => paint(row.canvases[r], decoded));
      row.says.textContent = fill(spec.texts.says, { kl: klToPrior(q.mu, q.std).toFixed(2) });
    });
  }

  function build({ root, outbox, show, spec: { texts, titles, draws, at } }) {
    parts = {
      digit: imageCanvas({ role: "img", "aria-label": texts.digit }),
      slider: element("input", {
        type: "range", min: 0, max: 100, step: 1, value: at, "aria-label": texts.slider,
        oninput: show, onchange: () => outbox.postLater(() => ({ at: +parts.slider.value })),
      }),
      rows: titles.map((title) => imageRow(title, draws, fill(texts.images, { title }))),
    };
    const heads = Array.from({ length: draws }, (_, i) => element("span", {}, fill(texts.sample, { number: i + 1 })));
    root.replaceChildren(
      div("head", parts.digit, div(
        "way", parts.slider,
        div("ends", element("span", { textContent: texts.posterior }), element("span", { textContent: texts.prior })),
      )),
      ...parts.rows.map(({ node }) => node), div("digits heads", ...heads),
    );
  }

  return stage(ctx, "collapse", { build, draw });
}
