// node --test tests/test_score.mjs: the score of a mixture, a small network, Langevin's walk.
import assert from "node:assert/strict";
import test from "node:test";
import { annealed, curveAt, langevin, network, normals, scoreAt, shares, smoothed } from "../aevae/ui/labs/web/score.js";

const PARTS = [-1, 0, 0.5, 0.7, 1, 0.5, 0.3, 0.3];
const near = (a, b, far = 1e-6) => assert.ok(Math.abs(a - b) < far, `${a} is not ${b}`);

test("the score of one Gaussian is known, and of a mixture the gradient of the log density", () => {
  const one = scoreAt(smoothed([1, 2, 0.6, 1], 0.8), 3, 2, new Float64Array(3)); // variance 1
  near(one[0], -Math.log(2 * Math.PI) - 2);
  near(one[1], -2);
  near(one[2], 0);
  const log = (x, y) => scoreAt(smoothed(PARTS, 0.4), x, y, new Float64Array(3))[0], h = 1e-5;
  const at = scoreAt(smoothed(PARTS, 0.4), 0.3, -0.2, new Float64Array(3));
  near(at[1], (log(0.3 + h, -0.2) - log(0.3 - h, -0.2)) / (2 * h));
  near(at[2], (log(0.3, -0.2 + h) - log(0.3, -0.2 - h)) / (2 * h));
});

test("a network by hand", () => {
  const silu = (v) => v / (1 + Math.exp(-v));
  const f = network([{ w: [1, 0, 2], b: [0.5] }, { w: [2, -1], b: [0, 1] }]);
  const [a, b] = f(1, 9, -1);
  near(a, 2 * silu(-0.5));
  near(b, 1 - silu(-0.5));
  near(network([{ w: [1, 1, 1], b: [0] }], 2)(3, 4, 5)[0], 19);
});

test("Langevin's walk comes to the density that it follows", () => {
  let seed = 1;
  const noise = normals(() => (seed = (seed * 16807) % 2147483647) / 2147483647);
  let sum = 0, squares = 0, x = 3;
  for (let i = 0; i < 60000; i++) {
    x = langevin(x, -(x - 1) / 0.25, 0.05, noise()); // N(1, 0.25)
    if (i > 200) [sum, squares] = [sum + x, squares + x * x];
  }
  const mean = sum / 59799;
  near(mean, 1, 0.05);
  near(squares / 59799 - mean * mean, 0.25, 0.03);
});

test("the words say what the chart shows", () => {
  const curve = { sigma: [0.1, 0.4, 1.6], near_error: [0.2, 0.6, 0.4] };
  for (const [s, error] of [[0.1, 0.2], [0.2, 0.4], [0.4, 0.6], [0.8, 0.5], [1.6, 0.4], [0.05, 0.2], [2, 0.4]])
    near(curveAt(curve, s).near_error, error);
});

test("annealing, shares", () => {
  near(annealed(0, [0.1, 1]), 1);
  near(annealed(0.5, [0.1, 1]), Math.sqrt(0.1));
  near(annealed(2, [0.1, 1]), 0.1);
  assert.deepEqual(shares([-1, 0, -1.1, 0, 1, 1, -2, 0], PARTS), [75, 25]);
});
