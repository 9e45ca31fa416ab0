// A plane that can be pointed at: picture, points and marks below, crosshair above (aevae/ui/digit/canvas.py).
// A choice goes to Python as {x, y}. The element fires the event "plane:move" with detail {x, y} (null when the pointer
// leaves) at every move, at most once a frame, so that something else in the page can follow without asking Python.

import { classColours } from "../live/canvas.js";
import { onFrame } from "../live/page.js";

// ---- pure parts (tested with node) --------------------------------------------------------------------------------

/** Where the plane lies in a box of `width` x `height` pixels; `aspect` (wide / high) keeps its shape, 0 fills. */
export function fit(width, height, aspect) {
  if (!aspect) return { x: 0, y: 0, w: width, h: height };
  const w = Math.min(width, height * aspect);
  return { x: (width - w) / 2, y: (height - w / aspect) / 2, w, h: w / aspect };
}

/** Height in pixels of the canvas for its width; without a given height the shape decides. */
export function heightFor(width, height, aspect) {
  if (!height) return width / (aspect || 1);
  return aspect ? Math.min(height, width / aspect) : height;
}

/** The nearest allowed place: inside the extent [x0, x1, y0, y1], in the middle of a cell [w, h] if there are cells. */
export function snap(at, extent, cell) {
  const [x0, x1, y0, y1] = extent;
  const one = (v, a, b, step) => {
    const t = Math.min(Math.max((v - a) / (b - a), 0), 1);
    if (!step) return a + t * (b - a);
    const n = Math.max(1, Math.round(Math.abs(b - a) / step));
    return a + ((Math.min(Math.floor(t * n), n - 1) + 0.5) * (b - a)) / n;
  };
  return { x: one(at.x, x0, x1, cell && cell[0]), y: one(at.y, y0, y1, cell && cell[1]) };
}

/** One step of an arrow key; null for another key. Up is up on the screen. */
export function step(at, key, far, extent, cell) {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
  if (!way) return null;
  const [x0, x1, y0, y1] = extent;
  const part = far ? 10 : 50;
  const many = far ? 5 : 1;
  const [w, h] = cell ? [cell[0] * many, cell[1] * many] : [Math.abs(x1 - x0) / part, Math.abs(y1 - y0) / part];
  const to = { x: at.x + way[0] * w * Math.sign(x1 - x0), y: at.y + way[1] * h * Math.sign(y1 - y0) };
  return snap(to, extent, cell);
}

/** Number of the cell at a place, row by row from the top left. */
export function cellIndex(at, extent, cell) {
  const [x0, x1, , y1] = extent;
  const columns = Math.round(Math.abs(x1 - x0) / cell[0]);
  const column = Math.floor(Math.abs(at.x - x0) / cell[0]);
  return Math.floor(Math.abs(y1 - at.y) / cell[1]) * columns + column;
}

// ---- the view -----------------------------------------------------------------------------------------------------

class View {
  constructor({ root, send }) {
    this.root = document.createElement("div");
    this.root.className = "plane";
    this.root.tabIndex = 0;
    this.root.setAttribute("role", "application");
    this.root.innerHTML =
      '<canvas></canvas><div class="read" aria-hidden="true"></div><div class="aloud" aria-live="polite"></div>';
    root.append(this.root);
    [this.canvas, this.read, this.aloud] = this.root.children;
    this.send = send;
    this.base = document.createElement("canvas"); // everything that does not follow the pointer
    this.hover = null;
    this.value = null;
    this.picture = null;
    this.pictureId = "";
    this.follow = onFrame(() => this.moved());
    this.canvas.onpointermove = (event) => this.move(this.place(event));
    this.canvas.onpointerleave = () => this.move(null);
    this.canvas.onclick = (event) => this.pick(this.place(event));
    this.root.onkeydown = (event) => this.key(event);
    this.root.onblur = () => this.move(null);
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(this.root);
  }

  update(header, { background, points, classes }) {
    Object.assign(this, { header, points, classes, png: background });
    this.value = header.value ? { x: header.value[0], y: header.value[1] } : null;
    this.root.setAttribute("aria-label", header.label);
    this.read.hidden = !header.read;
    if (!header.picture) this.picture = null;
    else if (header.picture !== this.pictureId) this.decode(header.picture);
    this.pictureId = header.picture;
    this.layout();
  }

  destroy() {
    this.observer.disconnect();
    this.follow.cancel();
  }

  async decode(id) {
    const picture = await createImageBitmap(new Blob([this.png], { type: "image/png" }));
    if (id !== this.pictureId) return; // a newer one came meanwhile
    this.picture = picture;
    this.layout();
  }

  layout() {
    const width = this.root.clientWidth;
    if (!this.header || !width) return;
    const h = this.header;
    const shown = h.maxWidth ? Math.min(width, h.maxWidth) : width;
    const height = heightFor(shown, h.height, h.aspect);
    this.ratio = window.devicePixelRatio || 1;
    this.size = { w: shown, h: height };
    const box = fit(shown - 2, height - 2, h.aspect);
    this.box = { ...box, x: box.x + 1, y: box.y + 1 };
    for (const c of [this.canvas, this.base]) {
      c.width = Math.round(shown * this.ratio);
      c.height = Math.round(height * this.ratio);
    }
    this.canvas.style.width = `${shown}px`;
    this.canvas.style.height = `${height}px`;
    this.paint();
  }

