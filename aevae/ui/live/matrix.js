// The inner loop of all layers: y += x W, in single precision. 257 bytes of WebAssembly with SIMD, written instruction by
// instruction; in browsers without SIMD the same in JavaScript (five to ten times slower).

const BLOCK = 16; // columns per iteration; rows of W and y are padded to a multiple
const padded = (n) => Math.ceil(n / BLOCK) * BLOCK;

// ---- the instructions (WebAssembly Core Specification 2.0, section 5.4) ---------------------------------------------

const [Y, X, X_END, W, STRIDE, Y_END, AT, ROW, A, B, C, D, V] = Array(13).keys(); // 5 parameters, 3 i32, 5 v128
const I32 = 0x7f, V128 = 0x7b, VOID = 0x40, LOOP = 0x03, END = 0x0b, CONST = 0x41;
const ADD = 0x6a, LESS = 0x49;
const AGAIN = [0x0d, 0]; // br_if 0: back to the beginning of the loop
const get = (local) => [0x20, local];
const set = (local) => [0x21, local];
const tee = (local) => [0x22, local];
const load = (offset) => [0xfd, 0x00, 4, offset]; // v128.load, aligned to 16
const store = (offset) => [0xfd, 0x0b, 4, offset];
const SPLAT = [0xfd, 0x09, 2, 0]; // v128.load32_splat: one number four times
const ADD4 = [0xfd, 0xe4, 0x01], MUL4 = [0xfd, 0xe6, 0x01]; // f32x4
const BLOCK_BYTES = [CONST, 0xc0, 0x00]; // 64

/** (Y, X, X_END, W, STRIDE), all in bytes: y += x W, where a row of W and y have STRIDE bytes. */
const BODY = [
  [2, 3, I32, 5, V128], // locals
  [get(Y), get(STRIDE), ADD, set(Y_END)],
  [LOOP, VOID], // 16 columns
  [A, B, C, D].map((sum, i) => [get(Y), load(16 * i), set(sum)]),
  [get(X), set(AT), get(W), set(ROW)],
  [LOOP, VOID], // rows
  [get(AT), SPLAT, set(V)],
  [A, B, C, D].map((sum, i) => [get(sum), get(V), get(ROW), load(16 * i), MUL4, ADD4, set(sum)]),
  [get(ROW), get(STRIDE), ADD, set(ROW)],
  [get(AT), CONST, 4, ADD, tee(AT), get(X_END), LESS, AGAIN],
  END,
  [A, B, C, D].map((sum, i) => [get(Y), get(sum), store(16 * i)]),
  [get(W), BLOCK_BYTES, ADD, set(W)],
  [get(Y), BLOCK_BYTES, ADD, tee(Y), get(Y_END), LESS, AGAIN],
  END,
  END,
].flat(Infinity);

const sized = (bytes) => [(bytes.length & 127) | 128, bytes.length >> 7, ...bytes]; // LEB128 in two bytes
const section = (id, bytes) => [id, ...sized(bytes)];
const MODULE = Uint8Array.from([
  [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // magic, version
  section(1, [1, 0x60, 5, I32, I32, I32, I32, I32, 0]), // the type of the function
  section(2, [1, 1, 0x6d, 1, 0x6d, 2, 0, 1]), // import: memory m.m
  section(3, [1, 0]), // one function
  section(7, [1, 1, 0x66, 0, 0]), // export: f
  section(10, [1, ...sized(BODY)]),
].flat());

let compiled; // undefined: not tried yet; null: not supported

/** The compiled module, or null in a browser without WebAssembly SIMD. */
function simd() {
  try {
    compiled ??= compiled === null ? null : new WebAssembly.Module(MODULE);
  } catch {
    compiled = null;
  }
  return compiled;
}

/** The WebAssembly module's function in JavaScript. */
function plain(memory) {
  return (y, x, end, w, stride) => {
    const n = stride >> 2;
    for (let i = x >> 2, row = w >> 2; i < end >> 2; i++, row += n) {
      const v = memory[i];
      if (v !== 0) for (let j = 0; j < n; j++) memory[(y >> 2) + j] += v * memory[row + j];
    }
  };
}

/** Matrices in one memory, with shared buffers for x and y. */
export class Matrices {
  /** arrays: name -> Float32Array with .shape [m, n]; others are ignored. module: WebAssembly, or null for JavaScript. */
  constructor(arrays, module = simd()) {
    const entries = Object.entries(arrays).filter(([, a]) => a.shape.length === 2 && a.length > 0);
    const y = padded(Math.max(0, ...entries.map(([, a]) => a.shape[1])));
    const x = padded(Math.max(0, ...entries.map(([, a]) => a.shape[0])));
    const sizes = entries.map(([, { shape: [m, n] }]) => m * padded(n));
    const bytes = 4 * sizes.reduce((sum, s) => sum + s, y + x);
    const memory = module && new WebAssembly.Memory({ initial: Math.ceil(bytes / 65536) || 1 });
    this.memory = new Float32Array(memory ? memory.buffer : new ArrayBuffer(bytes));
    /** @type {any} */
    this.multiply = memory ? new WebAssembly.Instance(module, { m: { m: memory } }).exports.f : plain(this.memory);
    /** Input and output buffers of the next product. */
    this.y = this.memory.subarray(0, y);
    this.x = this.memory.subarray(y, y + x);
    this.places = new Map();
    let at = y + x;
    for (const [i, [name, array]] of entries.entries()) {
      const [m, n] = array.shape;
      for (let r = 0; r < m; r++) this.memory.set(array.subarray(r * n, (r + 1) * n), at + r * padded(n));
      this.places.set(name, { m, n, at });
      at += sizes[i];
    }
  }

  /** A function that adds x W to y: the first m numbers of .x, the first n of .y (and zeros behind them). */
  product(name) {
    const { m, n, at } = this.places.get(name);
    const [x, w, stride] = [this.x.byteOffset, 4 * at, 4 * padded(n)];
    return () => this.multiply(0, x, x + 4 * m, w, stride);
  }
}
