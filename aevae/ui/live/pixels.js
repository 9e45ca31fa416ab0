// Likelihoods of pixels, given the decoder's natural parameters: standard deviation, samples, -log p(x|z).
// Equal to aevae/latent/pixels.py and aevae/losses.py, for one image; a categorical pixel has L logits, one per channel.

import { sigmoid, softplus } from "./maths.js";

const LOG_2PI = Math.log(2 * Math.PI);
const SERIES_BELOW = 1e-2; // for smaller |logit| of a continuous Bernoulli a Taylor series is used

/** log C of a continuous Bernoulli, of its logit. */
function logNormaliser(eta) {
  return Math.abs(eta) < SERIES_BELOW ? Math.LN2 + (eta * eta) / 12 : Math.log(eta / Math.tanh(eta / 2));
}

/** Quantile u of a continuous Bernoulli. */
function continuousSample(eta, u) {
  const a = -Math.abs(eta); // for an increasing density 1 - x is sampled, which avoids overflow
  const falling = a > -1e-4 ? u : Math.log1p(u * Math.expm1(a)) / a;
  return eta > 0 ? 1 - falling : falling;
}

function continuousVariance(eta) {
  if (Math.abs(eta) < SERIES_BELOW) return 1 / 12 - (eta * eta) / 240;
  return 1 / (eta * eta) - 1 / (4 * Math.sinh(eta / 2) ** 2);
}

const binary = { sample: (eta, u) => Number(u < sigmoid(eta)), std: (eta) => Math.sqrt(sigmoid(eta) * sigmoid(-eta)) };
const PIXEL = {
  bernoulli: { ...binary, nll: (eta, x) => softplus(eta) - x * eta },
  continuous_bernoulli: {
    sample: continuousSample,
    std: (eta) => Math.sqrt(continuousVariance(eta)),
    nll: (eta, x) => softplus(eta) - x * eta - logNormaliser(eta),
  },
  gaussian: {
    sample: (mean, _, n, v) => mean + Math.sqrt(v) * n,
    std: (_, v) => Math.sqrt(v),
    nll: (mean, x, v) => 0.5 * ((x - mean) ** 2 / v + Math.log(v) + LOG_2PI),
  },
};

/** Probabilities of the levels of pixel i, into `out`. */
function levels(logits, i, out) {
  const pixels = logits.length / out.length;
  let most = -Infinity, total = 0;
  for (let l = 0; l < out.length; l++) most = Math.max(most, logits[l * pixels + i]);
  for (let l = 0; l < out.length; l++) total += out[l] = Math.exp(logits[l * pixels + i] - most);
  for (let l = 0; l < out.length; l++) out[l] /= total;
  return out;
}

function categorical(count) {
  const p = new Float64Array(count), top = count - 1;
  return {
    sample(logits, i, u) {
      levels(logits, i, p);
      let level = 0;
      for (let below = p[0]; level < top && u > below; below += p[++level]);
      return level / top;
    },
    std(logits, i) {
      levels(logits, i, p);
      let mean = 0, square = 0;
      for (let l = 0; l < count; l++) {
        mean += (p[l] * l) / top;
        square += p[l] * (l / top) ** 2;
      }
      return Math.sqrt(Math.max(square - mean * mean, 0));
    },
    nll: (logits, i, x) => -Math.log(levels(logits, i, p)[Math.round(x * top)]),
  };
}

/**
 * A likelihood: kind (both Gaussians are "gaussian"), variance of a Gaussian pixel, count of levels.
 * sample(params, u, n, out): pixels sampled with uniform or normal noise (784 each); std(params, out): their deviations;
 * nll(params, x): nats.
 */
export function likelihood(kind, { variance = 0, count = 0 } = {}) {
  const plain = PIXEL[kind];
  const each = plain
    ? {
        sample: (params, i, u, n) => plain.sample(params[i], u, n, variance),
        std: (params, i) => plain.std(params[i], variance),
        nll: (params, i, x) => plain.nll(params[i], x, variance),
      }
    : categorical(count);
  return {
    sample(params, u, n, out) {
      for (let i = 0; i < out.length; i++) out[i] = each.sample(params, i, u[i], n[i]);
      return out;
    },
    std(params, out) {
      for (let i = 0; i < out.length; i++) out[i] = each.std(params, i);
      return out;
    },
    nll(params, x) {
      let sum = 0;
      for (let i = 0; i < x.length; i++) sum += each.nll(params, i, x[i]);
      return sum;
    },
  };
}
