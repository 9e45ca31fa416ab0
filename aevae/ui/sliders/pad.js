// The latent pad: a plane of the latent space that decodes where the pointer is. Behind it the codes of real digits or
// what the model draws there; above it the posterior of the chosen digit, pinned pictures, and a path that is replayed.

import { classColours, paint, PIXELS, SIDE, stamp } from "../live/canvas.js";
import { element, figures } from "../live/dom.js";
import { channel, onFrame, outbox } from "../live/page.js";
import {
  along, cells, changed, clip, distance, ellipse, frameFor, idleWork, keeperOf, lengthOf, lift, outline, pictureOf,
  planeOf, planeThrough, project, resample, shadowOf, span, ticks,
} from "./latent.js";

const ME = "pad";
const LARGEST = 470; // CSS pixels of the plane with its margins
const FRAME = { left: 34, right: 8, top: 8, bottom: 24 };
const PIN = 34; // CSS pixels of a pinned picture
const MOST_PINS = 24;
const MOST_POINTS = 2000; // of a path while it is drawn
const STEPS = 120; // of a path
const SLOW = 4; // pixels that a press may move and still be a click
const PACE = 0.35; // widths of the plane a second, at speed 1

const kept = new Map(); // plane -> {pins, path}: while the browser page lives

// ---- pure parts (tested with node) ----------------------------------------------------------------------------------

/** Opacity of each point by the rank of its distance: the nearest 0.9, the farthest 0.08. */
export function fade(distances) {
  const order = Array.from(distances, (_, i) => i).toSorted((a, b) => distances[a] - distances[b]);
  const out = new Float32Array(distances.length);
  order.forEach((i, rank) => (out[i] = 0.08 + 0.82 * (1 - rank / Math.max(1, out.length - 1)) ** 2));
  return out;
}

/** Index of the pin whose square of `size` holds the place, the topmost first; -1: none. Places in pixels. */
export function pinAt(places, [x, y], size = PIN) {
  return places.findLastIndex(([px, py]) => Math.max(Math.abs(px - x), Math.abs(py - y)) <= size / 2);
}

/** Part of a path at time t, forth and back again: 0..1 and down to 0. */
export function pingPong(t) {
  const round = ((t % 2) + 2) % 2;
  return round <= 1 ? round : 2 - round;
}

/** Which cells a grid of n x n fills, from the middle outwards, as [column, row from the top]. */
export function spiral(n) {
  const middle = (n - 1) / 2;
  const far = ([c, r]) => Math.hypot(c - middle, r - middle);
  return Array.from({ length: n * n }, (_, i) => [i % n, Math.floor(i / n)]).toSorted((a, b) => far(a) - far(b));
}

// ---- the view -------------------------------------------------------------------------------------------------------

class Pad {
  constructor({ root, send }) {
    this.outbox = outbox((payload) => {
      this.keeper.letGo(ME);
      send(payload);
    });
    this.run = null;
    this.hover = null; // place on the plane, while the pointer is there
    this.press = null; // {x, y, path, moved} while it is down
    this.playing = 0;
    this.base = document.createElement("canvas");
    this.sheet = document.createElement("canvas"); // the manifold, 28 pixels a cell
    this.frame = onFrame(() => this.draw());
    this.growing = idleWork(() => this.grow(), () => this.repaint());
    this.build(root);
    this.eye = new IntersectionObserver(([entry]) => this.woken(entry.isIntersecting));
    this.eye.observe(this.root);
    this.sizes = new ResizeObserver(() => this.layout());
    this.sizes.observe(this.stage);
  }

