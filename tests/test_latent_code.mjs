// node --test tests/test_latent_code.mjs: the parts of the sliders that need no browser, and the shared code.
import assert from "node:assert/strict";
import test from "node:test";
import { beside, count, decimals, left, norm, part, parted, reset } from "../aevae/ui/sliders/latent_code.js";
import { channel, outbox } from "../aevae/ui/live/page.js";
import { changedIndex, clampCode, decodedImage, same, sharedCodeOf, shownImage } from "../aevae/ui/sliders/shared_code.js";

test("dimensions keep their order, the dead ones apart", () => {
  assert.deepEqual(parted(Int32Array.of(3, 0, 2, 1), 3), { open: [3, 0, 2], folded: [1] });
  assert.deepEqual(parted(Int32Array.of(1, 0), 0), { open: [], folded: [1, 0] });
  assert.deepEqual(parted([0], 1), { open: [0], folded: [] });
});

test("a reset touches one number, and not the code that it was given", () => {
  const z = Float32Array.of(1, 2, 3);
  assert.deepEqual(reset(z, 1, Float32Array.of(9, 8, 7)), Float32Array.of(1, 8, 3));
  assert.deepEqual(z, Float32Array.of(1, 2, 3));
});

test("a value shows the decimals of its step", () => {
  assert.deepEqual([0.01, 0.1, 1, 10, 0.001, 1e-9].map(decimals), [2, 1, 0, 0, 3, 6]);
});

test("parts stay between the ends", () => {
  assert.deepEqual([-3, 0, 3, -9, 9].map((v) => part(v, -3, 3)), [0, 0.5, 1, 0, 1]);
});

test("five to nine small pictures, the outer ones at the ends of the slider", () => {
  assert.deepEqual([40, 150, 236, 300, 900].map(count), [5, 5, 7, 9, 9]);
  assert.equal(left(0, 7, 236), 0);
  assert.equal(left(6, 7, 236), 236 - 28);
  assert.equal(left(3, 7, 236), (236 - 28) / 2);
});

test("norm, and its place in a range", () => {
  assert.equal(norm([3, 4]), 5);
  assert.deepEqual([1, 2, 3, 4, 5].map((v) => beside(v, [2, 4])), [-1, 0, 0, 0, 1]);
});

test("which number of a code changed", () => {
  assert.equal(changedIndex([1, 2, 3], [1, 2, 3]), -1);
  assert.equal(changedIndex([1, 2, 3], [1, 5, 3]), 1);
  assert.equal(changedIndex([1, 2, 3], [0, 5, 3]), Infinity);
  assert.ok(same([1, 2], Float32Array.of(1, 2)) && !same([1], [1, 2]));
  assert.deepEqual(clampCode([-5, 0, 5], [-1, -1, -1], [2, 2, 2]), Float32Array.of(-1, 0, 2));
});

test("a code is decoded once by each program, and kept apart from its buffer", () => {
  let calls = 0;
  const buffer = new Float64Array(784);
  const program = { decode: (z) => (calls++, buffer.fill(z[0])) };
  const a = Float32Array.of(1), b = Float32Array.of(2);
  const first = decodedImage(program, a);
  decodedImage(program, b);
  assert.equal(decodedImage(program, a), first);
  assert.equal(first[0], 1);
  assert.equal(calls, 2);
});

test("another model sees the image, not the code", () => {
  const first = { decode: (z) => new Float32Array(784).fill(z[0]) };
  const other = { reconstruct: (image) => image.map((v) => v + 1), decode: () => assert.fail("of another space") };
  const z = Float32Array.of(3);
  assert.equal(shownImage([first, other], 0, z)[5], 3);
  assert.equal(shownImage([first, other], 1, z)[5], 4);
});

test("Python's code is taken, but not from under a hand, and not when a message is on its way", () => {
  const code = sharedCodeOf("run");
  assert.equal(sharedCodeOf("run"), code);
  const received = [], sent = [];
  const off = channel("z:run").on((value) => received.push([...value.z]), "ear");
  const box = outbox((payload) => sent.push(payload));
  code.join("latent_code", box);
  assert.ok(code.offer([1, 2], {}));
  assert.deepEqual(received, [[1, 2]]);
  assert.ok(code.offer([1, 2], {}));
  assert.equal(received.length, 1, "nothing new");

  code.hold("latent_code");
  assert.ok(code.isHeldByOther("latent_plane") && !code.isHeldByOther("latent_code"));
  assert.ok(!code.offer([9, 9], {}));
  code.settle(Float32Array.of(3, 4), "latent_code");
  box.post({});
  assert.ok(!code.offer([1, 2], {}), "an older answer");
  assert.deepEqual([...code.settled], [3, 4]);
  assert.ok(code.offer([3, 4.5], { latent_code: sent[0].n }));
  assert.deepEqual([...code.live], [3, 4.5]);

  code.hold("latent_plane");
  code.move([7, 7], "latent_plane");
  assert.deepEqual([...code.live], [7, 7]);
  code.restore("latent_plane");
  assert.deepEqual([...code.live], [3, 4.5]);
  code.leave("latent_code");
  off();
});
