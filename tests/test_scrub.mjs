// Interpolate in the page: its paths against aevae/latent/interpolation.py (tests/test_page_interpolate.py exports the
// answers), profiles and playing.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { advance, codeAt, height, nearestSample, profilePath, sampleAt, slerp } from "../aevae/ui/interpolate/scrub.js";

const file = process.env.AEVAE_WALKS;
const skip = file ? false : "run by pytest tests/test_page_interpolate.py, which exports what Python computes";
const codes = (rows) => rows.map((row) => Float32Array.from(row));

test("every place is the one that Python finds, at parallel, opposite, zero and equal ends too", { skip }, async () => {
  const cases = JSON.parse(await readFile(file, "utf8"));
  assert.ok(cases.length > 40);
  for (const { kind, ends, at, code, title } of cases) {
    const found = codeAt(kind, codes(ends), at);
    code.forEach((value, i) => assert.ok(Math.abs(found[i] - value) <= 2e-6 * (1 + Math.abs(value)), `${title} at ${at}`));
  }
});

test("slerp keeps the norm, turns evenly, and has both ends exactly", () => {
  const [a, b] = codes([[3, 0, 0], [0, 0, 3]]);
  assert.deepEqual([...slerp(a, b, 0)], [...a]);
  assert.deepEqual([...slerp(a, b, 1)], [...b]);
  const third = slerp(a, b, 1 / 3);
  assert.ok(Math.abs(Math.hypot(...third) - 3) < 1e-6);
  assert.ok(Math.abs(third[0] - 3 * Math.cos(Math.PI / 6)) < 1e-6);
});

test("a curve is read between its samples, a sheet at the nearest one", () => {
  assert.equal(sampleAt([0, 1, 4], 0.25), 0.5);
  assert.equal(sampleAt([0, 1, 4], 0.75), 2.5);
  assert.equal(sampleAt([0, 1, 4], 1), 4);
  assert.ok(Number.isNaN(sampleAt([0, NaN], 0.5)));
  assert.equal(nearestSample([0.49], 3), 1);
  assert.equal(nearestSample([1], 41), 40);
  assert.equal(nearestSample([1, 0], 9), 2);
  assert.equal(nearestSample([0, 1], 9), 6);
});

test("playing goes to and fro and stays inside, however long a frame took", () => {
  const near = ({ t, direction }, wanted, way) => {
    assert.ok(Math.abs(t - wanted) < 1e-12);
    assert.equal(direction, way);
  };
  near(advance(0.5, 1, 1, 0.25), 0.75, 1);
  near(advance(0.9, 1, 1, 0.3), 0.8, -1);
  near(advance(0.2, -1, 1, 0.3), 0.1, 1);
  near(advance(0.5, -1, 1, 0), 0.5, -1);
  for (let s = 0; s < 10; s += 0.37) {
    const { t } = advance(0.3, -1, 0.75, s);
    assert.ok(t >= 0 && t <= 1);
  }
});

test("a profile ends at its top, leaves unknown places out, and shows one spacing beside twenty", () => {
  assert.equal(height(4, 4), 1);
  assert.equal(height(99, 4), 1);
  assert.ok(height(1, 20) > 0.2);
  assert.equal(profilePath([0, 4, 1], 4), "M0.00 40.00L50.00 0.00L100.00 20.00");
  assert.equal(profilePath([NaN, NaN], 4), "");
  assert.equal(profilePath([NaN, 4], 4), "M100.00 0.00");
});
