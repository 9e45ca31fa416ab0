// A digit that walks: some frames are seen, several futures are drawn, all of them play at once.
import { PIXELS, SIDE, onFrame, outbox, stillness } from "../../live/core.js";
import { el, fill, svg } from "../../live/dom.js";

/** Which jump of a future has been made at frame `now` (from 0), `seen` frames being seen; -1: none yet. */
export function jumpAt(now, seen, jump) {
  return Math.floor((now - (seen - 1)) / jump) - 1;
}

/** Where a column stands when it is rolled by `by` pixels, -14..13. */
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

const WIDE = 480, HIGH = 200, EDGE = 34;

class View {
  constructor({ root, send }) {
    this.box = root.appendChild(el("div", { class: "futures" }));
    this.out = outbox(send);
    this.render = onFrame(() => this.draw());
  }

  update(spec, arrays) {
    const fresh = !this.spec || this.spec.key !== spec.key;
    const other = this.spec?.shape !== spec.shape;
    Object.assign(this, { spec, arrays });
    if (other) this.build();
    if (fresh) {
      if (!this.timer) this.now = spec.seen - 1;
      this.seen.value = spec.seen;
      this.fresh = true;
    }
    this.render();
    if (fresh && !stillness()) this.run();
  }

  build() {
    const { spec, arrays } = this;
    const { texts } = spec;
    const [most, futures] = arrays.drawn.shape;
    this.frames = arrays.true.length / PIXELS;
    const canvas = () => el("canvas", { class: "digit", width: SIDE, height: SIDE });
    const shown = (name, text) => el("figure", { class: name }, canvas(), el("figcaption", { textContent: text }));
    this.truth = shown("truth", texts.truth);
    this.belief = shown("belief", texts.belief);
    this.each = Array.from({ length: futures }, (_, i) => shown("future", fill(texts.future, { number: i + 1 })));
    this.seen = el("input", { type: "range", min: 1, max: most, step: 1, "aria-label": texts.seen });
    this.seen.oninput = () => {
      this.fresh = true;
      this.now = this.seen.value - 1;
      this.render();
    };
    this.seen.onchange = () => {
      this.out.later(() => ({ seen: +this.seen.value }));
      if (!stillness()) this.run();
    };
    this.clock = el("input", { type: "range", min: 0, step: 1, "aria-label": texts.now });
    this.clock.oninput = () => {
      this.halt();
      this.now = +this.clock.value;
      this.render();
    };
    this.said = el("output");
    this.when = el("output");
    this.play = el("button", { type: "button", onclick: () => (this.timer ? this.halt() : this.run()) });
    this.chart = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": texts.chart });
    this.box.replaceChildren(
      el("label", { class: "knob" }, el("span", { textContent: texts.seen }), this.seen, this.said),
      el("div", { class: "pictures" }, this.truth, this.belief, ...this.each),
      el("div", { class: "knob" }, this.play, this.clock, this.when),
      el("figure", {}, this.chart, el("figcaption", { textContent: texts.chart })),
    );
    this.halt();
  }

  run() {
    this.halt();
    this.now = +this.seen.value - 1;
    this.play.textContent = this.spec.texts.pause;
    this.timer = setInterval(() => {
      this.now = this.now >= this.last() ? +this.seen.value - 1 : this.now + 1;
      this.render();
    }, 260);
  }

  halt() {
    clearInterval(this.timer);
    this.timer = 0;
    this.play.textContent = this.spec.texts.play;
  }

  /** The last frame that the futures reach. */
  last() {
    return +this.seen.value - 1 + this.spec.jump * this.arrays.drawn.shape[2];
  }

  draw() {
    const { spec, arrays } = this;
    const seen = +this.seen.value;
    const [, futures, jumps] = arrays.drawn.shape;
    const last = this.last();
    this.now = Math.min(this.now, last);
    if (this.fresh) this.plot(seen, last);
    this.fresh = false;
    const picture = (figure, pixels) => pale(figure.querySelector("canvas"), pixels);
    const of = (frame) => arrays.true.subarray(frame * PIXELS, (frame + 1) * PIXELS);
    picture(this.truth, this.now < this.frames ? of(this.now) : null);
    picture(this.belief, arrays.believed.subarray((seen - 1) * PIXELS, seen * PIXELS));
    const made = jumpAt(this.now, seen, spec.jump);
    this.each.forEach((figure, f) => {
      const at = (((seen - 1) * futures + f) * jumps + Math.max(made, 0)) * PIXELS;
      picture(figure, made < 0 ? of(Math.min(this.now, seen - 1)) : arrays.drawn.subarray(at, at + PIXELS));
      figure.classList.toggle("guess", made >= 0);
    });
    this.clock.max = last;
    this.clock.value = this.now;
    this.said.textContent = fill(spec.texts.said, { seen, near: spec.near[seen - 1], count: futures });
    this.when.textContent = fill(this.now < seen ? spec.texts.before : spec.texts.after, { frame: this.now + 1, ahead: this.now - seen + 1 });
    this.clock.setAttribute("aria-valuetext", this.when.textContent);
    this.seen.setAttribute("aria-valuetext", this.said.textContent);
    this.hand.setAttribute("x1", this.x(this.now));
    this.hand.setAttribute("x2", this.x(this.now));
  }

  x(frame) {
    return EDGE + ((WIDE - EDGE - 10) * frame) / (this.frames + 1);
  }

  /** Places against frames: the truth, what is seen of it, and the fan of futures. */
  plot(seen, last) {
    const { arrays, spec } = this;
    const y = (place) => HIGH - 22 - ((HIGH - 32) * (place + 14)) / 27;
    this.hand = svg("line", { y1: 6, y2: HIGH - 20, class: "hand" });
    const dot = (kind, frame, place, r, jitter = 0) => svg("circle", { class: kind, cx: this.x(frame) + jitter, cy: y(wrapped(place)), r });
    const futures = arrays.drawn.shape[1];
    const points = fan(arrays.place, arrays.drawn.shape, seen, spec.jump).filter(({ frame }) => frame <= last);
    const axis = [0, 5, 10, 15].map((frame) => svg("text", { x: this.x(frame), y: HIGH - 4, "text-anchor": "middle" }, String(frame + 1)));
    this.chart.replaceChildren(
      svg("line", { x1: EDGE, x2: WIDE - 10, y1: HIGH - 20, y2: HIGH - 20, class: "axis" }),
      ...axis,
      ...[-14, 0, 13].map((place) => svg("text", { x: EDGE - 6, y: y(place) + 4, "text-anchor": "end" }, String(place))),
      this.hand,
      ...Array.from({ length: this.frames }, (_, t) => dot(t < seen ? "seen" : "true", t, arrays.column[t], t < seen ? 5 : 7)),
      ...points.map(({ frame, place, future }) => dot("drawn", frame, place, 3, (future - (futures - 1) / 2) * 1.5)),
    );
  }

  destroy() {
    clearInterval(this.timer);
    this.render.cancel();
    this.out.close();
    this.box.remove();
  }
}

/** 784 bytes into a canvas; null: nothing is known, grey. */
function pale(canvas, bytes) {
  const g = canvas.getContext("2d");
  const image = (canvas.image ??= g.createImageData(SIDE, SIDE));
  for (let p = 0; p < PIXELS; p++) {
    image.data.fill(bytes ? bytes[p] : 90, 4 * p, 4 * p + 3);
    image.data[4 * p + 3] = 255;
  }
  g.putImageData(image, 0, 0);
}

export const mount = (ctx) => new View(ctx);