  build(root) {
    this.canvas = element("canvas", { class: "field", tabIndex: 0, role: "application", "data-finger": "tap" });
    this.aloud = element("div", { class: "aloud", "aria-live": "polite" });
    this.stage = element("div", { class: "stage" }, this.canvas, this.aloud);
    this.figures = element("div", { class: "figures" });
    this.play = element("button", { type: "button", class: "play", onclick: () => this.toggle() });
    this.speed = element("input", { type: "range", min: 0.25, max: 3, step: 0.25, value: 1 });
    this.loop = element("input", { type: "checkbox" });
    this.noPath = element("button", { type: "button", onclick: () => this.forget("path") });
    this.noPins = element("button", { type: "button", onclick: () => this.forget("pins") });
    this.speedName = element("span");
    this.loopName = element("span");
    this.controls = element(
      "div",
      { class: "controls", role: "group" },
      this.play,
      element("label", {}, this.speedName, this.speed),
      element("label", {}, this.loop, this.loopName),
      this.noPath,
      this.noPins,
    );
    this.hint = element("p", { class: "help" });
    this.legend = element("div", { class: "legend" });
    this.side = element("div", { class: "side" }, this.figures, this.controls, this.legend, this.hint);
    this.root = element("div", { class: "pad" }, element("div", { class: "desk" }, this.stage, this.side));
    root.append(this.root);
    this.canvas.onpointermove = (event) => this.moved(event);
    this.canvas.onpointerdown = (event) => this.pressed(event);
    this.canvas.onpointerup = (event) => this.lifted(event);
    this.canvas.onpointercancel = () => this.left();
    this.canvas.onpointerleave = () => this.left();
    this.canvas.onkeydown = (event) => this.key(event);
  }

  update(spec, arrays, programs) {
    const models = spec.models.map((m) => m.label).join();
    Object.assign(this, { spec, programs, ...arrays });
    if (spec.run !== this.run) this.open(spec);
    if (models !== this.models) this.canvases = figures(this.figures, spec.models, spec.texts.picture);
    this.models = models;
    const place = JSON.stringify([spec.run, spec.mode, spec.mode === "dims" ? spec.dims : spec.three]);
    if (place !== this.place) this.halt();
    this.place = place;
    if (!kept.has(place)) kept.set(place, { pins: [], path: null });
    this.kept = kept.get(place);
    if (arrays.z) this.keeper.offer(arrays.z, spec.read); // where no bank says what the code is
    this.z = this.keeper.live;
    this.plane = this.planeNow();
    this.words();
    this.canvas.setAttribute("aria-label", spec.texts.label);
    this.root.classList.toggle("flat", !this.plane);
    this.believe(this.chosen());
    this.scatter();
    this.cell = 0;
    this.growing.start();
    this.layout();
  }

  open(spec) {
    this.shut();
    this.run = spec.run;
    this.keeper = keeperOf(spec.run);
    this.keeper.join(ME, this.outbox);
    this.offs = [
      this.keeper.shared.on((value) => this.take(value.z), ME),
      channel(`drawing:${spec.key}`).on((value) => this.drawn(value), ME),
      () => this.keeper.leave(ME),
    ];
  }

  shut() {
    for (const off of this.offs ?? []) off();
    this.offs = [];
  }

  destroy() {
    this.halt();
    this.shut();
    this.outbox.close();
    this.frame.cancel();
    this.growing.stop();
    this.sizes.disconnect();
    this.eye.disconnect();
  }

  words() {
    const { texts } = this.spec;
    const fading = this.plane && !this.plane.dims && this.spec.behind === "codes";
    const help = fading ? `${texts.help} ${texts.fade}` : texts.help;
    this.hint.textContent = this.plane ? help : texts.flat;
    this.speedName.textContent = texts.speed;
    this.loopName.textContent = texts.loop;
    this.noPath.textContent = texts.no_path;
    this.noPins.textContent = texts.no_pins;
    this.controls.setAttribute("aria-label", texts.path);
    const names = this.spec.behind === "codes" ? this.spec.classes : [];
    const palette = classColours(this.root);
    const entries = names.map((name, i) => {
      const dot = element("i", { class: "dot" });
      dot.style.background = palette[i % palette.length];
      return element("span", {}, dot, name);
    });
    if (this.spec.posterior) entries.push(element("span", {}, element("i", { class: "ring" }), this.spec.posterior));
    this.legend.replaceChildren(...entries);
    this.buttons();
  }

  buttons() {
    const { texts } = this.spec;
    this.play.textContent = this.playing ? texts.pause : texts.play;
    this.play.disabled = this.noPath.disabled = !this.kept.path;
    this.noPins.disabled = !this.kept.pins.length;
  }

  // -- where things are

