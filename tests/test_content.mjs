// node --test tests/test_content.mjs: contents and how sure they are.
import assert from "node:assert/strict";
import test from "node:test";
import { contentOf, deviation } from "../aevae/ui/labs/web/content.js";

const shaped = (values, ...shape) => Object.assign(Float32Array.from(values), { shape });
const ARRAYS = {
  mu: shaped([1, 2, 3, 4, 5, 6, 7, 8], 2, 2, 2),
  variance: shaped([4, 4, 1, 1, 9, 7, 0.25, 0.25], 2, 2, 2),
  eps: shaped([1, -1, 2, 0], 2, 2),
};

test("a content is its mean, or a draw around it", () => {
  const out = new Float32Array(2);
  assert.deepEqual([...contentOf(ARRAYS, 1, 2, 0, out)], [7, 8]);
  assert.deepEqual([...contentOf(ARRAYS, 0, 1, 1, out)], [3, 0]);
  assert.deepEqual([...contentOf(ARRAYS, 1, 2, 1, out)], [8, 8]);
});

test("how wide it is", () => {
  assert.equal(deviation(ARRAYS, 0, 1), 2);
  assert.equal(deviation(ARRAYS, 0, 2), 1);
  assert.ok(Math.abs(deviation(ARRAYS, 1, 1) - Math.sqrt(8)) < 1e-6);
});
