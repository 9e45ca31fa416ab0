// A plane of the latent space, decoded at the pointer. Background: codes of real digits or decoded
// images. Above it: the posterior of the chosen digit, pinned images, and a path that can be replayed.

import { ARROWS, classColours, paint, SIDE, stamp } from "../live/canvas.js";
import { button, div, element, figures } from "../live/dom.js";
import { clamp, triangleWave } from "../live/maths.js";
import { drawingChannel, idleWork, Stage } from "../live/page.js";
import { PlaneMap, pinAt, spiral } from "./plane_map.js";
import { PlanePainter } from "./plane_painter.js";
import { lengthOf, pointAt, resample } from "./planes.js";
import { changedIndex, clampCode, decodedImage, sharedCodeOf, shownImage } from "./shared_code.js";

const ME = "latent_plane";
const MAX_PINS = 24;
const MAX_PATH_POINTS = 2000; // points of a path while it is drawn
const PATH_STEPS = 120;
const MAX_CLICK_MOVE = 4; // pixels that a click may move
const WIDTHS_PER_SECOND = 0.35; // replay speed 1, in widths of the plane

const memories = new Map(); // plane -> {pins, path}, until the browser page is closed

class LatentPlane extends Stage {
  constructor({ root, send }, name) {
    const sendAndRelease = (payload) => {
      this.code.release(ME);
      send(payload);
    };
    super({ root, send: sendAndRelease }, name);
  }

  create() {
    this.run = null;
    this.hover = null; // place on the plane, while the pointer is there
    this.press = null; // {x, y, path, moved} while the pointer is pressed
    this.playing = 0;
    this.painter = new PlanePainter();
    this.growing = idleWork(() => this.grow(), () => this.repaint());
    this.buildView();
    const visibility = new IntersectionObserver(([entry]) => this.wake(entry.isIntersecting));
    visibility.observe(this.root);
    this.offs.push(() => visibility.disconnect());
    this.onResize(() => this.layout(), this.area);
  }

  buildView() {
    const { canvas } = this.painter;
    this.aloud = element("div", { class: "aloud", "aria-live": "polite" });
    this.area = div("stage", canvas, this.aloud);
    this.figures = div("figures");
    this.play = button("", () => this.toggle(), { class: "play" });
    this.speed = element("input", { type: "range", min: 0.25, max: 3, step: 0.25, value: 1 });
    this.loop = element("input", { type: "checkbox" });
    this.noPath = button("", () => this.forgetPath());
    this.noPins = button("", () => this.forgetPins());
    this.speedName = element("span");
    this.loopName = element("span");
    this.controls = element(
      "div", { class: "controls", role: "group" }, this.play, element("label", {}, this.speedName, this.speed),
      element("label", {}, this.loop, this.loopName), this.noPath, this.noPins,
    );
    this.hint = element("p", { class: "help" });
    this.legend = div("legend");
    this.more = element("summary", {});
    const more = element("details", {}, this.more, this.controls);
    this.root.append(div("parts", this.figures, this.area, div("side", this.legend, this.hint, more)));
    canvas.dataset.finger = "tap";
    // Not onDrag (canvas.js): the pointer decodes without a press, too, and a click differs from a drag.
    canvas.onpointermove = (event) => this.moved(event);
    canvas.onpointerdown = (event) => this.pressed(event);
    canvas.onpointerup = (event) => this.lifted(event);
    canvas.onpointercancel = canvas.onpointerleave = () => this.left();
    canvas.onkeydown = (event) => this.key(event);
  }

  refresh({ spec, arrays }) {
    const models = spec.models.map((m) => m.label).join();
    if (spec.run !== this.run) this.open(spec);
    if (models !== this.models) this.canvases = figures(this.figures, spec.models, spec.texts.image);
    this.models = models;
    const place = JSON.stringify([spec.run, spec.mode, spec.mode === "dims" ? spec.dims : spec.three]);
    if (place !== this.place) this.halt();
    this.place = place;
    if (!memories.has(place)) memories.set(place, { pins: [], path: null });
    this.memory = memories.get(place);
    if (arrays.z) this.code.offer(arrays.z, spec.read); // where no sliders say what the code is
    this.z = this.code.live;
    this.map = new PlaneMap(spec, arrays);
    this.write();
    this.painter.canvas.setAttribute("aria-label", spec.texts.label);
    this.root.classList.toggle("flat", !this.map.plane);
    this.believe(this.chosen());
    this.restartGrowing();
    this.layout();
  }

  open(spec) {
    this.shut();
    this.run = spec.run;
    this.code = sharedCodeOf(spec.run);
    this.code.join(ME, this.outbox);
    this.runOffs = [
      this.code.channel.on((value) => this.take(value.z), ME),
      drawingChannel(spec.key).on((value) => this.followDrawing(value), ME),
      () => this.code.leave(ME),
    ];
  }

