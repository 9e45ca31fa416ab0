// node --test tests/test_draw.mjs: the drawing board without a browser.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { codeNote } from "../aevae/ui/digit/draw.js";
import { mnistLike } from "../aevae/ui/digit/handwriting.js";
import { BOARD, dab, Drawing, MAX_POINTS, MAX_STROKES } from "../aevae/ui/digit/strokes.js";

const sum = (values) => values.reduce((a, b) => a + b, 0);

/** A digit of 28 x 28 that is in MNIST's form: a bent stroke, its box 20 high. */
function digit() {
  const drawing = new Drawing();
  drawing.begin(900, 500);
  for (const [x, y] of [[1700, 450], [1850, 700], [1400, 1300], [1000, 2300]]) drawing.extend(x, y);
  return mnistLike(drawing.ink, BOARD, BOARD);
}

/** `small` enlarged `scale` times, at (left, top) of a larger sheet. */
function enlarged(small, scale, left, top, width, height) {
  const out = new Uint8Array(width * height);
  for (let y = 0; y < 28 * scale; y++)
    for (let x = 0; x < 28 * scale; x++)
      out[(top + y) * width + left + x] = small[Math.floor(y / scale) * 28 + Math.floor(x / scale)];
  return out;
}

function box(pixels) {
  const at = [...pixels.keys()].filter((i) => pixels[i] > 0);
  const rows = at.map((i) => Math.floor(i / 28)), columns = at.map((i) => i % 28);
  return [Math.max(...rows) - Math.min(...rows) + 1, Math.max(...columns) - Math.min(...columns) + 1];
}

test("no ink is no digit", () => {
  assert.equal(mnistLike(new Uint8Array(BOARD * BOARD), BOARD, BOARD), null);
  const drawing = new Drawing();
  drawing.begin(1400, 1400);
  drawing.begin(1400, 1400, { erase: true, width: 48 });
  assert.equal(mnistLike(drawing.ink, BOARD, BOARD), null);
});

test("ink fits in 20 x 20 with its aspect kept, its strongest pixel is white, its centre of mass is pixel (14, 14)", () => {
  const pixels = digit();
  assert.equal(Math.max(...box(pixels)), 20);
  assert.equal(Math.max(...pixels), 255);
  const mass = sum(pixels);
  const y = sum([...pixels].map((v, i) => v * Math.floor(i / 28))) / mass;
  const x = sum([...pixels].map((v, i) => v * (i % 28))) / mass;
  assert.ok(Math.abs(y - 14) <= 0.51 && Math.abs(x - 14) <= 0.51, `${x} ${y}`);
  const flat = new Uint8Array(60 * 90);
  for (let y0 = 20; y0 < 30; y0++) flat.fill(255, y0 * 90 + 30, y0 * 90 + 70); // 10 x 40
  assert.deepEqual(box(mnistLike(flat, 60, 90)), [5, 20]);
});

test("what is in that form stays itself, enlarged and shifted", () => {
  const pixels = digit();
  for (const [left, top] of [[0, 0], [37, 110], [120, 3]])
    assert.deepEqual(mnistLike(enlarged(pixels, 10, left, top, 400, 390), 390, 400), pixels);
});

test("area averaging keeps the mean where the box is reduced by a fraction", () => {
  const side = 30, ink = new Uint8Array(side * side).map((_, i) => (i * 7919) % 251);
  ink[0] = ink[side * side - 1] = 255;
  const pixels = mnistLike(ink, side, side);
  const strongest = Math.max(...pixels);
  assert.equal(strongest, 255);
  const inside = [...pixels].filter((v) => v > 0);
  assert.ok(inside.length <= 400 && inside.length > 390);
  const half = new Uint8Array(40 * 40).map((_, i) => ((i % 40) % 2 ? 200 : 100));
  assert.deepEqual(new Set(mnistLike(half, 40, 40)), new Set([0, 255])); // every 2 x 2 has the same mean
});

test("a dab is round, soft at its rim, and an eraser takes it away", () => {
  const ink = new Uint8Array(40 * 40), at = { x: 20, y: 20, r: 8 };
  dab(ink, 40, at, at, false);
  assert.ok(Math.abs(sum(ink) / 255 - Math.PI * 64) < 2);
  assert.equal(ink[20 * 40 + 20], 255);
  dab(ink, 40, { ...at, r: 10 }, { ...at, r: 10 }, true);
  assert.equal(sum(ink), 0);
  dab(ink, 40, { x: -5, y: 20, r: 8 }, { x: 60, y: 20, r: 8 }, false); // leaves the sheet on both sides
  assert.ok(Math.abs(sum(ink) / 255 - 16 * 40) < 1);
});

