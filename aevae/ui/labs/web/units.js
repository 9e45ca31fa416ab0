// One digit as a sum of units: all filters as one picture, those that are on lit, and the digit out of the strongest k.
import { PIXELS, SIDE, onDrawing, onFrame, outbox, paint } from "../../live/core.js";
import { el, fill } from "../../live/dom.js";
import { paintSigned, reach, tint } from "../../live/signed.js";

const STRONGEST = 8; // units that are shown one by one
const DIM = 2.5; // times darker is a unit that is off

// ---- pure parts -----------------------------------------------------------------------------------------------------

/** Numbers of the units that are not 0, the strongest first. */
export function ranked(h) {
  return [...h.keys()].filter((i) => h[i] !== 0).sort((a, b) => Math.abs(h[b]) - Math.abs(h[a]) || a - b);
}

/** out = offset + sum over `units` of h times their filters; through a sigmoid where the decoder ends in one. */
export function summed(offset, filters, h, units, sigmoid, out) {
  const width = offset.length;
  out.set(offset);
  for (const u of units) for (let p = 0; p < width; p++) out[p] += h[u] * filters[u * width + p];
  if (sigmoid) for (let p = 0; p < width; p++) out[p] = 1 / (1 + Math.exp(-out[p]));
  return out;
}

/** Squared error of two pictures, the first held in [0, 1]. */
export function squared(a, b) {
  let sum = 0;
  for (let p = 0; p < b.length; p++) sum += (Math.min(Math.max(a[p], 0), 1) - b[p]) ** 2;
  return sum;
}

/** Columns of a sheet of `count` tiles about `width` CSS pixels wide, tiles no smaller than `least`. */
export const columnsFor = (count, width, least = 30) => Math.max(5, Math.min(count, 25, Math.floor(width / least)));

// ---- the view -------------------------------------------------------------------------------------------------------

export function mount({ root, send }) {
  const box = root.appendChild(el("div", { class: "units" }));
  const out = outbox(send);
  const show = onFrame(draw);
  const slider = el("input", { type: "range", min: 0, step: 1, oninput: show, onchange: () => out.later(() => ({ kept: +slider.value })) });
  const what = el("span", { class: "what" }), said = el("output"), verdict = el("div", { class: "verdict", role: "status" });
  const digit = () => el("canvas", { class: "digit", width: SIDE, height: SIDE });
  const clean = digit(), made = digit(), sheet = el("canvas", { class: "sheet", role: "img" });
  const parts = Array.from({ length: STRONGEST }, () => {
    const canvas = digit(), name = el("span");
    return { canvas, name, box: el("div", { class: "part" }, canvas, name) };
  });
  const names = { clean: el("span"), made: el("span"), sheet: el("div", { class: "name" }) };
  box.append(
    el("label", { class: "knob" }, what, slider, said),
    el(
      "div",
      { class: "row" },
      el("div", { class: "part main" }, clean, names.clean),
      el("div", { class: "part main" }, made, names.made),
      ...parts.map((p) => p.box),
    ),
    verdict,
    names.sheet,
    sheet,
  );
  const picture = new Float32Array(PIXELS);
  let now = null, order = [], wide = 0;
  let drawn = null; // {digit, h} of what is drawn by hand
  let off = () => {};
  const watch = new ResizeObserver(() => {
    if (box.clientWidth !== wide) show();
  });
  watch.observe(box);

  function draw() {
    if (!now || !box.clientWidth) return;
    const { spec, arrays } = now, { texts } = spec, { digit, h } = drawn ?? arrays;
    const k = Math.min(+slider.value, order.length), kept = order.slice(0, k);
    summed(arrays.offset, arrays.filters, h, kept, spec.sigmoid, picture);
    paint(clean, digit);
    paint(made, picture);
    parts.forEach(({ canvas, name, box: part }, i) => {
      part.classList.toggle("off", i >= k);
      if (i >= order.length) return;
      const u = order[i];
      paintSigned(canvas, arrays.filters.subarray(u * PIXELS, (u + 1) * PIXELS));
      name.textContent = `× ${h[u].toFixed(1)}`;
    });
    said.textContent = fill(texts.of, { k, on: order.length });
    slider.setAttribute("aria-valuetext", said.textContent);
    verdict.textContent = fill(texts.verdict, { error: squared(picture, digit).toFixed(1), k });
    gallery(new Set(kept));
  }

  /** Somebody draws: all units that are on. */
  function follow(digit) {
    drawn = digit && { digit, h: Float32Array.from(now.program.encode(digit).mu) };
    order = ranked((drawn ?? now.arrays).h);
    slider.max = slider.value = order.length;
    show();
  }

  function gallery(kept) {
    const { spec, arrays } = now;
    wide = box.clientWidth;
    const columns = columnsFor(spec.units, wide), rows = Math.ceil(spec.units / columns), cell = SIDE + 2;
    const image = new ImageData(columns * cell, rows * cell);
    for (let n = 0; n < spec.units; n++) {
      const u = arrays.shown[n], values = arrays.filters.subarray(u * PIXELS, (u + 1) * PIXELS);
      const at = (Math.floor(n / columns) * cell + 1) * columns * cell + (n % columns) * cell + 1;
      tint(values, reach(values) * (kept.has(u) ? 0.8 : DIM), image.data, SIDE, at, columns * cell);
    }
    sheet.width = image.width;
    sheet.height = image.height;
    sheet.getContext("2d").putImageData(image, 0, 0);
  }

  return {
    update(spec, arrays, [program]) {
      const fresh = now === null || now.spec.key !== spec.key;
      if (!now) off = onDrawing(spec.picker, follow);
      now = { spec, arrays, program };
      if (fresh) drawn = null;
      order = ranked((drawn ?? arrays).h);
      what.textContent = spec.texts.slider;
      names.clean.textContent = spec.texts.clean;
      names.made.textContent = spec.texts.made;
      names.sheet.textContent = spec.texts.sheet;
      sheet.setAttribute("aria-label", spec.texts.sheet);
      if (fresh) {
        slider.max = order.length;
        slider.value = spec.kept < 0 ? order.length : spec.kept;
      }
      show();
    },
    destroy() {
      off();
      show.cancel();
      out.close();
      watch.disconnect();
      box.remove();
    },
  };
}
