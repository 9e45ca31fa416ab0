import assert from "node:assert/strict";
import test from "node:test";

import { affine, classify, densities, logMeanExp, softmax } from "../aevae/ui/labs/web/classifier.js";

const near = (a, b, by = 1e-6) => assert.ok(Math.abs(a - b) <= by, `${a} is not ${b}`);

function shaped(values, shape) {
  const out = Float32Array.from(values);
  out.shape = shape;
  return out;
}

test("affine, softmax, log-mean-exp", () => {
  assert.deepEqual([...affine([9, 1, 2, 3, 4], 1, [0, 10, -20], 1, [1, 1], new Float32Array(2))], [13, -13]);
  assert.deepEqual([...affine([1, 2, 3, 4], 0, [-5, 0], 0, [1, 1], new Float32Array(2), true)], [0, 7]);
  near(logMeanExp([-1000, -1000]), -1000);
  near(logMeanExp([Math.log(1), Math.log(3)]), Math.log(2));
  near(softmax([1000, 1000])[0], 0.5);
});

test("a VAE that ignores its code: the bound is log p(x), whatever is drawn", () => {
  const zeros = (...shape) => shaped(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  const net = {
    w1: zeros(2, 3, 4), b1: zeros(2, 3), wm: zeros(2, 1, 3), bm: zeros(2, 1), wv: zeros(2, 1, 3), bv: zeros(2, 1),
    w2: zeros(2, 3, 1), b2: zeros(2, 3), w3: zeros(2, 4, 3), b3: shaped([0, 0, 0, 0, 2, 2, 2, 2], [2, 4]),
  };
  const x = Float32Array.of(1, 1, 0, 1);
  const [flat, bright] = densities(net, x, Float32Array.of(1.5, -0.3), 2);
  near(flat, 4 * Math.log(0.5));
  const p = 1 / (1 + Math.exp(-2));
  near(bright, 3 * Math.log(p) + Math.log(1 - p), 1e-5);
});

test("the net's shares sum to 1", () => {
  const net = { r1: new Float32Array(8).fill(1), s1: new Float32Array(2), r2: new Float32Array(20), s2: new Float32Array(10) };
  net.s2[4] = Math.log(9);
  const shares = classify(net, Float32Array.of(1, 0, 0, 0));
  near(shares[4], 0.5);
  near(shares.reduce((a, b) => a + b, 0), 1);
});
