// node --test tests/test_no_encoder.mjs: a code found by descent, with known answers. (That it is the code which the
// server finds is tested in tests/test_lab_no_encoder.py, through the environment variable AEVAE_FIT.)
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import test from "node:test";
import { brush, cover, costOf, decode, inBall, nearest, pack, search } from "../aevae/ui/labs/web/no_encoder.js";

/** A decoder of one number: every pixel is z, as long as z > -1. */
const NET = {
  w1: Float32Array.of(1),
  b1: Float32Array.of(1),
  w2: new Float32Array(784).fill(1),
  b2: new Float32Array(784).fill(-1),
};
const all = cover("none");
const model = { net: NET, variance: 0.5, l2: 0, ball: false, steps: 60, rate: 0.1 };

test("the decoder", () => {
  assert.deepEqual(decode(NET, [0.25]), new Float64Array(784).fill(0.25));
  assert.equal(decode(NET, [-3])[0], -1); // the unit is off
});

test("gradients are those of finite differences, Gaussian and Bernoulli", () => {
  const x = Float32Array.from({ length: 784 }, (_, p) => (p % 5) / 4);
  for (const one of [model, { ...model, variance: 0, l2: 3 }]) {
    const h = 1e-5;
    const { gradient } = costOf(one, x, cover("right"), [0.3]);
    const rise = costOf(one, x, cover("right"), [0.3 + h]).cost - costOf(one, x, cover("right"), [0.3 - h]).cost;
    assert.ok(Math.abs(gradient[0] - rise / (2 * h)) < 1e-3 * Math.abs(gradient[0]));
  }
  const { cost } = costOf({ ...model, variance: 0 }, x, all, [0]);
  assert.ok(Math.abs(cost - 784 * Math.log(2)) < 1e-9); // a logit of 0 everywhere
});

test("a search finds the mean of what is seen, and what is covered changes nothing", () => {
  const x = new Float32Array(784).fill(0.8, 0, 392).fill(0.2, 392);
  const ends = ["none", "lower"].map((name) => search(model, x, cover(name), [0]).at(-1).z[0]);
  assert.ok(Math.abs(ends[0] - 0.5) < 0.03);
  assert.ok(Math.abs(ends[1] - 0.8) < 0.03);
  const other = x.slice().fill(0.9, 392);
  assert.equal(search(model, other, cover("lower"), [0]).at(-1).z[0], ends[1]);
  const path = search(model, x, all, [0]);
  assert.equal(path.length, 61);
  assert.ok(path.at(-1).cost < path[0].cost);
});

test("the ball", () => {
  assert.deepEqual(inBall([3, 4]), [0.6, 0.8]);
  assert.deepEqual(inBall([0.3, 0.4]), [0.3, 0.4]);
});

test("the nearest picture, where it is seen", () => {
  const pictures = new Float32Array(2 * 784).fill(1, 784);
  const x = new Float32Array(784).fill(1, 0, 392);
  assert.equal(nearest(pictures, x, cover("lower")), 1);
  assert.equal(nearest(pictures, x.map((v) => 1 - v), cover("lower")), 0);
});

test("masks as text", () => {
  assert.equal(pack(all), "A".repeat(131));
  const mask = cover("none");
  brush(mask, 0.5, 0.5, false);
  assert.equal(mask.reduce((a, v) => a + (1 - v), 0), 8); // a quarter of the brush
  assert.equal(pack(mask).slice(0, 2), "Bw"); // the first three of row 0: 7 = 0b111
  brush(mask, 0.5, 0.5, true);
  assert.deepEqual(mask, all);
});

test("as the server finds it", { skip: !process.env.AEVAE_FIT }, () => {
  const { arrays, cases, ...rest } = JSON.parse(readFileSync(process.env.AEVAE_FIT, "utf8"));
  const net = Object.fromEntries(Object.entries(arrays).map(([name, values]) => [name, Float32Array.from(values)]));
  const found = cases.map(({ x, mask, start }) => Array.from(search({ ...rest, net }, x, mask, start).at(-1).z));
  writeFileSync(`${process.env.AEVAE_FIT}.found`, JSON.stringify(found));
});
