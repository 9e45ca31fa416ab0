// What a likelihood says of pixels, against what PyTorch computed (tests/js_fixtures.py exports it), and small cases.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";

import { moved } from "../aevae/ui/labs/web/likelihoods.js";
import { between } from "../aevae/ui/labs/web/collapse.js";
import { squaredError } from "../aevae/ui/live/maths.js";
import { likelihood } from "../aevae/ui/live/pixels.js";
import { unpack } from "../aevae/ui/live/loader.js";

const folder = process.env.AEVAE_FIXTURES;
const skip = folder ? false : "run by pytest tests/test_js.py, which exports what PyTorch computes";
const near = (a, b, by = 1e-5) => assert.ok(Math.abs(a - b) <= by * Math.max(1, Math.abs(b)), `${a} is not ${b}`);
const KINDS = { bernoulli: {}, continuous_bernoulli: {}, gaussian: { variance: 0.3 }, categorical: { count: 4 } };

for (const [kind, more] of Object.entries(KINDS)) {
  test(`${kind}: deviations, samples and nats are PyTorch's`, { skip }, async () => {
    const { arrays } = unpack(new Uint8Array(await readFile(`${folder}/pixels-${kind}.bin`)));
    const { params, x, u, n, stray, drawn, nll } = arrays;
    const made = likelihood(kind, more), out = new Float32Array(x.length);
    made.std(params, out).forEach((v, i) => near(v, stray[i], 2e-4));
    made.sample(params, u, n, out).forEach((v, i) => near(v, drawn[i], 1e-4));
    near(made.nll(params, x), nll[0], 1e-4);
  });
}

test("extreme logits: a sample is 0 or 1, nothing is NaN", () => {
  for (const kind of ["bernoulli", "continuous_bernoulli"]) {
    const made = likelihood(kind), out = new Float32Array(2), half = [0.5, 0.5];
    const drawn = [...made.sample([-800, 800], half, half, out)];
    assert.ok(drawn[0] < 0.01 && drawn[1] > 0.99, kind);
    assert.ok(made.std([-800, 800], out).every((v) => v >= 0 && v < 0.01), kind);
    near(made.nll([-800, 800], [0, 1]), kind === "bernoulli" ? 0 : -2 * Math.log(800));
  }
});

test("of a flat continuous Bernoulli the sample is the noise", () => {
  const made = likelihood("continuous_bernoulli"), out = new Float32Array(3);
  assert.deepEqual([...made.sample([0, 1e-6, -1e-6], [0.25, 0.5, 0.75], [0, 0, 0], out)], [0.25, 0.5, 0.75]);
  near(made.nll([0], [0.3]), 0);
  near(made.std([0], new Float32Array(1))[0], Math.sqrt(1 / 12));
});

test("a code is moved in the numbers that are named", () => {
  assert.deepEqual([...moved([1, 2, 3], [2, 0], [0.5, -1])], [0, 2, 3.5]);
  assert.equal(squaredError([0, 1], [2, 0]), 5);
});

test("between a posterior and the prior: the ends are they", () => {
  assert.deepEqual(between([2, -4], [0.5, 0.25], 0), { mu: Float32Array.of(2, -4), std: Float32Array.of(0.5, 0.25) });
  assert.deepEqual(between([2, -4], [0.5, 0.25], 1), { mu: Float32Array.of(0, -0), std: Float32Array.of(1, 1) });
  assert.deepEqual([...between([2], [0.5], 0.5).mu], [1]);
});
