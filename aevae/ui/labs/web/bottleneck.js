// Ten digits through a bottleneck of k numbers: principal components while the hand moves, and the runs that fit.
import { PIXELS, onFrame, outbox, paint } from "../../live/core.js";
import { el, fill } from "../../live/dom.js";

/** mean + the first k components: coefficients (N, K), axes (K, P) -> `out` (N, P). */
export function partial(mean, axes, coefficients, k, out) {
  const width = mean.length;
  const most = axes.length / width;
  const count = coefficients.length / most;
  for (let n = 0; n < count; n++) {
    const row = out.subarray(n * width, (n + 1) * width);
    row.set(mean);
    for (let c = 0; c < k; c++) {
      const weight = coefficients[n * most + c];
      for (let p = 0; p < width; p++) row[p] += weight * axes[c * width + p];
    }
  }
  return out;
}

/** Of sizes in rising order, the place of the largest that is at most k; -1 where all are larger. */
export function largestWithin(sizes, k) {
  let found = -1;
  sizes.forEach((size, i) => {
    if (size <= k) found = i;
  });
  return found;
}

/** A row of digits: {canvases, title(text)}; the title is what one reads above them and hears of them. */
function row(root, count) {
  const canvases = Array.from({ length: count }, () => el("canvas", { width: 28, height: 28 }));
  const name = el("div", { class: "name", "aria-hidden": "true" }), digits = el("div", { class: "digits", role: "img" }, ...canvases);
  root.append(el("div", { class: "row" }, name, digits));
  const title = (text) => {
    name.textContent = text;
    digits.setAttribute("aria-label", text);
  };
  return { canvases, title };
}

const draw = (canvases, pixels) => canvases.forEach((canvas, i) => paint(canvas, pixels.subarray(i * PIXELS, (i + 1) * PIXELS)));

export function mount({ root, send }) {
  const box = root.appendChild(el("div", { class: "bottleneck" }));
  let now = null;
  let rows = null;
  let values = null;
  const out = outbox(send);
  const slider = el("input", { type: "range", min: 1, step: 1, oninput: () => show(), onchange: () => out.later(() => ({ k: +slider.value })) });
  const said = el("output");
  const show = onFrame(() => {
    const k = +slider.value;
    const { spec, arrays } = now;
    said.textContent = fill(spec.texts.kept, { k });
    slider.setAttribute("aria-valuetext", said.textContent);
    draw(rows.pca.canvases, partial(arrays.mean, arrays.axes, arrays.coefficients, k, values));
    rows.pca.title(fill(spec.texts.pca, { error: spec.left[k].toFixed(1) }));
    const fits = largestWithin(spec.sizes, k);
    rows.run.canvases.forEach((canvas) => canvas.classList.toggle("none", fits < 0));
    rows.run.title(fits < 0 ? spec.texts.none : spec.names[fits]);
    if (fits >= 0) draw(rows.run.canvases, arrays.pictures.subarray(fits * 10 * PIXELS, (fits + 1) * 10 * PIXELS));
  });
  return {
    update(spec, arrays) {
      const fresh = now === null || now.spec.key !== spec.key;
      now = { spec, arrays };
      if (fresh) {
        values = new Float32Array(10 * PIXELS);
        slider.max = spec.left.length - 1;
        slider.value = spec.k;
        slider.setAttribute("aria-label", spec.texts.slider);
        box.replaceChildren(el("label", { class: "knob" }, slider, said));
        rows = { clean: row(box, 10), pca: row(box, 10), run: row(box, 10) };
        rows.clean.title(spec.texts.clean);
        draw(rows.clean.canvases, arrays.digits);
      }
      show();
    },
    destroy() {
      show.cancel();
      out.close();
      box.remove();
    },
  };
}
