// The interpreter of the programs that aevae/browser/program.py makes: encoders and decoders in plain typed arrays, one
// sample at a time, in single precision.

import { unpack } from "./loader.js";
import { clamp, sigmoid } from "./maths.js";
import { Matrices } from "./matrix.js";

/**
 * A model cannot run in this browser. code: weights, layer, network or browser (Python has a message for each);
 * run: name of the run that failed.
 */
export class LiveError extends Error {
  constructor(code, message, run = "") {
    super(message);
    this.code = code;
    this.run = run;
  }
}

// ---- operations: (op, inputs, out, shapes in and out, weights) -> a function that fills `out` -----------------------

const size = (shape) => shape.reduce((a, b) => a * b, 1);

function elementwise(f) {
  return (op, [x], out) => {
    expectLength(x.length, out.length);
    return () => {
      for (let i = 0; i < out.length; i++) out[i] = f(x[i], op);
    };
  };
}

function pairwise(f) {
  return (op, [a, b], out) => {
    expectLength(a.length, out.length);
    expectLength(b.length, out.length);
    return () => {
      for (let i = 0; i < out.length; i++) out[i] = f(a[i], b[i]);
    };
  };
}

/** Throw unless an array or an axis has the length given in the program. */
function expectLength(got, wanted) {
  if (got !== wanted) throw new LiveError("weights", `${wanted} numbers expected, ${got} came`);
}

/** The matrix (m, n) and the bias of a layer, checked: {bias, times (y += x W), x, y}. */
function affine({ w, b }, m, n, outputs, { arrays, matrices }) {
  expectLength(arrays[w].shape.length, 2);
  expectLength(arrays[w].shape[0], m);
  expectLength(arrays[w].shape[1], n);
  expectLength(arrays[b].length, outputs);
  return { bias: arrays[b], times: matrices.product(w), x: matrices.x, y: matrices.y };
}

function linear(op, [input], out, shapes, weights) {
  const n = out.length;
  const { bias, times, x, y } = affine(op, input.length, n, n, weights); // w (in, out)
  const result = y.subarray(0, n);
  return () => {
    x.set(input);
    y.set(bias);
    times();
    out.set(result);
  };
}

/**
 * Which pixels a kernel connects: for each near pixel and each kernel position the index of the far pixel,
 * far = near * stride - padding + k, or -1 outside. (near: output of a convolution, input of a transposed one.)
 * @param {number[]} near
 * @param {number[]} far
 */
function kernelTaps([hn, wn], [hf, wf], { kernel: [kh, kw], stride, padding }) {
  const at = new Int32Array(hn * wn * kh * kw);
  let i = 0;
  for (let y = 0; y < hn; y++)
    for (let x = 0; x < wn; x++)
      for (let ky = 0; ky < kh; ky++)
        for (let kx = 0; kx < kw; kx++) {
          const fy = y * stride[0] - padding[0] + ky, fx = x * stride[1] - padding[1] + kx;
          at[i++] = fy < 0 || fx < 0 || fy >= hf || fx >= wf ? -1 : fy * wf + fx;
        }
  return at;
}

/** An output pixel is the patch of the input beneath the kernel, times the kernel: w (in * kh * kw, out). */
function conv(op, [input], out, [[ci, ...from], [co, ...to]], weights) {
  const k = size(op.kernel), area = size(from), pixels = size(to);
  const { bias, times, x, y } = affine(op, ci * k, co, co, weights);
  expectLength(input.length, ci * area);
  const at = kernelTaps(to, from, op);
  expectLength(at.length, pixels * k);
  return () => {
    for (let p = 0; p < pixels; p++) {
      for (let c = 0; c < ci; c++)
        for (let q = 0; q < k; q++) {
          const source = at[p * k + q];
          x[c * k + q] = source < 0 ? 0 : input[c * area + source];
        }
      y.set(bias);
      times();
      for (let c = 0; c < co; c++) out[c * pixels + p] = y[c];
    }
  };
}

