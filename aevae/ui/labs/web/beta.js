// A slider over a few frames (labs β and Likelihoods); a frame has rows of images, each with a name and a bar.
import { paint, PIXELS } from "../../live/canvas.js";
import { div, element, imageCanvases, slider } from "../../live/dom.js";
import { stage } from "../../live/page.js";

/** Offset of row r, column c of frame f in images (F, rows, columns, 784). */
export const placeOf = (f, r, c, rows, columns) => ((f * rows + r) * columns + c) * PIXELS;

/** The names of the columns, where there are some. */
function headsOf({ heads, heads_of: name }) {
  return heads ? [div("row heads", div("name", name), div("digits", ...heads.map((text) => element("span", {}, text))))] : [];
}

export function mount(ctx) {
  let parts = null;

  function draw({ spec, arrays }) {
    const f = +parts.slider.input.value;
    const frame = spec.frames[f];
    parts.slider.say(frame.label);
    parts.note.textContent = frame.note;
    frame.rows.forEach(({ name, bar }, r) => {
      const row = parts.rows[r];
      row.name.textContent = name;
      row.bar.style.width = `${100 * Math.min(1, bar)}%`;
      row.bar.hidden = bar === 0;
      row.canvases.forEach((canvas, c) => {
        const at = placeOf(f, r, c, frame.rows.length, row.canvases.length);
        paint(canvas, arrays.images.subarray(at, at + PIXELS), 255);
      });
    });
  }

  function build({ root, outbox, show, spec, arrays }) {
    const last = spec.frames.length - 1;
    const [, rows, columns] = arrays.images.shape;
    parts = {
      slider: slider(
        { min: 0, max: last, step: 1, value: spec.frame, "aria-label": spec.texts.slider },
        { input: show, change: () => outbox.postLater(() => ({ frame: +parts.slider.input.value })) },
      ),
      note: div("note"),
      rows: Array.from({ length: rows }, () => ({
        name: element("span"),
        bar: element("i"),
        canvases: imageCanvases(columns),
      })),
    };
    parts.slider.name.textContent = spec.texts.slider;
    root.style.setProperty("--columns", columns);
    root.style.setProperty("--shape", columns / rows);
    const [first, ...others] = parts.rows.map(({ name, bar, canvases }) => {
      const digits = element("div", { class: "digits", role: "img", "aria-label": spec.texts.images }, ...canvases);
      return div("row", div("name", name, div("track", bar)), digits);
    });
    root.replaceChildren(parts.slider.box, parts.note, first, ...headsOf(spec.texts), ...others);
  }

  return stage(ctx, "beta", { build, draw });
}
