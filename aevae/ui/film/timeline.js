// Frames and times of films (tested with node). A position ("place") on the time bar is a number: integers are frames (of
// all runs, by epoch), between them points are interpolated.

import { fill } from "../live/dom.js";
import { clamp, ellipse } from "../live/maths.js";

/** Frames (views) in order of time, of the arrays of film_view.py (`parcel`) whose names begin with `before`. */
export function framesOf(arrays, before) {
  const get = (name) => arrays[before + name];
  const epoch = get("epoch");
  const each = (name, i) => {
    const all = get(name);
    if (!all) return null;
    const size = all.length / epoch.length;
    return all.subarray(i * size, (i + 1) * size);
  };
  return Array.from(epoch, (t, i) => ({
    t,
    step: get("step") ? get("step")[i] : null,
    xy: each("xy", i),
    mu: each("mu", i),
    std: each("std", i),
    recon: each("recon", i),
    sample: each("sample", i),
    reconNats: each("recon_nats", i),
    klNats: each("kl_nats", i),
    terms: each("terms", i) ?? new Float32Array(0),
  }));
}

/** The frames of a film and single frames, merged in order of time; at equal times the film's frame is kept. */
export function mergeFrames(film, extra) {
  const times = new Set(film.map((frame) => frame.t));
  return [...film, ...extra.filter((frame) => !times.has(frame.t))].sort((a, b) => a.t - b.t);
}

/** All times at which at least one run has a frame, ascending. */
export function timeline(runs) {
  return [...new Set(runs.flatMap((frames) => frames.map((frame) => frame.t)))].sort((a, b) => a - b);
}

/** [index of the last element <= value, fraction 0..1 of the way to the next]. values: ascending. */
export function locate(values, value) {
  let low = 0, high = values.length - 1;
  if (value >= values[high]) return [high, 0];
  if (value <= values[0]) return [0, 0];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] <= value) low = middle;
    else high = middle;
  }
  return [low, (value - values[low]) / (values[high] - values[low])];
}

/** Time at a position on the bar; `placeOf` is the inverse. */
export function timeAt(times, place) {
  const i = clamp(Math.floor(place), 0, times.length - 1);
  const next = Math.min(i + 1, times.length - 1);
  return times[i] + (place - i) * (times[next] - times[i]);
}

export function placeOf(times, t) {
  const [i, part] = locate(times, t);
  return i + part;
}

/** Bounds [x0, x1, y0, y1] of points (N, 2) without the outermost `share` at each side. */
export function percentileBounds(xy, share) {
  const cut = Math.floor((xy.length / 2) * share);
  return [0, 1].flatMap((axis) => {
    const values = Float32Array.from({ length: xy.length / 2 }, (_, i) => xy[2 * i + axis]).sort();
    return [values[cut], values[values.length - 1 - cut]];
  });
}

/**
 * A square [x0, x1, y0, y1] with nearly all points of the last frame and most points of all frames.
 * prior: standard deviation of the prior, whose circles are included; 0: none.
 */
export function boundsOf(frames, prior) {
  const spans = frames.map((frame) => (frame.most ??= percentileBounds(frame.xy, 0.06)));
  spans.push(percentileBounds(frames[frames.length - 1].xy, 0.003));
  if (prior) spans.push([-2.2, 2.2, -2.2, 2.2].map((v) => v * prior));
  const [x0, x1, y0, y1] = [Math.min, Math.max, Math.min, Math.max].map((f, i) => f(...spans.map((s) => s[i])));
  const side = Math.max(x1 - x0, y1 - y0, 1e-6) * 1.08; // the same scale both ways
  const [cx, cy] = [(x0 + x1) / 2, (y0 + y1) / 2];
  return [cx - side / 2, cx + side / 2, cy - side / 2, cy + side / 2];
}

/** The one-sigma ellipse {a, b, angle} of N(., diag std^2), projected onto the plane (D, 2). */
export function posteriorEllipse(plane, std) {
  let xx = 0, xy = 0, yy = 0;
  for (let i = 0; i < std.length; i++) {
    const v = std[i] * std[i], p = plane[2 * i], q = plane[2 * i + 1];
    xx += v * p * p;
    xy += v * p * q;
    yy += v * q * q;
  }
  return ellipse([xx, xy, yy]);
}

/** Text of a time: `epoch 3`, `epoch 3.25`, in the first epoch `step 30`. */
export function timeText(t, step, texts) {
  if (t === 0) return texts.untrained;
  if (t < 1 && step !== null) return fill(texts.step, { number: step });
  return fill(texts.epoch, { number: Number.isInteger(t) ? t : t.toFixed(2) });
}

/** A number with about three digits. */
export function shortNumber(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2).replace("-", "−");
}

/** Range [low, high] of a curve's axis: all values after the first third, plus as much of the steep beginning. */
export function curveRange(values) {
  const least = (list) => list.reduce((a, b) => Math.min(a, b)), most = (list) => list.reduce((a, b) => Math.max(a, b));
  const later = values.slice(Math.floor(values.length / 3));
  const [a, b] = [least(later), most(later)];
  const low = Math.max(least(values), a - (b - a)), high = Math.min(most(values), b + (b - a));
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}
