// The live view of the Denoise page: kind and level of the noise, strokes on the noisy image, and each model's output.
// The noise comes from Python (one array for each kind), so that a seed gives the same noise on both sides.

import { ARROWS, paint, PIXELS, placeIn, SIDE } from "../live/canvas.js";
import { button, div, element, fill, imageCanvas } from "../live/dom.js";
import { clamp } from "../live/maths.js";
import { onDrawing, Stage } from "../live/page.js";
import { blank, brush, corrupt, errors, isBlank, layOver, pack, stroked } from "./corruption.js";

const MAX_UNDO = 50; // strokes

class Noise extends Stage {
  create() {
    this.layer = blank();
    this.past = [];
    this.noisy = new Float32Array(PIXELS);
    this.raw = new Float32Array(PIXELS);
    this.buildView();
  }

  refresh({ spec, arrays }) {
    const before = this.known; // the clean image that Python sent last
    this.known = arrays.clean;
    this.follow(spec.key);
    if (this.outbox.isSettled(spec.n) && !this.stroke && !this.holding) this.adopt();
    const isOther = !before || arrays.clean.some((value, i) => value !== before[i]);
    if (isOther || this.clean === before) this.clean = arrays.clean; // otherwise it is the user's drawing
    this.showCards();
  }

  /** Take over Python's state, because Python has read all messages of this module. */
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

  /** Take the clean digit from the user's drawing. */
  follow(key) {
    if (this.following === key) return;
    this.off?.();
    this.following = key;
    this.off = onDrawing(key, (pixels) => {
      if (!pixels) return;
      this.clean = pixels;
      this.cards[0].numbers.textContent = this.spec.texts.own;
      this.show();
    });
  }

  buildView() {
    const { spec } = this, { texts } = spec;
    this.kinds = element("fieldset", { class: "kinds", role: "radiogroup", "aria-label": texts.kind });
    for (const { id, title, help } of spec.kinds) {
      const input = element("input", { type: "radio", name: "kind", value: id, onchange: () => this.choose(id) });
      this.kinds.append(element("label", { title: help }, input, element("span", {}, title)));
    }
    this.levels = Object.fromEntries(spec.kinds.map(({ id, level }) => [id, level])); // the last level of each kind
    this.level = this.range("level", texts.level, 0, 1, 0.01);
    this.times = this.range("times", texts.times, 1, spec.most, 1);
    const again = button(`↻ ${texts.again}`, () => this.reseed(this.state.seed + 1));
    this.meaning = element("p", { class: "meaning" });
    this.images = div("stage", this.buildBoard());
    this.cards = [];
    this.aloud = element("div", { class: "aloud", role: "status" });
    const kinds = div("row", this.kinds, again);
    const sliders = div("sliders", this.level.field, this.times.field);
    this.root.append(this.images, kinds, sliders, this.meaning, this.buildTools(), this.buildMore(), this.aloud);
  }

  /** What is seldom used: the seed, and a second number for each image. */
  buildMore() {
    const { spec } = this, { texts } = spec;
    this.seed = element("input", { type: "number", min: 0, max: spec.most_seed, step: 1 });
    this.seed.onchange = () => this.reseed(this.seed.valueAsNumber);
    this.psnr = element("input", { type: "checkbox", onchange: () => this.show() });
    const seed = element("label", {}, texts.seed, this.seed), psnr = element("label", {}, this.psnr, texts.show_psnr);
    return element("details", {}, element("summary", {}, texts.more), div("row", seed, psnr));
  }

  /** A labelled slider of `state[name]`. */
  range(name, title, min, max, step) {
    const input = element("input", { type: "range", min, max, step, "aria-label": title });
    input.output = element("output", {});
    input.field = div("field", element("span", {}, title), input.output, input);
    input.onpointerdown = () => (this.holding = true);
    input.onpointerup = input.onpointercancel = () => (this.holding = false);
    input.oninput = () => {
      this.state[name] = input.valueAsNumber;
      this.say();
      this.show();
    };
    input.onchange = () => {
      this.tell(this.holding === false);
      this.holding = undefined;
    };
    return input;
  }

  buildBoard() {
    const { texts } = this.spec;
    this.canvas = imageCanvas({ tabIndex: 0, role: "application", "aria-label": texts.board, "data-finger": "tap" });
    this.ring = div("ring");
    this.listen(this.canvas);
    this.noisyNumbers = element("p", { class: "numbers" });
    const name = element("figcaption", {}, texts.noisy);
    return element("figure", {}, name, div("paper", this.canvas, this.ring), this.noisyNumbers);
  }

  /** The pen for the noisy image. */
  buildTools() {
    const { texts } = this.spec;
    this.size = element("input", { type: "range", min: 0.5, max: 4, step: 0.5, value: 1, "aria-label": texts.size });
    this.size.oninput = () => this.circle();
    this.inks = element("fieldset", { class: "kinds", role: "radiogroup", "aria-label": texts.ink });
    for (const [value, title] of [[1, texts.white], [0, texts.black]]) {
      const input = element("input", { type: "radio", name: "ink", value, checked: value === 1 });
      this.inks.append(element("label", {}, input, element("span", {}, title)));
    }
    this.undo = button(texts.undo, () => this.back());
    this.clear = button(texts.clear, () => this.wipe());
    const size = element("label", {}, texts.size, this.size);
    return div("row", element("span", {}, texts.scribble), this.inks, size, this.undo, this.clear);
  }

