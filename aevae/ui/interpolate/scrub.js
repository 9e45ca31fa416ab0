// The live view of the Interpolate page: one position t between two digits (or u, v between four), shown in every space:
// pixels, and the codes of each model on the straight line and on the great circle.

import { onDrag, paint, placeIn, themeColours } from "../live/canvas.js";
import { button, div, element, fill, imageCanvas, svg } from "../live/dom.js";
import { clamp, dot, lerp, row, triangleWave } from "../live/maths.js";
import { onDrawing, Stage } from "../live/page.js";

const PARALLEL_BELOW = 1e-7; // equal to PARALLEL in aevae/latent/interpolation.py
const SPEEDS = { slow: 0.12, normal: 0.3, fast: 0.75 }; // change of t per second
const HEIGHT = 40; // height of a profile; its width is 100
const MAX_LARGE = 5; // with more images they are smaller

// ---- mathematics ----------------------------------------------------------------------------------------------------

/** Spherical interpolation at t; see aevae/latent/interpolation.py. */
export function slerp(a, b, t, out = new Float32Array(a.length)) {
  const normA = Math.hypot(...a), normB = Math.hypot(...b), n = a.length;
  if (n < 2 || normA === 0 || normB === 0) return lerp(a, b, t, out);
  const u = Float64Array.from(a, (x) => x / normA);
  const v = Float64Array.from(b, (x) => x / normB);
  const along = dot(u, v);
  let side = v.map((x, i) => x - along * u[i]);
  const length = Math.hypot(...side);
  const angle = Math.atan2(length, along);
  if (length < PARALLEL_BELOW) {
    if (along > 0) return lerp(a, b, t, out);
    let axis = 0;
    for (let i = 1; i < n; i++) if (Math.abs(u[i]) < Math.abs(u[axis])) axis = i;
    side = u.map((x, i) => Number(i === axis) - u[axis] * x);
  }
  const size = Math.hypot(...side), norm = (1 - t) * normA + t * normB;
  const forward = norm * Math.cos(t * angle), sideways = (norm * Math.sin(t * angle)) / size;
  for (let i = 0; i < n; i++) out[i] = t === 0 ? a[i] : t === 1 ? b[i] : forward * u[i] + sideways * side[i];
  return out;
}

const PATHS = { linear: lerp, spherical: slerp };

/** The code at [t] between two codes, or at [u, v] between four in reading order (bilinear of interpolation.py). */
export function codeAt(kind, codes, [u, v]) {
  const path = PATHS[kind];
  if (codes.length === 2) return path(codes[0], codes[1], u);
  return path(path(codes[0], codes[2], v), path(codes[1], codes[3], v), u);
}

/** Value of an evenly sampled curve at t in 0..1, by linear interpolation. */
export function sampleAt(samples, t) {
  const x = t * (samples.length - 1), i = Math.min(Math.floor(x), samples.length - 2);
  return samples[i] + (x - i) * (samples[i + 1] - samples[i]);
}

/** Index of the sample nearest to `at`: [t] on a line of `count`, [u, v] on a sheet of `side` x `side` (rows are v). */
export function nearestSample(at, count) {
  if (at.length === 1) return Math.round(at[0] * (count - 1));
  const side = Math.round(Math.sqrt(count));
  return Math.round(at[1] * (side - 1)) * side + Math.round(at[0] * (side - 1));
}

/** t after `seconds` at `speed`, back and forth between 0 and 1: {t, direction}. */
export function advance(t, direction, speed, seconds) {
  const phase = ((direction > 0 ? t : 2 - t) + speed * seconds) % 2; // 0..1 forth, 1..2 back
  return { t: triangleWave(phase), direction: phase <= 1 ? 1 : -1 };
}

/** Height 0..1 of a distance in a profile up to `cap`, on a square-root scale, so that 1 is visible beside 20. */
export const height = (hole, cap) => Math.sqrt(Math.min(hole, cap) / cap);

