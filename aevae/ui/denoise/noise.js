// Denoise in the page: kind and level of the noise, strokes on the noisy picture, and what each model makes of it.
// Chance comes from Python (one draw for each kind), so that the noise of a seed is the same on both sides.

import { paint, PIXELS, SIDE } from "../live/canvas.js";
import { element, fill } from "../live/dom.js";
import { channel, onFrame, outbox } from "../live/page.js";

const UNDO = 50; // strokes that can be taken back
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const f32 = Math.fround;

// ---- mathematics ----------------------------------------------------------------------------------------------------

/** x (784) in [0, 1] spoilt by the draw `noise` of this kind: `apply` of aevae/corruption.py, in single precision. */
export function spoil(kind, level, x, noise, out = new Float32Array(PIXELS)) {
  if (level === 0) {
    out.set(x);
    return out;
  }
  SPOIL[kind](f32(level), x, noise, out, level);
  return out;
}

const SPOIL = {
  gaussian(level, x, noise, out) {
    for (let i = 0; i < PIXELS; i++) out[i] = clip(f32(x[i] + f32(level * noise[i])));
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

const clip = (v) => (v < 0 ? 0 : v > 1 ? 1 : v);

/** A layer of strokes: how much of the picture is covered and with how much white, 255 is all. */
export const blank = () => ({ cover: new Uint8Array(PIXELS), ink: new Uint8Array(PIXELS) });

/** The picture x under a layer: x (1 - cover) + ink. */
export function layOver(x, { cover, ink }, out = new Float32Array(PIXELS)) {
  for (let i = 0; i < PIXELS; i++) out[i] = clip(x[i] * (1 - cover[i] / 255) + ink[i] / 255);
  return out;
}

/** Mark in `coverage` (784) what a round brush touches on its way from a to b; all in pixels, centres at a half. */
export function brush(coverage, a, b, radius) {
  const dx = b.x - a.x, dy = b.y - a.y, square = dx * dx + dy * dy;
  for (let i = 0; i < PIXELS; i++) {
    const x = (i % SIDE) + 0.5 - a.x, y = Math.floor(i / SIDE) + 0.5 - a.y;
    const part = square ? clip((x * dx + y * dy) / square) : 0;
    const amount = clip(radius + 0.5 - Math.hypot(x - part * dx, y - part * dy));
    if (amount > coverage[i]) coverage[i] = amount;
  }
}

/** The layer after a stroke: white (1) or black (0) where `coverage` is, over what was there. */
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

/** Squared error and PSNR (dB) of a picture against the clean one. */
export function errors(clean, image) {
  let sse = 0;
  for (let i = 0; i < PIXELS; i++) sse += (clean[i] - image[i]) ** 2;
  return { sse, psnr: -10 * Math.log10(sse / PIXELS) };
}

// ---- the view -------------------------------------------------------------------------------------------------------

class View {
  constructor(ctx) {
    this.ctx = ctx;
    this.outbox = outbox(ctx.send);
    this.render = onFrame(() => this.draw());
    this.layer = blank();
    this.past = [];
    this.noisy = new Float32Array(PIXELS);
    this.raw = new Float32Array(PIXELS);
  }

  update(spec, arrays, programs) {
    const first = !this.spec;
    const before = this.arrays?.clean;
    const other = first || arrays.clean.some((v, i) => v !== before[i]);
    this.spec = spec;
    this.arrays = arrays;
    if (first) this.build();
    this.follow(spec.key);
    if (this.outbox.isSettled(spec.n) && !this.stroke && !this.holding) this.adopt();
    if (other || this.clean === before) this.clean = arrays.clean; // else it is what is being drawn
    this.show(programs);
    this.render();
  }

  /** Python knows all that was done here: what it says holds. */
  adopt() {
    const { kind, level, times, seed } = this.spec;
    this.state = { kind, level, times, seed };
    const { cover, ink } = this.arrays;
    const layer = cover ? { cover: cover.slice(), ink: ink.slice() } : blank();
    if (pack(layer) !== pack(this.layer)) {
      this.layer = layer;
      this.past = [];
    }
    for (const input of this.kinds.querySelectorAll("input")) input.checked = input.value === kind;
    this.level.value = level;
    this.times.value = times;
    this.seed.value = seed;
    this.say();
  }

  /** The clean digit while somebody draws it. */
  follow(key) {
    if (this.following === key) return;
    this.off?.();
    this.following = key;
    this.off = channel(`drawing:${key}`).on((value) => {
      if (value?.pixels?.length !== PIXELS) return;
      this.clean = value.pixels;
      this.cards[0].numbers.textContent = this.spec.texts.own;
      this.render();
    });
  }

  build() {
    const { spec } = this, { texts } = spec;
    this.kinds = element("fieldset", { class: "kinds", role: "radiogroup", "aria-label": texts.kind });
    for (const { id, title, help } of spec.kinds) {
      const input = element("input", { type: "radio", name: "kind", value: id, onchange: () => this.set({ kind: id }) });
      this.kinds.append(element("label", { title: help }, input, element("span", {}, title)));
    }
    this.level = this.range("level", texts.level, 0, 1, 0.01);
    this.times = this.range("times", texts.times, 1, spec.most, 1);
    this.seed = element("input", { type: "number", min: 0, max: spec.most_seed, step: 1, "aria-label": texts.seed });
    this.seed.onchange = () => this.reseed(this.seed.valueAsNumber);
    const again = element("button", { type: "button", title: texts.again, "aria-label": texts.again }, "↻");
    again.onclick = () => this.reseed(this.state.seed + 1);
    this.meaning = element("p", { class: "meaning" });
    this.board = this.buildBoard();
    this.stage = element("div", { class: "stage" }, this.board);
    this.cards = [];
    this.aloud = element("div", { class: "aloud", role: "status" });
    const seed = element("div", { class: "seed" }, element("span", {}, texts.seed), element("div", {}, this.seed, again));
    const fields = [this.kinds, this.level.field, this.times.field, seed, this.meaning];
    this.view = element("div", { class: "noise" }, element("div", { class: "controls" }, ...fields), this.stage, this.aloud);
    this.ctx.root.replaceChildren(this.view);
  }

  /** A labelled slider of `state[name]`. */
  range(name, title, min, max, step) {
    const input = element("input", { type: "range", min, max, step, "aria-label": title });
    input.output = element("output", {});
    input.field = element("div", { class: "field" }, element("span", {}, title), input.output, input);
    input.onpointerdown = () => (this.holding = true);
    input.onpointerup = input.onpointercancel = () => (this.holding = false);
    input.oninput = () => {
      this.state[name] = input.valueAsNumber;
      this.say();
      this.render();
    };
    input.onchange = () => {
      this.tell(this.holding === false);
      this.holding = undefined;
    };
    return input;
  }

  buildBoard() {
    const { texts } = this.spec;
    this.canvas = element("canvas", {
      class: "digit", tabIndex: 0, role: "application", "aria-label": texts.board, "data-finger": "tap",
    });
    this.ring = element("div", { class: "ring" });
    this.size = element("input", { type: "range", min: 0.5, max: 4, step: 0.5, value: 1, "aria-label": texts.size });
    this.size.oninput = () => this.circle();
    this.inks = element("fieldset", { class: "kinds", role: "radiogroup", "aria-label": texts.ink });
    for (const [value, title] of [[1, texts.white], [0, texts.black]]) {
      const input = element("input", { type: "radio", name: "ink", value, checked: value === 1 });
      this.inks.append(element("label", {}, input, element("span", {}, title)));
    }
    this.undo = element("button", { type: "button", onclick: () => this.back() }, texts.undo);
    this.clear = element("button", { type: "button", onclick: () => this.wipe() }, texts.clear);
    this.hook(this.canvas);
    const numbers = element("p", { class: "numbers" });
    const tools = element(
      "div", { class: "tools" },
      element("div", { class: "field" }, element("span", {}, texts.scribble)), this.inks,
      element("div", { class: "field" }, element("span", {}, texts.size), this.size),
      element("div", { class: "buttons" }, this.undo, this.clear),
    );
    const figure = element("figure", {}, element("div", { class: "paper" }, this.canvas, this.ring), numbers);
    figure.append(element("figcaption", {}, texts.noisy));
    this.noisyNumbers = numbers;
    return element("div", { class: "board" }, figure, tools);
  }

  // -- strokes --------------------------------------------------------------------------------------------------------

  hook(canvas) {
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      const scale = SIDE / box.width;
      return { x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale };
    };
    canvas.onpointerdown = (event) => {
      if (event.button !== 0 || this.stroke) return;
      canvas.setPointerCapture(event.pointerId);
      this.begin(place(event));
    };
    canvas.onpointermove = (event) => {
      this.at = place(event);
      this.circle(event.pointerType !== "touch");
      if (!this.stroke) return;
      for (const e of event.getCoalescedEvents?.() ?? []) this.extend(place(e));
      this.extend(this.at);
    };
    canvas.onpointerup = () => this.end();
    canvas.onpointercancel = () => this.cancel();
    canvas.onpointerleave = () => this.circle(false);
    canvas.onfocus = () => canvas.matches(":focus-visible") && this.circle(true);
    canvas.onblur = () => {
      this.end();
      this.circle(false);
    };
    canvas.onkeydown = (event) => this.key(event);
  }

  /** Arrows move the brush, the space bar sets it down and lifts it, Escape forgets the stroke. */
  key(event) {
    const step = event.shiftKey ? 4 : 1;
    const [dx, dy] = ARROWS[event.key] ?? [0, 0];
    this.at ??= { x: SIDE / 2, y: SIDE / 2 };
    if (dx || dy) {
      this.at = { x: SIDE * clip((this.at.x + dx * step) / SIDE), y: SIDE * clip((this.at.y + dy * step) / SIDE) };
      if (this.stroke) this.extend(this.at);
    } else if (event.key === " ") {
      if (this.stroke) this.end();
      else this.begin(this.at);
    } else if (event.key === "Escape" && this.stroke) {
      this.cancel();
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
      this.back();
    } else {
      return;
    }
    event.preventDefault();
    this.circle(true);
  }

  begin(at) {
    const white = Number(this.inks.querySelector("input:checked").value);
    this.stroke = { before: this.layer, coverage: new Float32Array(PIXELS), last: at, white };
    this.extend(at);
  }

  extend(at) {
    const { before, coverage, last, white } = this.stroke;
    brush(coverage, last, at, this.size.valueAsNumber);
    this.stroke.last = at;
    this.layer = stroked(before, coverage, white);
    this.render();
  }

  end() {
    if (!this.stroke) return;
    this.past = [...this.past, this.stroke.before].slice(-UNDO);
    this.stroke = null;
    this.tell(true);
  }

  cancel() {
    if (!this.stroke) return;
    this.layer = this.stroke.before;
    this.stroke = null;
    this.render();
  }

  back() {
    if (this.stroke || !this.past.length) return;
    this.layer = this.past.pop();
    this.tell(true);
  }

  wipe() {
    if (this.stroke || isBlank(this.layer)) return;
    this.past = [...this.past, this.layer].slice(-UNDO);
    this.layer = blank();
    this.tell(true);
  }

  circle(shown = this.ring.classList.contains("shown")) {
    this.ring.classList.toggle("shown", shown);
    if (!shown || !this.at) return;
    const radius = (100 * this.size.valueAsNumber) / SIDE;
    const { style } = this.ring;
    style.width = style.height = `${2 * radius}%`;
    style.left = `${(100 * this.at.x) / SIDE - radius}%`;
    style.top = `${(100 * this.at.y) / SIDE - radius}%`;
  }

  // -- what changes ---------------------------------------------------------------------------------------------------

  set(change) {
    Object.assign(this.state, change);
    this.say();
    this.tell();
  }

  reseed(seed) {
    const whole = Number.isInteger(seed) ? seed : this.state.seed;
    this.state.seed = whole > this.spec.most_seed ? 0 : Math.max(0, whole);
    this.seed.value = this.state.seed;
    this.tell(true);
  }

  /** To Python: at once where a hand let go, after a pause where keys are being pressed. */
  tell(now = false) {
    this.render();
    const letter = () => ({ ...this.state, layer: pack(this.layer) });
    if (now) this.outbox.post(letter());
    else this.outbox.postLater(letter);
    this.spoken = true;
  }

  say() {
    const { kind, level, times } = this.state;
    this.level.output.value = level.toFixed(2);
    this.times.output.value = `${times}`;
    this.meaning.textContent = this.spec.kinds.find(({ id }) => id === kind).help;
  }

  /** One card for the clean picture and one for each model; they stay while the models do. */
  show(programs) {
    const { models, texts, clean } = this.spec;
    const names = models.map((model) => model.run).join();
    this.programs = programs;
    if (this.shown !== names) {
      this.shown = names;
      for (const card of this.cards) card.figure.remove();
      this.cards = [{ title: texts.clean, alt: texts.clean }, ...models].map((model) => this.card(model));
      this.stage.append(...this.cards.map((card) => card.figure));
    }
    if (this.clean === this.arrays.clean) this.cards[0].numbers.textContent = clean;
  }

  card({ title, alt, colour }) {
    const canvas = element("canvas", { class: "digit", role: "img", "aria-label": alt });
    const numbers = element("p", { class: "numbers" });
    const name = element("figcaption", {}, title);
    if (colour) name.prepend(element("i", { class: "family", style: `background: ${colour}` }));
    return { title, canvas, numbers, figure: element("figure", {}, canvas, numbers, name) };
  }

  draw() {
    const { kind, level, times } = this.state;
    layOver(spoil(kind, level, this.clean, this.arrays[kind], this.raw), this.layer, this.noisy);
    paint(this.canvas, this.noisy);
    this.noisyNumbers.textContent = this.numbers(this.noisy).replace("\n", " · ");
    paint(this.cards[0].canvas, this.clean);
    const heard = this.programs.map((program, i) => {
      const card = this.cards[i + 1];
      let image = this.noisy;
      for (let k = 0; k < times; k++) image = program.reconstruct(image);
      paint(card.canvas, image);
      card.numbers.textContent = this.numbers(image);
      return `${card.title}: ${card.numbers.textContent}`;
    });
    this.undo.disabled = !this.past.length;
    this.clear.disabled = isBlank(this.layer);
    if (this.spoken) this.aloud.textContent = heard.join(". ");
    this.spoken = false;
  }

  numbers(image) {
    const { sse, psnr } = errors(this.clean, image);
    return fill(this.spec.texts.errors, { sse: sse.toFixed(1), psnr: Number.isFinite(psnr) ? psnr.toFixed(1) : "∞" });
  }

  destroy() {
    this.off?.();
    this.outbox.close();
    this.render.cancel();
    this.ctx.root.replaceChildren();
  }
}

/** spec, arrays: see aevae/ui/denoise/denoise_view.py; programs: one for each of spec.models. */
export function mount(ctx) {
  return new View(ctx);
}
