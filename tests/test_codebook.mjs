// node --test tests/test_codebook.mjs: maps of numbers, without a browser.
import assert from "node:assert/strict";
import test from "node:test";
import { editsBetween, indicesOf, lookUp, mosaic, moved, withEdits } from "../aevae/ui/labs/web/codebook.js";

const VECTORS = Float32Array.of(0, 0, 1, 0, 0, 1); // K = 3, D = 2

test("a map of vectors and its numbers", () => {
  const indices = Int32Array.of(2, 0, 1, 1);
  const z = lookUp(indices, VECTORS, new Float32Array(8));
  assert.deepEqual([...z], [0, 0, 1, 1, 1, 0, 0, 0]); // first numbers of all cells, then the second ones
  assert.deepEqual(indicesOf(z, VECTORS, 4), indices);
  assert.deepEqual(indicesOf(Float32Array.of(0.6, 0.1, 0.1, 0.7), VECTORS, 2), Int32Array.of(1, 2));
});

test("edits lead there and back, and the map that was given stays", () => {
  const from = Int32Array.of(5, 6, 7);
  const to = withEdits(from, [[1, 9], [2, 7]]);
  assert.deepEqual(to, Int32Array.of(5, 9, 7));
  assert.deepEqual(from, Int32Array.of(5, 6, 7));
  assert.deepEqual(editsBetween(from, to), [[1, 9]]);
  assert.deepEqual(withEdits(from, editsBetween(from, to)), to);
});

test("arrows stay in the grid", () => {
  assert.equal(moved("ArrowRight", 6, 7, 49), 7);
  assert.equal(moved("ArrowUp", 3, 7, 49), 3);
  assert.equal(moved("ArrowDown", 3, 7, 49), 10);
  assert.equal(moved("End", 3, 7, 49), 48);
  assert.equal(moved("Home", 3, 7, 49), 0);
  assert.equal(moved("a", 3, 7, 49), null);
});

test("a mosaic takes the middle cell of what a number is used for", () => {
  const patch = 12;
  const atlas = new Uint8Array(2 * patch * patch);
  for (let y = 4; y < 8; y++) atlas.fill(255, patch * patch + y * patch + 4, patch * patch + y * patch + 8);
  const indices = new Int32Array(49);
  indices[8] = 1; // row 1, column 1
  const out = mosaic(indices, atlas, patch, new Float32Array(784));
  assert.equal(out.reduce((a, b) => a + b), 16);
  assert.equal(out[4 * 28 + 4], 1);
  assert.equal(out[4 * 28 + 3], 0);
});