/** A profile as an SVG path. Unknown values are left out. */
export function profilePath(holes, cap) {
  const points = [];
  holes.forEach((hole, i) => {
    if (Number.isFinite(hole)) points.push([(100 * i) / (holes.length - 1), HEIGHT * (1 - height(hole, cap))]);
  });
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
}

const rounded = (v) => Math.round(100 * v) / 100;
const rounded1 = (v) => v.toFixed(1);

// ---- the view -------------------------------------------------------------------------------------------------------

class Scrub extends Stage {
  create() {
    this.drawings = []; // the user's drawings, which replace the ends from Python
    this.direction = 1;
    this.drawingOffs = [];
  }

  refresh({ spec, arrays }) {
    const known = this.known?.length === arrays.ends.length ? this.known : null;
    if (!known || arrays.ends.some((v, i) => v !== known[i])) this.drawings = [];
    this.known = arrays.ends;
    const shape = JSON.stringify([spec.routes, spec.keys]);
    if (shape !== this.shape) this.buildView(shape);
    const isFree = this.outbox.isSettled(spec.n) && !this.dragging && !this.playing;
    if (isFree || this.at.length !== spec.at.length) this.at = spec.at.slice();
    this.encode();
    this.drawProfiles();
  }

  // -- codes ----------------------------------------------------------------------------------------------------------

  /** Codes of the ends in every space: Python's, or those of the user's drawings. */
  encode() {
    const count = this.spec.keys.length;
    this.ends = Array.from({ length: count }, (_, c) => this.drawings[c] ?? row(this.arrays.ends, c, count));
    this.codes = this.spec.spaces.map(({ program }, s) =>
      this.ends.map((pixels, c) => {
        if (program < 0) return pixels;
        if (!this.drawings[c]) return row(this.arrays[`codes_${s}`], c, count);
        return Float32Array.from(this.programs[program].encode(pixels).mu);
      }),
    );
    this.root.classList.toggle("stale", this.drawings.some(Boolean));
    this.ends.forEach((pixels, c) => paint(this.corners[c], pixels));
  }

  followDrawings() {
    for (const off of this.drawingOffs) off();
    this.drawingOffs = this.spec.keys.map((key, c) =>
      onDrawing(key, (pixels) => {
        if (!pixels) return;
        this.drawings[c] = Float32Array.from(pixels);
        this.encode();
        this.show();
      }),
    );
  }

  // -- elements -------------------------------------------------------------------------------------------------------

  buildView(shape) {
    const { spec } = this, plane = spec.keys.length === 4;
    this.pause();
    this.shape = shape;
    this.dragging = false;
    this.corners = spec.keys.map((_, c) =>
      imageCanvas({ role: "img", "aria-label": fill(spec.texts.digit, { letter: "abcd"[c] }) }),
    );
    const axes = plane ? ["across", "down"] : ["part"];
    this.ranges = axes.map((name, axis) => this.range(spec.texts[name], axis, plane));
    this.cards = spec.routes.map((route) => this.card(route, plane));
    const cardsOf = (s) => this.cards.filter((card) => card.route.space === s);
    const groups = spec.spaces.map((space, s) => this.group(space, cardsOf(s)));
    this.aloud = element("div", { class: "aloud", role: "status" });
    this.root.className = `scrub ${spec.routes.length > MAX_LARGE ? "many" : ""} ${plane ? "plane" : "line"}`;
    this.root.replaceChildren(div("groups", ...groups), plane ? this.planeBar() : this.lineBar(), this.aloud);
    this.followDrawings();
  }

  lineBar() {
    const { texts } = this.spec;
    this.button = button("", () => (this.playing ? this.rest() : this.play()));
    this.speed = element("select", { "aria-label": texts.speed, title: texts.speed });
    for (const name of Object.keys(SPEEDS)) this.speed.append(element("option", { value: name }, texts[name]));
    this.speed.value = "normal";
    this.output = element("output", {});
    this.face();
    const [a, b] = this.corners;
    const slide = div("slide", a, this.ranges[0], b);
    return div("bar", this.button, this.speed, slide, this.output);
  }

