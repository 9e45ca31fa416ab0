// Pictures of numbers that may be negative: orange above 0, blue beneath, black at 0, as digits are black where no ink is.
const ABOVE = [255, 158, 44];
const BELOW = [72, 150, 255];

/** The largest size among the values; 1 where all are 0. */
export function reach(values) {
  let most = 0;
  for (const v of values) most = Math.max(most, Math.abs(v));
  return most || 1;
}

/** Values of a picture, `scale` as bright as can be, into RGBA bytes from `at` on, rows `stride` pixels apart. */
export function tint(values, scale, data, side = 28, at = 0, stride = side) {
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

/** Draw them into a canvas of 28 x 28. */
export function paintSigned(canvas, values, scale = reach(values)) {
  const side = 28;
  if (canvas.width !== side || canvas.height !== side) canvas.width = canvas.height = side;
  const g = canvas.getContext("2d");
  const image = (canvas.image ??= g.createImageData(side, side));
  tint(values, scale, image.data);
  g.putImageData(image, 0, 0);
}