  planeNow() {
    const { mode, dims } = this.spec;
    if (mode === "dims") return planeOf(...dims);
    const d = this.low.length;
    return planeThrough(...[0, 1, 2].map((i) => this.three.subarray(i * d, (i + 1) * d)));
  }

  /** Places of the codes, how strong they are drawn, and the axes. */
  scatter() {
    if (!this.plane) return;
    const d = this.low.length, n = this.labels.length;
    const codes = Array.from({ length: n }, (_, i) => this.codes.subarray(i * d, (i + 1) * d));
    this.points = codes.map((z) => project(this.plane, z));
    if (this.plane.dims) {
      const [x, y] = this.plane.dims;
      const grid = this.spec.behind === "pictures";
      this.across = grid ? cells(this.xs) : span(this.low[x], this.high[x]);
      this.up = grid ? cells(this.ys) : span(this.low[y], this.high[y]);
      this.alpha = new Float32Array(n).fill(0.95);
    } else {
      const corners = [0, 1, 2].map((i) => project(this.plane, this.three.subarray(i * d, (i + 1) * d)));
      const [s0, s1, t0, t1] = frameFor(this.points, corners);
      this.across = span(s0, s1);
      this.up = span(t0, t1);
      this.alpha = fade(codes.map((z) => distance(this.plane, z)));
    }
    this.byDepth = Array.from(this.alpha, (_, i) => i).toSorted((a, b) => this.alpha[a] - this.alpha[b]);
  }

  layout() {
    const width = Math.min(this.stage.clientWidth, LARGEST);
    if (!this.spec || !width) return;
    this.ratio = window.devicePixelRatio || 1;
    this.size = { w: width, h: width - FRAME.left - FRAME.right + FRAME.top + FRAME.bottom };
    this.field = {
      x: FRAME.left, y: FRAME.top, w: width - FRAME.left - FRAME.right, h: this.size.h - FRAME.top - FRAME.bottom,
    };
    for (const c of [this.canvas, this.base]) {
      c.width = Math.round(this.size.w * this.ratio);
      c.height = Math.round(this.size.h * this.ratio);
    }
    this.canvas.style.width = `${this.size.w}px`;
    this.canvas.style.height = `${this.size.h}px`;
    this.repaint();
  }

  /** Plane -> CSS pixels. */
  px([s, t]) {
    const f = this.field;
    return [f.x + this.across.place(s) * f.w, f.y + (1 - this.up.place(t)) * f.h];
  }

  /** Pointer -> plane, held within the frame; null without a plane. */
  placeOf(event) {
    if (!this.plane || !this.field) return null;
    const box = this.canvas.getBoundingClientRect(), f = this.field;
    const inside = (v) => Math.min(Math.max(v, 0), 1);
    const u = inside((event.clientX - box.left - f.x) / f.w), v = inside((event.clientY - box.top - f.y) / f.h);
    return [this.across.value(u), this.up.value(1 - v)];
  }

