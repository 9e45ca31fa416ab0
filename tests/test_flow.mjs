// node --test tests/test_flow.mjs: warps with known answers.
import assert from "node:assert/strict";
import test from "node:test";
import { energy, flowAt, gridImage, warp } from "../aevae/ui/labs/web/flow.js";

const picture = Float32Array.from({ length: 784 }, (_, p) => ((p * 37) % 101) / 100);
const flow = (right, down) => new Float32Array(1568).fill(right, 0, 784).fill(down, 784);

test("no flow, no change", () => {
  assert.deepEqual(warp(picture, flow(0, 0)), picture);
});

test("a constant flow of whole pixels shifts, black comes in", () => {
  const out = warp(picture, flow(1, -2));
  for (let p = 0; p < 784; p++) {
    const row = Math.floor(p / 28) - 2, column = (p % 28) + 1;
    assert.equal(out[p], row < 0 || column > 27 ? 0 : picture[row * 28 + column]);
  }
});

test("half a pixel is the mean of two", () => {
  const out = warp(picture, flow(0.5, 0));
  assert.ok(Math.abs(out[40] - (picture[40] + picture[41]) / 2) < 1e-6);
});

test("a flow creates no ink", () => {
  assert.ok(warp(new Float32Array(784), flow(3.3, 1.2)).every((v) => v === 0));
});

test("between two steps the flow is between", () => {
  const flows = new Float32Array(3 * 1568).fill(-1, 0, 1568).fill(0, 1568, 3136).fill(4, 3136);
  assert.equal(flowAt(flows, 3, 2, -2)[0], -1);
  assert.equal(flowAt(flows, 3, 2, -1)[5], -0.5);
  assert.equal(flowAt(flows, 3, 2, 0)[5], 0);
  assert.equal(flowAt(flows, 3, 2, 2)[1567], 4);
});

test("edges", () => {
  assert.equal(energy(new Float32Array(784).fill(0.7)), 0);
  const dot = new Float32Array(784);
  dot[10 * 28 + 10] = 1;
  assert.equal(energy(dot), 4);
  assert.ok(energy(gridImage()) > 0);
});
