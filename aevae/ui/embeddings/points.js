// Clouds of points: screen positions, nearest points, points inside a lasso, and painting of tens of thousands of points
// in milliseconds. Typed arrays without DOM (tested with node).

import { clamp } from "../live/maths.js";

// ---- coordinates ----------------------------------------------------------------------------------------------------
// A map comes in its own units; its frame [cx, cy, half] turns it into the square -1..1. A view {x, y, k} is the middle
// of what is seen, in that square, and the zoom: at k = 1 the square fills the pane but for a margin.

export const MARGIN = 14; // CSS pixels around the square at k = 1
export const ZOOM = [0.5, 400]; // minimum and maximum
export const WHOLE = { x: 0, y: 0, k: 1 };

/** xy (2N) in the units of the map -> the square -1..1 of its frame. */
export function toSquare(xy, [cx, cy, half]) {
  const out = new Float32Array(xy.length);
  for (let i = 0; i < xy.length; i += 2) {
    out[i] = (xy[i] - cx) / half;
    out[i + 1] = (xy[i + 1] - cy) / half;
  }
  return out;
}

/** Pixels of one unit of the square. */
export function scaleOf(view, { w, h }) {
  return view.k * Math.max(Math.min(w, h) / 2 - MARGIN, 1);
}

/** Position in the square -> pixels of the pane; y points up in the square and down on the screen. */
export function toPixels(view, size, x, y) {
  const s = scaleOf(view, size);
  return [size.w / 2 + (x - view.x) * s, size.h / 2 - (y - view.y) * s];
}

/** Pixels of the pane -> position in the square. */
export function toPlace(view, size, px, py) {
  const s = scaleOf(view, size);
  return [view.x + (px - size.w / 2) / s, view.y - (py - size.h / 2) / s];
}

/** The view zoomed by `factor`, with a fixed point at this pixel. */
export function zoomAt(view, size, px, py, factor) {
  const k = clamp(view.k * factor, ...ZOOM);
  const [x, y] = toPlace(view, size, px, py);
  const part = view.k / k;
  return held({ x: x + (view.x - x) * part, y: y + (view.y - y) * part, k });
}

/** The view moved by dx, dy pixels. */
export function panBy(view, size, dx, dy) {
  const s = scaleOf(view, size);
  return held({ x: view.x - dx / s, y: view.y + dy / s, k: view.k });
}

/** The view, clamped so that a part of the square is visible. */
function held({ x, y, k }) {
  return { x: clamp(x, -1, 1), y: clamp(y, -1, 1), k };
}

/** Smoothstep: 0..1 -> 0..1. */
export const ease = (t) => (t <= 0 ? 0 : t >= 1 ? 1 : t * t * (3 - 2 * t));

/** Whether two views are equal. */
export const sameView = (a, b) => a.x === b.x && a.y === b.y && a.k === b.k;

// ---- nearest points -------------------------------------------------------------------------------------------------

