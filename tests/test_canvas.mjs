// node --test tests/test_canvas.mjs: the parts of the plane that need no browser.
import assert from "node:assert/strict";
import test from "node:test";
import { cellIndex, fit, heightFor, snap, step } from "../aevae/ui/digit/plane.js";

test("a place snaps to the middle of its cell and never leaves the extent", () => {
  const extent = [0, 10, 0, 4];
  assert.deepEqual(snap({ x: 3.9, y: 0.1 }, extent, [1, 1]), { x: 3.5, y: 0.5 });
  assert.deepEqual(snap({ x: 10, y: 99 }, extent, [1, 1]), { x: 9.5, y: 3.5 });
  assert.deepEqual(snap({ x: -5, y: 2 }, extent, null), { x: 0, y: 2 });
  assert.deepEqual(snap({ x: 0.25, y: 0.25 }, [0, 1, 1, 0], null), { x: 0.25, y: 0.25 });
});

test("arrow keys go one cell on the screen's way and stop at the border", () => {
  const extent = [0, 10, 0, 4];
  assert.deepEqual(step({ x: 0.5, y: 3.5 }, "ArrowDown", false, extent, [1, 1]), { x: 0.5, y: 2.5 });
  assert.deepEqual(step({ x: 0.5, y: 3.5 }, "ArrowUp", false, extent, [1, 1]), { x: 0.5, y: 3.5 });
  assert.deepEqual(step({ x: 0, y: 0 }, "ArrowUp", false, [0, 1, 1, 0], null), { x: 0, y: 0 });
  assert.equal(step({ x: 0, y: 0 }, "a", false, extent, null), null);
});

test("cells count row by row from the top left", () => {
  const extent = [0, 10, 0, 4];
  assert.equal(cellIndex({ x: 0.5, y: 3.5 }, extent, [1, 1]), 0);
  assert.equal(cellIndex({ x: 9.5, y: 0.5 }, extent, [1, 1]), 39);
  assert.equal(cellIndex({ x: -2.7, y: 2.7 }, [-3, 3, -3, 3], [0.6, 0.6]), 0);
  assert.equal(cellIndex({ x: 0.9, y: 0.9 }, [-3, 3, -3, 3], [0.6, 0.6]), 36);
});

test("the plane keeps its shape in any box", () => {
  assert.deepEqual(fit(400, 100, 2), { x: 100, y: 0, w: 200, h: 100 });
  assert.deepEqual(fit(100, 400, 2), { x: 0, y: 175, w: 100, h: 50 });
  assert.equal(heightFor(300, 0, 1.5), 200);
  assert.equal(heightFor(300, 400, 1.5), 200);
  assert.equal(heightFor(300, 400, 0), 400);
});
