// Several decoders of one code: of each the mean, draws of its pixels and how far they stray, while the code is moved.
import { PIXELS, paint, stage } from "../../live/core.js";
import { el, fill, pictureRow } from "../../live/dom.js";
import { likelihood } from "../../live/pixels.js";

/** The code mu with `steps` added to the numbers `dims`. */
export function moved(mu, dims, steps) {
  const z = Float32Array.from(mu);
  dims.forEach((d, i) => (z[d] += steps[i]));
  return z;
}

/** A number with the sign that is as wide as a digit. */
const signed = (v, digits) => v.toFixed(digits).replace("-", "−");

/** Squared error of a picture. */
export function squared(x, back) {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] - back[i]) ** 2;
  return sum;
}

export function mount(ctx) {
  const buffer = new Float32Array(PIXELS);
  let parts = null;

  const steps = () => parts.sliders.map(({ input }) => +input.value);
  const letter = () => Object.fromEntries(steps().map((step, i) => [`step${i}`, step]));

  function draw({ spec, arrays, programs, picture }) {
    const x = picture ?? arrays.x, by = steps();
    const z = moved(programs[0].encode(x).mu, spec.dims, by);
    parts.sliders.forEach(({ said, input }, i) => {
      said.textContent = by[i] > 0 ? `+${by[i].toFixed(1)}` : signed(by[i], 1);
      input.setAttribute("aria-valuetext", said.textContent);
    });
    parts.back.disabled = by.every((step) => step === 0);
    for (const { model, family, says, canvases } of parts.rows) {
      const params = programs[model].params(z);
      const mean = family.plain ? params : programs[model].decode(z);
      paint(canvases[0], mean);
      for (let r = 0; r < spec.draws; r++) {
        const noise = [arrays.uniform, arrays.normal].map((a) => a.subarray(r * PIXELS, (r + 1) * PIXELS));
        paint(canvases[1 + r], family.draw(params, ...noise, buffer));
      }
      paint(canvases[1 + spec.draws], family.stray(params, buffer), spec.widest);
      const nats = family.nll(params, x);
      const bits = nats / PIXELS / Math.LN2;
      says.textContent = fill(spec.texts.says, {
        nats: signed(nats, 0), bits: signed(bits, 2), error: squared(x, mean).toFixed(1),
      });
    }
  }

  function slider({ spec, show, out }, d, value) {
    const name = fill(spec.texts.number, { number: d + 1 });
    const input = el("input", {
      type: "range", min: -spec.reach, max: spec.reach, step: 0.1, value, "aria-label": name,
      oninput: show, onchange: () => out.later(letter),
    });
    return { name, input, said: el("output") };
  }

  function row(spec, model) {
    const { kind, title, ...more } = spec.models[model];
    const family = { ...likelihood(kind, more), plain: kind === "gaussian" };
    return { model, family, ...pictureRow(title, spec.draws + 2, fill(spec.texts.pictures, { title })) };
  }

  function build(now) {
    const { box, out, show, spec } = now, { texts, dims, shown } = spec;
    const values = parts ? steps() : spec.steps;
    parts = {
      sliders: dims.map((d, i) => slider(now, d, values[i])),
      rows: shown.map((model) => row(spec, model)),
      back: el("button", {
        type: "button", textContent: texts.back,
        onclick() {
          for (const { input } of parts.sliders) input.value = 0;
          show();
          out.post(letter());
        },
      }),
    };
    const heads = [texts.mean, ...Array.from({ length: spec.draws }, () => texts.draw), texts.stray];
    box.replaceChildren(
      el(
        "div", { class: "knobs" },
        ...parts.sliders.map(({ name, input, said }) => el("label", {}, el("span", { textContent: name }), input, said)),
        parts.back,
      ),
      ...parts.rows.map(({ node }) => node),
      el("div", { class: "digits heads", "aria-hidden": "true" }, ...heads.map((text) => el("span", { textContent: text }))),
    );
  }

  return stage(ctx, "decoders", { build, draw });
}
