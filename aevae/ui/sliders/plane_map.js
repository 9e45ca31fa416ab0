// Coordinates of the live plane: its plane, its axes, and the codes of real digits (tested with node).

import {
  cellAxis, distance, frameFor, lift, linearAxis, planeOf, planeThrough, project,
} from "./planes.js";

export const PIN_SIDE = 34; // CSS pixels of a pinned image
const OPACITY = [0.08, 0.9]; // opacity of the farthest and of the nearest code

/** Opacity of each point by the rank of its distance: the nearest 0.9, the farthest 0.08. */
export function fade(distances) {
  const order = Array.from(distances, (_, i) => i).toSorted((a, b) => distances[a] - distances[b]);
  const out = new Float32Array(distances.length), [least, most] = OPACITY;
  order.forEach((i, rank) => (out[i] = least + (most - least) * (1 - rank / Math.max(1, out.length - 1)) ** 2));
  return out;
}

/**
 * Index of the topmost pin whose square of `size` contains the position, or -1. Positions are in pixels.
 * @param {number[][]} places
 * @param {number[]} place
 */
export function pinAt(places, [x, y], size = PIN_SIDE) {
  return places.findLastIndex(([px, py]) => Math.max(Math.abs(px - x), Math.abs(py - y)) <= size / 2);
}

/** The cells [column, row from the top] of an n x n grid, from the centre outwards. */
export function spiral(n) {
  const middle = (n - 1) / 2;
  const far = (cell) => Math.hypot(cell[0] - middle, cell[1] - middle);
  return Array.from({ length: n * n }, (_, i) => [i % n, Math.floor(i / n)]).toSorted((a, b) => far(a) - far(b));
}

/** A plane with its axes. `plane` is null if three codes lie on a line; then the other properties are missing. */
export class PlaneMap {
  /** spec: mode ("dims": of two numbers, else through three codes), dims, behind; arrays: see live_view.py. */
  constructor({ mode, dims, behind }, { low, high, codes, labels, three, xs, ys }) {
    const d = low.length, count = labels.length;
    const isOfDims = mode === "dims";
    this.corners = isOfDims ? [] : [0, 1, 2].map((i) => three.subarray(i * d, (i + 1) * d));
    this.plane = isOfDims ? planeOf(...dims) : planeThrough(...this.corners);
    if (!this.plane) return;
    this.dims = isOfDims ? dims : null;
    this.labels = labels;
    const rows = Array.from({ length: count }, (_, i) => codes.subarray(i * d, (i + 1) * d));
    this.points = rows.map((z) => this.project(z));
    if (isOfDims) {
      const [x, y] = dims, axis = (lines, k) => (behind === "pictures" ? cellAxis(lines) : linearAxis(low[k], high[k]));
      this.across = axis(xs, x);
      this.up = axis(ys, y);
      this.opacity = new Float32Array(count).fill(0.95);
    } else {
      const [s0, s1, t0, t1] = frameFor(this.points, this.corners.map((z) => this.project(z)));
      this.across = linearAxis(s0, s1);
      this.up = linearAxis(t0, t1);
      this.opacity = fade(rows.map((z) => distance(this.plane, z)));
    }
    this.byDepth = Array.from(this.opacity, (_, i) => i).toSorted((a, b) => this.opacity[a] - this.opacity[b]);
  }

  /** Code -> place on the plane. */
  project(z) {
    return project(this.plane, z);
  }

  /** Place on the plane -> code; `rest` gives the numbers that the plane does not. */
  lift(place, rest) {
    return lift(this.plane, place, rest);
  }

  /**
   * Place on the plane -> parts [0..1 to the right, 0..1 up] of the field, and back.
   * @param {number[]} place
   */
  toField([s, t]) {
    return [this.across.place(s), this.up.place(t)];
  }

  /** @param {number[]} part */
  fromField([u, v]) {
    return [this.across.value(u), this.up.value(v)];
  }
}
