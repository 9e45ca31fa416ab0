// A grid of decoded combinations: a row per content, a column per style; the user sets the number of images per group.
import { imageAt, paint } from "../../live/canvas.js";
import { div, element, fill, imageCanvases, slider } from "../../live/dom.js";
import { Stage } from "../../live/page.js";

/** The content (D) of group `c` after `n` of its images: mean + spread * deviation * eps; arrays (C, most, D). */
export function contentOf({ mu, variance, eps }, c, n, spread, out) {
  const [, most, size] = mu.shape;
  const at = (c * most + n - 1) * size;
  for (let d = 0; d < size; d++) out[d] = mu[at + d] + spread * Math.sqrt(variance[at + d]) * eps[c * size + d];
  return out;
}

/** Root mean variance of the content of group `c` after `n` images. */
export function deviation({ variance }, c, n) {
  const [, most, size] = variance.shape;
  const at = (c * most + n - 1) * size;
  return Math.sqrt(variance.subarray(at, at + size).reduce((a, v) => a + v, 0) / size);
}

class Content extends Stage {
  build({ root, outbox, show, spec, arrays }) {
    const { texts } = spec, [groups, most] = arrays.mu.shape, across = arrays.styles.shape[0];
    const change = () => outbox.postLater(() => ({ count: +this.slider.input.value }));
    const range = { min: 1, max: most, step: 1, value: spec.count, "aria-label": texts.slider };
    this.slider = slider(range, { input: show, change });
    this.slider.name.textContent = texts.slider;
    this.heads = imageCanvases(across);
    this.members = imageCanvases(groups);
    this.cells = imageCanvases(groups * across);
    this.spreads = this.members.map(() => element("span", { class: "spread" }));
    const rows = this.members.map((member, c) => {
      const head = div("head", member, this.spreads[c]);
      return div("line", head, ...this.cells.slice(c * across, (c + 1) * across));
    });
    const heads = div("line heads", div("head", texts.corner), ...this.heads);
    const grid = element("div", { class: "grid", role: "img", "aria-label": texts.grid }, heads, ...rows);
    grid.style.setProperty("--across", across);
    root.replaceChildren(this.slider.box, grid);
    this.code = new Float32Array(arrays.mu.shape[2] + arrays.styles.shape[1]);
  }

  draw({ arrays, spec, code }) {
    const n = +this.slider.input.value, [groups, most, size] = arrays.mu.shape, [across, width] = arrays.styles.shape;
    this.heads.forEach((canvas, s) => {
      canvas.classList.toggle("none", !arrays.heads.length);
      if (arrays.heads.length) paint(canvas, imageAt(arrays.heads, s), 255);
    });
    let sum = 0;
    for (let c = 0; c < groups; c++) {
      paint(this.members[c], imageAt(arrays.members, c * most + n - 1), 255);
      const spread = deviation(arrays, c, n);
      sum += spread;
      this.spreads[c].textContent = `±${spread.toFixed(2)}`;
      contentOf(arrays, c, n, spec.spread, code.subarray(0, size));
      for (let s = 0; s < across; s++) {
        code.set(arrays.styles.subarray(s * width, (s + 1) * width), size);
        paint(this.cells[c * across + s], this.programs[0].decode(code));
      }
    }
    this.slider.say(fill(spec.texts.said, { count: n, spread: (sum / groups).toFixed(2) }));
  }
}

export const mount = (ctx) => new Content(ctx, "content");