/** A grid index of points (2N) with about two points per cell. NaN points are ignored. */
export class Grid {
  constructor(points) {
    const n = points.length / 2;
    this.points = points;
    this.side = clamp(Math.ceil(Math.sqrt(n / 2)), 1, 512);
    let x0 = Infinity, y0 = Infinity, x1 = -Infinity, y1 = -Infinity;
    for (let i = 0; i < 2 * n; i += 2) {
      if (points[i] < x0) x0 = points[i];
      if (points[i] > x1) x1 = points[i];
      if (points[i + 1] < y0) y0 = points[i + 1];
      if (points[i + 1] > y1) y1 = points[i + 1];
    }
    this.x0 = x0;
    this.y0 = y0;
    this.cell = Math.max(x1 - x0, y1 - y0, 1e-12) / this.side;
    const start = new Int32Array(this.side * this.side + 1), at = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      at[i] = this.cellOf(points[2 * i], points[2 * i + 1]);
      if (at[i] >= 0) start[at[i] + 1]++;
    }
    for (let c = 1; c < start.length; c++) start[c] += start[c - 1];
    this.start = start;
    this.order = new Int32Array(start[start.length - 1]);
    const next = start.slice();
    for (let i = 0; i < n; i++) if (at[i] >= 0) this.order[next[at[i]]++] = i;
  }

  line(v, from) {
    return clamp(Math.floor((v - from) / this.cell), 0, this.side - 1);
  }

  cellOf(x, y) {
    return Number.isFinite(x + y) ? this.line(y, this.y0) * this.side + this.line(x, this.x0) : -1;
  }

  /** Index of the point nearest to a position within `far` (the first on a tie), or -1. */
  nearest(x, y, far = Infinity) {
    return this.few(x, y, 1, far)[0]?.[1] ?? -1;
  }

  /** The k points nearest to a position within `far`: [squared distance, index], nearest first. */
  few(x, y, k, far = Infinity) {
    const column = this.line(x, this.x0), row = this.line(y, this.y0), found = [];
    // Distance of the position to the grid, by which a ring's points are farther away.
    const beside = Math.max(this.x0 - x, x - this.x0 - this.side * this.cell, this.y0 - y,
      y - this.y0 - this.side * this.cell, 0);
    let least = far * far; // no farther one is wanted
    for (let ring = 0; ring < this.side; ring++) {
      const free = Math.max((ring - 1) * this.cell, beside); // nothing of this ring is nearer
      if (free * free > least) break;
      this.ring(column, row, ring, (i) => {
        const dx = this.points[2 * i] - x, dy = this.points[2 * i + 1] - y, d = dx * dx + dy * dy;
        if (!(d <= least)) return;
        let at = found.length;
        while (at && (found[at - 1][0] > d || (found[at - 1][0] === d && found[at - 1][1] > i))) at--;
        found.splice(at, 0, [d, i]);
        if (found.length > k) found.pop();
        if (found.length === k) least = found[k - 1][0];
      });
    }
    return found;
  }

  /** Call `fn` for each point in the cells at this distance from a cell. */
  ring(column, row, distance, fn) {
    const last = this.side - 1;
    const from = Math.max(row - distance, 0), to = Math.min(row + distance, last);
    for (let r = from; r <= to; r++) {
      const edge = Math.abs(r - row) === distance;
      for (let c = column - distance; c <= column + distance; c += edge || !distance ? 1 : 2 * distance) {
        if (c < 0 || c > last) continue;
        const cell = r * this.side + c;
        for (let k = this.start[cell]; k < this.start[cell + 1]; k++) fn(this.order[k]);
      }
    }
  }

  /**
   * The point nearest to point i within 45 degrees of a direction, with sideways distances doubled; i if there is none.
   * @param {number} i
   * @param {number[]} direction
   */
  towards(i, [dx, dy]) {
    const { points } = this, x = points[2 * i], y = points[2 * i + 1];
    let best = i, least = Infinity;
    for (const j of this.order) {
      const ax = points[2 * j] - x, ay = points[2 * j + 1] - y;
      const along = ax * dx + ay * dy, across = Math.abs(ax * dy - ay * dx);
      if (along <= 0 || across > along) continue;
      const cost = along + 2 * across;
      if (cost < least) {
        least = cost;
        best = j;
      }
    }
    return best;
  }
}

/**
 * The mean code of points, weighted by inverse distance; null without codes. found: [squared distance, index] of each
 * point; codes (N x d).
 */
export function between(found, codes, d) {
  const z = new Float32Array(d);
  let sum = 0;
  for (const [squared, i] of found) {
    if (codes.length < (i + 1) * d) return null;
    const weight = 1 / (Math.sqrt(squared) + 1e-9);
    sum += weight;
    for (let k = 0; k < d; k++) z[k] += weight * codes[i * d + k];
  }
  return sum ? z.map((v) => v / sum) : null;
}

// ---- the lasso ------------------------------------------------------------------------------------------------------

/** 1 if the edge from a to b crosses the ray from (x, y) to the right, else 0. */
function crossed(x, y, ax, ay, bx, by) {
  return Number(ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax));
}

