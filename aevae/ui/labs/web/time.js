// A moving digit: the model gets some frames and samples several futures, which are all played at once.
import { imageAt, paint, PIXELS, SIDE } from "../../live/canvas.js";
import { button, div, element, fill, imageCanvas, setAll, slider, svg } from "../../live/dom.js";
import { prefersReducedMotion, Stage } from "../../live/page.js";

/** Index of the last jump of a future at frame `now` (from 0) after `seen` frames; -1 before the first. */
export function jumpAt(now, seen, jump) {
  return Math.floor((now - (seen - 1)) / jump) - 1;
}

/** Position of a column that is rolled by `by` pixels, -14..13. */
export function wrapped(by) {
  return ((((by + SIDE / 2) % SIDE) + SIDE) % SIDE) - SIDE / 2;
}

/** Points {frame, place, future} of the chart: futures after `seen` frames; place (S, F, K). */
export function fan(place, [, futures, jumps], seen, jump) {
  return Array.from({ length: futures * jumps }, (_, i) => ({
    future: Math.floor(i / jumps),
    frame: seen - 1 + jump * ((i % jumps) + 1),
    place: place[(seen - 1) * futures * jumps + i],
  }));
}

const WIDTH = 480, HEIGHT = 320, EDGE = 44, FOOT = 42, HEAD = 26; // of the chart
const UNKNOWN = new Uint8Array(PIXELS).fill(90); // grey

const FRAME_MS = 260;

class Time extends Stage {
  build({ spec }) {
    if (spec.shape !== this.shape) this.buildShape();
    this.shape = spec.shape;
    if (!this.timer) this.now = spec.seen - 1;
    this.seen.value = spec.seen;
    this.isStale = true; // the chart must be redrawn for another number of seen frames
    this.isNew = true;
  }

  refresh() {
    if (this.isNew && !prefersReducedMotion()) this.run();
    this.isNew = false;
  }

  buildShape() {
    const { root, arrays, outbox, spec: { texts } } = this, [most, futures] = arrays.drawn.shape;
    this.frames = arrays.true.length / PIXELS;
    const shown = (name, text) => {
      const canvas = imageCanvas();
      return { canvas, node: element("figure", { class: name }, canvas, element("figcaption", {}, text)) };
    };
    this.truth = shown("truth", texts.truth);
    this.belief = shown("belief", texts.belief);
    this.futures = Array.from({ length: futures }, (_, i) => shown("future", fill(texts.future, { number: i + 1 })));
    const range = (min, max, name, on) => slider({ min, ...max, step: 1, "aria-label": texts[name] }, on);
    this.seenSlider = range(1, { max: most }, "seen", {
      input: () => {
        this.isStale = true;
        this.now = this.seen.value - 1;
        this.show();
      },
      change: () => {
        outbox.postLater(() => ({ seen: +this.seen.value }));
        if (!prefersReducedMotion()) this.run();
      },
    });
    this.clock = range(0, {}, "now", { input: () => this.goTo(+this.clock.input.value) });
    this.seen = this.seenSlider.input;
    this.seenSlider.name.textContent = texts.seen;
    this.play = button("", () => (this.timer ? this.halt() : this.run()));
    this.chart = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": texts.chart });
    root.replaceChildren(
      div("images", ...[this.truth, this.belief, ...this.futures].map(({ node }) => node)),
      element("figure", { class: "plot" }, this.chart, element("figcaption", {}, texts.chart)),
      this.seenSlider.box,
      div("knob", this.play, this.clock.input, this.clock.value),
    );
    this.halt();
  }

  goTo(frame) {
    this.halt();
    this.now = frame;
    this.show();
  }

  run() {
    this.halt();
    this.now = +this.seen.value - 1;
    this.play.textContent = this.spec.texts.pause;
    this.timer = setInterval(() => {
      this.now = this.now >= this.last ? +this.seen.value - 1 : this.now + 1;
      this.show();
    }, FRAME_MS);
  }

  halt() {
    this.stop();
    this.play.textContent = this.spec.texts.play;
  }

  /** The last frame that the futures reach. */
  get last() {
    return +this.seen.value - 1 + this.spec.jump * this.arrays.drawn.shape[2];
  }

  draw({ spec, arrays, last }) {
    const { texts } = spec, seen = +this.seen.value, [, futures, jumps] = arrays.drawn.shape;
    const now = (this.now = Math.min(this.now, last));
    if (this.isStale) this.drawChart(seen);
    this.isStale = false;
    paint(this.truth.canvas, now < this.frames ? imageAt(arrays.true, now) : UNKNOWN, 255);
    paint(this.belief.canvas, imageAt(arrays.believed, seen - 1), 255);
    const jump = jumpAt(now, seen, spec.jump);
    this.futures.forEach(({ canvas, node }, f) => {
      const sampled = imageAt(arrays.drawn, ((seen - 1) * futures + f) * jumps + Math.max(jump, 0));
      paint(canvas, jump < 0 ? imageAt(arrays.true, Math.min(now, seen - 1)) : sampled, 255);
      node.classList.toggle("guess", jump >= 0);
    });
    this.clock.input.max = last;
    this.clock.input.value = now;
    this.seenSlider.say(fill(texts.said, { seen, near: spec.near[seen - 1], count: futures }));
    this.clock.say(fill(now < seen ? texts.before : texts.after, { frame: now + 1, ahead: now - seen + 1 }));
    setAll(this.hand, { x1: this.x(now), x2: this.x(now) });
  }

  x(frame) {
    return EDGE + ((WIDTH - EDGE - 10) * frame) / (this.frames + 1);
  }

  /** A chart of positions over frames: true, seen, and of all futures. */
  drawChart(seen) {
    const { arrays, spec, last } = this, futures = arrays.drawn.shape[1];
    const y = (place) => HEIGHT - FOOT - 2 - ((HEIGHT - FOOT - HEAD - 8) * (place + 14)) / 27;
    const dot = (kind, frame, place, r, jitter = 0) =>
      svg("circle", { class: kind, cx: this.x(frame) + jitter, cy: y(wrapped(place)), r });
    const text = (x, y, anchor, content) => svg("text", { x, y, "text-anchor": anchor }, String(content));
    const points = fan(arrays.place, arrays.drawn.shape, seen, spec.jump).filter(({ frame }) => frame <= last);
    const truth = Array.from({ length: this.frames }, (_, t) => (t < seen ? ["seen", 5] : ["true", 7]));
    this.hand = svg("line", { y1: HEAD, y2: HEIGHT - FOOT, class: "hand" });
    this.chart.replaceChildren(
      svg("line", { x1: EDGE, x2: WIDTH - 10, y1: HEIGHT - FOOT, y2: HEIGHT - FOOT, class: "axis" }),
      text(4, 16, "start", spec.texts.up), text(WIDTH - 10, HEIGHT - 4, "end", spec.texts.across),
      ...[0, 5, 10, 15].map((frame) => text(this.x(frame), HEIGHT - FOOT + 18, "middle", frame + 1)),
      ...[-14, 0, 13].map((place) => text(EDGE - 6, y(place) + 4, "end", place)),
      this.hand,
      ...truth.map(([kind, r], t) => dot(kind, t, arrays.column[t], r)),
      ...points.map(({ frame, place, future }) => dot("drawn", frame, place, 3, (future - (futures - 1) / 2) * 1.5)),
    );
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
  }
}

export const mount = (ctx) => new Time(ctx, "time");
