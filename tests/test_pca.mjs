// node --test tests/test_pca.mjs: matrices of a turned code, lines through points, signed pictures.
import assert from "node:assert/strict";
import test from "node:test";
import { absoluteLine, all, between, median, squaredLine } from "../aevae/ui/labs/web/pca_outliers.js";
import { dropped, errorWithout, exponential, through, times, transposed, turnedRows } from "../aevae/ui/labs/web/pca.js";
import { maxAbs, tint } from "../aevae/ui/live/signed.js";

const near = (a, b, far = 1e-9) => a.forEach((v, i) => assert.ok(Math.abs(v - b[i]) < far, `${v} is not ${b[i]}`));
const SKEW = [0, -1, 0.3, 1, 0, -0.2, -0.3, 0.2, 0];

test("the exponential of a skew matrix is a rotation", () => {
  const c = Math.cos(1.1), s = Math.sin(1.1);
  near(exponential([0, -1, 1, 0], 1.1, 2), [c, -s, s, c]);
  const q = exponential(SKEW, 1.3, 3);
  near(times(q, transposed(q, 3), 3), [1, 0, 0, 0, 1, 0, 0, 0, 1]);
  near(exponential(SKEW, 0, 3), [1, 0, 0, 0, 1, 0, 0, 0, 1]);
});

test("turned directions and turned codes make the same picture", () => {
  const q = exponential(SKEW, 0.7, 3);
  const columns = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i)), code = Float32Array.of(1, -2, 0.5);
  const offset = Float32Array.of(1, 2, 3, 4);
  const turned = turnedRows(q, columns, 3, new Float32Array(12)), other = turnedRows(q, code, 3, new Float32Array(3));
  const [a, b] = [[columns, code], [turned, other]].map(([w, z]) => through(offset, w, z, 3, new Float32Array(4)));
  near(a, b, 1e-5);
});

test("what is dropped costs what it carries", () => {
  const one = [1, 0, 0, 1], parts = { full: 5, second: [4, 0, 0, 1], gram: one, cross: [0, 0, 0, 0] };
  const q0 = exponential([0, -1, 1, 0], 0, 2), q90 = exponential([0, -1, 1, 0], Math.PI / 2, 2);
  near([2, 1, 0].map((k) => errorWithout(dropped(q0, k, 2), parts, 2)), [5, 6, 10]);
  near([2, 1, 0].map((k) => errorWithout(dropped(q90, k, 2), parts, 2)), [5, 9, 10]);
});

test("lines: squares follow outliers, absolute values do not", () => {
  const line = Float32Array.from({ length: 40 }, (_, i) => (i % 2 ? 0 : i / 2 - 10));
  assert.ok(between(squaredLine(line).angle, 0) < 1e-9);
  assert.ok(between(absoluteLine(line).angle, 0) < 1e-9);
  const disturbed = all(line, Float32Array.of(0, 0, 0.1, 0, 9, 9), { count: 2, x: -8, y: 30 });
  assert.equal(disturbed.length, 44);
  assert.ok(between(squaredLine(disturbed).angle, 0) > 20);
  assert.ok(between(absoluteLine(disturbed).angle, 0) < 2);
  assert.equal(between(0.01, Math.PI - 0.01).toFixed(4), ((0.02 * 180) / Math.PI).toFixed(4));
  assert.deepEqual([median([3, 1, 2]), median([4, 1, 2, 3])], [2, 2.5]);
});

test("a signed picture: black at 0, orange above, blue beneath", () => {
  const data = new Uint8ClampedArray(16);
  tint([0, 2, -2, 9], 2, data, 2);
  assert.deepEqual([...data], [0, 0, 0, 255, 255, 158, 44, 255, 72, 150, 255, 255, 255, 158, 44, 255]);
  assert.equal(maxAbs([1, -3]), 3);
  assert.equal(maxAbs([0]), 1);
});
