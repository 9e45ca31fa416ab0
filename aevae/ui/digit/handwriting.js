// Conversion of a drawing to the format of MNIST; equal to `mnist_like` in aevae/datasets/handwriting.py.

import { PIXELS, SIDE } from "../live/canvas.js";
import { clamp } from "../live/maths.js";

const BOX_SIDE = 20; // in MNIST the bounding box of the ink is at most 20 x 20
const CENTRE = 14; // in MNIST the centre of mass lies in pixel (14, 14), counted from 0

/** Bounding box of the ink: {top, bottom, left, right}, ends included; null without ink. */
function inkBox(ink, height, width) {
  let top = height, bottom = -1, left = width, right = -1;
  for (let y = 0; y < height; y++)
    for (let x = 0, at = y * width; x < width; x++) {
      if (!ink[at + x]) continue;
      if (y < top) top = y;
      bottom = y;
      if (x < left) left = x;
      if (x > right) right = x;
    }
  return bottom < 0 ? null : { top, bottom, left, right };
}

/** Area-averaging weights from `from` pixels to `to` equal intervals: [{first, weights}, ...]. */
function shares(from, to) {
  return Array.from({ length: to }, (_, i) => {
    const a = (i * from) / to, b = ((i + 1) * from) / to, first = Math.floor(a);
    const weights = [];
    for (let k = first; k < Math.min(from, Math.ceil(b)); k++)
      weights.push(((Math.min(b, k + 1) - Math.max(a, k)) * to) / from);
    return { first, weights };
  });
}

/** v rounded half up; the tolerance 1e-6 makes Python and JavaScript agree. */
const roundHalfUp = (v) => Math.floor(v + 0.5 + 1e-6);

/**
 * Ink (bytes, 0 = paper) of height x width as 784 bytes in the format of MNIST; null without ink.
 * The bounding box is resized to fit 20 x 20 by area averaging with its aspect ratio, its strongest pixel becomes 255,
 * and it is shifted by whole pixels until its centre of mass lies in pixel (14, 14) (LeCun et al.).
 */
export function mnistLike(ink, height, width) {
  const box = inkBox(ink, height, width);
  if (!box) return null;
  const tall = box.bottom - box.top + 1, wide = box.right - box.left + 1, longest = Math.max(tall, wide);
  const [h, w] = [tall, wide].map((side) => Math.max(1, roundHalfUp((BOX_SIDE * side) / longest)));
  const { pixels, strongest, x, y } = averaged(ink, width, box, h, w);
  const top = clamp(roundHalfUp(CENTRE - y), 0, SIDE - h), left = clamp(roundHalfUp(CENTRE - x), 0, SIDE - w);
  const out = new Uint8Array(PIXELS);
  for (let i = 0; i < h; i++)
    for (let j = 0; j < w; j++) out[(top + i) * SIDE + left + j] = roundHalfUp((255 * pixels[i * w + j]) / strongest);
  return out;
}

/** The ink in a box, averaged by area to h x w: {pixels, strongest pixel, centre of mass x, y}. */
function averaged(ink, width, box, h, w) {
  const wide = box.right - box.left + 1, across = shares(wide, w), down = shares(box.bottom - box.top + 1, h);
  const pixels = new Float64Array(h * w), row = new Float64Array(wide);
  let strongest = 0, sum = 0, sumY = 0, sumX = 0;
  for (let i = 0; i < h; i++) {
    row.fill(0);
    const { first: y0, weights } = down[i];
    weights.forEach((weight, k) => {
      const at = (box.top + y0 + k) * width + box.left;
      for (let x = 0; x < wide; x++) row[x] += weight * ink[at + x];
    });
    for (let j = 0; j < w; j++) {
      const { first: x0, weights } = across[j];
      let v = 0;
      for (let k = 0; k < weights.length; k++) v += weights[k] * row[x0 + k];
      pixels[i * w + j] = v;
      strongest = Math.max(strongest, v);
      sum += v;
      sumY += v * i;
      sumX += v * j;
    }
  }
  return { pixels, strongest, x: sumX / sum, y: sumY / sum };
}
