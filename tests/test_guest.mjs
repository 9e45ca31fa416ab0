// node --test tests/test_guest.mjs: where the user's own digit is placed while the pen moves.
import assert from "node:assert/strict";
import test from "node:test";
import { medianPlace, nearestCodes, onPlane } from "../aevae/ui/embeddings/guest.js";

test("the nearest codes come first, and no more than k", () => {
  const codes = Float32Array.of(0, 0, 3, 4, 1, 0, 0, 2);
  assert.deepEqual(nearestCodes([0, 0], codes, 3), [0, 2, 3]);
  assert.deepEqual(nearestCodes([3, 3], codes, 1), [1]);
  assert.deepEqual(nearestCodes([0, 0], codes, 9), [0, 2, 3, 1]);
});

test("nearest codes equal a sort of all distances", () => {
  let s = 7;
  const draw = () => (s = (s * 16807) % 2147483647) / 2147483647;
  const codes = Float32Array.from({ length: 200 * 5 }, draw), z = Float32Array.from({ length: 5 }, draw);
  const far = (i) => [0, 1, 2, 3, 4].reduce((sum, j) => sum + (codes[5 * i + j] - z[j]) ** 2, 0);
  const sorted = Array.from({ length: 200 }, (_, i) => i).sort((a, b) => far(a) - far(b));
  assert.deepEqual(nearestCodes(z, codes, 25), sorted.slice(0, 25));
});

test("the median of each coordinate: one far point does not move it", () => {
  const xy = Float32Array.of(0, 10, 1, 11, 2, 12, 1000, -1000);
  assert.deepEqual(medianPlace(xy, [0, 1, 2]), [1, 11]);
  assert.deepEqual(medianPlace(xy, [0, 1, 2, 3]), [1.5, 10.5]);
});

test("a code on a plane has the coordinates that lead to it, also on a stretched and turned one", () => {
  const plane = Float32Array.of(1, 2, 3, 0, 2, 2, 0, -3, 3); // origin, u, v at right angles
  const z = [0, 1, 2].map((j) => plane[j] + 0.5 * plane[3 + j] - 2 * plane[6 + j]);
  const [s, t] = onPlane(Float32Array.from(z), plane);
  assert.ok(Math.abs(s - 0.5) < 1e-6 && Math.abs(t + 2) < 1e-6);
});