  planeBar() {
    const { texts } = this.spec;
    this.output = element("output", {});
    const names = [texts.across, texts.down];
    const fields = this.ranges.map((range, i) => element("label", {}, element("span", {}, names[i]), range));
    return div("bar", div("corners", ...this.corners), ...fields, this.output);
  }

  range(title, axis, plane) {
    const input = element("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": title });
    if (!plane) input.title = title;
    input.onpointerdown = () => (this.dragging = true);
    input.onpointerup = input.onpointercancel = () => (this.dragging = false);
    input.oninput = () => {
      this.pause();
      this.at[axis] = input.valueAsNumber;
      this.show();
    };
    input.onchange = () => this.tell(!input.matches(":focus-visible"));
    return input;
  }

  group(space, cards) {
    const name = element("span", {}, space.title);
    if (space.colour) name.prepend(element("i", { class: "family", style: `background: ${space.colour}` }));
    const section = element("section", {}, element("h2", {}, name), div("cards", ...cards.map((card) => card.figure)));
    section.style.setProperty("--cards", cards.length);
    return section;
  }

  /** An image; in the codes of a model with its distances to real codes below. */
  card(route, plane) {
    const { texts } = this.spec;
    const canvas = imageCanvas({ role: "img", "aria-label": route.title });
    const numbers = element("p", { class: "numbers" });
    const caption = element("figcaption", {}, route.way);
    const figure = element("figure", {}, canvas, numbers, caption);
    if (!plane) this.dragOn(canvas, false, true);
    if (this.spec.spaces[route.space].program < 0) {
      numbers.textContent = texts.blend;
      return { route, canvas, numbers, figure };
    }
    const cursor = element("i", { class: "cursor" });
    const dot = element("i", { class: "dot" });
    const curve = plane ? element("canvas", {}) : svg("svg", { viewBox: `0 0 100 ${HEIGHT}`, preserveAspectRatio: "none" });
    curve.setAttribute("aria-hidden", "true");
    const profile = div("profile", curve, cursor, dot);
    const mean = plane ? null : element("i", { class: "mean" });
    if (mean) profile.append(mean);
    this.dragOn(profile, plane, false);
    canvas.after(profile);
    const largest = element("p", { class: "largest" });
    if (!plane) numbers.after(largest);
    return { route, canvas, numbers, largest, mean, cursor, dot, curve, figure };
  }

  /** Handle drags of an image (relative) and of a profile (absolute). */
  dragOn(node, plane, isRelative) {
    let from = null;
    onDrag(node, plane ? "tap" : "across", {
      start: (event) => {
        this.pause();
        this.dragging = true;
        from = isRelative ? { x: placeIn(node, event).x, t: this.at[0] } : { x: 0, t: 0 };
      },
      move: (event) => {
        const { x, y } = placeIn(node, event);
        this.at = plane ? [clamp(x), clamp(y)] : [clamp(from.t + x - from.x)];
        this.show();
      },
      done: () => {
        this.dragging = false;
        this.tell(true);
      },
    });
  }

  // -- playing --------------------------------------------------------------------------------------------------------

  play() {
    this.playing = true;
    this.face();
    let before = null;
    const frame = (now) => {
      if (!this.playing) return;
      const seconds = before === null ? 0 : Math.min(0.1, (now - before) / 1000);
      before = now;
      const { t, direction } = advance(this.at[0], this.direction, SPEEDS[this.speed.value], seconds);
      this.at = [t];
      this.direction = direction;
      this.draw();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  /** Stop without a message to Python. */
  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.face();
  }

  rest() {
    this.pause();
    this.tell(true);
  }

  face() {
    const { texts } = this.spec;
    this.button.textContent = this.playing ? "❚❚" : "\u25B6\uFE0E";
    this.button.setAttribute("aria-label", this.playing ? texts.pause : texts.play);
  }

  /** Send the position to Python: at once after a release of the pointer, after a pause for keys. */
  tell(now) {
    this.at = this.at.map(rounded);
    this.spoken = true;
    this.show();
    const message = () => ({ at: this.at });
    if (now) this.outbox.post(message());
    else this.outbox.postLater(message);
  }

  // -- updates --------------------------------------------------------------------------------------------------------

  drawProfiles() {
    const { cap, texts } = this.spec;
    const { ink } = themeColours(this.root);
    this.cards.forEach(({ curve, largest, mean, route }, r) => {
      const holes = this.arrays[`holes_${r}`];
      if (!holes) return;
      if (this.at.length === 2) return sheetOf(curve, holes, cap, ink);
      curve.replaceChildren(...curveOf(holes, cap));
      const values = { largest: rounded1(Math.max(...holes)), mean: rounded1(route.mean), count: texts.walks };
      largest.textContent = Number.isFinite(Math.max(...holes)) ? fill(texts.largest, values) : "";
      mean.style.bottom = `${100 * height(route.mean, cap)}%`;
    });
  }

  draw() {
    const { at, spec } = this, stale = this.drawings.some(Boolean);
    this.ranges.forEach((range, i) => (range.value = at[i]));
    this.output.value = at.map((v) => v.toFixed(2)).join(" · ");
    this.cards.forEach((card, r) => {
      const { space, kind } = card.route, { program } = spec.spaces[space];
      const code = codeAt(kind, this.codes[space], at);
      paint(card.canvas, program < 0 ? code : this.programs[program].decode(code));
      if (program >= 0) this.showDistance(card, this.arrays[`holes_${r}`], stale);
    });
    if (this.spoken)
      this.aloud.textContent = this.cards.map((card) => `${card.route.title}: ${card.numbers.textContent}`).join(". ");
    this.spoken = false;
  }

  /** Mark the position of a card, and write its distance to the nearest real code. */
  showDistance({ numbers, cursor, dot }, holes, stale) {
    const { at, spec } = this;
    const hole = at.length === 2 ? holes[nearestSample(at, holes.length)] : sampleAt(holes, at[0]);
    const isKnown = Number.isFinite(hole) && !stale;
    numbers.textContent = isKnown ? fill(spec.texts.here, { hole: rounded1(hole) }) : "–";
    cursor.style.left = dot.style.left = `${100 * at[0]}%`;
    const up = at.length === 2 ? 1 - at[1] : height(hole, spec.cap);
    dot.style.bottom = `${Number.isFinite(up) ? 100 * up : 0}%`;
  }

  stop() {
    this.playing = false;
    for (const off of this.drawingOffs) off();
  }
}

