// Noise of the five kinds of aevae/corruption.py, and strokes over an image.

import { PIXELS, SIDE } from "../live/canvas.js";
import { clamp, squaredError } from "../live/maths.js";

const f32 = Math.fround;

/** x (784) in [0, 1], corrupted with `noise` of this kind; equal to `apply` of aevae/corruption.py, in float32. */
export function corrupt(kind, level, x, noise, out = new Float32Array(PIXELS)) {
  if (level === 0) {
    out.set(x);
    return out;
  }
  KINDS[kind](f32(level), x, noise, out, level);
  return out;
}

const KINDS = {
  gaussian(level, x, noise, out) {
    for (let i = 0; i < PIXELS; i++) out[i] = clamp(f32(x[i] + f32(level * noise[i])));
  },
  masking(level, x, noise, out) {
    for (let i = 0; i < PIXELS; i++) out[i] = noise[i] >= level ? x[i] : 0;
  },
  salt_and_pepper(level, x, noise, out, exact) {
    const half = f32(exact / 2);
    for (let i = 0; i < PIXELS; i++) out[i] = noise[i] < level ? Number(noise[i] >= half) : x[i];
  },
  block(_, x, corner, out, exact) {
    const side = Math.round(SIDE * Math.sqrt(exact));
    const [top, left] = [0, 1].map((i) => Math.floor(f32(corner[i] * (SIDE - side + 1))));
    out.set(x);
    for (let row = top; row < top + side; row++) out.fill(0, row * SIDE + left, row * SIDE + left + side);
  },
};

/** An empty layer of strokes: opacity (`cover`) and white (`ink`) of each pixel, 0..255. */
export const blank = () => ({ cover: new Uint8Array(PIXELS), ink: new Uint8Array(PIXELS) });

/** The image x under a layer: x (1 - cover) + ink. */
export function layOver(x, { cover, ink }, out = new Float32Array(PIXELS)) {
  for (let i = 0; i < PIXELS; i++) out[i] = clamp(x[i] * (1 - cover[i] / 255) + ink[i] / 255);
  return out;
}

/** Mark in `coverage` (784) the pixels that a round brush touches between a and b; in pixels, centres at .5. */
export function brush(coverage, a, b, radius) {
  const dx = b.x - a.x, dy = b.y - a.y, square = dx * dx + dy * dy;
  for (let i = 0; i < PIXELS; i++) {
    const x = (i % SIDE) + 0.5 - a.x, y = Math.floor(i / SIDE) + 0.5 - a.y;
    const part = square ? clamp((x * dx + y * dy) / square) : 0;
    const amount = clamp(radius + 0.5 - Math.hypot(x - part * dx, y - part * dy));
    if (amount > coverage[i]) coverage[i] = amount;
  }
}

/** The layer after a stroke of white (1) or black (0) with this coverage. */
export function stroked(layer, coverage, white) {
  const out = blank();
  for (let i = 0; i < PIXELS; i++) {
    const c = coverage[i];
    out.cover[i] = Math.round(255 * c + layer.cover[i] * (1 - c));
    out.ink[i] = Math.min(out.cover[i], Math.round(255 * c * white + layer.ink[i] * (1 - c)));
  }
  return out;
}

export const isBlank = (layer) => layer.cover.every((v) => v === 0);

/** Cover, then ink, as base64; an untouched layer is null. */
export function pack(layer) {
  return isBlank(layer) ? null : btoa(String.fromCharCode(...layer.cover, ...layer.ink));
}

/** Squared error and PSNR (dB) of an image against the clean one. */
export function errors(clean, image) {
  const sse = squaredError(clean, image);
  return { sse, psnr: -10 * Math.log10(sse / PIXELS) };
}
