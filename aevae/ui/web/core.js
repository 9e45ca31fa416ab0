// The browser's side of aevae/program.py: encoders and decoders in plain typed arrays, and what all modules share.
// One sample at a time; weights travel in half precision and are multiplied in double.

export { unpack } from "./loader.js";
import { unpack } from "./loader.js";

export const SIDE = 28;
export const PIXELS = SIDE * SIDE;

/** Why something cannot run here. code: weights, layer, network, browser (texts come from Python); run: whose. */
export class Trouble extends Error {
  constructor(code, message, run = "") {
    super(message);
    this.code = code;
    this.run = run;
  }
}

// ---- operations: (op, inputs, out, shapes in and out, arrays) -> a function that fills `out` ------------------------

const size = (shape) => shape.reduce((a, b) => a * b, 1);

function elementwise(f) {
  return (op, [x], out) => {
    same(x.length, out.length);
    return () => {
      for (let i = 0; i < out.length; i++) out[i] = f(x[i], op);
    };
  };
}

function pairwise(f) {
  return (op, [a, b], out) => {
    same(a.length, out.length);
    same(b.length, out.length);
    return () => {
      for (let i = 0; i < out.length; i++) out[i] = f(a[i], b[i]);
    };
  };
}

function same(got, wanted) {
  if (got !== wanted) throw new Trouble("weights", `${wanted} numbers expected, ${got} came`);
}

/**
 * y[y0 .. y0 + n] += x[x0 .. x0 + m] times the rows of w (m, n) that begin at `at`: the loop that all layers live in.
 * Zeros are skipped, and four rows are taken at a time, so that y is read and written a quarter as often.
 */
function multiply(y, y0, n, x, x0, m, w, at) {
  const rows = [-1, -1, -1];
  let waiting = 0;
  for (let i = 0; i < m; i++) {
    if (x[x0 + i] === 0) continue;
    if (waiting < 3) {
      rows[waiting++] = i;
      continue;
    }
    const [a, b, c] = rows;
    const va = x[x0 + a], vb = x[x0 + b], vc = x[x0 + c], vd = x[x0 + i];
    const wa = at + a * n, wb = at + b * n, wc = at + c * n, wd = at + i * n;
    for (let j = 0; j < n; j++) y[y0 + j] += va * w[wa + j] + vb * w[wb + j] + vc * w[wc + j] + vd * w[wd + j];
    waiting = 0;
  }
  for (let k = 0; k < waiting; k++) {
    const v = x[x0 + rows[k]], row = at + rows[k] * n;
    for (let j = 0; j < n; j++) y[y0 + j] += v * w[row + j];
  }
}

function linear(op, [x], out, shapes, arrays) {
  const w = arrays[op.w], b = arrays[op.b], n = out.length; // w (in, out)
  same(w.length, x.length * n);
  same(b.length, n);
  return () => {
    out.set(b);
    multiply(out, 0, n, x, 0, x.length, w, 0);
  };
}

/** Planes (C, H, W) -> pixels (H, W, C), or back: convolutions want the channels of a pixel side by side. */
function interleave(from, to, planes, pixels, back) {
  for (let c = 0; c < planes; c++)
    for (let p = 0; p < pixels; p++) {
      if (back) to[c * pixels + p] = from[p * planes + c];
      else to[p * planes + c] = from[c * pixels + p];
    }
}