/** An input pixel times the kernel is a patch that is added to the output: w (in, out * kh * kw). */
function convTranspose(op, [input], out, [[ci, ...from], [co, ...to]], weights) {
  const k = size(op.kernel), area = size(to), pixels = size(from);
  const { bias, times, x, y } = affine(op, ci, co * k, co, weights);
  expectLength(input.length, ci * pixels);
  expectLength(out.length, co * area);
  const at = kernelTaps(from, to, op);
  expectLength(at.length, pixels * k);
  return () => {
    for (let c = 0; c < co; c++) out.fill(bias[c], c * area, (c + 1) * area);
    for (let p = 0; p < pixels; p++) {
      for (let c = 0; c < ci; c++) x[c] = input[c * pixels + p];
      y.fill(0);
      times();
      for (let c = 0; c < co; c++)
        for (let q = 0; q < k; q++) {
          const target = at[p * k + q];
          if (target >= 0) out[c * area + target] += y[c * k + q];
        }
    }
  };
}

/** Keep the k largest (the first on a tie) and set the others to 0. */
function topk(op, [x], out) {
  expectLength(x.length, out.length);
  if (!(op.k >= 1 && op.k <= x.length)) throw new LiveError("weights", `k ${op.k} of ${x.length}`);
  const sorted = new Float32Array(x.length);
  return () => {
    sorted.set(x);
    sorted.sort();
    const least = sorted[x.length - op.k];
    let equals = op.k; // number of values equal to the smallest kept one that are kept
    for (let i = 0; i < x.length; i++) if (x[i] > least) equals--;
    for (let i = 0; i < x.length; i++) out[i] = x[i] > least || (x[i] === least && equals-- > 0) ? x[i] : 0;
  };
}

/** Each cell of a feature map (D, h, w) becomes the nearest row of w (K, D), the first of equals. */
function codebook(op, [x], out, [[d, ...cells]], { arrays }) {
  const vectors = arrays[op.w], count = vectors.shape[0], area = size(cells);
  expectLength(vectors.shape[1], d);
  expectLength(x.length, d * area);
  expectLength(out.length, x.length);
  const norms = Float32Array.from({ length: count }, (_, k) => {
    let sum = 0;
    for (let j = 0; j < d; j++) sum += vectors[k * d + j] ** 2;
    return sum;
  });
  return () => {
    for (let p = 0; p < area; p++) {
      let best = 0, least = Infinity;
      for (let k = 0; k < count; k++) {
        let dot = 0;
        for (let j = 0; j < d; j++) dot += vectors[k * d + j] * x[j * area + p];
        const distance = norms[k] - 2 * dot;
        if (distance < least) {
          least = distance;
          best = k;
        }
      }
      for (let j = 0; j < d; j++) out[j * area + p] = vectors[best * d + j];
    }
  };
}

/** Logits of L levels (L, h, w) -> mean level (1, h, w) in [0, 1]. */
function expectedLevel(op, [x], out, [[levels, ...area]]) {
  const pixels = size(area);
  expectLength(x.length, levels * pixels);
  expectLength(out.length, pixels);
  return () => {
    for (let p = 0; p < pixels; p++) {
      let largest = -Infinity, total = 0, sum = 0;
      for (let l = 0; l < levels; l++) largest = Math.max(largest, x[l * pixels + p]);
      for (let l = 0; l < levels; l++) {
        const e = Math.exp(x[l * pixels + p] - largest);
        total += e;
        sum += e * l;
      }
      out[p] = sum / total / (levels - 1);
    }
  };
}

/** Mean of a continuous Bernoulli, of its logit: 1/2 + (coth u - 1/u) / 2, u half the logit; a series near 0. */
function continuousMean(eta) {
  const u = eta / 2;
  const part = Math.abs(eta) < 0.2 ? (u / 3) * (1 - (u * u) / 15) : 1 / Math.tanh(u) - 1 / u;
  return 0.5 + part / 2;
}

