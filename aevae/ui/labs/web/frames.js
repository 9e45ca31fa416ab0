// A slider through a few frames; a frame is rows of pictures, each with a name and a bar.
import { PIXELS, paint, stage } from "../../live/core.js";
import { el } from "../../live/dom.js";

/** Where row r, column c of frame f begins in pictures of (F, rows, columns, 784). */
export const placeOf = (f, r, c, rows, columns) => ((f * rows + r) * columns + c) * PIXELS;

export function mount(ctx) {
  let parts = null;

  function draw({ spec, arrays }) {
    const f = +parts.slider.value;
    const frame = spec.frames[f];
    parts.said.textContent = frame.label;
    parts.slider.setAttribute("aria-valuetext", frame.label);
    parts.note.textContent = frame.note;
    frame.rows.forEach(({ name, bar }, r) => {
      const row = parts.rows[r];
      row.name.textContent = name;
      row.bar.style.width = `${100 * Math.min(1, bar)}%`;
      row.bar.hidden = bar === 0;
      row.canvases.forEach((canvas, c) => {
        const at = placeOf(f, r, c, frame.rows.length, row.canvases.length);
        paint(canvas, arrays.pictures.subarray(at, at + PIXELS), 255);
      });
    });
  }

  function build({ box, out, show, spec, arrays }) {
    const last = spec.frames.length - 1;
    const kept = parts && +parts.slider.max === last ? parts.slider.value : spec.frame;
    const [, rows, columns] = arrays.pictures.shape;
    parts = {
      slider: el("input", {
        type: "range", min: 0, max: last, step: 1, "aria-label": spec.texts.slider,
        oninput: show, onchange: () => out.later(() => ({ frame: +parts.slider.value })),
      }),
      said: el("output"),
      note: el("div", { class: "note" }),
      rows: Array.from({ length: rows }, () => ({
        name: el("span"),
        bar: el("i"),
        canvases: Array.from({ length: columns }, () => el("canvas", { class: "digit", width: 28, height: 28 })),
      })),
    };
    parts.slider.value = kept;
    box.replaceChildren(
      el("label", {}, el("span", { textContent: spec.texts.slider }), parts.slider, parts.said), parts.note,
      ...parts.rows.map(({ name, bar, canvases }) => {
        const digits = el("div", { class: "digits", role: "img", "aria-label": spec.texts.pictures }, ...canvases);
        digits.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
        return el("div", { class: "row" }, el("div", { class: "name" }, name, el("div", { class: "track" }, bar)), digits);
      }),
    );
  }

  return stage(ctx, "frames", { build, draw });
}
