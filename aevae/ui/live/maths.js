// Small mathematical functions.

/** v within low..high. */
export const clamp = (v, low = 0, high = 1) => Math.min(Math.max(v, low), high);

/** Sum of a_i b_i. */
export function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Sum of (a_i - b_i)^2. */
export function squaredError(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum;
}

/** log(1 + e^v) without overflow. */
export const softplus = (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)));

export const sigmoid = (v) => 1 / (1 + Math.exp(-v));

/** z = (1 - t) a + t b. */
export function lerp(a, b, t, out = new Float32Array(a.length)) {
  for (let i = 0; i < out.length; i++) out[i] = a[i] + t * (b[i] - a[i]);
  return out;
}

/** A triangle wave of period 2: 0 up to 1 at t = 1 and down to 0 again. */
export function triangleWave(t) {
  const phase = ((t % 2) + 2) % 2;
  return phase <= 1 ? phase : 2 - phase;
}

/**
 * Ellipse of one standard deviation of a 2 x 2 covariance [xx, xy, yy]: half axes a >= b and the angle of a.
 * @param {number[]} covariance
 */
export function ellipse([xx, xy, yy]) {
  const middle = (xx + yy) / 2, half = Math.hypot((xx - yy) / 2, xy);
  return {
    a: Math.sqrt(Math.max(middle + half, 0)),
    b: Math.sqrt(Math.max(middle - half, 0)),
    angle: 0.5 * Math.atan2(2 * xy, xx - yy),
  };
}

/** Part i of an array that holds `count` parts of equal length, as a view. */
export const row = (array, i, count) => array.subarray((i * array.length) / count, ((i + 1) * array.length) / count);
