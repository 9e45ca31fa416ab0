// Several decoders of one code, which the user moves: mean, pixel samples and standard deviation of each.
import { imageAt, paint, PIXELS } from "../../live/canvas.js";
import { button, div, element, fill, imageRow, slider } from "../../live/dom.js";
import { squaredError } from "../../live/maths.js";
import { Stage } from "../../live/page.js";
import { likelihood } from "../../live/pixels.js";

/** The code mu with `steps` added to the dimensions `dims`. */
export function moved(mu, dims, steps) {
  const z = Float32Array.from(mu);
  dims.forEach((d, i) => (z[d] += steps[i]));
  return z;
}

/** A number with a minus sign as wide as a digit. */
const signed = (v, digits) => v.toFixed(digits).replace("-", "−");

class Likelihoods extends Stage {
  build({ root, outbox, show, spec }) {
    const { texts, dims, shown } = spec, values = spec.steps;
    const on = { input: show, change: () => outbox.postLater(() => this.message()) };
    this.sliders = dims.map((d, i) => {
      const name = fill(texts.number, { number: d + 1 });
      const range = { min: -spec.reach, max: spec.reach, step: 0.1, value: values[i], "aria-label": name };
      const made = slider(range, on);
      made.name.textContent = name;
      return made;
    });
    this.back = button(texts.back, () => {
      for (const { input } of this.sliders) input.value = 0;
      show();
      outbox.post(this.message());
    });
    this.rows = shown.map((model) => this.rowOf(model));
    root.replaceChildren(
      ...this.rows.map(({ node }) => node), div("knobs", ...this.sliders.map(({ box }) => box), this.back),
    );
  }

  /** The images of one model. */
  rowOf(model) {
    const { models, draws, texts } = this.spec, { kind, title, ...more } = models[model];
    const family = { ...likelihood(kind, more), isMean: kind === "gaussian" };
    const row = imageRow(title, draws + 2, fill(texts.images, { title }));
    const std = Math.sqrt(more.variance).toFixed(2), stray = kind === "gaussian" ? fill(texts.flat, { std }) : texts.stray;
    const samples = Array.from({ length: draws }, (_, i) => fill(texts.draw, { number: i + 1 }));
    const names = [texts.mean, ...samples, stray].map((text) => element("span", {}, text));
    row.node.append(element("div", { class: "digits heads", "aria-hidden": "true" }, ...names));
    return { model, family, ...row };
  }

  steps() {
    return this.sliders.map(({ input }) => +input.value);
  }

  message() {
    return Object.fromEntries(this.steps().map((step, i) => [`step${i}`, step]));
  }

  draw({ spec, arrays, programs, drawing }) {
    const x = drawing ?? arrays.x, steps = this.steps();
    const z = moved(programs[0].encode(x).mu, spec.dims, steps);
    this.sliders.forEach(({ say }, i) => say(steps[i] > 0 ? `+${steps[i].toFixed(1)}` : signed(steps[i], 1)));
    this.back.disabled = steps.every((step) => step === 0);
    for (const { model, family, says, canvases } of this.rows) {
      const params = programs[model].params(z), mean = family.isMean ? params : programs[model].decode(z);
      paint(canvases[0], mean);
      for (let r = 0; r < spec.draws; r++) {
        const sample = family.sample(params, imageAt(arrays.uniform, r), imageAt(arrays.normal, r), buffer);
        paint(canvases[1 + r], sample);
      }
      paint(canvases[1 + spec.draws], family.std(params, buffer), spec.widest);
      const nats = family.nll(params, x), bits = nats / PIXELS / Math.LN2;
      says.textContent = fill(spec.texts.says, {
        nats: signed(nats, 0), bits: signed(bits, 2), error: squaredError(x, mean).toFixed(1),
      });
    }
  }
}

const buffer = new Float32Array(PIXELS);

export const mount = (ctx) => new Likelihoods(ctx, "likelihoods");