test("pressure makes the pen wider", () => {
  const area = (pressure) => {
    const drawing = new Drawing();
    drawing.begin(1400, 1400, { pressure, width: 20 });
    return sum(drawing.ink) / 255;
  };
  assert.ok(Math.abs(area(50) - Math.PI * 100) < 3);
  assert.ok(area(0) < area(50) && area(50) < area(100));
});

test("strokes are taken back one by one, and clearing too", () => {
  const drawing = new Drawing();
  const line = (y) => {
    drawing.begin(500, y);
    drawing.extend(2000, y);
    drawing.end();
  };
  line(500);
  const first = drawing.ink.slice();
  line(1500);
  const both = drawing.ink.slice();
  assert.notDeepEqual(first, both);
  drawing.undo();
  assert.deepEqual(drawing.ink, first);
  drawing.redo();
  assert.deepEqual(drawing.ink, both);
  drawing.clear();
  assert.ok(drawing.isEmpty && sum(drawing.ink) === 0);
  drawing.undo();
  assert.deepEqual(drawing.ink, both);
  drawing.undo();
  line(2000);
  assert.equal(drawing.redo(), false); // a new stroke ends what could be done again
  assert.equal(drawing.undo() && drawing.undo(), true);
  assert.ok(drawing.isEmpty);
  assert.equal(drawing.undo(), false);
});

test("strokes make the same ink when they come back", () => {
  const drawing = new Drawing();
  drawing.begin(300.26, 400.5, { pressure: 33.3 });
  drawing.extend(900, 1000.9, 70);
  drawing.begin(600, 700, { erase: true, width: 12 });
  drawing.end();
  const again = new Drawing(JSON.parse(JSON.stringify(drawing.all)));
  assert.deepEqual(again.ink, drawing.ink);
  assert.ok(drawing.all.every((stroke) => stroke.points.every(Number.isInteger)));
});

test("a stroke given up leaves nothing", () => {
  const drawing = new Drawing();
  drawing.begin(300, 300);
  drawing.cancel();
  assert.ok(drawing.isEmpty && sum(drawing.ink) === 0);
});

test("a drawing has bounds", () => {
  const drawing = new Drawing();
  for (let i = 0; i < MAX_STROKES; i++) assert.ok(drawing.begin(10 * i, 10 * i));
  assert.equal(drawing.begin(0, 0), false);
  assert.equal(drawing.all.length, MAX_STROKES);
  const long = new Drawing();
  long.begin(0, 0);
  for (let i = 0; i < MAX_POINTS + 50; i++) long.extend(i % 2 ? 0 : 100, i % 280);
  assert.equal(long.points, MAX_POINTS);
  long.extend(1e9, -1e9);
  long.undo();
  long.begin(1e9, -1e9);
  assert.deepEqual(long.all[0].points, [5600, -2800, 50]);
});

test("what is said of a code", () => {
  assert.equal(codeNote({ mu: [1, 1], logvar: [0, 0] }), "KL 1.0 nats");
  const narrow = [2 * Math.log(0.1), 2 * Math.log(0.1)];
  assert.equal(codeNote({ mu: [0.1, 0.1], logvar: narrow }, 0.1), "KL 1.0 nats"); // all in units of the prior
  assert.equal(codeNote({ mu: [3, 4], logvar: null }), "‖z‖ 5.0");
});

test("the twin of Python's mnist_like", async () => {
  const file = process.env.AEVAE_INK; // written by tests/test_handwriting.py
  const cases = file ? JSON.parse(await readFile(file, "utf8")) : [];
  for (const { height, width, ink, pixels } of cases) {
    const ours = mnistLike(Uint8Array.from(Buffer.from(ink, "base64")), height, width);
    const theirs = Buffer.from(pixels, "base64");
    const apart = Math.max(...ours.map((v, i) => Math.abs(v - theirs[i])));
    assert.ok(apart <= 1, `${height} x ${width}: ${apart} of 255 apart`);
  }
});
