// A digit pushed along the directions that a code feels most, and along one that it does not feel.
import { PIXELS, SIDE, onFrame, outbox, paint, stillness } from "../../live/core.js";
import { el, fill } from "../../live/dom.js";
import { paintSigned } from "../../live/signed.js";

const PERIOD = 3200; // ms of one swing to and fro

/** out = x + step v. */
export function pushed(x, v, step, out) {
  for (let p = 0; p < x.length; p++) out[p] = x[p] + step * v[p];
  return out;
}

/** Where a swing of this reach is at a time in ms: from 0 up, down, and back. */
export const swing = (time, reach) => reach * Math.sin((2 * Math.PI * time) / PERIOD);

export function mount({ root, send }) {
  const box = root.appendChild(el("div", { class: "tangents" }));
  const out = outbox(send);
  const show = onFrame(draw);
  const post = () => out.later(() => ({ push: Math.round(+slider.value * 10) }));
  const slider = el("input", { type: "range", step: 0.1, oninput: () => (stop(), show()), onchange: post });
  const what = el("span", { class: "what" }), said = el("output");
  const button = el("button", { type: "button", class: "play", onclick: () => (playing ? stop() : play()) });
  const row = el("div", { class: "row" });
  box.append(el("div", { class: "knobs" }, el("label", { class: "knob" }, what, slider, said), button), row);
  const picture = new Float32Array(PIXELS);
  let now = null, tiles = [], playing = 0, began = 0;

  function play() {
    began = performance.now();
    const beat = (time) => {
      slider.value = swing(time - began, +slider.max).toFixed(1);
      show();
      playing = requestAnimationFrame(beat);
    };
    playing = requestAnimationFrame(beat);
    button.textContent = now.spec.texts.stop;
  }
  function stop() {
    if (!playing) return;
    cancelAnimationFrame(playing);
    playing = 0;
    button.textContent = now.spec.texts.play;
    post();
  }

  function draw() {
    if (!now) return;
    const { spec, arrays } = now, step = +slider.value;
    said.textContent = step.toFixed(1);
    tiles.forEach((canvas, k) => {
      paint(canvas, pushed(arrays.x, arrays.directions.subarray(k * PIXELS, (k + 1) * PIXELS), step, picture));
    });
    slider.setAttribute("aria-valuetext", fill(spec.texts.step, { step: step.toFixed(1) }));
  }

  return {
    update(spec, arrays) {
      const first = now === null;
      now = { spec, arrays };
      slider.max = spec.reach;
      slider.min = -spec.reach;
      if (first) slider.value = spec.push / 10;
      what.textContent = spec.texts.push;
      button.textContent = playing ? spec.texts.stop : spec.texts.play;
      tiles = spec.names.map(() => el("canvas", { class: "digit", width: SIDE, height: SIDE }));
      row.replaceChildren(
        ...tiles.map((canvas, k) => {
          const direction = el("canvas", { class: "digit", width: SIDE, height: SIDE });
          paintSigned(direction, arrays.directions.subarray(k * PIXELS, (k + 1) * PIXELS));
          return el("div", { class: "tile", role: "img", "aria-label": spec.names[k] }, direction, canvas, el("span", { textContent: spec.names[k] }));
        }),
      );
      if (first && spec.plays && !stillness()) play();
      show();
    },
    destroy() {
      cancelAnimationFrame(playing);
      show.cancel();
      out.close();
      box.remove();
    },
  };
}