  shut() {
    for (const off of this.runOffs ?? []) off();
    this.runOffs = [];
  }

  stop() {
    this.halt();
    this.shut();
    this.growing.stop();
  }

  /** All texts. */
  write() {
    const { texts, behind, classes, posterior } = this.spec, { plane, dims } = this.map;
    const help = plane && !dims && behind === "codes" ? `${texts.help} ${texts.fade}` : texts.help;
    this.hint.textContent = plane ? help : texts.flat;
    this.speedName.textContent = texts.speed;
    this.loopName.textContent = texts.loop;
    this.noPath.textContent = texts.no_path;
    this.noPins.textContent = texts.no_pins;
    this.controls.setAttribute("aria-label", texts.path);
    this.more.textContent = texts.path;
    const palette = classColours(this.root);
    const entries = (behind === "codes" ? classes : []).map((name, i) => {
      const dot = element("i", { class: "dot" });
      dot.style.background = palette[i % palette.length];
      return element("span", {}, dot, name);
    });
    if (posterior) entries.push(element("span", {}, element("i", { class: "ring" }), posterior));
    this.legend.replaceChildren(...entries);
    this.showButtons();
  }

  showButtons() {
    const { texts } = this.spec;
    this.play.textContent = this.playing ? texts.pause : texts.play;
    this.play.disabled = this.noPath.disabled = !this.memory.path;
    this.noPins.disabled = !this.memory.pins.length;
  }

  // -- drawing

  layout() {
    if (this.painter.layout(this.area.clientWidth)) this.repaint();
  }

  /** Paint the layer that does not depend on the pointer. */
  repaint() {
    if (!this.painter.field) return;
    this.painter.paintBase(this.map, this.spec.behind, this.arrays.three_images);
    this.show();
  }

  /** Paint the layer that follows the pointer. */
  draw() {
    if (!this.painter.field || this.isHidden || !this.z) return;
    this.canvases.forEach((canvas, i) => paint(canvas, shownImage(this.programs, i, this.z)));
    const { belief, z, memory: { pins } } = this, path = this.press?.moved ? this.press.path : this.memory.path;
    this.painter.paint(this.map, { belief, path, pins, z });
  }

  /** Decode one image of the grid, in idle time; false if all are decoded. */
  grow() {
    const { grid: n, behind } = this.spec, { map, painter: { sheet } } = this;
    if (this.isHidden || !this.z || behind !== "pictures" || !map.plane || this.cell >= n * n) return false;
    if (sheet.width !== n * SIDE) sheet.width = sheet.height = n * SIDE;
    this.order = this.order?.length === n * n ? this.order : spiral(n);
    const [column, row] = this.order[this.cell++];
    const place = map.fromField([(column + 0.5) / n, 1 - (row + 0.5) / n]);
    stamp(sheet.getContext("2d"), this.programs[0].decode(map.lift(place, this.z)), column * SIDE, row * SIDE);
    return true;
  }

  restartGrowing() {
    this.cell = 0;
    this.growing.start();
  }

  wake(isVisible) {
    this.isHidden = !isVisible;
    if (!isVisible) return;
    this.growing.start();
    this.show();
  }

  // -- the code

  /** z has changed, here or in another component. */
  take(z) {
    const before = this.z, { map } = this;
    this.z = z;
    this.show();
    const besides = (code) => map.lift([0, 0], code); // without the two numbers of the plane
    if (map?.dims && (!before || changedIndex(besides(before), besides(z)) !== -1)) this.restartGrowing();
  }

  /** The hand is at a place of the plane. */
  go(place) {
    if (!place || this.code.isHeldByOther(ME)) return;
    this.code.hold(ME);
    this.hover = place;
    const { low, high } = this.arrays;
    const z = clampCode(this.map.lift(place, this.code.settled ?? this.z), low, high);
    this.code.channel.set({ z }, ME);
    this.take(z);
  }

  message() {
    this.code.settle(this.z, ME);
    return { z: Array.from(this.z, (v) => Number(v.toPrecision(6))) };
  }

  /** The chosen digit (784), or null without one. */
  chosen() {
    const { image } = this.arrays;
    return image.length ? Float32Array.from(image, (v) => v / 255) : null;
  }

  /** Show the posterior of an image (784), or none. */
  believe(pixels) {
    this.belief = null;
    if (!pixels) return;
    const { mu, logvar } = this.programs[0].encode(pixels);
    this.belief = { mu: Float64Array.from(mu), logvar: logvar && Float64Array.from(logvar) };
  }

  followDrawing(value) {
    this.believe(value?.pixels ?? this.chosen());
    this.show();
  }

  // -- the hand

  /** Pointer -> place on the plane; null without a plane. */
  placeOf(event) {
    return this.map.plane && this.painter.field ? this.painter.placeOf(this.map, event) : null;
  }

