// node --test tests/test_page.mjs: the toolkit of modules: channels, frames, the life of a stage, images.
import assert from "node:assert/strict";
import test from "node:test";
import { paint, stamp } from "../aevae/ui/live/canvas.js";
import { logPrior } from "../aevae/ui/live/gaussian.js";
import { lerp } from "../aevae/ui/live/maths.js";
import { channel, onDrawing, onFrame, prefersReducedMotion, stage } from "../aevae/ui/live/page.js";

test("a channel tells everybody but the one who spoke", () => {
  const me = {}, received = [];
  const off = channel("test:z").on((v) => received.push(["me", v]), me);
  channel("test:z").on((v) => received.push(["other", v]));
  channel("test:z").set(1, me);
  assert.equal(channel("test:z").value, 1);
  channel("test:z").set(2);
  off();
  channel("test:z").set(3);
  assert.deepEqual(received, [["other", 1], ["me", 2], ["other", 2], ["other", 3]]);
  assert.equal(channel("test:another").value, null);
});

test("onFrame calls once a frame, and not after cancel", () => {
  const frames = new Map();
  let id = 0, calls = 0;
  globalThis.requestAnimationFrame = (fn) => (frames.set(++id, fn), id);
  globalThis.cancelAnimationFrame = (which) => frames.delete(which);
  const frame = () => {
    const now = [...frames.values()];
    frames.clear();
    for (const fn of now) fn();
  };
  const ask = onFrame(() => calls++);
  for (let i = 0; i < 5; i++) ask();
  frame();
  assert.equal(calls, 1);
  frame();
  assert.equal(calls, 1);
  ask();
  ask.cancel();
  frame();
  assert.equal(calls, 1);
  ask();
  frame();
  assert.equal(calls, 2);
});

test("onDrawing tells of pictures with ink, and of their end", () => {
  const came = [];
  const off = onDrawing("hand", (pixels) => came.push(pixels));
  const pixels = new Float32Array(784);
  for (const value of [{ pixels }, { pixels: new Float32Array(3).fill(1) }, null, { pixels: Float32Array.from(pixels).fill(1, 5, 6) }])
    channel("drawing:hand").set(value);
  assert.deepEqual(came.slice(0, 3), [null, null, null]);
  assert.equal(came[3][5], 1);
  off();
  channel("drawing:hand").set({ pixels });
  assert.equal(came.length, 4);
});

test("the life of a stage: create once, build for each key, refresh at each update, stop at the end", () => {
  const calls = [], noted = (name) => ({ spec }) => calls.push(`${name} ${spec.key}`);
  const removed = [];
  globalThis.document = { createElement: () => ({ append() {}, remove: () => removed.push(1) }) };
  globalThis.requestAnimationFrame = (fn) => (fn(), 0);
  globalThis.cancelAnimationFrame = () => {};
  const names = ["create", "build", "refresh", "draw", "drawn", "stop"];
  const hooks = Object.fromEntries(names.map((name) => [name, noted(name)]));
  const one = stage({ root: { appendChild: (node) => node }, send() {} }, "some", hooks);
  one.update({ key: "a", picker: "p" }, {}, []);
  one.update({ key: "a", picker: "p" }, {}, []);
  channel("drawing:p").set({ pixels: new Float32Array(784).fill(1) });
  assert.equal(one.drawing[0], 1);
  one.update({ key: "b", picker: "p" }, {}, []);
  assert.equal(one.drawing, null);
  one.destroy();
  channel("drawing:p").set(null);
  assert.deepEqual(calls, [
    "create a", "build a", "refresh a", "draw a", "refresh a", "draw a", "drawn a", "draw a", "build b", "refresh b", "draw b",
    "stop b",
  ]);
  assert.equal(removed.length, 1);
});

test("paint writes rounded, clamped grey", () => {
  const image = { data: new Uint8ClampedArray(4 * 784) };
  const put = [];
  const canvas = { getContext: () => ({ createImageData: () => image, putImageData: (i) => put.push(i) }) };
  const pixels = new Float32Array(784);
  pixels.set([1, 0.5, -1, 2, 0.998, NaN]);
  paint(canvas, pixels);
  paint(canvas, pixels);
  assert.equal(canvas.width, 28);
  assert.deepEqual([...image.data.subarray(0, 4)], [255, 255, 255, 255]);
  assert.deepEqual([0, 1, 2, 3, 4, 5].map((i) => image.data[4 * i]), [255, 128, 0, 255, 254, 0]);
  assert.equal(put.length, 2);
});

test("stamp: bytes as well, at a place", () => {
  const image = { data: new Uint8ClampedArray(4 * 784) };
  const put = [];
  const g = { createImageData: () => image, putImageData: (i, x, y) => put.push([x, y]) };
  stamp(g, Uint8Array.from({ length: 784 }, (_, i) => i % 256), 28, 56, 255);
  assert.deepEqual([0, 1, 200, 255].map((i) => image.data[4 * i]), [0, 1, 200, 255]);
  assert.deepEqual(put, [[28, 56]]);
});

test("mathematics", () => {
  assert.deepEqual([...lerp([0, 2], [1, 4], 0.5)], [0.5, 3]);
  assert.ok(Math.abs(logPrior([1, 2]) + 2.5 + Math.log(2 * Math.PI)) < 1e-12);
  assert.ok(Math.abs(logPrior([0.1, 0.2], 0.1) + 2.5 + Math.log(2 * Math.PI * 0.01)) < 1e-12);
  assert.equal(prefersReducedMotion(), false);
});
