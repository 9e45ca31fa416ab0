// Points in the plane with outliers, and the lines that minimise the squared and the absolute error.
import { disc, fitToBox, onArrows, onDrag, placeIn, themeColours } from "../../live/canvas.js";
import { element, fill, slider } from "../../live/dom.js";
import { clamp } from "../../live/maths.js";
import { Stage } from "../../live/page.js";

const HALF_WIDTH = 5, HALF_HEIGHT = 3.2; // half size of the plane

// ---- pure parts: points x, y, x, y, ... ---------------------------------------------------------------------------

/** The line of least squared distances (PCA): its angle (radians, 0..pi) and a point of it. */
export function squaredLine(points) {
  const n = points.length / 2;
  let x = 0, y = 0, xx = 0, xy = 0, yy = 0;
  for (let i = 0; i < n; i++) {
    x += points[2 * i] / n;
    y += points[2 * i + 1] / n;
  }
  for (let i = 0; i < n; i++) {
    const dx = points[2 * i] - x, dy = points[2 * i + 1] - y;
    xx += dx * dx;
    xy += dx * dy;
    yy += dy * dy;
  }
  const angle = Math.atan2(2 * xy, xx - yy) / 2;
  return { angle: (angle + Math.PI) % Math.PI, x, y };
}

/** Median of sorted numbers. */
export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/**
 * The line that minimises the sum of |x - x_hat| + |y - y_hat|. The optimal code fits the coordinate in which the line is
 * steepest exactly, so |n (p - b)| / max(|n|) remains, n the normal; the optimal offset is a median.
 */
export function absoluteLine(points, steps = 360) {
  const n = points.length / 2, along = new Float64Array(n);
  let best = { cost: Infinity };
  for (let s = 0; s < steps; s++) {
    const angle = (s * Math.PI) / steps, nx = -Math.sin(angle), ny = Math.cos(angle);
    for (let i = 0; i < n; i++) along[i] = nx * points[2 * i] + ny * points[2 * i + 1];
    const middle = median(along);
    let cost = 0;
    for (const v of along) cost += Math.abs(v - middle);
    cost /= Math.max(Math.abs(nx), Math.abs(ny));
    if (cost < best.cost) best = { cost, angle, x: nx * middle, y: ny * middle };
  }
  return best;
}

/** Degrees between two lines, 0..90. */
export function between(a, b) {
  const d = (Math.abs(a - b) * 180) / Math.PI;
  return Math.min(d, 180 - d);
}

/** The points of a cloud and the first `count` outliers around x, y. */
export function all(points, offsets, { count, x, y }) {
  const out = Float32Array.from([...points, ...offsets.subarray(0, 2 * count)]);
  for (let i = points.length; i < out.length; i += 2) {
    out[i] += x;
    out[i + 1] += y;
  }
  return out;
}

// ---- the view -----------------------------------------------------------------------------------------------------

class PcaOutliers extends Stage {
  create({ outbox, root }) {
    const rounded = () => ({ count: this.at.count, x: +this.at.x.toFixed(2), y: +this.at.y.toFixed(2) });
    const input = () => {
      this.at.count = +this.slider.input.value;
      this.show();
    };
    this.slider = slider({ min: 0, step: 1 }, { input, change: () => outbox.postLater(rounded) });
    this.canvas = element("canvas", { tabIndex: 0, role: "application" });
    this.legend = element("div", { class: "legend", role: "status" });
    root.append(this.slider.box, this.canvas, this.legend);
    this.onResize();
    onDrag(this.canvas, "tap", {
      start: () => (this.at.count ||= 3),
      move: (event) => {
        const { x, y } = placeIn(this.canvas, event);
        this.go((2 * x - 1) * HALF_WIDTH, (1 - 2 * y) * HALF_HEIGHT);
      },
      done: () => outbox.post(rounded()),
    });
    onArrows(this.canvas, (right, up) => {
      this.go(this.at.x + right / 4, this.at.y + up / 4);
      outbox.postLater(rounded);
    });
  }

  build({ spec }) {
    this.at = { ...spec.at };
  }

  refresh({ spec, arrays }) {
    this.slider.input.max = arrays.offsets.length / 2;
    this.slider.name.textContent = spec.texts.outliers;
    this.canvas.setAttribute("aria-label", spec.texts.plane);
  }

  /** Move the centre of the outliers. */
  go(x, y) {
    this.at.x = clamp(x, 0.4 - HALF_WIDTH, HALF_WIDTH - 0.4);
    this.at.y = clamp(y, 0.4 - HALF_HEIGHT, HALF_HEIGHT - 0.4);
    this.show();
  }

  draw({ spec, arrays }) {
    const unit = this.canvas.clientWidth / (2 * HALF_WIDTH), box = fitToBox(this.canvas, 2 * HALF_HEIGHT * unit);
    if (!box) return;
    const { g } = box;
    g.transform(unit, 0, 0, -unit, unit * HALF_WIDTH, unit * HALF_HEIGHT);
    const points = all(arrays.points, arrays.offsets, this.at), { ink } = themeColours(this.root);
    for (let i = 0; i < points.length / 2; i++) {
      const far = i >= arrays.points.length / 2;
      g.globalAlpha = far ? 1 : 0.55;
      g.fillStyle = far ? spec.colours.outlier : ink;
      disc(g, [points[2 * i], points[2 * i + 1]], (far ? 4.5 : 3) / unit);
    }
    g.globalAlpha = 1;
    const lines = { squared: squaredLine(points), absolute: absoluteLine(points) };
    for (const [name, line] of Object.entries(lines)) {
      const dx = 12 * Math.cos(line.angle), dy = 12 * Math.sin(line.angle);
      g.strokeStyle = spec.colours[name];
      g.lineWidth = 2.5 / unit;
      g.setLineDash(name === "absolute" ? [9 / unit, 5 / unit] : []);
      g.beginPath();
      g.moveTo(line.x - dx, line.y - dy);
      g.lineTo(line.x + dx, line.y + dy);
      g.stroke();
    }
    g.setLineDash([]);
    this.slider.input.value = this.at.count;
    this.slider.say(fill(spec.texts.of, { n: this.at.count, all: points.length / 2 }));
    this.explain(lines, squaredLine(arrays.points).angle);
  }

  /** Show the rotation of each line relative to the data without outliers. */
  explain(lines, clean) {
    const { colours, texts } = this.spec;
    const entries = Object.entries(lines).map(([name, { angle }]) => {
      const text = fill(texts[name], { degrees: between(angle, clean).toFixed(0) });
      return element("span", { class: name }, element("b", { style: `color: ${colours[name]}` }), text);
    });
    const dot = element("b", { style: `color: ${colours.outlier}` });
    this.legend.replaceChildren(...entries, element("span", { class: "outlier" }, dot, texts.outlier));
  }
}

export const mount = (ctx) => new PcaOutliers(ctx, "pca_outliers");