/**
 * Extend a lasso, a closed polygon with the first corner `a` and the last corner `b`, by a corner `c`. By the even-odd
 * rule exactly the points in the triangle a b c change sides, so one pass updates `inside` (N). Returns the number of
 * changed points.
 */
export function growLasso(points, inside, [ax, ay], [bx, by], [cx, cy]) {
  const low = Math.min(ay, by, cy), high = Math.max(ay, by, cy), right = Math.max(ax, bx, cx);
  let changed = 0;
  for (let i = 0, k = 0; i < inside.length; i++, k += 2) {
    const x = points[k], y = points[k + 1];
    if (!(y >= low && y <= high && x <= right)) continue;
    const odd = crossed(x, y, ax, ay, bx, by) ^ crossed(x, y, bx, by, cx, cy) ^ crossed(x, y, cx, cy, ax, ay);
    inside[i] ^= odd;
    changed += odd;
  }
  return changed;
}

// ---- colours --------------------------------------------------------------------------------------------------------

/** "#rrggbb", "#rgb" or "rgb(r, g, b)" -> [r, g, b]; grey for anything else. */
export function parseColour(text) {
  const long = /^#([0-9a-f]{6})/i.exec(text), short = /^#([0-9a-f]{3})$/i.exec(text);
  if (long) return [0, 2, 4].map((i) => parseInt(long[1].slice(i, i + 2), 16));
  if (short) return [...short[1]].map((c) => 17 * parseInt(c, 16));
  const numbers = /^rgba?\(([^)]+)\)/.exec(text)?.[1].match(/[\d.]+/g)?.map(Number) ?? [];
  return numbers.length >= 3 ? numbers.slice(0, 3).map(Math.round) : [128, 128, 128];
}

