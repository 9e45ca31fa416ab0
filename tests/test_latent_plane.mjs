// node --test tests/test_latent_plane.mjs: planes, ellipses, axes and paths of the latent plane.
import assert from "node:assert/strict";
import test from "node:test";
import { dot, ellipse, triangleWave } from "../aevae/ui/live/maths.js";
import { fade, pinAt, spiral } from "../aevae/ui/sliders/plane_map.js";
import {
  cellAxis, distance, frameFor, lengthOf, lift, linearAxis, outline, planeOf, planeThrough, pointAt, project,
  projectedCovariance, resample, ticks,
} from "../aevae/ui/sliders/planes.js";

const near = (a, b, tolerance = 1e-9) => assert.ok(Math.abs(a - b) <= tolerance, `${a} is not ${b}`);
const codes = [[1, 0, 2, -1, 0.5], [0, 3, 1, 1, -2], [-2, 1, 0, 4, 1]];

test("the plane through three codes: an orthonormal basis on which all three lie", () => {
  const plane = planeThrough(...codes);
  near(dot(plane.u, plane.u), 1);
  near(dot(plane.v, plane.v), 1);
  near(dot(plane.u, plane.v), 0);
  for (const z of codes) {
    near(distance(plane, z), 0);
    lift(plane, project(plane, z), z).forEach((v, i) => near(v, z[i], 1e-6)); // float32
  }
  assert.deepEqual(project(plane, codes[0]), [0, 0]);
  near(project(plane, codes[1])[1], 0);
  assert.ok(project(plane, codes[2])[1] > 0);
});

test("distances on the plane are those of the space, and the way to it is square on it", () => {
  const plane = planeThrough(...codes);
  const [b, c] = [project(plane, codes[1]), project(plane, codes[2])];
  near(Math.hypot(b[0] - c[0], b[1] - c[1]), Math.hypot(...codes[1].map((v, i) => v - codes[2][i])));
  const z = [3, -1, 4, 1, 5];
  const foot = Float64Array.from(lift(plane, project(plane, z), z));
  const away = Float64Array.from(z, (v, i) => v - foot[i]);
  near(dot(away, plane.u), 0, 1e-5);
  near(dot(away, plane.v), 0, 1e-5);
  near(Math.sqrt(dot(away, away)), distance(plane, z), 1e-5);
});

test("three codes on a line, or two of them the same, span no plane", () => {
  assert.equal(planeThrough([0, 0], [1, 1], [2, 2]), null);
  assert.equal(planeThrough([1, 2], [1, 2], [3, 0]), null);
  assert.equal(planeThrough([1, 2], [3, 0], [1, 2]), null);
});

test("a plane of two dimensions keeps the other numbers", () => {
  const plane = planeOf(2, 0);
  assert.deepEqual(project(plane, [5, 6, 7]), [7, 5]);
  assert.deepEqual(lift(plane, [1, 2], [5, 6, 7]), Float32Array.of(2, 6, 1));
});

test("the ellipse of a covariance: axes, angle, and its shadow on a plane", () => {
  assert.deepEqual(ellipse([9, 0, 4]), { a: 3, b: 2, angle: 0 });
  const tall = ellipse([4, 0, 9]);
  near(tall.a, 3);
  near(Math.abs(tall.angle), Math.PI / 2);
  const c = Math.cos(0.4), s = Math.sin(0.4); // 5 and 1 turned by 0.4
  const turned = ellipse([25 * c * c + s * s, 24 * c * s, 25 * s * s + c * c]);
  near(turned.a, 5);
  near(turned.b, 1);
  near(turned.angle, 0.4);
  assert.deepEqual(projectedCovariance(planeOf(1, 0), [4, 9]), [9, 0, 4]);
  const round = projectedCovariance(planeThrough(...codes), [2, 2, 2, 2, 2]);
  [2, 0, 2].forEach((v, i) => near(round[i], v));
});

test("the outline of an ellipse lies on it", () => {
  const shape = { a: 3, b: 2, angle: 0.7 };
  for (const [x, y] of outline([1, -1], shape, 2)) {
    const p = (x - 1) * Math.cos(0.7) + (y + 1) * Math.sin(0.7), q = (y + 1) * Math.cos(0.7) - (x - 1) * Math.sin(0.7);
    near((p / 6) ** 2 + (q / 4) ** 2, 1);
  }
});

test("axes: place and value undo each other; lines stand in the middle of their cells", () => {
  for (const axis of [linearAxis(-3, 5), cellAxis([-2, -0.5, 0, 0.5, 2])])
    for (const t of [0, 0.05, 0.3, 0.5, 0.77, 1]) near(axis.place(axis.value(t)), t);
  const axis = cellAxis([-2, -0.5, 0, 0.5, 2]);
  near(axis.value(0.1), -2);
  near(axis.value(0.5), 0);
  near(axis.value(1), 2.75);
});

test("ticks are round and within the axis", () => {
  assert.deepEqual(ticks(-3, 3), [-3, -2, -1, 0, 1, 2, 3]);
  assert.deepEqual(ticks(0.13, 0.41, 3), [0.2, 0.3, 0.4]);
  assert.deepEqual(ticks(-120, 90, 5), [-100, -50, 0, 50]);
});

test("the frame has equal units, forgets far points, and holds what it must", () => {
  const cloud = Array.from({ length: 200 }, (_, i) => [i / 200, (i * 7) % 2]);
  const [s0, s1, t0, t1] = frameFor([...cloud, [1e6, 0]], [[-4, 0], [0, 3]]);
  near(s1 - s0, t1 - t0, 1e-9);
  assert.ok(s0 < -4 && t1 > 3 && s1 < 10);
});

test("a path at an even pace keeps its ends and its length", () => {
  const path = [[0, 0], [1, 0], [1, 0], [1, 3]];
  near(lengthOf(path), 4);
  const even = resample(path, 9);
  assert.equal(even.length, 9);
  assert.deepEqual(even[0], [0, 0]);
  assert.deepEqual(even[8], [1, 3]);
  for (let i = 1; i < 9; i++) near(lengthOf(even.slice(i - 1, i + 1)), 0.5);
  assert.deepEqual(resample([[2, 2]], 1), [[2, 2]]);
  assert.deepEqual(resample([[2, 2], [2, 2]], 3), [[2, 2], [2, 2], [2, 2]]);
  assert.deepEqual(pointAt(even, 0.5), even[4]);
  assert.deepEqual(pointAt([[5, 6]], 0.3), [5, 6]);
});

test("a loop goes forth and back", () => {
  [0, 0.5, 1, 1.5, 2, 2.25].forEach((t, i) => near(triangleWave(t), [0, 0.5, 1, 0.5, 0, 0.25][i]));
});

test("near points are strong, far ones faint", () => {
  const strong = fade([3, 0, 9, 1]);
  near(strong[1], 0.9, 1e-6);
  near(strong[2], 0.08, 1e-6);
  assert.ok(strong[1] > strong[3] && strong[3] > strong[0] && strong[0] > strong[2]);
});

test("the topmost pin under the pointer", () => {
  const pins = [[10, 10], [20, 10], [100, 100]];
  assert.equal(pinAt(pins, [12, 12]), 1);
  assert.equal(pinAt(pins, [-5, 12]), 0);
  assert.equal(pinAt(pins, [60, 60]), -1);
});

test("the manifold grows from the middle and fills every cell once", () => {
  const order = spiral(5);
  assert.deepEqual(order[0], [2, 2]);
  assert.equal(new Set(order.map(String)).size, 25);
});
