import assert from "node:assert/strict";
import { test } from "node:test";

import { partial } from "../aevae/ui/labs/web/bottleneck.js";

test("the first k components, weighted, on top of the mean", () => {
  const mean = Float32Array.of(1, 2, 3);
  const axes = Float32Array.of(1, 0, 0, 0, 10, 0); // two components of three pixels
  const coefficients = Float32Array.of(2, 3, -1, 0.5); // of two pictures
  const out = new Float32Array(6);
  assert.deepEqual([...partial(mean, axes, coefficients, 0, out)], [1, 2, 3, 1, 2, 3]);
  assert.deepEqual([...partial(mean, axes, coefficients, 1, out)], [3, 2, 3, 0, 2, 3]);
  assert.deepEqual([...partial(mean, axes, coefficients, 2, out)], [3, 32, 3, 0, 7, 3]);
});
