// A plane in which a point can be chosen: image, points and marks, with a crosshair (aevae/ui/digit/canvas.py).
// A choice is sent to Python as {x, y}. The element fires the event "plane:move" with detail {x, y} (null when the
// pointer leaves) at most once per frame, so that other modules can follow the pointer.

import {
  ARROWS, classColours, classDiscs, clearedContext, pixelIn, pixelRatio, resize, ring, themeColours,
} from "../live/canvas.js";
import { element } from "../live/dom.js";
import { clamp } from "../live/maths.js";
import { Stage } from "../live/page.js";

// ---- pure parts (tested with node) --------------------------------------------------------------------------------

/** Rectangle of the plane in a box of `width` x `height` pixels; aspect: width / height, 0: fill the box. */
export function fit(width, height, aspect) {
  if (!aspect) return { x: 0, y: 0, w: width, h: height };
  const w = Math.min(width, height * aspect);
  return { x: (width - w) / 2, y: (height - w / aspect) / 2, w, h: w / aspect };
}

/** Height of the canvas in pixels for a width, from the given height or from the aspect ratio. */
export function heightFor(width, height, aspect) {
  if (!height) return width / (aspect || 1);
  return aspect ? Math.min(height, width / aspect) : height;
}

/** The nearest allowed point: inside the extent [x0, x1, y0, y1], and in the middle of a cell [w, h] if there are cells. */
export function snap(at, extent, cell) {
  const [x0, x1, y0, y1] = extent;
  const one = (v, a, b, step) => {
    const t = clamp((v - a) / (b - a));
    if (!step) return a + t * (b - a);
    const n = Math.max(1, Math.round(Math.abs(b - a) / step));
    return a + ((Math.min(Math.floor(t * n), n - 1) + 0.5) * (b - a)) / n;
  };
  return { x: one(at.x, x0, x1, cell && cell[0]), y: one(at.y, y0, y1, cell && cell[1]) };
}

/** The point after an arrow key (up is up on the screen); null for another key. */
export function step(at, key, far, extent, cell) {
  const way = ARROWS[key];
  if (!way) return null;
  const [x0, x1, y0, y1] = extent;
  const part = far ? 10 : 50;
  const many = far ? 5 : 1;
  const [w, h] = cell ? [cell[0] * many, cell[1] * many] : [Math.abs(x1 - x0) / part, Math.abs(y1 - y0) / part];
  const to = { x: at.x + way[0] * w * Math.sign(x1 - x0), y: at.y + way[1] * h * Math.sign(y1 - y0) };
  return snap(to, extent, cell);
}

/** Index of the cell at a point, row by row from the top left. */
export function cellIndex(at, extent, cell) {
  const [x0, x1, , y1] = extent;
  const columns = Math.round(Math.abs(x1 - x0) / cell[0]);
  const column = Math.floor(Math.abs(at.x - x0) / cell[0]);
  return Math.floor(Math.abs(y1 - at.y) / cell[1]) * columns + column;
}

// ---- the view -----------------------------------------------------------------------------------------------------

class Plane extends Stage {
  create({ root }) {
    root.tabIndex = 0;
    root.setAttribute("role", "application");
    this.canvas = element("canvas");
    this.read = element("div", { class: "read", "aria-hidden": "true" });
    this.aloud = element("div", { class: "aloud", "aria-live": "polite" });
    root.append(this.canvas, this.read, this.aloud);
    this.base = element("canvas"); // the layer that does not depend on the pointer
    Object.assign(this, { hover: null, value: null, image: null, imageId: "" });
    this.canvas.onpointermove = (event) => this.move(this.place(event));
    this.canvas.onpointerleave = () => this.move(null);
    this.canvas.onclick = (event) => this.pick(this.place(event));
    root.onkeydown = (event) => this.key(event);
    root.onblur = () => this.move(null);
    this.onResize(() => this.layout());
  }

  refresh({ root, spec, arrays }) {
    this.value = spec.value ? { x: spec.value[0], y: spec.value[1] } : null;
    root.setAttribute("aria-label", spec.label);
    this.read.hidden = !spec.read;
    if (!spec.image) this.image = null;
    else if (spec.image !== this.imageId) this.decode(spec.image, arrays.background);
    this.imageId = spec.image;
    this.layout();
  }

  async decode(id, png) {
    const image = await createImageBitmap(new Blob([png], { type: "image/png" }));
    if (id !== this.imageId) return; // replaced by a newer image
    this.image = image;
    this.layout();
  }

  layout() {
    const available = this.root.clientWidth, { maxWidth, height: wanted, aspect } = this.spec;
    if (!available) return;
    const width = maxWidth ? Math.min(available, maxWidth) : available, height = heightFor(width, wanted, aspect);
    const box = fit(width - 2, height - 2, aspect);
    this.box = { ...box, x: box.x + 1, y: box.y + 1 };
    resize([this.canvas, this.base], width, height);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.paintBase();
  }

  /** Plane -> CSS pixels. */
  px(x, y) {
    const [x0, x1, y0, y1] = this.spec.extent;
    const b = this.box;
    return [b.x + ((x - x0) / (x1 - x0)) * b.w, b.y + ((y1 - y) / (y1 - y0)) * b.h];
  }