  moved(event) {
    const place = this.placeOf(event), { press } = this;
    if (press) {
      press.moved ||= Math.hypot(event.clientX - press.x, event.clientY - press.y) > MAX_CLICK_MOVE;
      if (press.moved && press.path.length < MAX_PATH_POINTS) press.path.push(place);
      this.go(place);
    } else if (!this.playing && event.pointerType !== "touch") {
      this.go(place);
    }
  }

  pressed(event) {
    if (event.button || !this.map.plane) return;
    this.halt();
    const place = this.placeOf(event);
    this.painter.canvas.setPointerCapture(event.pointerId);
    this.press = { x: event.clientX, y: event.clientY, path: [place], moved: false };
    this.go(place);
  }

  lifted(event) {
    const { press } = this;
    this.press = null;
    if (!press) return;
    if (press.moved) {
      this.memory.path = this.even(press.path);
      this.time = 0;
    } else {
      this.togglePin(press.path[0], this.painter.pixelOf(event));
    }
    this.showButtons();
    this.outbox.post(this.message());
  }

  /** A path resampled at a constant speed on the screen. */
  even(path) {
    return resample(path.map((place) => this.map.toField(place)), PATH_STEPS).map((part) => this.map.fromField(part));
  }

  left() {
    if (this.press || this.playing || !this.hover) return;
    this.hover = null;
    this.code.restore(ME);
    this.show();
  }

  /** Remove the pin at these pixels, or pin the decoded image at the position. */
  togglePin(place, pixels, size) {
    const { pins } = this.memory, hit = pinAt(pins.map((pin) => this.painter.px(this.map, pin.place)), pixels, size);
    if (hit >= 0) return pins.splice(hit, 1);
    const image = element("canvas", { width: SIDE, height: SIDE });
    paint(image, decodedImage(this.programs[0], this.z));
    pins.push({ place, image });
    if (pins.length > MAX_PINS) pins.shift();
    this.say(this.spec.texts.pinned);
  }

  forgetPath() {
    this.halt();
    this.memory.path = null;
    this.showButtons();
    this.show();
  }

  forgetPins() {
    this.memory.pins.length = 0;
    this.showButtons();
    this.show();
  }

  key(event) {
    if (!this.map.plane) return;
    if (ARROWS[event.key]) this.walk(ARROWS[event.key], event.shiftKey ? 0.1 : 0.02);
    else if (event.key === "Enter") {
      const here = this.map.project(this.z);
      this.togglePin(here, this.painter.px(this.map, here), MAX_CLICK_MOVE);
      this.showButtons();
      this.show();
    } else if (event.key.toLowerCase() === "p" && !event.ctrlKey && !event.metaKey && !event.altKey) this.toggle();
    else return;
    event.preventDefault();
  }

  /** An arrow key moves by a part `step` of the field. */
  walk(way, step) {
    this.halt();
    const parts = this.map.toField(this.map.project(this.z));
    this.go(this.map.fromField(parts.map((part, axis) => clamp(part + way[axis] * step))));
    this.outbox.postLater(() => {
      this.say(this.map.project(this.z).map((v) => v.toFixed(2)).join(", "));
      return this.message();
    });
  }

  say(text) {
    this.aloud.textContent = text;
  }

  // -- the path

  toggle() {
    if (this.playing) return this.rest();
    const { path } = this.memory;
    if (!path || this.code.isHeldByOther(ME)) return;
    this.time ??= 0;
    if (!this.loop.checked && this.time >= 1) this.time = 0;
    let last = 0;
    const pixels = Math.max(lengthOf(path.map((place) => this.painter.px(this.map, place))), 1);
    const step = (now) => {
      if (this.code.isHeldByOther(ME)) return this.yield();
      this.playing = requestAnimationFrame(step);
      const seconds = last ? Math.min(now - last, 100) / 1000 : 0;
      last = now;
      this.time += (seconds * Number(this.speed.value) * WIDTHS_PER_SECOND * this.painter.field.w) / pixels;
      const isEnd = !this.loop.checked && this.time >= 1;
      if (isEnd) this.time = 1;
      this.go(pointAt(this.memory.path, this.loop.checked ? triangleWave(this.time) : this.time));
      if (isEnd) this.rest();
    };
    this.playing = requestAnimationFrame(step);
    this.showButtons();
  }

  /** Pause, and make the shown code the current code. */
  rest() {
    this.halt();
    this.hover = null;
    this.outbox.post(this.message());
  }

  /** Another component changes the code. */
  yield() {
    this.halt();
    this.hover = null;
    this.code.release(ME);
  }

  halt() {
    if (!this.playing) return;
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    this.showButtons();
  }
}

export const mount = (ctx) => new LatentPlane(ctx, "latent_plane");