  /** Pointer -> CSS pixels of the canvas. */
  pixelOf(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // -- drawing

  colours() {
    const style = getComputedStyle(this.root);
    const get = (name) => style.getPropertyValue(`--st-${name}`).trim() || "gray";
    return {
      ink: get("text-color"), paper: get("background-color"), line: get("border-color"), accent: get("primary-color"),
      font: get("font"),
    };
  }

  /** Everything that does not follow the hand. */
  repaint() {
    if (!this.field) return;
    const g = this.base.getContext("2d"), f = this.field;
    const c = (this.colour = this.colours());
    g.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    g.clearRect(0, 0, this.size.w, this.size.h);
    if (this.plane) {
      if (this.spec.behind === "pictures") this.paintSheet(g);
      else this.paintPoints(g);
      if (this.plane.dims) this.paintTicks(g);
      else this.paintCorners(g);
    }
    g.strokeStyle = c.line;
    g.lineWidth = 1;
    g.strokeRect(f.x - 0.5, f.y - 0.5, f.w + 1, f.h + 1);
    this.frame();
  }

  within(g) {
    const f = this.field;
    g.save();
    g.beginPath();
    g.rect(f.x, f.y, f.w, f.h);
    g.clip();
  }

  paintPoints(g) {
    this.within(g);
    const palette = classColours(this.root), r = this.points.length > 2000 ? 1.8 : 2.6;
    for (const i of this.byDepth) {
      const [x, y] = this.px(this.points[i]);
      g.globalAlpha = this.alpha[i];
      g.fillStyle = palette[this.labels[i] % palette.length];
      g.beginPath();
      g.arc(x, y, r, 0, 6.2832);
      g.fill();
    }
    g.restore();
  }

  paintSheet(g) {
    const f = this.field;
    g.fillStyle = "#000";
    g.fillRect(f.x, f.y, f.w, f.h);
    g.imageSmoothingEnabled = this.sheet.width > f.w * this.ratio;
    g.drawImage(this.sheet, f.x, f.y, f.w, f.h);
  }

  paintTicks(g) {
    const f = this.field, [x, y] = this.plane.dims, c = this.colour;
    const few = f.w < 300 ? 4 : 6;
    g.font = `12px ${c.font}`;
    g.fillStyle = c.ink;
    g.globalAlpha = 0.7;
    g.textBaseline = "middle";
    g.textAlign = "right";
    for (const v of ticks(this.up.value(0), this.up.value(1), few)) g.fillText(v, f.x - 6, this.px([0, v])[1]);
    g.textAlign = "center";
    for (const v of ticks(this.across.value(0), this.across.value(1), few))
      g.fillText(v, this.px([v, 0])[0], f.y + f.h + 11);
    g.globalAlpha = 1;
    g.font = `600 13px ${c.font}`;
    this.plate(g, `z${x} →`, f.x + f.w - 4, f.y + f.h - 4, "right");
    this.plate(g, `z${y} ↑`, f.x + 4, f.y + 24, "left");
  }

  paintCorners(g) {
    const d = this.low.length;
    this.corner ??= [0, 1, 2].map(() => element("canvas", { width: SIDE, height: SIDE }));
    this.corner.forEach((picture, i) => {
      paint(picture, Float32Array.from(this.three_pictures.subarray(i * PIXELS, (i + 1) * PIXELS), (v) => v / 255));
      this.stampOn(g, picture, this.px(project(this.plane, this.three.subarray(i * d, (i + 1) * d))), this.colour.ink);
    });
  }

  /** A text on paper, its bottom at y. */
  plate(g, text, x, y, align) {
    const width = g.measureText(text).width + 8;
    g.fillStyle = this.colour.paper;
    g.fillRect(align === "right" ? x - width : x, y - 20, width, 20);
    g.fillStyle = this.colour.ink;
    g.textAlign = align;
    g.fillText(text, align === "right" ? x - 4 : x + 4, y - 10);
  }

  /** A small picture with a line around it. */
  stampOn(g, picture, [x, y], line) {
    const half = PIN / 2, left = Math.round(x - half), top = Math.round(y - half);
    g.fillStyle = this.colour.paper;
    g.fillRect(left - 2.5, top - 2.5, PIN + 5, PIN + 5);
    g.fillStyle = line;
    g.fillRect(left - 1.5, top - 1.5, PIN + 3, PIN + 3);
    g.imageSmoothingEnabled = false;
    g.drawImage(picture, left, top, PIN, PIN);
  }

  /** What follows the hand: pictures, posterior, pins, path, the place. */
  draw() {
    if (!this.field || this.asleep || !this.z) return;
    this.programs.forEach((program, i) => paint(this.canvases[i], pictureOf(program, this.z)));
    const g = this.canvas.getContext("2d"), c = this.colour;
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, this.canvas.width, this.canvas.height);
    g.drawImage(this.base, 0, 0);
    if (!this.plane) return;
    g.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.within(g);
    this.paintPosterior(g);
    const path = this.press?.moved ? this.press.path : this.kept.path;
    if (path) this.stroke(g, path.map((p) => this.px(p)), false, c.accent, 2.5);
    for (const pin of this.kept.pins) this.stampOn(g, pin.picture, this.px(pin.place), c.accent);
    this.ring(g, this.px(project(this.plane, this.z)), c.accent);
    g.restore();
  }