  // -- strokes --------------------------------------------------------------------------------------------------------

  /** Not onDrag (canvas.js): a stroke needs every coalesced event and can be cancelled, and the ring follows the pointer. */
  listen(canvas) {
    const place = (event) => {
      const { x, y } = placeIn(canvas, event);
      return { x: SIDE * x, y: SIDE * y };
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

  /** Keys: arrows move the brush, the space bar starts and ends a stroke, Escape cancels it. */
  key(event) {
    const step = event.shiftKey ? 4 : 1;
    const [right, up] = ARROWS[event.key] ?? [0, 0];
    this.at ??= { x: SIDE / 2, y: SIDE / 2 };
    if (right || up) {
      this.at = { x: clamp(this.at.x + right * step, 0, SIDE), y: clamp(this.at.y - up * step, 0, SIDE) };
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
    this.show();
  }

  end() {
    if (!this.stroke) return;
    this.past = [...this.past, this.stroke.before].slice(-MAX_UNDO);
    this.stroke = null;
    this.tell(true);
  }

  cancel() {
    if (!this.stroke) return;
    this.layer = this.stroke.before;
    this.stroke = null;
    this.show();
  }

  back() {
    if (this.stroke || !this.past.length) return;
    this.layer = this.past.pop();
    this.tell(true);
  }

  wipe() {
    if (this.stroke || isBlank(this.layer)) return;
    this.past = [...this.past, this.layer].slice(-MAX_UNDO);
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

  // -- updates --------------------------------------------------------------------------------------------------------

  /** Choose a kind of noise, at its own last level. */
  choose(kind) {
    this.levels[this.state.kind] = this.state.level;
    Object.assign(this.state, { kind, level: this.levels[kind] });
    this.level.value = this.state.level;
    this.say();
    this.tell();
  }

  reseed(seed) {
    const whole = Number.isInteger(seed) ? seed : this.state.seed;
    this.state.seed = whole > this.spec.most_seed ? 0 : Math.max(0, whole);
    this.seed.value = this.state.seed;
    this.tell(true);
  }

  /** Send the state to Python: at once after a release of the pointer, after a pause for keys. */
  tell(now = false) {
    this.show();
    const message = () => ({ ...this.state, layer: pack(this.layer) });
    if (now) this.outbox.post(message());
    else this.outbox.postLater(message);
    this.spoken = true;
  }

  say() {
    const { kind, level, times } = this.state;
    this.level.output.value = level.toFixed(2);
    this.times.output.value = `${times}`;
    this.meaning.textContent = this.spec.kinds.find(({ id }) => id === kind).help;
  }

  /** Create a card for the clean image and for each model; cards are kept while the models are the same. */
  showCards() {
    const { models, texts, clean } = this.spec;
    const names = models.map((model) => model.run).join();
    if (this.shown !== names) {
      this.shown = names;
      for (const card of this.cards) card.figure.remove();
      this.cards = [{ title: texts.clean, alt: texts.clean }, ...models].map((model) => this.card(model));
      this.images.append(...this.cards.map((card) => card.figure));
    }
    if (this.clean === this.arrays.clean) this.cards[0].numbers.textContent = clean;
  }

  card({ title, alt, colour }) {
    const canvas = imageCanvas({ role: "img", "aria-label": alt });
    const numbers = element("p", { class: "numbers" });
    const name = element("figcaption", { title }, title);
    if (colour) name.prepend(element("i", { class: "family", style: `background: ${colour}` }));
    return { title, canvas, numbers, figure: element("figure", {}, name, canvas, numbers) };
  }

  draw() {
    const { kind, level, times } = this.state;
    layOver(corrupt(kind, level, this.clean, this.arrays[kind], this.raw), this.layer, this.noisy);
    paint(this.canvas, this.noisy);
    this.write(this.noisyNumbers, this.noisy);
    paint(this.cards[0].canvas, this.clean);
    const found = this.programs.map((program, i) => {
      const card = this.cards[i + 1];
      let image = this.noisy;
      for (let k = 0; k < times; k++) image = program.reconstruct(image);
      paint(card.canvas, image);
      return this.write(card.numbers, image);
    });
    const models = this.cards.slice(1), least = Math.min(...found);
    models.forEach(({ numbers }, i) => numbers.classList.toggle("best", found.length > 1 && found[i] === least));
    const results = models.map(({ title, numbers }) => `${title}: ${numbers.textContent}`);
    this.undo.disabled = !this.past.length;
    this.clear.disabled = isBlank(this.layer);
    if (this.spoken) this.aloud.textContent = results.join(". ");
    this.spoken = false;
  }

  /** Write how far an image is from the clean one; returns the squared error. */
  write(node, image) {
    const { sse, psnr } = errors(this.clean, image), { texts } = this.spec;
    const shown = [fill(texts.error, { sse: sse.toFixed(1) })];
    if (this.psnr.checked) shown.push(fill(texts.psnr, { psnr: Number.isFinite(psnr) ? psnr.toFixed(1) : "∞" }));
    node.textContent = shown.join("\n");
    return sse;
  }

  stop() {
    this.off?.();
  }
}

/** spec, arrays: see aevae/ui/denoise/denoise_view.py; programs: one for each of spec.models. */
export const mount = (ctx) => new Noise(ctx, "noise");