/** Both convolutions: every pair of an input and an output pixel that a kernel weight joins, found once. */
function convolution(transposed) {
  return (op, [x], out, [from, to], arrays) => {
    const w = arrays[op.w], b = arrays[op.b];
    const [ci, hi, wi] = from, [co, ho, wo] = to, [kh, kw] = w.shape; // w (kh, kw, ci, co)
    same(w.length, kh * kw * ci * co);
    same(b.length, co);
    same(x.length, ci * hi * wi);
    same(out.length, co * ho * wo);
    const pairs = []; // input pixel, output pixel, offset of the kernel
    const [far, near] = transposed ? [[ho, wo], [hi, wi]] : [[hi, wi], [ho, wo]]; // far = near * stride - padding + k
    for (let y = 0; y < near[0]; y++)
      for (let x0 = 0; x0 < near[1]; x0++)
        for (let ky = 0; ky < kh; ky++)
          for (let kx = 0; kx < kw; kx++) {
            const fy = y * op.stride[0] - op.padding[0] + ky, fx = x0 * op.stride[1] - op.padding[1] + kx;
            if (fy < 0 || fx < 0 || fy >= far[0] || fx >= far[1]) continue;
            const a = y * near[1] + x0, c = fy * far[1] + fx, k = (ky * kw + kx) * ci * co;
            pairs.push(transposed ? a : c, transposed ? c : a, k);
          }
    const joined = Int32Array.from(pairs);
    const xs = new Float64Array(x.length), ys = new Float64Array(out.length); // (H, W, C)
    return () => {
      interleave(x, xs, ci, hi * wi, false);
      for (let p = 0; p < ho * wo; p++) ys.set(b, p * co);
      for (let q = 0; q < joined.length; q += 3) {
        const i0 = joined[q] * ci, o0 = joined[q + 1] * co, k = joined[q + 2];
        if (co > 1) {
          multiply(ys, o0, co, xs, i0, ci, w, k);
        } else {
          let sum = 0;
          for (let c = 0; c < ci; c++) sum += xs[i0 + c] * w[k + c];
          ys[o0] += sum;
        }
      }
      interleave(ys, out, co, ho * wo, true);
    };
  };
}

const OPS = {
  linear,
  conv: convolution(false),
  conv_transpose: convolution(true),
  reshape: (op, [x], out) => {
    same(x.length, out.length);
    return () => out.set(x);
  },
  relu: elementwise((v) => (v > 0 ? v : 0)),
  sigmoid: elementwise((v) => 1 / (1 + Math.exp(-v))),
  tanh: elementwise(Math.tanh),
  exp: elementwise(Math.exp),
  clamp: elementwise((v, op) => Math.min(Math.max(v, op.min ?? -Infinity), op.max ?? Infinity)),
  add: pairwise((a, b) => a + b),
  sub: pairwise((a, b) => a - b),
  mul: pairwise((a, b) => a * b),
  cat: (op, inputs, out) => {
    same(inputs.reduce((sum, x) => sum + x.length, 0), out.length);
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

/** An encoder and a decoder. What they return is overwritten by the next call of the same function. */
export class Program {
  constructor(blob, run = "") {
    try {
      const { header, arrays } = unpack(blob);
      if (header.format !== 1) throw new Trouble("weights", `format ${header.format}`);
      this.latentDim = header.latent_dim;
      this.family = header.family;
      this.functions = {};
      const weights = doubles(arrays);
      for (const [name, f] of Object.entries(header.functions)) this.functions[name] = compile(f, weights);
    } catch (error) {
      const known = error instanceof Trouble;
      throw new Trouble(known ? error.code : "weights", error.message, run);
    }
  }

  /** z (D) -> picture (784) in [0, 1]. */
  decode(z) {
    return this.functions.decode(z)[0];
  }

  /** x (784) in [0, 1] -> {mu (D), logvar (D) or null}. */
  encode(x) {
    const [mu, logvar = null] = this.functions.encode(x);
    return { mu, logvar };
  }

  /** decode(encode(x)). */
  reconstruct(x) {
    return this.decode(this.encode(x).mu);
  }
}

/** Copies in double precision, the only one in which a JavaScript engine computes without converting. */
function doubles(arrays) {
  const copy = (array) => Object.assign(Float64Array.from(array), { shape: array.shape });
  return Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, copy(array)]));
}