  paintPosterior(g) {
    const { mu, logvar } = this.belief ?? {};
    if (!mu) return;
    const middle = project(this.plane, mu), [x, y] = this.px(middle);
    if (logvar) {
      const shape = ellipse(shadowOf(this.plane, logvar.map(Math.exp)));
      for (const k of [1, 2])
        this.stroke(g, outline(middle, shape, k).map((p) => this.px(p)), true, this.colour.ink, k === 1 ? 2 : 1.25);
    }
    g.fillStyle = this.colour.paper;
    g.fillRect(x - 4, y - 4, 8, 8);
    g.fillStyle = this.colour.ink;
    g.fillRect(x - 2.5, y - 2.5, 5, 5);
  }

  /** A line with paper on both sides, so that it shows on white and on black. */
  stroke(g, points, closed, colour, width) {
    g.beginPath();
    for (const [x, y] of points) g.lineTo(x, y);
    if (closed) g.closePath();
    g.lineJoin = g.lineCap = "round";
    g.lineWidth = width + 2.5;
    g.strokeStyle = this.colour.paper;
    g.stroke();
    g.lineWidth = width;
    g.strokeStyle = colour;
    g.stroke();
  }

  ring(g, [x, y], colour) {
    for (const [line, width] of [[this.colour.paper, 6], [colour, 3]]) {
      g.beginPath();
      g.arc(x, y, 7, 0, 6.2832);
      g.lineWidth = width;
      g.strokeStyle = line;
      g.stroke();
    }
  }

  // -- the manifold, in idle time

  /** One picture of the grid; false when all are there. */
  grow() {
    const n = this.spec.grid;
    if (this.asleep || !this.z || this.spec.behind !== "pictures" || !this.plane || this.cell >= n * n) return false;
    if (this.sheet.width !== n * SIDE) this.sheet.width = this.sheet.height = n * SIDE;
    this.order = this.order?.length === n * n ? this.order : spiral(n);
    const [column, row] = this.order[this.cell++];
    const place = [this.across.value((column + 0.5) / n), this.up.value(1 - (row + 0.5) / n)];
    const pixels = this.programs[0].decode(lift(this.plane, place, this.z));
    stamp(this.sheet.getContext("2d"), pixels, column * SIDE, row * SIDE);
    return true;
  }

  // -- z

  /** Somebody moved z. */
  take(z) {
    const before = this.z;
    this.z = z;
    this.frame();
    const beside = this.plane?.dims && (!before || changed(this.off(before), this.off(z)) !== -1);
    if (!beside) return; // the pictures of the plane stay what they are
    this.cell = 0;
    this.growing.start();
  }

  /** z without the two dimensions of the plane. */
  off(z) {
    return lift(this.plane, [0, 0], z);
  }

  /** The hand is at a place of the plane. */
  go(place) {
    if (!place || this.keeper.taken(ME)) return;
    this.keeper.hold(ME);
    this.hover = place;
    const z = clip(lift(this.plane, place, this.keeper.rest ?? this.z), this.low, this.high);
    this.keeper.shared.set({ z }, ME);
    this.take(z);
  }

  letter() {
    this.keeper.settle(this.z, ME);
    return { z: Array.from(this.z, (v) => Number(v.toPrecision(6))) };
  }

  /** The chosen digit (784), or null where none is. */
  chosen() {
    return this.picture.length ? Float32Array.from(this.picture, (v) => v / 255) : null;
  }

  /** The posterior of a picture (784). */
  believe(pixels) {
    this.belief = null;
    if (!pixels) return;
    const { mu, logvar } = this.programs[0].encode(pixels);
    this.belief = { mu: Float64Array.from(mu), logvar: logvar && Float64Array.from(logvar) };
  }

  /** Somebody draws the digit: its posterior walks. */
  drawn(value) {
    this.believe(value?.pixels ?? this.chosen());
    this.frame();
  }

  woken(seen) {
    this.asleep = !seen;
    if (!seen) return;
    this.growing.start();
    this.frame();
  }

  // -- the hand

  moved(event) {
    const place = this.placeOf(event);
    if (this.press) {
      const far = Math.hypot(event.clientX - this.press.x, event.clientY - this.press.y);
      this.press.moved ||= far > SLOW;
      if (this.press.moved && this.press.path.length < MOST_POINTS) this.press.path.push(place);
      this.go(place);
    } else if (!this.playing && event.pointerType !== "touch") {
      this.go(place);
    }
  }

