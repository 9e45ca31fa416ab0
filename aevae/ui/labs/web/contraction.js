// A digit pushed along the directions to which a code is most sensitive, and along one to which it is not.
import { imageAt, paint, PIXELS } from "../../live/canvas.js";
import { button, div, element, fill, imageCanvas, imageCanvases, slider } from "../../live/dom.js";
import { prefersReducedMotion, Stage } from "../../live/page.js";
import { paintSigned } from "../../live/signed.js";

const PERIOD_MS = 3200; // period of the oscillation
const ARRIVAL_MS = 5 * PERIOD_MS; // the oscillation that nobody started ends after this time

/** out = x + step v. */
export function pushed(x, v, step, out) {
  for (let p = 0; p < x.length; p++) out[p] = x[p] + step * v[p];
  return out;
}

/** A sine oscillation of amplitude `reach` at a time in ms. */
export const swing = (time, reach) => reach * Math.sin((2 * Math.PI * time) / PERIOD_MS);

class Contraction extends Stage {
  playing = 0; // the request of the next frame

  build({ root, outbox, show, spec }) {
    this.stop();
    this.post = () => outbox.postLater(() => ({ push: Math.round(+this.slider.input.value * 10) }));
    const input = () => {
      this.pause();
      show();
    };
    const range = { min: -spec.reach, max: spec.reach, step: 0.1, value: spec.push / 10 };
    this.slider = slider(range, { input, change: this.post });
    this.button = button("", () => (this.playing ? this.pause() : this.play()), { class: "play" });
    this.row = div("row");
    root.replaceChildren(div("legend", spec.texts.legend), this.row, div("knobs", this.slider.box, this.button));
    this.image = new Float32Array(PIXELS);
    if (spec.plays && !prefersReducedMotion()) this.play(ARRIVAL_MS);
  }

  refresh({ spec, arrays }) {
    this.slider.input.max = spec.reach;
    this.slider.input.min = -spec.reach;
    this.slider.name.textContent = spec.texts.push;
    this.button.textContent = this.playing ? spec.texts.stop : spec.texts.play;
    this.canvases = imageCanvases(spec.names.length);
    const tiles = this.canvases.map((canvas, k) => {
      const direction = imageCanvas(), name = spec.names[k];
      paintSigned(direction, imageAt(arrays.directions, k));
      return element("div", { class: "tile", role: "img", "aria-label": name }, direction, canvas, element("span", {}, name));
    });
    this.row.replaceChildren(...tiles);
  }

  play(duration = Infinity) {
    const began = performance.now();
    const beat = (time) => {
      if (time - began > duration) return this.rest();
      this.slider.input.value = swing(time - began, +this.slider.input.max).toFixed(1);
      this.show();
      this.playing = requestAnimationFrame(beat);
    };
    this.playing = requestAnimationFrame(beat);
    this.button.textContent = this.spec.texts.stop;
  }

  pause() {
    if (!this.playing) return;
    this.stop();
    this.button.textContent = this.spec.texts.play;
    this.post();
  }

  /** End the oscillation of the arrival, at the step of the address. */
  rest() {
    this.stop();
    this.button.textContent = this.spec.texts.play;
    this.slider.input.value = this.spec.push / 10;
    this.show();
  }

  draw({ spec, arrays }) {
    const step = +this.slider.input.value;
    this.slider.value.textContent = step.toFixed(1);
    this.slider.input.setAttribute("aria-valuetext", fill(spec.texts.step, { step: step.toFixed(1) }));
    this.canvases.forEach((canvas, k) => paint(canvas, pushed(arrays.x, imageAt(arrays.directions, k), step, this.image)));
  }

  stop() {
    cancelAnimationFrame(this.playing);
    this.playing = 0;
  }
}

export const mount = (ctx) => new Contraction(ctx, "contraction");
