// node --test tests/test_atlas.mjs: where points lie, which is nearest, what a lasso holds, how they are painted.
import assert from "node:assert/strict";
import test from "node:test";
import {
  between, countByClass, discs, ease, findName, Grid, growLasso, indicesOf, panBy, parseColour, pixelOf, ramp, Raster, scaleOf,
  textOn, toPixels, toPlace, toSquare, WHOLE, withClass, ZOOM, zoomAt,
} from "../aevae/ui/embeddings/points.js";

const near = (a, b, tolerance = 1e-9) => assert.ok(Math.abs(a - b) <= tolerance, `${a} is not ${b}`);
const size = { w: 400, h: 300 };

/** Numbers in 0..1 that are the same at each run. */
function draw(seed) {
  let s = seed;
  return () => (s = (s * 16807) % 2147483647) / 2147483647;
}
const cloud = (n, seed) => Float32Array.from({ length: 2 * n }, (() => { const r = draw(seed); return () => 2 * r() - 1; })());

test("pixels and places are inverse, y is up, and the square fits the pane", () => {
  const view = { x: 0.3, y: -0.2, k: 2.5 };
  const [px, py] = toPixels(view, size, 0.7, 0.1);
  const [x, y] = toPlace(view, size, px, py);
  near(x, 0.7);
  near(y, 0.1);
  assert.ok(toPixels(view, size, 0, 1)[1] < toPixels(view, size, 0, 0)[1]);
  const corners = [toPixels(WHOLE, size, -1, -1), toPixels(WHOLE, size, 1, 1)].flat();
  assert.ok(corners.every((v) => v > 0 && v < 400) && corners[1] < 300);
  assert.deepEqual([...toSquare(Float32Array.of(5, 9, 3, 7), [4, 8, 2])], [0.5, 0.5, -0.5, -0.5]);
});

test("zooming keeps what lies under the pointer, within limits; panning follows the hand", () => {
  const view = { x: 0.1, y: 0.2, k: 3 };
  const before = toPlace(view, size, 250, 80);
  const after = toPlace(zoomAt(view, size, 250, 80, 1.7), size, 250, 80);
  before.forEach((v, i) => near(v, after[i]));
  assert.equal(zoomAt(view, size, 0, 0, 1e9).k, ZOOM[1]);
  assert.equal(zoomAt(view, size, 0, 0, 1e-9).k, ZOOM[0]);
  const there = toPlace(view, size, 100, 100), moved = toPlace(panBy(view, size, 30, -12), size, 130, 88);
  there.forEach((v, i) => near(v, moved[i]));
  const lost = panBy(WHOLE, size, 1e6, -1e6);
  assert.ok(Math.abs(lost.x) <= 1 && Math.abs(lost.y) <= 1);
  near(scaleOf({ ...WHOLE, k: 2 }, size), 2 * scaleOf(WHOLE, size));
});

test("the grid finds the nearest point as trying all of them does, inside and outside", () => {
  for (const [n, seed] of [[1, 3], [7, 4], [500, 5], [3000, 6]]) {
    const points = cloud(n, seed), grid = new Grid(points), random = draw(9);
    for (let t = 0; t < 200; t++) {
      const x = 4 * random() - 2, y = 4 * random() - 2;
      let best = -1, least = Infinity;
      for (let i = 0; i < n; i++) {
        const d = (points[2 * i] - x) ** 2 + (points[2 * i + 1] - y) ** 2;
        if (d < least) [least, best] = [d, i];
      }
      assert.equal(grid.nearest(x, y), best);
      const all = Array.from({ length: n }, (_, i) => [(points[2 * i] - x) ** 2 + (points[2 * i + 1] - y) ** 2, i]);
      assert.deepEqual(grid.few(x, y, 5), all.sort(([a, i], [b, j]) => a - b || i - j).slice(0, 5));
      const far = Math.sqrt(least);
      assert.equal(grid.nearest(x, y, far * 0.99), -1);
      assert.equal(grid.nearest(x, y, far * 1.01), best);
    }
  }
});

