// Gaussians on a line: densities, divergences in closed form and by quadrature, and gradient descent on them.

import { clamp } from "./maths.js";

const LOG_2PI = Math.log(2 * Math.PI);

/** log N(x; m, s^2). */
export const logNormal = (x, m, s) => -0.5 * (((x - m) / s) ** 2 + LOG_2PI) - Math.log(s);

/** log of a mixture [{w, m, s}] at x. */
export function logMixture(x, parts) {
  let most = -Infinity;
  const logs = parts.map(({ w, m, s }) => {
    const value = Math.log(w) + logNormal(x, m, s);
    if (value > most) most = value;
    return value;
  });
  return most + Math.log(logs.reduce((sum, value) => sum + Math.exp(value - most), 0));
}

/** KL(N(m1, s1^2) || N(m2, s2^2)) in nats. */
export const klNormal = (m1, s1, m2, s2) => Math.log(s2 / s1) + (s1 ** 2 + (m1 - m2) ** 2) / (2 * s2 ** 2) - 0.5;

/** KL(a || b) of mixtures in nats: in closed form for two Gaussians, else by the trapezoidal rule over a's mass. */
export function kl(a, b, points = 600) {
  if (a.length === 1 && b.length === 1) return klNormal(a[0].m, a[0].s, b[0].m, b[0].s);
  const low = Math.min(...a.map(({ m, s }) => m - 9 * s));
  const high = Math.max(...a.map(({ m, s }) => m + 9 * s));
  const step = (high - low) / points;
  let sum = 0;
  for (let i = 0; i <= points; i++) {
    const x = low + i * step;
    const log = logMixture(x, a);
    sum += Math.exp(log) * (log - logMixture(x, b));
  }
  return sum * step;
}

/** Mean and standard deviation of a mixture: the Gaussian that minimises KL(mixture || .). */
export function moments(parts) {
  const m = parts.reduce((sum, p) => sum + p.w * p.m, 0);
  const second = parts.reduce((sum, p) => sum + p.w * (p.s ** 2 + p.m ** 2), 0);
  return { m, s: Math.sqrt(second - m ** 2) };
}

/** One step of descent of cost(m, s) in m and log s, at most `maxStep` in each. */
export function descend(cost, { m, s }, rate = 0.08, maxStep = 0.08) {
  const h = 1e-4;
  const gradient = [
    ((cost(m + h * s, s) - cost(m - h * s, s)) / (2 * h)) * s, // of m / s, so that scales do not matter
    (cost(m, s * Math.exp(h)) - cost(m, s * Math.exp(-h))) / (2 * h),
  ];
  const [dm, ds] = gradient.map((v) => clamp(rate * v, -maxStep, maxStep));
  return { m: m - dm * s, s: s * Math.exp(-ds), isAtMinimum: Math.hypot(dm, ds) < 1e-5 };
}

/** KL of each latent to N(0, prior^2), summed: mu, std (D). */
export function klToPrior(mu, std, prior = 1) {
  let sum = 0;
  for (let i = 0; i < mu.length; i++) sum += klNormal(mu[i], std[i], 0, prior);
  return sum;
}

/** z = mu + std * eps. */
export function reparameterise(mu, std, eps, out = new Float32Array(mu.length)) {
  for (let i = 0; i < mu.length; i++) out[i] = mu[i] + std[i] * eps[i];
  return out;
}

/** -log Bernoulli(x; p) summed over pixels; p is clamped away from 0 and 1 by the precision of float32. */
export function crossEntropy(x, p, least = 6e-8) {
  let sum = 0;
  for (let i = 0; i < x.length; i++) {
    sum -= x[i] * Math.log(Math.max(p[i], 1e-30)) + (1 - x[i]) * Math.log(Math.max(1 - p[i], least));
  }
  return sum;
}

/** log N(z; 0, std^2 I) in nats. */
export function logPrior(z, std = 1) {
  let sum = 0;
  for (const v of z) sum += (v / std) ** 2;
  return -0.5 * (sum + z.length * Math.log(2 * Math.PI * std * std));
}

/** Standard deviations of log variances. */
export const stdOf = (logvar) => Float64Array.from(logvar, (v) => Math.exp(v / 2));

/** {mu, std} (D) of an encoder's {mu, logvar}, copied. */
export function gaussianOf({ mu, logvar }) {
  return { mu: Float32Array.from(mu), std: Float32Array.from(logvar, (v) => Math.exp(v / 2)) };
}
