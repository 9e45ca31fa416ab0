// Paints the live plane. The base is painted once: codes or decoded images, axes, corners. The layer above it follows the
// pointer: posterior, path, pins, current position.

import {
  classColours, clearedContext, disc, framedImage, imageAt, paint, pixelIn, pixelRatio, resize, ring, SIDE,
  strokeOnPaper, themeColours,
} from "../live/canvas.js";
import { element } from "../live/dom.js";
import { clamp, ellipse } from "../live/maths.js";
import { PIN_SIDE } from "./plane_map.js";
import { outline, projectedCovariance, ticks } from "./planes.js";

const MAX_WIDTH = 470; // CSS pixels of the plane with its margins
const MARGIN = { left: 34, right: 8, top: 8, bottom: 24 };

export class PlanePainter {
  constructor({ maxWidth = MAX_WIDTH, margin = MARGIN } = {}) {
    this.maxWidth = maxWidth;
    this.margin = margin;
    this.canvas = element("canvas", { class: "field", tabIndex: 0, role: "application" });
    this.base = element("canvas");
    this.sheet = element("canvas"); // decoded images, 28 pixels a cell
    this.corners = [0, 1, 2].map(() => element("canvas", { width: SIDE, height: SIDE }));
    this.field = null; // {x, y, w, h} in CSS pixels, once it has a size
  }

  /** False while there is no room. */
  layout(available) {
    const width = Math.min(available, this.maxWidth), { margin } = this;
    if (!width) return false;
    const w = width - margin.left - margin.right, height = w + margin.top + margin.bottom;
    this.field = { x: margin.left, y: margin.top, w, h: w };
    resize([this.canvas, this.base], width, height);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    return true;
  }

  /** Position on the plane -> CSS pixels. */
  px(map, place) {
    const { x, y, w, h } = this.field, [u, v] = map.toField(place);
    return [x + u * w, y + (1 - v) * h];
  }

  /** Pointer -> CSS pixels of the canvas. */
  pixelOf(event) {
    const { x, y } = pixelIn(this.canvas, event);
    return [x, y];
  }

  /** Pointer -> position on the plane, clamped to the field. */
  placeOf(map, event) {
    const [x, y] = this.pixelOf(event), f = this.field;
    return map.fromField([clamp((x - f.x) / f.w), 1 - clamp((y - f.y) / f.h)]);
  }

  // -- the base

  /** behind: "codes" or "pictures" (decoded images, on `sheet`); cornerImages: bytes of the three digits. */
  paintBase(map, behind, cornerImages) {
    const g = clearedContext(this.base), f = this.field;
    this.theme = themeColours(this.canvas);
    if (map.plane) {
      if (behind === "pictures") this.paintSheet(g);
      else this.paintPoints(g, map);
      if (map.dims) this.paintAxes(g, map);
      else this.paintCorners(g, map, cornerImages);
    }
    g.strokeStyle = this.theme.line;
    g.lineWidth = 1;
    g.strokeRect(f.x - 0.5, f.y - 0.5, f.w + 1, f.h + 1);
  }

  clipToField(g) {
    const f = this.field;
    g.save();
    g.beginPath();
    g.rect(f.x, f.y, f.w, f.h);
    g.clip();
  }

  paintPoints(g, map) {
    this.clipToField(g);
    const palette = classColours(this.canvas), radius = map.points.length > 2000 ? 1.8 : 2.6;
    for (const i of map.byDepth) {
      g.globalAlpha = map.opacity[i];
      g.fillStyle = palette[map.labels[i] % palette.length];
      disc(g, this.px(map, map.points[i]), radius);
    }
    g.restore();
  }

  paintSheet(g) {
    const f = this.field;
    g.fillStyle = "#000";
    g.fillRect(f.x, f.y, f.w, f.h);
    g.imageSmoothingEnabled = this.sheet.width > f.w * pixelRatio();
    g.drawImage(this.sheet, f.x, f.y, f.w, f.h);
  }

  paintAxes(g, map) {
    const f = this.field, [x, y] = map.dims, { ink, font } = this.theme, max = f.w < 300 ? 4 : 6;
    const ticksOf = (axis) => ticks(axis.value(0), axis.value(1), max);
    g.font = `12px ${font}`;
    g.fillStyle = ink;
    g.globalAlpha = 0.7;
    g.textBaseline = "middle";
    g.textAlign = "right";
    for (const v of ticksOf(map.up)) g.fillText(v, f.x - 6, this.px(map, [0, v])[1]);
    g.textAlign = "center";
    for (const v of ticksOf(map.across)) g.fillText(v, this.px(map, [v, 0])[0], f.y + f.h + 11);
    g.globalAlpha = 1;
    g.font = `600 13px ${font}`;
    this.textOnPaper(g, `z${x} →`, f.x + f.w - 4, f.y + f.h - 4, "right");
    this.textOnPaper(g, `z${y} ↑`, f.x + 4, f.y + 24, "left");
  }

  paintCorners(g, map, images) {
    this.corners.forEach((canvas, i) => {
      paint(canvas, imageAt(images, i), 255);
      this.frame(g, canvas, this.px(map, map.project(map.corners[i])), this.theme.ink);
    });
  }

  /** A text on paper, its bottom at y. */
  textOnPaper(g, text, x, y, align) {
    const width = g.measureText(text).width + 8, isRight = align === "right";
    g.fillStyle = this.theme.paper;
    g.fillRect(isRight ? x - width : x, y - 20, width, 20);
    g.fillStyle = this.theme.ink;
    g.textAlign = align;
    g.fillText(text, isRight ? x - 4 : x + 4, y - 10);
  }

  frame(g, image, at, colour) {
    framedImage(g, image, at, PIN_SIDE, colour, this.theme.paper);
  }

  // -- the layer that follows the pointer

  /** belief: {mu, logvar} of the chosen digit, or null; path: places, or null; pins: [{place, image}]; z: the code. */
  paint(map, { belief, path, pins, z }) {
    const g = clearedContext(this.canvas, 1), { accent, paper } = this.theme;
    g.drawImage(this.base, 0, 0);
    if (!map.plane) return;
    g.setTransform(pixelRatio(), 0, 0, pixelRatio(), 0, 0);
    this.clipToField(g);
    if (belief) this.paintBelief(g, map, belief);
    if (path) this.stroke(g, map, path, false, accent, 2.5);
    for (const { image, place } of pins) this.frame(g, image, this.px(map, place), accent);
    ring(g, this.px(map, map.project(z)), 7, accent, paper);
    g.restore();
  }

  /** The mean of a posterior and its one and two standard deviations. */
  paintBelief(g, map, { mu, logvar }) {
    const middle = map.project(mu), [x, y] = this.px(map, middle), { ink, paper } = this.theme;
    if (logvar) {
      const shape = ellipse(projectedCovariance(map.plane, logvar.map(Math.exp)));
      for (const [k, width] of [[1, 2], [2, 1.25]]) this.stroke(g, map, outline(middle, shape, k), true, ink, width);
    }
    g.fillStyle = paper;
    g.fillRect(x - 4, y - 4, 8, 8);
    g.fillStyle = ink;
    g.fillRect(x - 2.5, y - 2.5, 5, 5);
  }

  /** A line through places. */
  stroke(g, map, places, isClosed, colour, width) {
    g.beginPath();
    for (const place of places) g.lineTo(...this.px(map, place));
    if (isClosed) g.closePath();
    g.lineJoin = g.lineCap = "round";
    strokeOnPaper(g, colour, this.theme.paper, width);
  }
}
