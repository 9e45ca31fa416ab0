// Contents down, styles across: every cell is decoded here, while the number of pictures that speak for a content grows.
import { SIDE, onFrame, outbox, paint } from "../../live/core.js";
import { el, fill } from "../../live/dom.js";

/** The content (D) of group `c` after `n` of its pictures: mean + spread * deviation * eps; arrays (C, most, D). */
export function contentOf({ mu, variance, eps }, c, n, spread, out) {
  const [, most, size] = mu.shape;
  const at = (c * most + n - 1) * size;
  for (let d = 0; d < size; d++) out[d] = mu[at + d] + spread * Math.sqrt(variance[at + d]) * eps[c * size + d];
  return out;
}

/** Root mean variance of the content of group `c` after `n` pictures. */
export function deviation({ variance }, c, n) {
  const [, most, size] = variance.shape;
  const at = (c * most + n - 1) * size;
  return Math.sqrt(variance.subarray(at, at + size).reduce((a, v) => a + v, 0) / size);
}

class View {
  constructor({ root, send }) {
    this.box = root.appendChild(el("div", { class: "swap" }));
    this.out = outbox(send);
    this.render = onFrame(() => this.draw());
  }

  update(spec, arrays, [program]) {
    const fresh = this.spec?.key !== spec.key;
    Object.assign(this, { spec, arrays, program });
    if (fresh) this.build();
    this.render();
  }

  build() {
    const { spec, arrays } = this;
    const { texts } = spec;
    const [groups, most] = arrays.mu.shape;
    const across = arrays.styles.shape[0];
    const canvas = () => el("canvas", { class: "digit", width: SIDE, height: SIDE });
    this.slider = el("input", { type: "range", min: 1, max: most, step: 1, value: spec.count, "aria-label": texts.slider });
    this.slider.oninput = () => this.render();
    this.slider.onchange = () => this.out.later(() => ({ count: +this.slider.value }));
    this.said = el("output");
    this.heads = Array.from({ length: across }, canvas);
    this.members = Array.from({ length: groups }, canvas);
    this.spreads = Array.from({ length: groups }, () => el("span", { class: "spread" }));
    this.cells = Array.from({ length: groups * across }, canvas);
    const rows = this.members.map((member, c) =>
      el("div", { class: "line" }, el("div", { class: "head" }, member, this.spreads[c]), ...this.cells.slice(c * across, (c + 1) * across)),
    );
    const grid = el("div", { class: "grid", role: "img", "aria-label": texts.grid }, el("div", { class: "line heads" }, el("div", { class: "head", textContent: texts.corner }), ...this.heads), ...rows);
    grid.style.setProperty("--across", across);
    this.box.replaceChildren(el("label", { class: "knob" }, el("span", { textContent: texts.slider }), this.slider, this.said), grid);
    this.code = new Float32Array(arrays.mu.shape[2] + arrays.styles.shape[1]);
  }

  draw() {
    const { arrays, spec, code } = this;
    const n = +this.slider.value;
    const [groups, most, size] = arrays.mu.shape;
    const [across, width] = arrays.styles.shape;
    const pixels = (array, i) => Float32Array.from(array.subarray(i * SIDE * SIDE, (i + 1) * SIDE * SIDE), (v) => v / 255);
    if (arrays.heads.length) this.heads.forEach((canvas, s) => paint(canvas, pixels(arrays.heads, s)));
    this.heads.forEach((canvas) => canvas.classList.toggle("none", !arrays.heads.length));
    let all = 0;
    for (let c = 0; c < groups; c++) {
      paint(this.members[c], pixels(arrays.members, c * most + n - 1));
      const wide = deviation(arrays, c, n);
      all += wide / groups;
      this.spreads[c].textContent = `±${wide.toFixed(2)}`;
      contentOf(arrays, c, n, spec.spread, code.subarray(0, size));
      for (let s = 0; s < across; s++) {
        code.set(arrays.styles.subarray(s * width, (s + 1) * width), size);
        paint(this.cells[c * across + s], this.program.decode(code));
      }
    }
    this.said.textContent = fill(spec.texts.said, { count: n, spread: all.toFixed(2) });
    this.slider.setAttribute("aria-valuetext", this.said.textContent);
  }

  destroy() {
    this.render.cancel();
    this.out.close();
    this.box.remove();
  }
}

export const mount = (ctx) => new View(ctx);