  /** Pointer -> plane, snapped. */
  place(event) {
    if (!this.box) return null;
    const [x0, x1, y0, y1] = this.spec.extent;
    const { x, y } = pixelIn(this.canvas, event);
    const u = (x - this.box.x) / this.box.w, v = (y - this.box.y) / this.box.h;
    if (Math.max(Math.abs(u - 0.5), Math.abs(v - 0.5)) > 0.53) return null; // outside the plane
    return snap({ x: x0 + u * (x1 - x0), y: y1 + v * (y0 - y1) }, this.spec.extent, this.spec.cell);
  }

  /** Image, points and marks. */
  paintBase() {
    const g = clearedContext(this.base), { box: b, spec, arrays: { points, classes } } = this;
    this.theme = themeColours(this.root);
    if (this.image) {
      g.imageSmoothingEnabled = false;
      g.drawImage(this.image, b.x, b.y, b.w, b.h);
    }
    if (spec.frame) {
      g.strokeStyle = this.theme.line;
      g.lineWidth = 1;
      g.strokeRect(b.x - 0.5, b.y - 0.5, b.w + 1, b.h + 1);
    }
    const palette = classes.length ? classColours(this.root) : [this.theme.ink], place = (x, y) => this.px(x, y);
    g.globalAlpha = 0.95;
    classDiscs(g, points, classes.length ? classes : new Uint8Array(points.length / 2), palette, place, spec.radius);
    g.globalAlpha = 1;
    for (const mark of spec.marks) this.mark(g, mark);
    this.paint();
  }

  mark(g, { x, y, label }) {
    const [px, py] = this.px(x, y), { ink, paper, accent, font } = this.theme;
    ring(g, [px, py], 6, accent, paper, 2, 1);
    if (!label) return;
    g.font = `600 13px ${font}`;
    g.textAlign = px > this.box.x + this.box.w * 0.8 ? "right" : "left";
    const tx = px + (g.textAlign === "right" ? -10 : 10);
    g.lineWidth = 4;
    g.strokeStyle = paper;
    g.strokeText(label, tx, py + 4);
    g.fillStyle = ink;
    g.fillText(label, tx, py + 4);
  }

  /** Paint the value and the crosshair above the base. */
  paint() {
    const g = clearedContext(this.canvas, 1), { accent, paper } = this.theme, { spec, value, hover } = this;
    g.drawImage(this.base, 0, 0);
    g.setTransform(pixelRatio(), 0, 0, pixelRatio(), 0, 0);
    if (spec.cell) {
      if (value) this.frame(g, value, 3, accent, paper);
      if (hover) this.frame(g, hover, 1.5, accent, paper);
    } else {
      if (value) this.mark(g, { ...value, label: spec.valueLabel });
      if (hover) this.cross(g, hover, accent);
    }
  }

  /** Paint a frame around a cell, with a thin inner line so that it is visible on white and black. */
  frame(g, at, width, colour, paper) {
    const [w, h] = this.spec.cell;
    const [ax, ay] = this.px(at.x - w / 2, at.y - h / 2);
    const [bx, by] = this.px(at.x + w / 2, at.y + h / 2);
    const x = Math.min(ax, bx), y = Math.min(ay, by), cw = Math.abs(bx - ax), ch = Math.abs(by - ay);
    g.lineWidth = 1;
    g.strokeStyle = paper;
    g.strokeRect(x + width + 0.5, y + width + 0.5, cw - 2 * width - 1, ch - 2 * width - 1);
    g.lineWidth = width;
    g.strokeStyle = colour;
    g.strokeRect(x + width / 2, y + width / 2, cw - width, ch - width);
  }

  cross(g, at, colour) {
    const [x, y] = this.px(at.x, at.y);
    const b = this.box;
    g.lineWidth = 1;
    g.strokeStyle = colour;
    g.beginPath();
    g.moveTo(b.x, y);
    g.lineTo(b.x + b.w, y);
    g.moveTo(x, b.y);
    g.lineTo(x, b.y + b.h);
    g.stroke();
  }

  words(at) {
    const { names, cell, extent } = this.spec;
    if (names.length && cell) return names[cellIndex(at, extent, cell)] ?? "";
    return `${at.x.toFixed(2)}, ${at.y.toFixed(2)}`;
  }

  move(at) {
    this.hover = at;
    this.hasMoved = true;
    this.show();
  }

  draw() {
    if (!this.box || !this.hasMoved) return;
    this.hasMoved = false;
    const words = this.hover ? this.words(this.hover) : "";
    this.read.textContent = words;
    if (!this.spec.read) this.canvas.title = words;
    this.paint();
    this.root.dispatchEvent(new CustomEvent("plane:move", { detail: this.hover, bubbles: true, composed: true }));
  }

  key(event) {
    const { extent, cell } = this.spec;
    const middle = { x: (extent[0] + extent[1]) / 2, y: (extent[2] + extent[3]) / 2 };
    const from = this.hover ?? this.value ?? snap(middle, extent, cell);
    const next = step(from, event.key, event.shiftKey, extent, cell);
    if (next) {
      this.move(next);
      this.aloud.textContent = this.words(next);
    } else if (event.key === "Enter" || event.key === " ") {
      this.pick(from);
    } else if (event.key === "Escape") {
      this.move(null);
    } else {
      return;
    }
    event.preventDefault();
  }

  pick(at) {
    if (!at) return;
    if (this.spec.count && cellIndex(at, this.spec.extent, this.spec.cell) >= this.spec.count) return;
    this.value = at;
    this.aloud.textContent = `${this.spec.chosen} ${this.words(at)}`;
    this.paint();
    this.send(at);
  }
}

export const mount = (ctx) => new Plane(ctx, "plane");
