// node --test tests/test_sparse.mjs: sums of units, and the KL between two of them.
import assert from "node:assert/strict";
import test from "node:test";
import { curve, gradient, histogram, klBernoulli } from "../aevae/ui/labs/web/sparse_penalty.js";
import { clampedError, columnsFor, ranked, summed } from "../aevae/ui/labs/web/sparse.js";

test("the strongest units first, those that are off not at all", () => {
  assert.deepEqual(ranked(Float32Array.of(0, 2, -3, 0, 2)), [2, 1, 4]);
});

test("a picture is the offset and the sum of the units that are kept", () => {
  const offset = Float32Array.of(1, 0), filters = Float32Array.of(1, 2, 10, 20), h = Float32Array.of(3, -1);
  assert.deepEqual(summed(offset, filters, h, [], false, new Float32Array(2)), Float32Array.of(1, 0));
  assert.deepEqual(summed(offset, filters, h, [1, 0], false, new Float32Array(2)), Float32Array.of(-6, -14));
  assert.deepEqual(summed(Float32Array.of(0, 0), filters, h, [], true, new Float32Array(2)), Float32Array.of(0.5, 0.5));
  assert.equal(clampedError([2, -1, 0.5], [1, 0, 0]), 0.25);
});

test("tiles fill the width, five at least", () => {
  assert.deepEqual([90, 360, 3000].map((width) => columnsFor(200, width)), [5, 12, 25]);
  assert.equal(columnsFor(8, 3000), 8);
});

test("KL is 0 and flat where both agree, and its gradient is its derivative", () => {
  for (const rho of [0.05, 0.25, 0.9]) {
    assert.equal(klBernoulli(rho, rho), 0);
    assert.ok(Math.abs(gradient(rho, rho)) < 1e-12);
    for (const hat of [0.1, 0.6]) {
      const h = 1e-6;
      assert.ok(Math.abs((klBernoulli(rho, hat + h) - klBernoulli(rho, hat - h)) / (2 * h) - gradient(rho, hat)) < 1e-6);
      assert.ok(klBernoulli(rho, hat) > 0);
    }
  }
  assert.ok(Math.abs(klBernoulli(0.25, 0.5) - (0.25 * Math.log(0.5) + 0.75 * Math.log(1.5))) < 1e-12);
  assert.match(curve(0.25), /^M[\d.]+,-?[\d.]+(L[\d.]+,-?[\d.]+){300}$/);
});

test("a histogram counts every value, ends too", () => {
  assert.deepEqual([...histogram([0, 0.49, 0.5, 1], 2)], [2, 2]);
});
