// Images of signed numbers: orange above 0, blue below, black at 0.

import { imageBuffer, SIDE } from "./canvas.js";

const ABOVE = [255, 158, 44];
const BELOW = [72, 150, 255];

/** The largest absolute value; 1 if all are 0. */
export function maxAbs(values) {
  let largest = 0;
  for (const v of values) largest = Math.max(largest, Math.abs(v));
  return largest || 1;
}

/** Values of an image, `scale` at full brightness, into RGBA bytes from `at` on, rows `stride` pixels apart. */
export function tint(values, scale, data, side = SIDE, at = 0, stride = side) {
  for (let i = 0; i < values.length; i++) {
    const v = values[i] / scale;
    const [r, g, b] = v < 0 ? BELOW : ABOVE;
    const part = Math.min(Math.abs(v), 1);
    const p = 4 * (at + Math.floor(i / side) * stride + (i % side));
    data[p] = r * part;
    data[p + 1] = g * part;
    data[p + 2] = b * part;
    data[p + 3] = 255;
  }
}

/** Draw 784 values into a canvas of 28 x 28. */
export function paintSigned(canvas, values, scale = maxAbs(values)) {
  if (canvas.width !== SIDE || canvas.height !== SIDE) canvas.width = canvas.height = SIDE;
  const g = canvas.getContext("2d");
  const image = imageBuffer(g);
  tint(values, scale, image.data);
  g.putImageData(image, 0, 0);
}