/** Black or white, whichever has more contrast on [r, g, b] (WCAG 2). */
export function textOn(colour) {
  const [r, g, b] = colour.map((c) => (c <= 10 ? c / 3294.6 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#FFFFFF";
}

/**
 * [r, g, b] as a 32-bit canvas pixel (little endian).
 * @param {number[]} colour
 */
export const pixelOf = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** `count` pixels, interpolated linearly between the colours. */
export function ramp(colours, count = 256) {
  const stops = colours.map(parseColour);
  return Uint32Array.from({ length: count }, (_, i) => {
    const at = (i / (count - 1)) * (stops.length - 1), k = Math.min(Math.floor(at), stops.length - 2);
    return pixelOf(stops[k].map((v, c) => Math.round(v + (at - k) * (stops[k + 1][c] - v))));
  });
}

// ---- painting -------------------------------------------------------------------------------------------------------

const SUBPIXELS = 4; // positions of a disc's centre within a pixel, in each direction

/** Discs of a radius in pixels: for each of 16 positions within a pixel the covered pixels [dx, dy, coverage of 256]. */
export function discs(radius) {
  const reach = Math.ceil(radius + 1);
  const stamps = [];
  for (let sy = 0; sy < SUBPIXELS; sy++)
    for (let sx = 0; sx < SUBPIXELS; sx++) {
      const covered = [];
      for (let dy = -reach; dy <= reach; dy++)
        for (let dx = -reach; dx <= reach; dx++) {
          const d = Math.hypot(dx + 0.5 - (sx + 0.5) / SUBPIXELS, dy + 0.5 - (sy + 0.5) / SUBPIXELS);
          const part = Math.round(256 * clamp(radius + 0.5 - d));
          if (part) covered.push(dx, dy, part);
        }
      stamps.push(covered);
    }
  return { reach, stamps };
}

/** An image of w x h pixels with a rim, so that discs at the edge need no clipping. Show it at (-rim, -rim). */
export class Raster {
  constructor(w, h, rim) {
    this.w = w;
    this.h = h;
    this.rim = rim;
    this.stride = w + 2 * rim;
    this.bytes = new Uint8ClampedArray(4 * this.stride * (h + 2 * rim));
    this.pixels = new Uint32Array(this.bytes.buffer);
  }

  clear(pixel) {
    this.pixels.fill(pixel);
  }

  /**
   * Paint discs at every `step`-th of points (2N). place: pixel = origin + scale * point, y upwards. palette[codes[i]] is
   * the colour, opacity 0..1. state: if given, only points whose state is `only` (0 or 1).
   */
  paint(points, { ox, oy, scale }, { codes, palette, state = null, only = 0 }, { reach, stamps }, opacity, step = 1) {
    const { pixels, stride, rim, w, h } = this;
    const each = (fn) => stamps.map((s) => Int32Array.from({ length: s.length / 3 }, (_, k) => fn(s, 3 * k)));
    const offsets = each((s, k) => s[k] + s[k + 1] * stride), parts = each((s, k) => Math.round(s[k + 2] * opacity));
    const least = reach - rim, right = w + rim - reach - 1, bottom = h + rim - reach - 1;
    for (let i = 0; i < codes.length; i += step) {
      if (state !== null && state[i] !== only) continue;
      const x = ox + scale * points[2 * i], y = oy - scale * points[2 * i + 1];
      if (!(x >= least && y >= least && x <= right && y <= bottom)) continue;
      const fx = Math.floor(x), fy = Math.floor(y);
      const stamp = Math.floor((y - fy) * SUBPIXELS) * SUBPIXELS + Math.floor((x - fx) * SUBPIXELS);
      const colour = palette[codes[i]], red = colour & 0xff00ff, green = colour & 0xff00;
      const base = (fy + rim) * stride + fx + rim, offset = offsets[stamp], part = parts[stamp];
      for (let k = 0; k < offset.length; k++) {
        const at = base + offset[k], a = part[k], b = 256 - a, old = pixels[at];
        const rb = ((Math.imul(old & 0xff00ff, b) + Math.imul(red, a)) >>> 8) & 0xff00ff;
        const g = ((Math.imul(old & 0xff00, b) + Math.imul(green, a)) >>> 8) & 0xff00;
        pixels[at] = 0xff000000 | rb | g;
      }
    }
  }
}

/** Radius in CSS pixels of n points at a zoom. */
export function radiusFor(n, k) {
  const base = n <= 1200 ? 3 : n <= 4000 ? 2.4 : n <= 20000 ? 1.7 : 1.2;
  return base * Math.min(Math.max(k, 1) ** 0.35, 2.6);
}

// ---- selection ------------------------------------------------------------------------------------------------------

/** Indices of the ones. */
export function indicesOf(selected) {
  const out = [];
  for (let i = 0; i < selected.length; i++) if (selected[i]) out.push(i);
  return out;
}

/** Number of selected points of each class. */
export function countByClass(selected, labels, classes) {
  const out = Array.from({ length: classes }, () => 0);
  for (let i = 0; i < selected.length; i++) if (selected[i]) out[labels[i]]++;
  return out;
}

/** The selection after a click on a class: only the class; with `add` the class is added, or removed if it was complete. */
export function withClass(selected, labels, which, add) {
  const out = add ? selected.slice() : new Uint8Array(selected.length);
  const all = labels.every((label, i) => label !== which || selected[i]);
  const alone = all && selected.every((s, i) => !s || labels[i] === which);
  const on = add ? !all : !alone;
  for (let i = 0; i < out.length; i++) if (labels[i] === which) out[i] = on ? 1 : 0;
  return out;
}

/** Index of the name equal to a typed text, else of the only name that contains it, else -1. */
export function findName(names, typed) {
  if (!typed) return -1;
  const exact = names.indexOf(typed);
  if (exact >= 0) return exact;
  const part = typed.toLowerCase(), having = [];
  for (let i = 0; i < names.length; i++) if (names[i].toLowerCase().includes(part)) having.push(i);
  return having.length === 1 ? having[0] : having.find((i) => names[i].toLowerCase() === part) ?? -1;
}