test("the grid stands points that are all one, on a line, none, or no numbers", () => {
  assert.equal(new Grid(new Float32Array(2000)).nearest(0, 0), 0);
  assert.equal(new Grid(new Float32Array(0)).nearest(0, 0), -1);
  const line = Float32Array.from({ length: 200 }, (_, i) => (i % 2 ? 0 : i));
  assert.equal(new Grid(line).nearest(41, 5), 20);
  const holes = Float32Array.of(NaN, 0, 1, 1, NaN, NaN);
  assert.equal(new Grid(holes).nearest(0, 0), 1);
});

test("a place between points has the mean of their codes, the nearer the more; on a point, that point's", () => {
  const codes = Float32Array.of(0, 10, 4, 20, 8, 30);
  const near = (a, b) => a.forEach((v, k) => assert.ok(Math.abs(v - b[k]) < 1e-5, `${a} is not ${b}`));
  near(between([[1, 0], [9, 1]], codes, 2), [1, 12.5]);
  near(between([[0, 2], [4, 0]], codes, 2), [8, 30]);
  assert.equal(between([], codes, 2), null);
  assert.equal(between([[1, 3]], codes, 2), null, "a point whose code did not come");
});

test("arrow keys go to a point in that direction, and stay where there is none", () => {
  const grid = new Grid(Float32Array.of(0, 0, 1, 0.1, 0.5, 2, -1, 0, 3, 0));
  assert.equal(grid.towards(0, [1, 0]), 1);
  assert.equal(grid.towards(0, [0, 1]), 2);
  assert.equal(grid.towards(0, [-1, 0]), 3);
  assert.equal(grid.towards(0, [0, -1]), 0);
  assert.equal(grid.towards(4, [1, 0]), 4);
});

test("a lasso that grows holds what the finished polygon holds, however it crosses itself", () => {
  const points = cloud(800, 11);
  for (const seed of [1, 2, 3]) {
    const polygon = Array.from({ length: 30 }, (() => { const r = draw(seed); return () => [2 * r() - 1, 2 * r() - 1]; })());
    const inside = new Uint8Array(800);
    for (let k = 2; k < polygon.length; k++) growLasso(points, inside, polygon[0], polygon[k - 1], polygon[k]);
    for (let i = 0; i < 800; i++) {
      const x = points[2 * i], y = points[2 * i + 1];
      let odd = 0;
      for (let k = 0; k < polygon.length; k++) {
        const [ax, ay] = polygon[k], [bx, by] = polygon[(k + 1) % polygon.length];
        if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) odd ^= 1;
      }
      assert.equal(inside[i], odd);
    }
  }
});

test("a square lasso holds the square", () => {
  const points = Float32Array.of(0, 0, 0.49, -0.49, 0.51, 0, 0, 0.51), inside = new Uint8Array(4);
  const corners = [[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]];
  for (let k = 2; k < 4; k++) growLasso(points, inside, corners[0], corners[k - 1], corners[k]);
  assert.deepEqual([...inside], [1, 1, 0, 0]);
});

test("colours: what the theme writes, and a ramp with both of its ends", () => {
  assert.deepEqual(parseColour("#14171C"), [20, 23, 28]);
  assert.deepEqual(parseColour("#fff"), [255, 255, 255]);
  assert.deepEqual(parseColour("rgb(1, 2, 3)"), [1, 2, 3]);
  assert.deepEqual(parseColour("rgba(1, 2, 3, 0.5)"), [1, 2, 3]);
  assert.deepEqual(parseColour("nonsense"), [128, 128, 128]);
  const colours = ramp(["#000000", "#ff0000", "#ffffff"], 5);
  assert.deepEqual([...colours], [[0, 0, 0], [128, 0, 0], [255, 0, 0], [255, 128, 128], [255, 255, 255]].map(pixelOf));
});

