// The interpreter of programs: its operations against PyTorch (tests/js_fixtures.py exports the answers), and its errors for
// broken programs.
import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import test from "node:test";
import { fromHalf, unpack } from "../aevae/ui/live/loader.js";
import { Matrices } from "../aevae/ui/live/matrix.js";
import { LiveError, loadProgram, Program } from "../aevae/ui/live/program.js";

const folder = process.env.AEVAE_FIXTURES;
const skip = folder ? false : "run by pytest tests/test_js.py, which exports what PyTorch computes";
const bytes = async (name) => new Uint8Array(await readFile(`${folder}/${name}`));

/** A blob as aevae/browser/blob.py packs it. */
function pack(header, arrays = {}) {
  const index = {};
  const parts = [];
  let at = 0;
  for (const [name, array] of Object.entries(arrays)) {
    const dtype = { Float32Array: "float32", Uint16Array: "float16", Uint8Array: "uint8" }[array.constructor.name];
    index[name] = { dtype, shape: array.shape ?? [array.length], at };
    parts.push(Buffer.from(array.buffer), Buffer.alloc(-array.byteLength & 3));
    at += (array.byteLength + 3) & ~3;
  }
  let text = Buffer.from(JSON.stringify({ ...header, arrays: { ...index, ...header.arrays } }));
  text = Buffer.concat([text, Buffer.alloc(-text.length & 3, " ")]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return new Uint8Array(Buffer.concat([length, text, ...parts]));
}

const row = (array, i) => array.subarray(i * array.shape[1], (i + 1) * array.shape[1]);

function near(got, wanted, tolerance) {
  assert.equal(got.length, wanted.length);
  for (let i = 0; i < got.length; i++)
    assert.ok(Math.abs(got[i] - wanted[i]) <= tolerance * Math.max(1, Math.abs(wanted[i])), `[${i}] ${got[i]} ${wanted[i]}`);
}

// ---- against PyTorch ------------------------------------------------------------------------------------------------

const cases = folder ? (await readdir(folder)).filter((n) => n.endsWith(".program")).map((n) => n.slice(0, -8)) : [];

test("there are cases", { skip }, () => assert.ok(cases.length > 40, `${cases.length} cases`));

for (const name of cases)
  test(`${name} computes what PyTorch computes`, async () => {
    const program = new Program(await bytes(`${name}.program`));
    const { arrays } = unpack(await bytes(`${name}.answers`));
    for (let i = 0; i < arrays.z.shape[0]; i++) near(program.decode(row(arrays.z, i)), row(arrays.decode, i), 5e-6);
    near(program.decode(row(arrays.z, 0)), row(arrays.decode, 0), 5e-6); // nothing stays behind from the last call
    for (let i = 0; i < (arrays.x?.shape[0] ?? 0); i++) {
      const { mu, logvar } = program.encode(row(arrays.x, i));
      near(mu, row(arrays.mu, i), 5e-6);
      if (arrays.logvar) near(logvar, row(arrays.logvar, i), 5e-6);
      else assert.equal(logvar, null);
    }
  });

test("every half precision number becomes the same number", { skip }, async () => {
  const { arrays } = unpack(await bytes("halves.bin"));
  for (let i = 0; i < 2 ** 16; i++) assert.ok(Object.is(arrays.half[i], arrays.single[i]), `bits ${i}: ${arrays.half[i]}`);
});

test("half precision at its borders", () => {
  const bits = Uint16Array.from([0, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x3c00, 0x7bff, 0x7c00, 0xfc00, 0x7e00]);
  const tiny = 2 ** -24;
  const wanted = [0, -0, tiny, -tiny, 1023 * tiny, 2 ** -14, 1, 65504, Infinity, -Infinity, NaN];
  assert.deepEqual([...fromHalf(bits)], wanted);
});

test("all kinds of arrays come out as they went in, at any byte offset", { skip }, async () => {
  const blob = await bytes("kinds.bin");
  const shifted = new Uint8Array(blob.length + 3);
  shifted.set(blob, 3);
  const { header, arrays } = unpack(shifted.subarray(3));
  assert.equal(header.text, "é");
  for (const name of ["uint8", "float16", "int32", "uint16", "float32"]) assert.deepEqual([...arrays[name]], [1, 2, 3]);
  assert.deepEqual(arrays.empty.shape, [0, 2]);
});

// ---- broken programs ------------------------------------------------------------------------------------------------

const line = (op, more = {}) => ({ op, in: [0], out: 1, ...more });
const description = (ops, shapes = [[2], [2]], more = {}) => ({
  format: 1,
  functions: { decode: { input: 0, outputs: [shapes.length - 1], shapes, ops } },
  ...more,
});
const weights = { w: Object.assign(Float32Array.from([1, 2, 3, 4]), { shape: [2, 2] }), b: new Float32Array(2) };
const dense = line("linear", { w: "w", b: "b" });
const square = { kernel: [1, 1], stride: [1, 1], padding: [0, 0], w: "k", b: "b" };
const kernel = { k: Object.assign(new Float32Array(4), { shape: [2, 2] }), b: new Float32Array(2) };

test("a program in full works", () => {
  assert.deepEqual([...new Program(pack(description([dense]), weights)).decode([1, 10])], [31, 42]);
});

const broken = {
  "no bytes": [new Uint8Array(0), "weights"],
  "no blob": [new TextEncoder().encode("<!doctype html><title>Not found</title>"), "weights"],
  "cut in the header": [pack(description([dense]), weights).subarray(0, 40), "weights"],
  "cut in the weights": [pack(description([dense]), weights).subarray(0, -4), "weights"],
  "another format": [pack({ ...description([dense]), format: 2 }, weights), "weights"],
  "no format": [pack({ functions: {} }), "weights"],
  "no functions": [pack({ format: 1 }), "weights"],
  "an unknown dtype": [
    pack({ ...description([dense]), arrays: { c: { dtype: "float64", shape: [1], at: 0 } } }, weights),
    "weights",
  ],
  "a dtype that every object has": [
    pack({ ...description([dense]), arrays: { c: { dtype: "constructor", shape: [1], at: 0 } } }, weights),
    "weights",
  ],
  "a place before the arrays": [
    pack({ ...description([dense]), arrays: { c: { dtype: "float32", shape: [1], at: -2 } } }, weights),
    "weights",
  ],
  "weights missing": [pack(description([dense]), { w: weights.w }), "weights"],
  "weights too few": [pack(description([dense]), { ...weights, w: new Float32Array(3) }), "weights"],
  "bias too long": [pack(description([dense]), { ...weights, b: new Float32Array(3) }), "weights"],
  "a kernel too small": [pack(description([line("conv", square)], [[3, 1, 2], [2, 1, 2]]), kernel), "weights"],
  "a bias of other maps": [pack(description([line("conv_transpose", square)], [[2, 1, 2], [3, 1, 2]]), kernel), "weights"],
  "a kernel of other measures": [
    pack(description([line("conv", { ...square, kernel: [2, 1] })], [[2, 1, 2], [2, 1, 2]]), kernel),
    "weights",
  ],
  "a kernel without measures": [
    pack(description([line("conv", { w: "k", b: "b" })], [[2, 1, 2], [2, 1, 2]]), kernel),
    "weights",
  ],
  "a convolution of a row": [pack(description([line("conv", square)]), kernel), "weights"],
  "a shape that does not fit": [pack(description([line("relu")], [[2], [3]])), "weights"],
  "a reshape that does not fit": [pack(description([line("reshape")], [[2], [3]])), "weights"],
  "a sum of two sizes": [pack(description([line("add", { in: [0, 1], out: 2 })], [[2], [3], [3]])), "weights"],
  "a join that does not fit": [pack(description([line("cat", { in: [0, 0] })], [[2], [3]])), "weights"],
  "an input that is not there": [pack(description([line("relu", { in: [7] })])), "weights"],
  "an output that is not there": [pack(description([line("relu", { out: 7 })])), "weights"],
  "an unknown layer": [pack(description([line("softmax")])), "layer"],
  "a layer that every object has": [pack(description([line("constructor")])), "layer"],
};

for (const [name, [blob, code]] of Object.entries(broken))
  test(`${name}: trouble with ${code}`, () => {
    assert.throws(
      () => new Program(blob, "some-run"),
      (error) => error instanceof LiveError && error.code === code && error.run === "some-run" && error.message !== "",
    );
  });

test("a code or a picture of another size is refused", () => {
  const program = new Program(pack(description([dense]), weights));
  assert.throws(() => program.decode([1]), LiveError);
  assert.throws(() => program.decode(new Float32Array(3)), LiveError);
});

test("encoder and decoder may share weights, and do not share memory", () => {
  const f = { input: 0, outputs: [1, null], shapes: [[2], [2]], ops: [dense] };
  const program = new Program(pack({ format: 1, functions: { encode: f, decode: f } }, weights));
  const { mu, logvar } = program.encode([1, 0]);
  program.decode([0, 1]);
  assert.deepEqual([...mu], [1, 2]);
  assert.equal(logvar, null);
});

// ---- products -------------------------------------------------------------------------------------------------------

for (const [way, module] of [["WebAssembly", undefined], ["JavaScript", null]])
  test(`y += x W in ${way}, for every size`, () => {
    const arrays = { vector: Object.assign(new Float32Array(3), { shape: [3] }) };
    for (const m of [1, 2, 5, 16, 33])
      for (const n of [1, 3, 15, 16, 17, 32, 50]) {
        const w = Float32Array.from({ length: m * n }, (_, i) => ((i * 37) % 101) - 50);
        arrays[`${m}x${n}`] = Object.assign(w, { shape: [m, n] });
      }
    const matrices = new Matrices(arrays, module);
    for (const [name, w] of Object.entries(arrays)) {
      if (name === "vector") continue;
      const [m, n] = w.shape;
      matrices.x.fill(NaN); // what lies behind x is not read
      for (let i = 0; i < m; i++) matrices.x[i] = (i % 3) - 1;
      matrices.y.fill(7);
      matrices.product(name)();
      for (let j = 0; j < n; j++) {
        let sum = 7;
        for (let i = 0; i < m; i++) sum += ((i % 3) - 1) * w[i * n + j];
        assert.equal(matrices.y[j], sum, `${name} column ${j}`);
      }
      matrices.product(name)(); // the matrix is as it was
      for (let j = 0; j < n; j++) assert.ok(Number.isFinite(matrices.y[j]));
    }
    assert.equal(matrices.multiply.name === "0", module === undefined, "this engine has WebAssembly SIMD");
  });

// ---- fetching -------------------------------------------------------------------------------------------------------

/** `fetch` and `document` as loadProgram() needs them; answers: url -> bytes, status or Error. */
function serve(answers) {
  const asked = [];
  globalThis.document = { baseURI: "http://here/sub/" };
  globalThis.fetch = async (url) => {
    asked.push(url.href);
    const answer = answers(url);
    if (answer instanceof Error) throw answer;
    if (typeof answer === "number") return { ok: false, status: answer };
    return { ok: true, arrayBuffer: async () => answer.buffer };
  };
  return asked;
}

test("a program is fetched once, however many ask at once, relative to the page", async () => {
  const asked = serve(() => pack(description([dense]), weights));
  const [a, b] = await Promise.all([loadProgram("live/a.bin"), loadProgram("live/a.bin")]);
  assert.equal(a, b);
  assert.equal(await loadProgram("live/a.bin"), a);
  assert.deepEqual(asked, ["http://here/sub/live/a.bin"]);
});

test("what fails is network trouble, names its run, and is tried again", async () => {
  let answer = new TypeError("no way there");
  const asked = serve(() => answer);
  const network = (e) => e instanceof LiveError && e.code === "network" && e.run === "r";
  await assert.rejects(loadProgram("live/b.bin", "r"), network);
  answer = 404;
  await assert.rejects(loadProgram("live/b.bin", "r"), network);
  answer = new Uint8Array(3);
  await assert.rejects(loadProgram("live/b.bin", "r"), (e) => e.code === "weights" && e.run === "r");
  answer = pack(description([dense]), weights);
  assert.ok((await loadProgram("live/b.bin", "r")) instanceof Program);
  assert.equal(asked.length, 4);
});

test("the programs used last are kept", async () => {
  const asked = serve(() => pack(description([dense]), weights));
  const first = await loadProgram("live/0.bin");
  for (let i = 1; i < 12; i++) await loadProgram(`live/${i}.bin`);
  assert.equal(await loadProgram("live/0.bin"), first);
  await loadProgram("live/12.bin"); // pushes 1 out, not 0
  assert.equal(await loadProgram("live/0.bin"), first);
  const before = asked.length;
  await loadProgram("live/1.bin");
  assert.equal(asked.length, before + 1);
});
