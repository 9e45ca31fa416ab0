// Planes of the latent space, axes, and paths on them (tested with node).

import { clamp, dot } from "../live/maths.js";

/**
 * The plane through three codes: {origin a, u, v} with u, v orthonormal, u along b - a; null if they lie on a line.
 * (Gram-Schmidt, in double.)
 */
export function planeThrough(a, b, c) {
  const origin = Float64Array.from(a);
  const u = origin.map((v, i) => b[i] - v), w = origin.map((v, i) => c[i] - v);
  const length = Math.sqrt(dot(u, u)), far = Math.sqrt(dot(w, w));
  if (!(length > 0) || !(far > 0)) return null;
  u.forEach((x, i) => (u[i] = x / length));
  const component = dot(w, u);
  const v = w.map((x, i) => x - component * u[i]);
  const height = Math.sqrt(dot(v, v));
  if (!(height > 1e-6 * far)) return null;
  v.forEach((x, i) => (v[i] = x / height));
  return { origin, u, v };
}

/** The plane of two latent dimensions; the others are fixed. */
export function planeOf(x, y) {
  return { dims: [x, y] };
}

/** Orthogonal projection of a code onto the plane: [s, t]. */
export function project(plane, z) {
  if (plane.dims) return [z[plane.dims[0]], z[plane.dims[1]]];
  let s = 0, t = 0;
  for (let i = 0; i < z.length; i++) {
    const d = z[i] - plane.origin[i];
    s += d * plane.u[i];
    t += d * plane.v[i];
  }
  return [s, t];
}

/**
 * The code at a position on the plane. rest: the code with the other dimensions, for a plane of two dimensions.
 * @param {any} plane
 * @param {number[]} place
 * @param {ArrayLike<number>} rest
 */
export function lift(plane, [s, t], rest) {
  const z = Float32Array.from(rest);
  if (plane.dims) {
    z[plane.dims[0]] = s;
    z[plane.dims[1]] = t;
    return z;
  }
  return z.map((_, i) => plane.origin[i] + s * plane.u[i] + t * plane.v[i]);
}

/** Distance of a code from the plane through three codes. */
export function distance(plane, z) {
  const [s, t] = project(plane, z);
  let sum = 0;
  for (let i = 0; i < z.length; i++) {
    const d = z[i] - plane.origin[i] - s * plane.u[i] - t * plane.v[i];
    sum += d * d;
  }
  return Math.sqrt(sum);
}

/** Covariance [ss, st, tt] on the plane, for independent dimensions with these variances. */
export function projectedCovariance(plane, variance) {
  if (plane.dims) return [variance[plane.dims[0]], 0, variance[plane.dims[1]]];
  let ss = 0, st = 0, tt = 0;
  for (let i = 0; i < variance.length; i++) {
    ss += variance[i] * plane.u[i] * plane.u[i];
    st += variance[i] * plane.u[i] * plane.v[i];
    tt += variance[i] * plane.v[i] * plane.v[i];
  }
  return [ss, st, tt];
}

/**
 * Points [x, y] around the ellipse of k standard deviations.
 * @param {number[]} middle
 * @param {{a: number, b: number, angle: number}} ellipse
 * @param {number} k
 */
export function outline([x, y], { a, b, angle }, k, count = 64) {
  const cos = Math.cos(angle), sin = Math.sin(angle);
  return Array.from({ length: count }, (_, i) => {
    const w = (2 * Math.PI * i) / count;
    const p = k * a * Math.cos(w), q = k * b * Math.sin(w);
    return [x + p * cos - q * sin, y + p * sin + q * cos];
  });
}

/**
 * An axis from 0 to 1: `lines` are its values at the centres of n equal cells; linear between and beyond them.
 * Two ends without cells: `linearAxis(low, high)`.
 */
export function cellAxis(lines) {
  const n = lines.length;
  const at = (k) => (k + 0.5) / n;
  const piece = (k) => clamp(k, 0, n - 2);
  return {
    value(t) {
      const k = piece(Math.floor(t * n - 0.5));
      return lines[k] + (t - at(k)) * n * (lines[k + 1] - lines[k]);
    },
    place(v) {
      let k = 0;
      while (k < n - 2 && v > lines[k + 1]) k++;
      return at(k) + (v - lines[k]) / (lines[k + 1] - lines[k]) / n;
    },
  };
}

export function linearAxis(low, high) {
  return { value: (t) => low + t * (high - low), place: (v) => (v - low) / (high - low) };
}

/** Round values within low..high for the ticks of an axis, at most `max`. */
export function ticks(low, high, max = 6) {
  const raw = (high - low) / max, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * (1 - 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => {
    return Number(((first + i) * step).toPrecision(12));
  });
}

/** A frame [s0, s1, t0, t1] with equal scales that contains the middle 96 % of points [s, t] and all of `inside`. */
export function frameFor(points, inside) {
  const bounds = (k) => {
    const sorted = Float64Array.from(points, (p) => p[k]).toSorted();
    const cut = Math.floor(sorted.length * 0.02);
    const own = inside.map((p) => p[k]);
    const ends = sorted.length ? [sorted[cut], sorted[sorted.length - 1 - cut]] : [];
    return [Math.min(...ends, ...own), Math.max(...ends, ...own)];
  };
  const [s, t] = [bounds(0), bounds(1)];
  const half = 0.58 * (Math.max(s[1] - s[0], t[1] - t[0]) || 1);
  const [cs, ct] = [(s[0] + s[1]) / 2, (t[0] + t[1]) / 2];
  return [cs - half, cs + half, ct - half, ct + half];
}

// ---- paths ----------------------------------------------------------------------------------------------------------

/** Length of a polyline of points [x, y]. */
export function lengthOf(path) {
  let sum = 0;
  for (let i = 1; i < path.length; i++) sum += Math.hypot(path[i][0] - path[i - 1][0], path[i][1] - path[i - 1][1]);
  return sum;
}

/** `count` points at equal distances along a polyline, both ends included. */
export function resample(path, count) {
  const total = lengthOf(path);
  const out = [path[0]];
  let i = 1, done = 0;
  for (let k = 1; k < count - 1; k++) {
    const wanted = (total * k) / (count - 1);
    let piece = Math.hypot(path[i][0] - path[i - 1][0], path[i][1] - path[i - 1][1]);
    while (done + piece < wanted && i < path.length - 1) {
      done += piece;
      i++;
      piece = Math.hypot(path[i][0] - path[i - 1][0], path[i][1] - path[i - 1][1]);
    }
    const part = piece ? (wanted - done) / piece : 0;
    out.push(path[i].map((v, axis) => path[i - 1][axis] + part * (v - path[i - 1][axis])));
  }
  if (count > 1) out.push(path[path.length - 1]);
  return out;
}

/** The point at t in 0..1 of an evenly sampled path. */
export function pointAt(path, t) {
  const at = clamp(t) * (path.length - 1);
  const i = Math.min(Math.floor(at), path.length - 2);
  return path.length < 2 ? path[0] : path[i].map((v, axis) => v + (at - i) * (path[i + 1][axis] - v));
}
