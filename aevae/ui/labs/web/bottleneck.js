// Ten digits through a bottleneck of k numbers: by principal components, and by runs of this code size.
import { imageAt, paint, PIXELS, SIDE } from "../../live/canvas.js";
import { div, element, fill, slider as rangeSlider } from "../../live/dom.js";
import { stage } from "../../live/page.js";

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

/** Index of the largest of ascending `sizes` that is at most k; -1 if all are larger. */
export function largestWithin(sizes, k) {
  let found = -1;
  sizes.forEach((size, i) => {
    if (size <= k) found = i;
  });
  return found;
}

/** A row of ten images: {canvases, title(text)}. */
function titledRow(root) {
  const canvases = Array.from({ length: 10 }, () => element("canvas", { width: SIDE, height: SIDE }));
  const name = element("div", { class: "name", "aria-hidden": "true" });
  const digits = element("div", { class: "digits", role: "img" }, ...canvases);
  root.append(div("row", name, digits));
  const title = (text) => {
    name.textContent = text;
    digits.setAttribute("aria-label", text);
  };
  return { canvases, title };
}

const paintAll = (canvases, images) => canvases.forEach((canvas, i) => paint(canvas, imageAt(images, i)));

export function mount(ctx) {
  let rows, slider, values;

  function build({ root, outbox, show, spec, arrays }) {
    values = new Float32Array(10 * PIXELS);
    slider = rangeSlider(
      { min: 1, max: spec.left.length - 1, step: 1, value: spec.k, "aria-label": spec.texts.slider },
      { input: show, change: () => outbox.postLater(() => ({ k: +slider.input.value })) },
    );
    slider.name.remove();
    root.replaceChildren(slider.box);
    rows = { clean: titledRow(root), pca: titledRow(root), run: titledRow(root) };
    rows.clean.title(spec.texts.clean);
    paintAll(rows.clean.canvases, arrays.digits);
  }

  function draw({ spec, arrays }) {
    const k = +slider.input.value;
    slider.say(fill(spec.texts.kept, { k }));
    paintAll(rows.pca.canvases, partial(arrays.mean, arrays.axes, arrays.coefficients, k, values));
    rows.pca.title(fill(spec.texts.pca, { error: spec.left[k].toFixed(1) }));
    const fits = largestWithin(spec.sizes, k);
    rows.run.canvases.forEach((canvas) => canvas.classList.toggle("none", fits < 0));
    rows.run.title(fits < 0 ? spec.texts.none : spec.names[fits]);
    if (fits >= 0) paintAll(rows.run.canvases, arrays.images.subarray(fits * 10 * PIXELS, (fits + 1) * 10 * PIXELS));
  }

  return stage(ctx, "bottleneck", { build, draw });
}
