// node --test tests/test_hand_plane.mjs: places and codes, the hand that wanders, the classifier's verdict.
import assert from "node:assert/strict";
import test from "node:test";
import { handfulOf, verdict } from "../aevae/ui/labs/web/two_planes.js";
import { codeAt, FRAME, mapOf, placeOf, ringsOf, wander } from "../aevae/ui/sliders/hand_plane.js";
import { codeText, parted } from "../aevae/ui/start/toy.js";

const near = (a, b, tolerance = 1e-6) => assert.ok(Math.abs(a - b) <= tolerance, `${a} is not ${b}`);

test("a code of a frame: mean plus scale times place, and back", () => {
  const frame = { mean: [10, -4], scale: [2, 1, 1, 3] };
  assert.deepEqual([...codeAt(frame, [0, 0])], [10, -4]);
  assert.deepEqual([...codeAt(frame, [1, 0])], [12, -3]);
  assert.deepEqual([...codeAt(frame, [0, 1])], [11, -1]);
  const [x, y] = placeOf(frame, codeAt(frame, [0.5, -1.25]));
  near(x, 0.5);
  near(y, -1.25);
});

test("in the frame of the prior a place is the code", () => {
  const prior = { mean: [0, 0], scale: [1, 0, 0, 1] };
  assert.deepEqual(placeOf(prior, [1.5, -2]), [1.5, -2]);
});

test("rings of N(0, I) lie where their codes lie", () => {
  const prior = { mean: [0, 0], scale: [1, 0, 0, 1] }, wide = { mean: [-8, 0], scale: [4, 0, 0, 4] };
  for (const place of ringsOf(prior)[2]) near(Math.hypot(...place), 3);
  for (const [x, y] of ringsOf(wide)[0]) near(Math.hypot(x - 2, y), 0.25);
});

test("the hand wanders slowly, never farther than three standard deviations, and through all quarters", () => {
  const quarters = new Set();
  let [before] = [wander(0)];
  for (let t = 0.1; t < 600; t += 0.1) {
    const place = wander(t);
    assert.ok(Math.hypot(...place) < 3, `${place} after ${t} s`);
    assert.ok(Math.hypot(place[0] - before[0], place[1] - before[1]) < 0.17, "at most 1.7 a second");
    quarters.add(`${place[0] > 0.5} ${place[1] > 0.5}`);
    before = place;
  }
  assert.equal(quarters.size, 4);
});

test("the map shows equal ranges of standard deviations on both axes", () => {
  const map = mapOf(Float32Array.of(0, 0, 1, -1), Uint8Array.of(3, 4));
  assert.deepEqual(map.points, [[0, 0], [1, -1]]);
  assert.deepEqual(map.toField([0, 0]), [0.5, 0.5]);
  near(map.toField([FRAME, -FRAME])[0], 1);
  near(map.toField([FRAME, -FRAME])[1], 0);
});

test("the verdict is the softmax of the largest logit", () => {
  const { index, probability } = verdict([0, Math.log(3), 0]);
  assert.equal(index, 1);
  near(probability, 0.6);
  near(verdict([1000, 0]).probability, 1);
});

test("a handful is its row of the random places", () => {
  const random = Object.assign(Float32Array.from({ length: 12 }, (_, i) => i), { shape: [2, 3, 2] });
  assert.deepEqual(handfulOf(random, 0), [[0, 1], [2, 3], [4, 5]]);
  assert.deepEqual(handfulOf(random, 1), [[6, 7], [8, 9], [10, 11]]);
});

test("texts", () => {
  assert.deepEqual(parted("**AE**: gaps"), ["AE", ": gaps"]);
  assert.deepEqual(parted("gaps"), ["", "gaps"]);
  assert.equal(codeText([1.234, -0.5]), "z = (1.23, −0.50)");
});