/** The profile of a path, strong above one spacing. */
function curveOf(holes, cap) {
  const line = profilePath(holes, cap);
  if (!line) return [];
  const one = HEIGHT * (1 - height(1, cap));
  const area = `${line}L100 ${HEIGHT}L0 ${HEIGHT}Z`;
  return [
    svg("path", { class: "area", d: area }),
    svg("svg", { x: 0, y: 0, width: 100, height: one, viewBox: `0 0 100 ${one}`, preserveAspectRatio: "none" },
      svg("path", { class: "area far", d: area })),
    svg("line", { class: "one", x1: 0, x2: 100, y1: one, y2: one }),
    svg("path", { class: "line", d: line }),
  ];
}

/** Paint a sheet of distances: faint up to one spacing, strong above. */
function sheetOf(canvas, holes, cap, ink) {
  const side = Math.round(Math.sqrt(holes.length));
  canvas.width = canvas.height = side;
  const g = canvas.getContext("2d");
  g.fillStyle = ink;
  holes.forEach((hole, i) => {
    if (!Number.isFinite(hole)) return;
    g.globalAlpha = hole <= 1 ? 0.06 * hole : 0.15 + 0.7 * height(hole, cap) ** 2;
    g.fillRect(i % side, Math.floor(i / side), 1, 1);
  });
}

/** spec, arrays: see aevae/ui/interpolate/path_view.py; programs: of the models, in the order of spec.spaces. */
export const mount = (ctx) => new Scrub(ctx, "scrub");
