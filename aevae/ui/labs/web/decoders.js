// Several decoders of one code, which the user moves: of each the mean, samples of its pixels and their standard deviation.
import { imageAt, paint, PIXELS } from "../../live/canvas.js";
import { button, div, element, fill, imageRow, slider } from "../../live/dom.js";
import { squaredError } from "../../live/maths.js";
import { stage } from "../../live/page.js";
import { likelihood } from "../../live/pixels.js";

/** The code mu with `steps` added to the numbers `dims`. */
export function moved(mu, dims, steps) {
  const z = Float32Array.from(mu);
  dims.forEach((d, i) => (z[d] += steps[i]));
  return z;
}

/** A number with a minus sign as wide as a digit. */
const signed = (v, digits) => v.toFixed(digits).replace("-", "−");

export function mount(ctx) {
  const buffer = new Float32Array(PIXELS);
  let parts = null;

  const steps = () => parts.sliders.map(({ input }) => +input.value);
  const message = () => Object.fromEntries(steps().map((step, i) => [`step${i}`, step]));

  function draw({ spec, arrays, programs, drawing }) {
    const x = drawing ?? arrays.x, by = steps();
    const z = moved(programs[0].encode(x).mu, spec.dims, by);
    parts.sliders.forEach(({ say }, i) => say(by[i] > 0 ? `+${by[i].toFixed(1)}` : signed(by[i], 1)));
    parts.back.disabled = by.every((step) => step === 0);
    for (const { model, family, says, canvases } of parts.rows) {
      const params = programs[model].params(z);
      const mean = family.plain ? params : programs[model].decode(z);
      paint(canvases[0], mean);
      for (let r = 0; r < spec.draws; r++) {
        const noise = [arrays.uniform, arrays.normal].map((noise) => imageAt(noise, r));
        paint(canvases[1 + r], family.sample(params, ...noise, buffer));
      }
      paint(canvases[1 + spec.draws], family.std(params, buffer), spec.widest);
      const nats = family.nll(params, x);
      const bits = nats / PIXELS / Math.LN2;
      says.textContent = fill(spec.texts.says, {
        nats: signed(nats, 0), bits: signed(bits, 2), error: squaredError(x, mean).toFixed(1),
      });
    }
  }

  function sliderOf({ spec, show, outbox }, d, value) {
    const name = fill(spec.texts.number, { number: d + 1 });
    const range = { min: -spec.reach, max: spec.reach, step: 0.1, value, "aria-label": name };
    const made = slider(range, { input: show, change: () => outbox.postLater(message) });
    made.name.textContent = name;
    return made;
  }

  function row(spec, model) {
    const { kind, title, ...more } = spec.models[model];
    const family = { ...likelihood(kind, more), plain: kind === "gaussian" };
    return { model, family, ...imageRow(title, spec.draws + 2, fill(spec.texts.pictures, { title })) };
  }

  function build(now) {
    const { root, outbox, show, spec } = now, { texts, dims, shown } = spec;
    const values = parts ? steps() : spec.steps;
    parts = {
      sliders: dims.map((d, i) => sliderOf(now, d, values[i])),
      rows: shown.map((model) => row(spec, model)),
      back: button(texts.back, () => {
        for (const { input } of parts.sliders) input.value = 0;
        show();
        outbox.post(message());
      }),
    };
    const heads = [texts.mean, ...Array.from({ length: spec.draws }, () => texts.draw), texts.stray];
    root.replaceChildren(
      div("knobs", ...parts.sliders.map(({ box }) => box), parts.back),
      ...parts.rows.map(({ node }) => node),
      element("div", { class: "digits heads", "aria-hidden": "true" }, ...heads.map((text) => element("span", { textContent: text }))),
    );
  }

  return stage(ctx, "decoders", { build, draw });
}
