// Strokes of a pen and their ink.

import { clamp } from "../live/maths.js";

export const BOARD = 280; // pixels a side
export const TENTHS = 10; // strokes are stored in tenths of a board pixel
export const FULL = BOARD * TENTHS; // side of the board in tenths; a captured pointer may leave the board by as much
export const MAX_STROKES = 200;
export const MAX_POINTS = 20_000; // points of all strokes together
const MIN_DISTANCE = 8; // tenths between two points
const MAX_UNDO = 200;

/** Add or erase the ink of a round pen from a to b ({x, y, r} in pixels). Returns the touched rows and columns. */
export function dab(ink, side, a, b, erase) {
  const x0 = Math.max(0, Math.floor(Math.min(a.x - a.r, b.x - b.r) - 1));
  const y0 = Math.max(0, Math.floor(Math.min(a.y - a.r, b.y - b.r) - 1));
  const x1 = Math.min(side, Math.ceil(Math.max(a.x + a.r, b.x + b.r) + 1));
  const y1 = Math.min(side, Math.ceil(Math.max(a.y + a.r, b.y + b.r) + 1));
  const dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy;
  for (let y = y0; y < y1; y++)
    for (let x = x0; x < x1; x++) {
      const px = x + 0.5 - a.x, py = y + 0.5 - a.y;
      const t = length ? clamp((px * dx + py * dy) / length) : 0;
      const reach = a.r + t * (b.r - a.r) + 0.5 - Math.hypot(px - t * dx, py - t * dy);
      if (reach <= 0) continue;
      const cover = Math.round(255 * Math.min(reach, 1)), at = y * side + x;
      ink[at] = erase ? Math.min(ink[at], 255 - cover) : Math.max(ink[at], cover);
    }
  return { x0, y0, x1, y1 };
}

/** {x, y, r} of the pen at point k of a stroke. Pressure 50 gives the set width, 0 half and 100 one and a half of it. */
function pen({ width, points }, k) {
  const [x, y, pressure] = points.slice(3 * k, 3 * k + 3);
  return { x: x / TENTHS, y: y / TENTHS, r: (width / 2) * (0.5 + pressure / 100) };
}

/**
 * Strokes and their ink. A stroke is {erase, width, points: [x, y, pressure, ...]}, whole numbers: x and y in tenths of
 * a board pixel, width in board pixels, pressure 0..100.
 */
export class Drawing {
  constructor(strokes = []) {
    this.ink = new Uint8Array(BOARD * BOARD);
    this.strokes = strokes;
    this.current = null;
    this.past = [];
    this.future = [];
    this.#redraw();
  }

  /** All strokes, including the current one. */
  get all() {
    return this.current ? [...this.strokes, this.current] : this.strokes;
  }

  get isEmpty() {
    return this.all.length === 0;
  }

  get points() {
    return this.all.reduce((n, stroke) => n + stroke.points.length / 3, 0);
  }

  /** Begin a stroke. False if the drawing is full. */
  begin(x, y, { erase = false, width = 22, pressure = 50 } = {}) {
    this.end();
    if (this.strokes.length >= MAX_STROKES || this.points >= MAX_POINTS) return false;
    this.count = this.points;
    this.current = { erase, width, points: [] };
    return this.#add(x, y, pressure);
  }

  /** Add a point to the current stroke. False if none was added. */
  extend(x, y, pressure = 50) {
    if (!this.current || this.count >= MAX_POINTS) return false;
    const [lastX, lastY] = this.current.points.slice(-3);
    return Math.hypot(x - lastX, y - lastY) >= MIN_DISTANCE && this.#add(x, y, pressure);
  }

  end() {
    if (!this.current) return;
    const strokes = this.all;
    this.current = null;
    this.#become(strokes);
  }

  /** Cancel the current stroke. */
  cancel() {
    this.current = null;
    this.#redraw();
  }

  clear() {
    this.end();
    if (this.strokes.length) this.#become([]);
    this.#redraw();
  }

  /** Undo a stroke or a clearing. False if there is nothing to undo. */
  undo() {
    this.end();
    return this.#move(this.past, this.future);
  }

  redo() {
    this.end();
    return this.#move(this.future, this.past);
  }

  #add(x, y, pressure) {
    const limit = (v) => Math.round(clamp(v, -FULL, 2 * FULL));
    this.current.points.push(limit(x), limit(y), Math.round(clamp(pressure, 0, 100)));
    this.count++;
    this.#ink(this.current, this.current.points.length / 3 - 1);
    return true;
  }

  #ink(stroke, k) {
    dab(this.ink, BOARD, pen(stroke, Math.max(k - 1, 0)), pen(stroke, k), stroke.erase);
  }

  #redraw() {
    this.ink.fill(0);
    for (const stroke of this.strokes) for (let k = 0; k < stroke.points.length / 3; k++) this.#ink(stroke, k);
  }

  #become(strokes) {
    this.past.push(this.strokes);
    if (this.past.length > MAX_UNDO) this.past.shift();
    this.future = [];
    this.strokes = strokes;
  }

  #move(from, to) {
    if (!from.length) return false;
    to.push(this.strokes);
    this.strokes = from.pop();
    this.#redraw();
    return true;
  }
}
