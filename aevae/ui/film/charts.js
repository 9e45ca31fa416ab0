// The charts of a film: the cloud of codes, the loss terms, numbers of a code as bars.

import { disc, fitToBox, strokeOnPaper, TURN } from "../live/canvas.js";
import { clamp } from "../live/maths.js";
import { curveRange, shortNumber } from "./timeline.js";

const LABEL = "12px sans-serif"; // the ends of a curve's axis

/** Paint the codes of a frame (interpolated to the next), circles of the prior, the posterior of the chosen image. */
export function drawCloud(canvas, view, ink) {
  const box = fitToBox(canvas);
  if (!box) return;
  const { g, width: w, height: h } = box;
  const [x0, x1, y0, y1] = view.bounds;
  const sx = (x) => ((x - x0) / (x1 - x0)) * w, sy = (y) => (1 - (y - y0) / (y1 - y0)) * h;
  const unit = w / (x1 - x0);
  const { xy: from } = view.frame, { xy: to } = view.next, size = Math.max(2, w / 130);
  const at = (i) => {
    const [x, y] = [2 * i, 2 * i + 1].map((k) => from[k] + view.part * (to[k] - from[k]));
    return [sx(x), sy(y)];
  };
  g.strokeStyle = ink.line;
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(sx(0), 0);
  g.lineTo(sx(0), h);
  g.moveTo(0, sy(0));
  g.lineTo(w, sy(0));
  g.stroke();
  g.globalAlpha = 0.95;
  for (const [colour, points] of view.classes) {
    g.fillStyle = ink.classes[colour];
    g.beginPath();
    for (const i of points) {
      const [x, y] = at(i);
      g.moveTo(x + size, y);
      g.arc(x, y, size, 0, TURN);
    }
    g.fill();
  }
  g.strokeStyle = ink.ink; // painted above the points
  g.globalAlpha = 0.45;
  for (const r of view.prior ? [1, 2] : []) {
    g.beginPath();
    g.arc(sx(0), sy(0), r * view.prior * unit, 0, TURN);
    g.stroke();
  }
  g.globalAlpha = 1;
  const { a, b, angle } = view.ellipse ?? { a: 0, b: 0, angle: 0 };
  g.beginPath();
  g.ellipse(...at(view.chosen), Math.max(a * unit, 7), Math.max(b * unit, 7), -angle, 0, TURN);
  strokeOnPaper(g, ink.ink, ink.paper, 2.5);
}

/**
 * Paint lines {values, places, colour, dash, now} over positions 0..end of the time bar, the current `place`, and the
 * ends of the vertical axis.
 */
export function drawCurve(canvas, lines, place, end, ink) {
  const box = fitToBox(canvas);
  if (!box) return;
  const { g, width: w, height: h } = box;
  const ranges = lines.map((line) => curveRange(line.values));
  const low = Math.min(...ranges.map((r) => r[0])), high = Math.max(...ranges.map((r) => r[1]));
  const px = (p) => 4 + (p / Math.max(end, 1)) * (w - 8);
  const py = (v) => 5 + (1 - clamp((v - low) / (high - low), -0.2, 1.2)) * (h - 10);
  g.strokeStyle = ink.line;
  g.beginPath();
  g.moveTo(px(place), 0);
  g.lineTo(px(place), h);
  g.stroke();
  g.fillStyle = ink.ink;
  g.font = LABEL;
  g.textAlign = "right";
  for (const [value, baseline, y] of [[high, "top", 4], [low, "bottom", h - 4]]) {
    g.textBaseline = baseline;
    g.fillText(shortNumber(value), w - 6, y);
  }
  for (const line of lines) {
    g.strokeStyle = g.fillStyle = line.colour;
    g.lineWidth = 2;
    g.setLineDash(line.dash ? [5, 4] : []);
    g.beginPath();
    line.values.forEach((v, i) => g.lineTo(px(line.places[i]), py(v)));
    g.stroke();
    g.setLineDash([]);
    disc(g, [px(Math.min(place, line.places.at(-1))), py(line.now)], 4);
  }
}

/** Paint bars of D values around zero. spread: half lengths of whiskers; level: a reference line. */
export function drawBars(canvas, values, top, ink, { spread = null, level = null, floor = -top } = {}) {
  const box = fitToBox(canvas);
  if (!box) return;
  const { g, width: w, height: h } = box;
  const y = (v) => (1 - (clamp(v, floor, top) - floor) / (top - floor)) * (h - 2) + 1;
  const each = w / values.length, gap = each > 5 ? Math.min(each * 0.25, 6) : each > 2 ? 1 : 0;
  g.strokeStyle = ink.line;
  g.lineWidth = 1;
  for (const v of [0, ...(level === null ? [] : [level])]) {
    g.setLineDash(v ? [3, 3] : []);
    g.beginPath();
    g.moveTo(0, y(v));
    g.lineTo(w, y(v));
    g.stroke();
  }
  g.setLineDash([]);
  const most = Math.min(each - gap, 40);
  values.forEach((v, i) => {
    const x = i * each + (each - most) / 2;
    if (spread) {
      g.globalAlpha = 0.28;
      g.fillStyle = ink.accent;
      g.fillRect(x, y(v + spread[i]), most, Math.max(y(v - spread[i]) - y(v + spread[i]), 1));
      g.globalAlpha = 1;
      g.fillStyle = ink.accent;
      g.fillRect(x, y(v) - 1.5, most, 3);
    } else {
      g.fillStyle = ink.accent;
      g.fillRect(x, Math.min(y(v), y(0)), most, Math.max(Math.abs(y(v) - y(0)), 1));
    }
  });
}
