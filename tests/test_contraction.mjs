// node --test tests/test_contraction.mjs: ways through a plane with a metric, and pushes along tangents.
import assert from "node:assert/strict";
import test from "node:test";
import { evenly, geodesic, metricAt, straight, wayLength } from "../aevae/ui/labs/web/contraction_geodesic.js";
import { pushed, swing } from "../aevae/ui/labs/web/contraction.js";

const SIDE = 24;
const lattice = (f) => Float32Array.from({ length: 3 * SIDE * SIDE }, (_, i) => {
  const p = Math.floor(i / 3);
  return f(p % SIDE, Math.floor(p / SIDE))[i % 3];
});
const FLAT = lattice(() => [4, 0, 4]);

test("the metric between lattice points is the mean of its neighbours", () => {
  const slope = lattice((x, y) => [x, y, 1]);
  assert.deepEqual([...metricAt(slope, SIDE, 2.5, 7.25, new Float64Array(3))], [2.5, 7.25, 1]);
});

test("in a flat plane the straight way is the shortest, and as long as it is", () => {
  const a = [3, 4], b = [15, 20];
  assert.ok(Math.abs(wayLength(FLAT, SIDE, straight(a, b)) - 2 * 20) < 1e-6);
  assert.ok(Math.abs(wayLength(FLAT, SIDE, geodesic(FLAT, SIDE, a, b)) - 40) < 0.05);
});

test("a hill is walked around", () => {
  const hill = lattice((x, y) => {
    const c = 1 + 400 * Math.exp(-((x - 12) ** 2 + (y - 12) ** 2) / 12);
    return [c, 0, c];
  });
  const a = [3, 12], b = [21, 12.5], way = geodesic(hill, SIDE, a, b);
  assert.ok(wayLength(hill, SIDE, way) < 0.4 * wayLength(hill, SIDE, straight(a, b)));
  assert.deepEqual([...way.slice(0, 2), ...way.slice(-2)], [...a, ...b]);
});

test("hyperbolic half plane: the length is the known one", () => {
  const half = lattice((x, y) => [1 / (y + 10) ** 2, 0, 1 / (y + 10) ** 2]);
  const a = [1, 0], b = [21, 0]; // arcosh(1 + 20^2 / (2 * 10^2)), a circle that rises to 14.1
  const way = geodesic(half, SIDE, a, b);
  assert.ok(Math.abs(wayLength(half, SIDE, way) - Math.acosh(3)) < 0.02);
  assert.ok(wayLength(half, SIDE, straight(a, b)) > 1.99);
});

test("stops are equally far from each other", () => {
  const steep = lattice((x) => [(1 + x) ** 2, 0, 1]);
  const way = evenly(steep, SIDE, straight([0, 5], [20, 5], 400), 9);
  const steps = Array.from({ length: 8 }, (_, i) => wayLength(steep, SIDE, straight(way.slice(2 * i, 2 * i + 2), way.slice(2 * i + 2, 2 * i + 4), 20)));
  assert.ok(Math.max(...steps) / Math.min(...steps) < 1.03);
});

test("a push adds a multiple, and a swing begins and ends at 0", () => {
  assert.deepEqual(pushed(Float32Array.of(1, 0), Float32Array.of(0.5, -1), 2, new Float32Array(2)), Float32Array.of(2, -2));
  assert.equal(swing(0, 5), 0);
  assert.equal(swing(800, 5), 5);
  assert.ok(Math.abs(swing(3200, 5)) < 1e-9);
});
