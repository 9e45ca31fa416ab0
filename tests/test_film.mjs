// node --test tests/test_film.mjs: time, joining and geometry of the film player.
import assert from "node:assert/strict";
import test from "node:test";
import {
  boundsOf, curveRange, framesOf, locate, mergeFrames, percentileBounds, placeOf, posteriorEllipse, shortNumber, timeAt,
  timeline, timeText,
} from "../aevae/ui/film/timeline.js";

const near = (a, b, tolerance = 1e-6) => assert.ok(Math.abs(a - b) < tolerance, `${a} is not ${b}`);
const texts = { untrained: "before", step: "step {number}", epoch: "epoch {number}" };

/** E frames of 2 points and 16 codes of D = 3 numbers; every number of frame i is i. */
function arrays(epochs, before = "0.", more = {}) {
  const filled = (size, Kind = Float32Array) => Kind.from({ length: epochs.length * size }, (_, i) => Math.floor(i / size));
  const parts = {
    epoch: Float32Array.from(epochs), xy: filled(4), mu: filled(48), recon: filled(16 * 784, Uint8Array),
    sample: filled(16 * 784, Uint8Array), terms: filled(2), recon_nats: filled(16), ...more,
  };
  return Object.fromEntries(Object.entries(parts).map(([name, value]) => [before + name, value]));
}

test("frames are views into the arrays, and what is not there is null", () => {
  const frames = framesOf(arrays([0, 0.25, 1, 2]), "0.");
  assert.deepEqual(frames.map((f) => f.t), [0, 0.25, 1, 2]);
  assert.deepEqual([...frames[2].xy], [2, 2, 2, 2]);
  assert.equal(frames[3].recon.length, 16 * 784);
  assert.equal(frames[3].sample[0], 3);
  assert.deepEqual([...frames[1].terms], [1, 1]);
  assert.equal(frames[0].std, null);
  assert.equal(frames[0].step, null);
  assert.equal(framesOf(arrays([0, 1], "1.", { step: Int32Array.of(0, 7) }), "1.")[1].step, 7);
});

test("a film takes in single frames at their time, and prefers its own", () => {
  const film = framesOf(arrays([0, 1, 2]), "0."), extra = framesOf(arrays([0.5, 1, 3]), "0.");
  const joined = mergeFrames(film, extra);
  assert.deepEqual(joined.map((f) => f.t), [0, 0.5, 1, 2, 3]);
  assert.equal(joined[2], film[1]);
});

test("two runs share one bar, by epoch", () => {
  const runs = [framesOf(arrays([0, 0.5, 1, 2]), "0."), framesOf(arrays([0, 0.25, 1, 3]), "0.")];
  assert.deepEqual(timeline(runs), [0, 0.25, 0.5, 1, 2, 3]);
});

test("locate finds the frame before and the way to the next", () => {
  assert.deepEqual(locate([0, 1, 3], 2), [1, 0.5]);
  assert.deepEqual(locate([0, 1, 3], 1), [1, 0]);
  assert.deepEqual(locate([0, 1, 3], -1), [0, 0]);
  assert.deepEqual(locate([0, 1, 3], Infinity), [2, 0]);
  assert.deepEqual(locate([5], 5), [0, 0]);
});

test("place and time are each other's inverse", () => {
  const times = [0, 0.01, 0.1, 1, 2, 12];
  for (const place of [0, 0.5, 1, 2.75, 4.5, 5]) near(placeOf(times, timeAt(times, place)), place);
  assert.equal(timeAt(times, 5), 12);
  assert.equal(timeAt([0], 0), 0);
});

test("the box is square, holds the last frame, and leaves out a wild point", () => {
  const points = (scale, far) => ({ xy: Float32Array.from({ length: 2000 }, (_, i) => scale * Math.sin(i * 12.9898)).fill(far, 0, 2) });
  const [x0, x1, y0, y1] = boundsOf([points(1, 0), points(3, 500)], 0);
  near(x1 - x0, y1 - y0, 1e-4);
  assert.ok(x0 < -2.9 && x1 > 2.9 && x1 < 5);
  for (const std of [1, 3]) {
    const prior = boundsOf([points(0.1, 0)], std);
    assert.ok(prior[0] <= -2.2 * std && prior[1] >= 2.2 * std, "two standard deviations of the prior are on the map");
  }
});

test("a span leaves out the outermost", () => {
  const xy = Float32Array.from({ length: 200 }, (_, i) => (i % 2 ? -1 : 1) * (1 + (i >> 1)));
  assert.deepEqual(percentileBounds(xy, 0), [1, 100, -100, -1]);
  assert.deepEqual(percentileBounds(xy, 0.1), [11, 90, -90, -11]);
});

test("the ellipse of a diagonal Gaussian on a plane", () => {
  const axes = posteriorEllipse(Float32Array.of(1, 0, 0, 1), Float32Array.of(2, 0.5));
  near(axes.a, 2);
  near(axes.b, 0.5);
  near(axes.angle, 0);
  const r = Math.SQRT1_2, turned = posteriorEllipse(Float32Array.of(r, -r, r, r), Float32Array.of(2, 0.5));
  near(turned.a, 2);
  near(turned.b, 0.5);
  near(turned.angle, -Math.PI / 4);
  const round = posteriorEllipse(Float32Array.of(r, -r, r, r), Float32Array.of(1, 1));
  near(round.a, 1);
  near(round.b, 1);
});

test("a time is said as people say it", () => {
  assert.equal(timeText(0, 0, texts), "before");
  assert.equal(timeText(0.25, 10, texts), "step 10");
  assert.equal(timeText(3, 96, texts), "epoch 3");
  assert.equal(timeText(2.5, 80, texts), "epoch 2.50");
  assert.equal(timeText(0.5, null, texts), "epoch 0.50");
});

test("numbers have about three digits and a real minus", () => {
  assert.deepEqual([171.26, 12.34, 5.336, -0.02].map(shortNumber), ["171", "12.3", "5.34", "−0.02"]);
});

test("a flat curve has a range, too", () => {
  assert.deepEqual(curveRange([2, 2]), [1.5, 2.5]);
  assert.deepEqual(curveRange([3, 3, 1]), [1, 3]);
  assert.deepEqual(curveRange([900, 500, 12, 11, 10, 10]), [10, 14], "the steep beginning does not flatten the rest");
});
