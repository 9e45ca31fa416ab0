// Ten digits through a bottleneck of k numbers: by principal components, and by an autoencoder of this code size.
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
    const { sizes, texts } = spec;
    values = new Float32Array(10 * PIXELS);
    slider = rangeSlider(
      { min: 0, max: sizes.length - 1, step: 1, value: sizes.indexOf(spec.k) },
      { input: show, change: () => outbox.postLater(() => ({ k: sizes[+slider.input.value] })) },
    );
    slider.name.textContent = texts.slider;
    root.replaceChildren(slider.box);
    rows = { clean: titledRow(root), pca: titledRow(root), ae: titledRow(root) };
    rows.clean.title(texts.clean);
    paintAll(rows.clean.canvases, arrays.digits);
  }

  function draw({ spec, arrays }) {
    const n = +slider.input.value, k = spec.sizes[n], { texts } = spec, of = 10 * PIXELS;
    const size = k === 1 ? texts.one : fill(texts.kept, { k });
    const title = (name, error) => rows[name].title(fill(texts[name], { size, error: error.toFixed(1) }));
    slider.say(size);
    paintAll(rows.pca.canvases, partial(arrays.mean, arrays.axes, arrays.coefficients, k, values));
    title("pca", spec.left[k]);
    paintAll(rows.ae.canvases, arrays.images.subarray(n * of, (n + 1) * of));
    title("ae", spec.errors[n]);
  }

  return stage(ctx, "bottleneck", { build, draw });
}