  colour(name) {
    return getComputedStyle(this.root).getPropertyValue(name).trim() || "gray";
  }

  /** Plane -> CSS pixels. */
  px(x, y) {
    const [x0, x1, y0, y1] = this.header.extent;
    const b = this.box;
    return [b.x + ((x - x0) / (x1 - x0)) * b.w, b.y + ((y1 - y) / (y1 - y0)) * b.h];
  }

  /** Pointer -> plane, snapped. */
  place(event) {
    if (!this.box) return null;
    const [x0, x1, y0, y1] = this.header.extent;
    const at = this.canvas.getBoundingClientRect();
    const u = (event.clientX - at.left - this.box.x) / this.box.w;
    const v = (event.clientY - at.top - this.box.y) / this.box.h;
    if (Math.max(Math.abs(u - 0.5), Math.abs(v - 0.5)) > 0.53) return null; // beside the plane
    return snap({ x: x0 + u * (x1 - x0), y: y1 + v * (y0 - y1) }, this.header.extent, this.header.cell);
  }

  paint() {
    const g = this.base.getContext("2d");
    const { box: b, size, header: h } = this;
    g.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    g.clearRect(0, 0, size.w, size.h);
    if (this.picture) {
      g.imageSmoothingEnabled = false;
      g.drawImage(this.picture, b.x, b.y, b.w, b.h);
    }
    if (h.frame) {
      g.strokeStyle = this.colour("--st-border-color");
      g.strokeRect(b.x - 0.5, b.y - 0.5, b.w + 1, b.h + 1);
    }
    const r = h.radius, palette = classColours(this.root);
    g.globalAlpha = 0.95;
    for (let i = 0; i < this.points.length / 2; i++) {
      const [x, y] = this.px(this.points[2 * i], this.points[2 * i + 1]);
      g.fillStyle = this.classes.length ? palette[this.classes[i] % palette.length] : this.colourOnce();
      g.beginPath();
      g.arc(x, y, r, 0, 6.2832);
      g.fill();
    }
    g.globalAlpha = 1;
    for (const mark of h.marks) this.mark(g, mark);
    this.ink = null;
    this.draw();
  }

  colourOnce() {
    return (this.ink ??= this.colour("--st-text-color"));
  }

  mark(g, { x, y, label }) {
    const [px, py] = this.px(x, y);
    const paper = this.colour("--st-background-color");
    g.beginPath();
    g.arc(px, py, 6, 0, 6.2832);
    g.lineWidth = 4;
    g.strokeStyle = paper;
    g.stroke();
    g.lineWidth = 2;
    g.strokeStyle = this.colour("--st-primary-color");
    g.stroke();
    if (!label) return;
    g.font = `600 13px ${this.colour("--st-font")}`;
    g.textAlign = px > this.box.x + this.box.w * 0.8 ? "right" : "left";
    const tx = px + (g.textAlign === "right" ? -10 : 10);
    g.lineWidth = 4;
    g.strokeStyle = paper;
    g.strokeText(label, tx, py + 4);
    g.fillStyle = this.colour("--st-text-color");
    g.fillText(label, tx, py + 4);
  }

  draw() {
    const g = this.canvas.getContext("2d");
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, this.canvas.width, this.canvas.height);
    g.drawImage(this.base, 0, 0);
    g.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    const accent = this.colour("--st-primary-color");
    const paper = this.colour("--st-background-color");
    if (this.header.cell) {
      if (this.value) this.frame(g, this.value, 3, accent, paper);
      if (this.hover) this.frame(g, this.hover, 1.5, accent, paper);
    } else {
      if (this.value) this.mark(g, { ...this.value, label: this.header.valueLabel });
      if (this.hover) this.cross(g, this.hover, accent);
    }
  }

  /** A line around a cell, with a thin line of paper inside so that it shows on white and on black. */
  frame(g, at, width, colour, paper) {
    const [w, h] = this.header.cell;
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
    const { names, cell, extent } = this.header;
    if (names.length && cell) return names[cellIndex(at, extent, cell)] ?? "";
    return `${at.x.toFixed(2)}, ${at.y.toFixed(2)}`;
  }

  move(at) {
    this.hover = at;
    this.follow();
  }

  moved() {
    if (!this.box) return;
    this.read.textContent = this.hover ? this.words(this.hover) : "";
    this.draw();
    this.root.dispatchEvent(new CustomEvent("plane:move", { detail: this.hover, bubbles: true, composed: true }));
  }

  key(event) {
    const { extent, cell } = this.header;
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
    if (this.header.count && cellIndex(at, this.header.extent, this.header.cell) >= this.header.count) return;
    this.value = at;
    this.aloud.textContent = `${this.header.chosen} ${this.words(at)}`;
    this.draw();
    this.send(at);
  }
}

export function mount(ctx) {
  return new View(ctx);
}