test("a name on a class's colour is black or white, whichever reads better", () => {
  for (const [colour, ink] of [["#000000", "#FFFFFF"], ["#FFFFFF", "#000000"], ["#FF4300", "#000000"], ["#2100FF", "#FFFFFF"], ["#59FF00", "#000000"]])
    assert.equal(textOn(parseColour(colour)), ink, colour);
});

test("a disc covers its area, wherever its middle lies in the pixel", () => {
  for (const radius of [1.2, 2.4, 4]) {
    const { stamps } = discs(radius);
    assert.equal(stamps.length, 16);
    for (const stamp of stamps) {
      let area = 0;
      for (let k = 2; k < stamp.length; k += 3) area += stamp[k] / 256;
      near(area / (Math.PI * radius * radius), 1, 0.08);
    }
  }
});

test("painting: the colour at the point, paper elsewhere, nothing beyond the rim, half of it at half opacity", () => {
  const paper = pixelOf([200, 200, 200]), red = pixelOf([100, 0, 0]);
  const raster = new Raster(20, 10, 8), stamps = discs(2), place = { ox: 10, oy: 5, scale: 10 };
  const at = (x, y) => raster.pixels[(y + 8) * raster.stride + x + 8];
  raster.clear(paper);
  raster.paint(Float32Array.of(0.5, 0, 99, 99, NaN, 0), place, { codes: Uint8Array.of(0, 0, 0), palette: Uint32Array.of(red) }, stamps, 1);
  assert.equal(at(15, 5), red);
  assert.equal(at(5, 5), paper);
  raster.clear(paper);
  raster.paint(Float32Array.of(0.5, 0), place, { codes: Uint8Array.of(0), palette: Uint32Array.of(red) }, stamps, 0.5);
  assert.equal(at(15, 5), pixelOf([150, 100, 100]));
  raster.clear(paper);
  const two = Float32Array.of(0.5, 0, -0.5, 0), state = Uint8Array.of(1, 0);
  raster.paint(two, place, { codes: Uint8Array.of(0, 0), palette: Uint32Array.of(red), state, only: 0 }, stamps, 1);
  assert.equal(at(15, 5), paper);
  assert.equal(at(5, 5), red);
});

test("a class: alone, beside others, and off again", () => {
  const labels = Uint8Array.of(0, 1, 1, 2), none = new Uint8Array(4);
  const one = withClass(none, labels, 1, false);
  assert.deepEqual(indicesOf(one), [1, 2]);
  assert.deepEqual(indicesOf(withClass(one, labels, 2, true)), [1, 2, 3]);
  assert.deepEqual(indicesOf(withClass(one, labels, 0, false)), [0]);
  assert.deepEqual(indicesOf(withClass(one, labels, 1, false)), [], "clicked again: nothing");
  assert.deepEqual(indicesOf(withClass(Uint8Array.of(1, 1, 1, 0), labels, 1, true)), [0]);
  assert.deepEqual(countByClass(one, labels, 3), [0, 2, 0]);
});

test("easing begins and ends at rest", () => {
  assert.deepEqual([ease(-1), ease(0), ease(0.5), ease(1), ease(2)], [0, 0, 0.5, 1, 1]);
});

test("a class is found by its name, by a part that only one has, and not by a part that many have", () => {
  const names = ["c0", "c00", "C000", "café", "noodle"];
  assert.deepEqual(["c0", "c00", "c000", "CAF", "dle", "c", "x", ""].map((text) => findName(names, text)), [0, 1, 2, 3, 4, -1, -1, -1]);
});

test("classes above 255 are counted and selected apart from those below", () => {
  const labels = Uint16Array.of(0, 256, 0, 256, 299);
  assert.deepEqual([...withClass(new Uint8Array(5), labels, 0, false)], [1, 0, 1, 0, 0]);
  const counts = countByClass(Uint8Array.of(1, 1, 1, 1, 1), labels, 300);
  assert.deepEqual([counts[0], counts[256], counts[299], counts[43]], [2, 2, 1, 0]);
});