  pressed(event) {
    if (event.button || !this.plane) return;
    this.halt();
    const place = this.placeOf(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.press = { x: event.clientX, y: event.clientY, path: [place], moved: false };
    this.go(place);
  }

  lifted(event) {
    const press = this.press;
    this.press = null;
    if (!press) return;
    if (press.moved) {
      this.kept.path = this.even(press.path);
      this.time = 0;
    } else {
      const hit = pinAt(this.kept.pins.map((pin) => this.px(pin.place)), this.pixelOf(event));
      if (hit >= 0) this.kept.pins.splice(hit, 1);
      else this.pin(press.path[0]);
    }
    this.buttons();
    this.outbox.post(this.letter());
  }

  /** A path at an even pace, as the eye sees it. */
  even(path) {
    const seen = path.map(([s, t]) => [this.across.place(s), this.up.place(t)]);
    return resample(seen, STEPS).map(([u, v]) => [this.across.value(u), this.up.value(v)]);
  }

  left() {
    if (this.press || this.playing || !this.hover) return;
    this.hover = null;
    this.keeper.back(ME);
    this.frame();
  }

  pin(place) {
    const picture = element("canvas", { width: SIDE, height: SIDE });
    paint(picture, pictureOf(this.programs[0], this.z));
    this.kept.pins.push({ place, picture });
    if (this.kept.pins.length > MOST_PINS) this.kept.pins.shift();
    this.say(this.spec.texts.pinned);
  }

  forget(what) {
    if (what === "path") {
      this.halt();
      this.kept.path = null;
    } else {
      this.kept.pins.length = 0;
    }
    this.buttons();
    this.frame();
  }

  key(event) {
    if (!this.plane) return;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    const here = project(this.plane, this.z);
    if (way) {
      this.halt();
      const size = event.shiftKey ? 0.1 : 0.02;
      const next = (axis, v, by) => axis.value(Math.min(Math.max(axis.place(v) + by * size, 0), 1));
      this.go([next(this.across, here[0], way[0]), next(this.up, here[1], way[1])]);
      this.outbox.postLater(() => {
        this.say(project(this.plane, this.z).map((v) => v.toFixed(2)).join(", "));
        return this.letter();
      });
    } else if (event.key === "Enter") {
      const hit = pinAt(this.kept.pins.map((pin) => this.px(pin.place)), this.px(here), SLOW);
      if (hit >= 0) this.kept.pins.splice(hit, 1);
      else this.pin(here);
      this.buttons();
      this.frame();
    } else if (event.key.toLowerCase() === "p" && !event.ctrlKey && !event.metaKey && !event.altKey) {
      this.toggle();
    } else {
      return;
    }
    event.preventDefault();
  }

  say(text) {
    this.aloud.textContent = text;
  }

  // -- the path

  toggle() {
    if (this.playing) return this.rest();
    if (!this.kept.path || this.keeper.taken(ME)) return;
    this.time ??= 0;
    if (!this.loop.checked && this.time >= 1) this.time = 0;
    let last = 0;
    const pixels = lengthOf(this.kept.path.map((p) => this.px(p)));
    const step = (now) => {
      if (this.keeper.taken(ME)) return this.yield();
      this.playing = requestAnimationFrame(step);
      const seconds = last ? Math.min(now - last, 100) / 1000 : 0;
      last = now;
      this.time += (seconds * Number(this.speed.value) * PACE * this.field.w) / Math.max(pixels, 1);
      if (!this.loop.checked && this.time >= 1) this.time = 1;
      this.go(along(this.kept.path, this.loop.checked ? pingPong(this.time) : this.time));
      if (!this.loop.checked && this.time >= 1) this.rest();
    };
    this.playing = requestAnimationFrame(step);
    this.buttons();
  }

  /** Pause: what is seen becomes the code. */
  rest() {
    this.halt();
    this.hover = null;
    this.outbox.post(this.letter());
  }

  /** Another hand wants the code. */
  yield() {
    this.halt();
    this.hover = null;
    this.keeper.letGo(ME);
  }

  halt() {
    if (!this.playing) return;
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.buttons();
  }
}

export function mount(ctx) {
  return new Pad(ctx);
}
