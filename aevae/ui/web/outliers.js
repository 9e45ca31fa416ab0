// Points in the plane, some of them far out, and the two lines that squares and absolute values find through them.
import { onFrame, outbox } from "./core.js";
import { el, fill } from "./dom.js";

const REACH = 5; // the plane is -REACH..REACH wide
const HIGH = 3.2;

// ---- pure parts: points x, y, x, y, ... ---------------------------------------------------------------------------

/** The line of least sum of squared distances: its angle (radians, 0..pi) and a point of it. PCA in two dimensions. */
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

/** Middle of sorted numbers. */
export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/**
 * The line of least sum |x - x_hat| + |y - y_hat|, x_hat its best point for each. The best code fits the coordinate in
 * which the line runs fastest exactly, so that |n (p - b)| / max(|n|) is left, n the normal; the best offset is a median.
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

/** The points of a cloud and the first `count` of the outliers about their middle. */
export function all(points, offsets, { count, x, y }) {
  const out = Float32Array.from([...points, ...offsets.subarray(0, 2 * count)]);
  for (let i = points.length; i < out.length; i += 2) {
    out[i] += x;
    out[i + 1] += y;
  }
  return out;
}

const clip = (v, most) => Math.min(Math.max(v, -most), most);

// ---- the view -----------------------------------------------------------------------------------------------------

export function mount({ root, send }) {
  const box = root.appendChild(el("div", { class: "outliers" }));
  const out = outbox(send);
  const show = onFrame(draw);
  let now = null, at = { count: 0, x: 0, y: 0 }, held = false;
  const rounded = () => ({ count: at.count, x: +at.x.toFixed(2), y: +at.y.toFixed(2) });
  const slider = el("input", { type: "range", min: 0, step: 1 });
  slider.oninput = () => {
    at.count = +slider.value;
    show();
  };
  slider.onchange = () => out.later(rounded);
  const canvas = el("canvas", { tabIndex: 0, role: "application", "data-finger": "tap" });
  const what = el("span", { class: "what" }), said = el("output"), legend = el("div", { class: "legend", role: "status" });
  box.append(el("label", { class: "knob" }, what, slider, said), canvas, legend);
  const watch = new ResizeObserver(show);
  watch.observe(box);

  const unit = () => canvas.clientWidth / (2 * REACH);
  function move(event) {
    const where = canvas.getBoundingClientRect();
    at.x = clip((event.clientX - where.left) / unit() - REACH, REACH - 0.4);
    at.y = clip(HIGH - (event.clientY - where.top) / unit(), HIGH - 0.4);
    show();
  }
  canvas.onpointerdown = (event) => {
    held = true;
    canvas.setPointerCapture(event.pointerId);
    if (!at.count) slider.value = at.count = 3;
    move(event);
  };
  canvas.onpointermove = (event) => held && move(event);
  canvas.onpointerup = canvas.onpointercancel = () => {
    if (held) out.post(rounded());
    held = false;
  };
  canvas.onkeydown = (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way) return;
    event.preventDefault();
    at = { ...at, x: clip(at.x + way[0] / 4, REACH - 0.4), y: clip(at.y + way[1] / 4, HIGH - 0.4) };
    show();
    out.later(rounded);
  };

  function draw() {
    if (!now || !box.clientWidth) return;
    const { spec, arrays } = now;
    const ratio = window.devicePixelRatio || 1, u = canvas.clientWidth / (2 * REACH);
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(2 * HIGH * u * ratio);
    const g = canvas.getContext("2d");
    g.setTransform(ratio * u, 0, 0, -ratio * u, ratio * u * REACH, ratio * u * HIGH);
    const points = all(arrays.points, arrays.offsets, at);
    const ink = getComputedStyle(box).color;
    for (let i = 0; i < points.length / 2; i++) {
      const far = i >= arrays.points.length / 2;
      g.globalAlpha = far ? 1 : 0.55;
      g.fillStyle = far ? spec.colours.outlier : ink;
      g.beginPath();
      g.arc(points[2 * i], points[2 * i + 1], (far ? 4.5 : 3) / u, 0, 7);
      g.fill();
    }
    g.globalAlpha = 1;
    const lines = { squared: squaredLine(points), absolute: absoluteLine(points) };
    for (const [name, line] of Object.entries(lines)) {
      const dx = 12 * Math.cos(line.angle), dy = 12 * Math.sin(line.angle);
      g.strokeStyle = spec.colours[name];
      g.lineWidth = 2.5 / u;
      g.setLineDash(name === "absolute" ? [9 / u, 5 / u] : []);
      g.beginPath();
      g.moveTo(line.x - dx, line.y - dy);
      g.lineTo(line.x + dx, line.y + dy);
      g.stroke();
    }
    g.setLineDash([]);
    what.textContent = spec.texts.outliers;
    said.textContent = fill(spec.texts.of, { n: at.count, all: points.length / 2 });
    slider.setAttribute("aria-valuetext", said.textContent);
    const clean = squaredLine(arrays.points).angle;
    legend.replaceChildren(
      ...Object.entries(lines).map(([name, line]) =>
        el(
          "span",
          { class: name },
          el("b", { style: `background: ${spec.colours[name]}` }),
          fill(spec.texts[name], { degrees: between(line.angle, clean).toFixed(0) }),
        ),
      ),
    );
  }

  return {
    update(spec, arrays) {
      if (now === null) at = { ...spec.at };
      now = { spec, arrays };
      slider.max = arrays.offsets.length / 2;
      slider.value = at.count;
      canvas.setAttribute("aria-label", spec.texts.plane);
      show();
    },
    destroy() {
      show.cancel();
      out.close();
      watch.disconnect();
      box.remove();
    },
  };
}