const OPS = {
  linear,
  conv,
  conv_transpose: convTranspose,
  reshape: (op, [x], out) => {
    expectLength(x.length, out.length);
    return () => out.set(x);
  },
  relu: (op, [x], out) => {
    expectLength(x.length, out.length);
    return () => {
      for (let i = 0; i < out.length; i++) out[i] = Math.max(x[i], 0); // without a branch: three times faster
    };
  },
  sigmoid: elementwise(sigmoid),
  tanh: elementwise(Math.tanh),
  exp: elementwise(Math.exp),
  clamp: elementwise((v, op) => clamp(v, op.min ?? -Infinity, op.max ?? Infinity)),
  shift: (op, [x], out, shapes, { arrays }) => {
    const by = arrays[op.b];
    expectLength(x.length, out.length);
    expectLength(by.length, out.length);
    return () => {
      for (let i = 0; i < out.length; i++) out[i] = x[i] + by[i];
    };
  },
  topk,
  codebook,
  expected_level: expectedLevel,
  continuous_mean: elementwise(continuousMean),
  slice: (op, [x], out) => {
    if (!(op.start >= 0 && op.start + out.length <= x.length)) throw new LiveError("weights", `slice at ${op.start}`);
    return () => out.set(x.subarray(op.start, op.start + out.length));
  },
  add: pairwise((a, b) => a + b),
  sub: pairwise((a, b) => a - b),
  mul: pairwise((a, b) => a * b),
  cat: (op, inputs, out) => {
    expectLength(inputs.reduce((sum, x) => sum + x.length, 0), out.length);
    return () => {
      let at = 0;
      for (const x of inputs) {
        out.set(x, at);
        at += x.length;
      }
    };
  },
};

// ---- programs -------------------------------------------------------------------------------------------------------

/** An encoder and a decoder. The next call of the same function overwrites the arrays that the last one returned. */
export class Program {
  constructor(blob, run = "") {
    try {
      const { header, arrays } = unpack(blob);
      if (header.format !== 1) throw new LiveError("weights", `format ${header.format}`);
      this.latentDim = header.latent_dim;
      this.family = header.family;
      this.prior = header.prior; // std of the code's prior N(0, std^2 I); 0: it has none
      this.functions = {};
      const weights = { arrays, matrices: new Matrices(arrays) };
      for (const [name, f] of Object.entries(header.functions)) this.functions[name] = compile(f, weights);
    } catch (error) {
      const known = error instanceof LiveError;
      throw new LiveError(known ? error.code : "weights", error.message, run);
    }
  }

  /** z (D) -> image (784) in [0, 1]. */
  decode(z) {
    return this.functions.decode(z)[0];
  }

  /** z (D) -> natural parameters of the pixels (784, or L x 784); only programs of lab models have this function. */
  params(z) {
    return this.functions.params(z)[0];
  }

  /** x (784) in [0, 1] -> {mu (D), logvar (D) or null}. */
  encode(x) {
    const [mu, logvar = null] = this.functions.encode(x);
    return { mu, logvar };
  }

  /** x (784) -> logits of the ten classes; only the digit classifier has this function. */
  read(x) {
    return this.functions.read(x)[0];
  }

  /** decode(encode(x)). */
  reconstruct(x) {
    return this.decode(this.encode(x).mu);
  }
}

function compile({ input, outputs, shapes, ops }, weights) {
  const registers = shapes.map((shape) => new Float32Array(size(shape)));
  const steps = ops.map((op) => {
    if (!Object.hasOwn(OPS, op.op)) throw new LiveError("layer", op.op);
    for (const name of [op.w, op.b]) if (name && !weights.arrays[name]) throw new LiveError("weights", `${name} is missing`);
    const inputs = op.in.map((i) => registers[i]);
    return OPS[op.op](op, inputs, registers[op.out], [shapes[op.in[0]], shapes[op.out]], weights);
  });
  const results = outputs.map((i) => (i === null ? null : registers[i]));
  return (x) => {
    expectLength(x.length, registers[input].length);
    registers[input].set(x);
    for (const step of steps) step();
    return results;
  };
}

const programs = new Map(); // url -> Promise<Program>, the least recently used first
const MAX_PROGRAMS = 12;

/** The program at `url`, whose content never changes: fetched once. Rejects with LiveError. */
export function loadProgram(url, run = "") {
  const known = programs.get(url) ?? fetchProgram(url, run);
  programs.delete(url);
  programs.set(url, known);
  if (programs.size > MAX_PROGRAMS) programs.delete(programs.keys().next().value);
  known.catch(() => programs.delete(url)); // the next call tries again
  return known;
}

async function fetchProgram(url, run) {
  let bytes;
  try {
    const response = await fetch(new URL(url, document.baseURI));
    if (!response.ok) throw new Error(`status ${response.status}`);
    bytes = new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new LiveError("network", error.message, run);
  }
  return new Program(bytes, run);
}