function compile({ input, outputs, shapes, ops }, arrays) {
  const registers = shapes.map((shape) => new Float64Array(size(shape)));
  const steps = ops.map((op) => {
    if (!Object.hasOwn(OPS, op.op)) throw new Trouble("layer", op.op);
    for (const name of [op.w, op.b]) if (name && !arrays[name]) throw new Trouble("weights", `${name} is missing`);
    const inputs = op.in.map((i) => registers[i]);
    return OPS[op.op](op, inputs, registers[op.out], [shapes[op.in[0]], shapes[op.out]], arrays);
  });
  const results = outputs.map((i) => (i === null ? null : registers[i]));
  return (x) => {
    same(x.length, registers[input].length);
    registers[input].set(x);
    for (const step of steps) step();
    return results;
  };
}

const programs = new Map(); // url -> Promise<Program>, the least used first
const KEPT = 12;

/** The program at `url` (an address that never changes its content), fetched once. Rejects with Trouble. */
export function load(url, run = "") {
  const known = programs.get(url) ?? fetchProgram(url, run);
  programs.delete(url);
  programs.set(url, known);
  if (programs.size > KEPT) programs.delete(programs.keys().next().value);
  known.catch(() => programs.delete(url)); // another time it may come
  return known;
}

async function fetchProgram(url, run) {
  let bytes;
  try {
    const response = await fetch(new URL(url, document.baseURI));
    if (!response.ok) throw new Error(`status ${response.status}`);
    bytes = new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    throw new Trouble("network", error.message, run);
  }
  return new Program(bytes, run);
}

// ---- what modules share ---------------------------------------------------------------------------------------------

/** Draw 784 pixels in [0, 1] into a canvas of 28 x 28 (CSS makes it large: image-rendering: pixelated). */
export function paint(canvas, pixels) {
  if (canvas.width !== SIDE || canvas.height !== SIDE) canvas.width = canvas.height = SIDE;
  const g = canvas.getContext("2d");
  const image = (canvas.image ??= g.createImageData(SIDE, SIDE));
  for (let i = 0; i < PIXELS; i++) {
    const v = pixels[i] * 255;
    image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = v; // clamped and rounded
    image.data[4 * i + 3] = 255;
  }
  g.putImageData(image, 0, 0);
}

/** `fn` at most once per animation frame, however often the result is called. */
export function onFrame(fn) {
  let asked = 0;
  const schedule = () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      fn();
    });
  };
  schedule.cancel = () => {
    cancelAnimationFrame(asked);
    asked = 0;
  };
  return schedule;
}

/**
 * What goes to Python, numbered, so that an answer to an older letter does not undo what the hand did meanwhile.
 * post(payload): now; later(make): make() after a pause of the keys; settled(n): does Python, which has read letter n,
 * know of everything? (Before the first letter it does, whatever n is.)
 */
export function outbox(send, pause = 300) {
  let last = null;
  let timer = 0;
  const post = (payload) => {
    clearTimeout(timer);
    timer = 0;
    last = (last ?? 0) + 1;
    send({ ...payload, n: last });
  };
  return {
    post,
    later(make) {
      clearTimeout(timer);
      timer = setTimeout(() => post(make()), pause);
    },
    settled(n) {
      last ??= n;
      return !timer && n >= last;
    },
    close: () => clearTimeout(timer),
  };
}

const channels = new Map();

/** A value that all components of the page share. set(value, from): everyone but `from` is told. on(fn, self): -> off. */
export function channel(name) {
  if (!channels.has(name)) {
    const listeners = new Map(); // fn -> who
    channels.set(name, {
      value: null,
      set(value, from = null) {
        this.value = value;
        for (const [fn, who] of listeners) if (who === null || who !== from) fn(value);
      },
      on(fn, self = null) {
        listeners.set(fn, self);
        return () => listeners.delete(fn);
      },
    });
  }
  return channels.get(name);
}

/** Does the reader want no motion that was not asked for? */
export const stillness = () => globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;

/** z = (1 - t) a + t b. */
export function lerp(a, b, t, out = new Float32Array(a.length)) {
  for (let i = 0; i < out.length; i++) out[i] = a[i] + t * (b[i] - a[i]);
  return out;
}

/** log N(z; 0, I) in nats. */
export function logPrior(z) {
  let sum = 0;
  for (const v of z) sum += v * v;
  return -0.5 * (sum + z.length * Math.log(2 * Math.PI));
}
