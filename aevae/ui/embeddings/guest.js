// The user's own digit on the maps. While the pen moves, the browser places it; when the pen rests, Python does.

import { paint } from "../live/canvas.js";
import { imageCanvas } from "../live/dom.js";
import { dot } from "../live/maths.js";
import { toSquare } from "./points.js";

const REST_MS = 1500; // without a pen, until Python places the drawing and looks for its neighbours
const NUM_MEDIAN = 25; // as NUM_MEDIAN_CODES in aevae/embeddings/tsne.py

/**
 * Indices of the k codes nearest to z, nearest first. codes: (N x D) numbers.
 * @param {ArrayLike<number>} z
 * @param {ArrayLike<number>} codes
 */
export function nearestCodes(z, codes, k) {
  const d = z.length, found = [];
  let least = Infinity;
  for (let i = 0; i < codes.length / d; i++) {
    let sum = 0;
    for (let j = 0, at = i * d; j < d && sum < least; j++, at++) sum += (codes[at] - z[j]) ** 2;
    if (!(sum < least)) continue;
    let place = found.length;
    while (place && found[place - 1][0] > sum) place--;
    found.splice(place, 0, [sum, i]);
    if (found.length > k) found.pop();
    if (found.length === k) least = found[k - 1][0];
  }
  return found.map(([, i]) => i);
}

/** Median x and median y of some points of xy (2N): where t-SNE begins to place a new point. */
export function medianPlace(xy, indices) {
  return [0, 1].map((axis) => {
    const values = indices.map((i) => xy[2 * i + axis]).sort((a, b) => a - b), half = values.length >> 1;
    return values.length % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
  });
}

/** Position of a code on a plane of codes; origin and axes (3 x D), the axes at right angles. */
export function onPlane(z, plane) {
  const d = z.length, part = (k) => plane.subarray(k * d, (k + 1) * d), away = part(0).map((v, i) => z[i] - v);
  return [1, 2].map((k) => dot(away, part(k)) / dot(part(k), part(k)));
}

export class Guest {
  /** post(): tells Python that the pen rests. sheets: channel -> its value. */
  constructor(sheets, post) {
    this.sheets = sheets;
    this.post = post;
    this.image = imageCanvas();
    this.pixels = null; // the drawing, until Python has placed it
    this.isKnown = false; // Python has placed the digit
    this.places = new Map(); // pane -> place of the drawing
    this.timer = 0;
  }

  /** The pen has moved. */
  move(pixels) {
    if (!pixels) return;
    this.pixels = Float32Array.from(pixels);
    paint(this.image, this.pixels);
    this.places.clear();
    this.wait();
  }

  wait() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.post();
    }, REST_MS);
  }

  /** An update of Python. own: the digit that it has placed, as bytes; isDrawn: it waits until the pen rests. */
  update(own, isDrawn) {
    this.places.clear(); // the maps may have changed
    this.isKnown = Boolean(own);
    if (isDrawn && !this.timer) this.wait();
    if (own && this.pixels?.every((v, i) => Math.round(255 * v) === own[i])) this.pixels = null;
    else if (!own && !isDrawn && !this.timer) this.pixels = null; // the drawing was removed
    if (own && !this.pixels) paint(this.image, own, 255);
  }

  /** Place of the digit in the square of a pane, or null. */
  placeIn(pane) {
    if (!this.pixels) return pane.spec.own && toSquare(pane.spec.own, pane.spec.frame);
    if (!this.places.has(pane)) this.places.set(pane, this.find(pane));
    return this.places.get(pane);
  }

  find({ spec, xy, lift, atlas }) {
    const sheet = this.sheets[spec.pixels ? atlas.spec.images : `codes:${spec.run}`];
    const codes = spec.pixels ? sheet?.images : sheet?.program && sheet.codes;
    if (!xy || !codes) return null;
    const z = spec.pixels ? this.pixels.map((v) => 255 * v) : Float32Array.from(sheet.program.encode(this.pixels).mu);
    if (codes.length !== (xy.length / 2) * z.length) return null; // still those of other images
    return toSquare(lift ? onPlane(z, lift) : medianPlace(xy, nearestCodes(z, codes, NUM_MEDIAN)), spec.frame);
  }

  stop() {
    clearTimeout(this.timer);
  }
}
