// Denoise in the page: its noise and strokes against Python's (tests/test_page_denoise.py exports them).
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { blank, brush, corrupt, errors, isBlank, layOver, pack, stroked } from "../aevae/ui/denoise/corruption.js";

const file = process.env.AEVAE_NOISE;
const skip = file ? false : "run by pytest tests/test_page_denoise.py, which exports what Python computes";
const touched = (...args) => {
  const coverage = new Float32Array(784);
  brush(coverage, ...args);
  return coverage;
};

test("noise of a seed, kind and level is Python's, and so are strokes and errors", { skip }, async () => {
  const { clean, draws, cases, layer, covered, sse, psnr } = JSON.parse(await readFile(file, "utf8"));
  const x = Float32Array.from(clean);
  for (const { kind, level, noisy } of cases) {
    const found = corrupt(kind, level, x, Float32Array.from(draws[kind]));
    noisy.forEach((value, i) => assert.ok(Math.abs(found[i] - value) < 1e-6, `${kind} at ${level}, pixel ${i}`));
  }
  const [cover, ink] = layer.map((row) => Uint8Array.from(row));
  const found = layOver(x, { cover, ink });
  covered.forEach((value, i) => assert.ok(Math.abs(found[i] - value) < 1e-6));
  assert.equal(pack({ cover, ink }), Buffer.from([...cover, ...ink]).toString("base64"));
  const error = errors(x, found);
  assert.ok(Math.abs(error.sse - sse) < 1e-4 && Math.abs(error.psnr - psnr) < 1e-4);
});

test("a brush covers a round dab and a way, softly at its edge, and never less than before", () => {
  const dab = touched({ x: 10.5, y: 5.5 }, { x: 10.5, y: 5.5 }, 1);
  const at = (x, y, coverage = dab) => coverage[y * 28 + x];
  assert.equal(at(10, 5), 1);
  assert.equal(at(11, 5), 0.5);
  assert.equal(at(12, 5), 0);
  const way = touched({ x: 2.5, y: 2.5 }, { x: 9.5, y: 2.5 }, 1);
  for (let x = 2; x <= 9; x++) assert.equal(at(x, 2, way), 1);
  assert.equal(at(5, 3, way), 0.5);
  assert.equal(at(12, 2, way), 0);
  brush(way, { x: 20, y: 20 }, { x: 20, y: 20 }, 1);
  assert.equal(at(5, 2, way), 1);
  assert.ok(touched({ x: -40, y: 90 }, { x: -90, y: 40 }, 4).every((v) => v === 0));
});

test("white over black is white, black over white erases, and the ink never exceeds the cover", () => {
  const coverage = touched({ x: 14, y: 14 }, { x: 14, y: 14 }, 3);
  const grey = new Float32Array(784).fill(0.5);
  const white = stroked(blank(), coverage, 1);
  assert.equal(layOver(grey, white)[14 * 28 + 14], 1);
  assert.equal(layOver(grey, white)[0], 0.5);
  const black = stroked(white, coverage, 0);
  assert.equal(layOver(grey, black)[14 * 28 + 14], 0);
  for (const { cover, ink } of [white, black, stroked(black, coverage.map((v) => v / 3), 1)])
    cover.forEach((v, i) => assert.ok(ink[i] <= v));
});

test("an untouched layer is nothing to send", () => {
  assert.ok(isBlank(blank()));
  assert.equal(pack(blank()), null);
  assert.equal(pack(stroked(blank(), touched({ x: 9, y: 9 }, { x: 9, y: 9 }, 1), 0)).length, 2092);
});

test("level 0 copies, an exact copy has no error, and Gaussian noise stays between black and white", () => {
  const x = Float32Array.from({ length: 784 }, (_, i) => (i % 5) / 4);
  const copy = corrupt("gaussian", 0, x, new Float32Array(784).fill(9));
  assert.deepEqual(copy, x);
  assert.notEqual(copy, x);
  assert.deepEqual(errors(x, x), { sse: 0, psnr: Infinity });
  assert.ok(corrupt("gaussian", 1, x, new Float32Array(784).fill(9)).every((v) => v === 1));
  assert.ok(corrupt("block", 1, x, Float32Array.of(0.3, 0.9)).every((v) => v === 0));
});
