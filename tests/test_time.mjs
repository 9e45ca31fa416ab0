// node --test tests/test_time.mjs: which jump is shown when, and where futures stand.
import assert from "node:assert/strict";
import test from "node:test";
import { fan, jumpAt, wrapped } from "../aevae/ui/labs/web/time.js";

test("a future moves when its next jump is made", () => {
  assert.deepEqual([0, 1, 2, 3].map((now) => jumpAt(now, 2, 1)), [-2, -1, 0, 1]);
  assert.deepEqual([1, 2, 4, 5, 8, 9].map((now) => jumpAt(now, 2, 4)), [-1, -1, -1, 0, 0, 1]);
});

test("places go round", () => {
  assert.deepEqual([0, 13, 14, 15, -14, -15, 28, -30].map(wrapped), [0, 13, -14, -13, -14, 13, 0, -2]);
});

test("the fan: every future at the frames that its jumps reach", () => {
  const place = Int32Array.of(1, 2, -1, -2, 5, 6, 7, 8); // 2 numbers of frames, 2 futures, 2 jumps
  assert.deepEqual(fan(place, [2, 2, 2], 2, 3), [
    { future: 0, frame: 4, place: 5 },
    { future: 0, frame: 7, place: 6 },
    { future: 1, frame: 4, place: 7 },
    { future: 1, frame: 7, place: 8 },
  ]);
});
