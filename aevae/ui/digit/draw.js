// A board to draw a digit on with mouse, pen, finger or keys. While the hand moves, the drawing is brought into the form
// of MNIST and every model of the page answers beside it; Python hears of it when the hand rests.
import { paint, PIXELS, SIDE } from "../live/canvas.js";
import { channel, onFrame } from "../live/page.js";

export const BOARD = 280; // pixels a side; strokes are kept in tenths of them
export const MOST_STROKES = 200;
export const MOST_POINTS = 20_000; // of all strokes together
const BOX = 20; // MNIST: the ink's box fits in 20 x 20 ...
const CENTRE = 14; // ... and its centre of mass lies in pixel (14, 14), counted from 0
const TENTHS = 10;
const FAR = BOARD * TENTHS; // how far outside the board a captured pointer is followed
const APART = 8; // tenths between two points, at least
const STEP = 70; // tenths that an arrow key moves; with Shift a tenth of it
const MOST_UNDO = 200;
const PAUSE = 300; // ms after the last key

// ---- a bitmap in the form of MNIST: the twin of `mnist_like` in aevae/datasets/handwriting.py ------------------------

/** Rows and columns that hold ink: {top, bottom, left, right}, ends included; null where there is none. */
function inkBox(ink, height, width) {
  let top = height, bottom = -1, left = width, right = -1;
  for (let y = 0; y < height; y++)
    for (let x = 0, at = y * width; x < width; x++) {
      if (!ink[at + x]) continue;
      if (y < top) top = y;
      bottom = y;
      if (x < left) left = x;
      if (x > right) right = x;
    }
  return bottom < 0 ? null : { top, bottom, left, right };
}

/** Which of `from` places each of `to` equal intervals covers, and how much of it: [[first, weights], ...]. */
function shares(from, to) {
  return Array.from({ length: to }, (_, i) => {
    const a = (i * from) / to, b = ((i + 1) * from) / to, first = Math.floor(a);
    const weights = [];
    for (let k = first; k < Math.min(from, Math.ceil(b)); k++)
      weights.push(((Math.min(b, k + 1) - Math.max(a, k)) * to) / from);
    return [first, weights];
  });
}

/** Round half up, the same way in both languages however the last bit fell. */
const nearest = (v) => Math.floor(v + 0.5 + 1e-6);

/**
 * Ink (bytes, 0 = paper) of height x width -> 784 bytes as MNIST has them, or null without ink.
 * The ink's box is averaged by area into 20 x 20 with its aspect kept, its strongest pixel becomes 255, and it is moved
 * by whole pixels until its centre of mass lies in pixel (14, 14) (LeCun et al.; measured on MNIST: exact).
 */
export function mnistLike(ink, height = BOARD, width = BOARD) {
  const box = inkBox(ink, height, width);
  if (!box) return null;
  const tall = box.bottom - box.top + 1, wide = box.right - box.left + 1, longest = Math.max(tall, wide);
  const h = Math.max(1, nearest((BOX * tall) / longest)), w = Math.max(1, nearest((BOX * wide) / longest));
  const across = shares(wide, w), down = shares(tall, h);
  const small = new Float64Array(h * w), row = new Float64Array(wide);
  let strongest = 0, sum = 0, sumY = 0, sumX = 0;
  for (let i = 0; i < h; i++) {
    row.fill(0);
    const [y0, weights] = down[i];
    weights.forEach((weight, k) => {
      const at = (box.top + y0 + k) * width + box.left;
      for (let x = 0; x < wide; x++) row[x] += weight * ink[at + x];
    });
    for (let j = 0; j < w; j++) {
      const [x0, weights] = across[j];
      let v = 0;
      for (let k = 0; k < weights.length; k++) v += weights[k] * row[x0 + k];
      small[i * w + j] = v;
      strongest = Math.max(strongest, v);
      sum += v;
      sumY += v * i;
      sumX += v * j;
    }
  }
  const top = Math.min(Math.max(nearest(CENTRE - sumY / sum), 0), SIDE - h);
  const left = Math.min(Math.max(nearest(CENTRE - sumX / sum), 0), SIDE - w);
  const out = new Uint8Array(PIXELS);
  for (let i = 0; i < h; i++)
    for (let j = 0; j < w; j++) out[(top + i) * SIDE + left + j] = nearest((255 * small[i * w + j]) / strongest);
  return out;
}

// ---- strokes ---------------------------------------------------------------------------------------------------------

/** Ink of a round pen from a to b ({x, y, r} in pixels), added or taken away. Returns the touched rows and columns. */
export function dab(ink, side, a, b, erase) {
  const x0 = Math.max(0, Math.floor(Math.min(a.x - a.r, b.x - b.r) - 1));
  const y0 = Math.max(0, Math.floor(Math.min(a.y - a.r, b.y - b.r) - 1));
  const x1 = Math.min(side, Math.ceil(Math.max(a.x + a.r, b.x + b.r) + 1));
  const y1 = Math.min(side, Math.ceil(Math.max(a.y + a.r, b.y + b.r) + 1));
  const dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy;
  for (let y = y0; y < y1; y++)
    for (let x = x0; x < x1; x++) {
      const px = x + 0.5 - a.x, py = y + 0.5 - a.y;
      const t = length ? Math.min(Math.max((px * dx + py * dy) / length, 0), 1) : 0;
      const reach = a.r + t * (b.r - a.r) + 0.5 - Math.hypot(px - t * dx, py - t * dy);
      if (reach <= 0) continue;
      const cover = Math.round(255 * Math.min(reach, 1)), at = y * side + x;
      ink[at] = erase ? Math.min(ink[at], 255 - cover) : Math.max(ink[at], cover);
    }
  return { x0, y0, x1, y1 };
}

/** The pen at point k of a stroke. Pressure 50 is the width as set; 0 and 100 are half and one and a half of it. */
function pen({ width, points }, k) {
  const [x, y, pressure] = points.slice(3 * k, 3 * k + 3);
  return { x: x / TENTHS, y: y / TENTHS, r: (width / 2) * (0.5 + pressure / 100) };
}

/**
 * Strokes and their ink. A stroke is {erase, width, points: [x, y, pressure, ...]}, whole numbers: x and y in tenths of
 * a board pixel, width in board pixels, pressure 0..100.
 */
export class Drawing {
  constructor(strokes = []) {
    this.ink = new Uint8Array(BOARD * BOARD);
    this.strokes = strokes;
    this.current = null;
    this.past = [];
    this.future = [];
    this.#redraw();
  }

  /** All strokes, the one that is being drawn included. */
  get all() {
    return this.current ? [...this.strokes, this.current] : this.strokes;
  }

  get empty() {
    return this.all.length === 0;
  }

  get points() {
    return this.all.reduce((n, stroke) => n + stroke.points.length / 3, 0);
  }

  /** Begin a stroke. False where the drawing is full. */
  begin(x, y, { erase = false, width = 22, pressure = 50 } = {}) {
    this.end();
    if (this.strokes.length >= MOST_STROKES || this.points >= MOST_POINTS) return false;
    this.count = this.points;
    this.current = { erase, width, points: [] };
    return this.#add(x, y, pressure);
  }

  /** Go on with it. False where nothing was added. */
  extend(x, y, pressure = 50) {
    if (!this.current || this.count >= MOST_POINTS) return false;
    const [lastX, lastY] = this.current.points.slice(-3);
    return Math.hypot(x - lastX, y - lastY) >= APART && this.#add(x, y, pressure);
  }

  end() {
    if (!this.current) return;
    const strokes = this.all;
    this.current = null;
    this.#become(strokes);
  }

  /** Give up the stroke that is being drawn. */
  cancel() {
    this.current = null;
    this.#redraw();
  }

  clear() {
    this.end();
    if (this.strokes.length) this.#become([]);
    this.#redraw();
  }

  /** Back by one stroke, or by one clearing. False where there is nothing to take back. */
  undo() {
    this.end();
    return this.#move(this.past, this.future);
  }

  redo() {
    this.end();
    return this.#move(this.future, this.past);
  }

  #add(x, y, pressure) {
    const limit = (v) => Math.round(Math.min(Math.max(v, -FAR), 2 * FAR));
    this.current.points.push(limit(x), limit(y), Math.round(Math.min(Math.max(pressure, 0), 100)));
    this.count++;
    this.#ink(this.current, this.current.points.length / 3 - 1);
    return true;
  }

  #ink(stroke, k) {
    dab(this.ink, BOARD, pen(stroke, Math.max(k - 1, 0)), pen(stroke, k), stroke.erase);
  }

  #redraw() {
    this.ink.fill(0);
    for (const stroke of this.strokes) for (let k = 0; k < stroke.points.length / 3; k++) this.#ink(stroke, k);
  }

  #become(strokes) {
    this.past.push(this.strokes);
    if (this.past.length > MOST_UNDO) this.past.shift();
    this.future = [];
    this.strokes = strokes;
  }

  #move(from, to) {
    if (!from.length) return false;
    to.push(this.strokes);
    this.strokes = from.pop();
    this.#redraw();
    return true;
  }
}

/** KL(N(mu, diag exp logvar) || N(0, std^2 I)) in nats; Kingma & Welling 2014, appendix B. */
export function kl(mu, logvar, std = 1) {
  const v = std * std;
  let sum = 0;
  for (let i = 0; i < mu.length; i++) sum += (Math.exp(logvar[i]) + mu[i] * mu[i]) / v - 1 - logvar[i] + Math.log(v);
  return sum / 2;
}

/** What is said of a code: its KL where it has a variance, else its length. */
export function codeNote({ mu, logvar }, std) {
  return logvar ? `KL ${kl(mu, logvar, std).toFixed(1)} nats` : `‖z‖ ${Math.hypot(...mu).toFixed(1)}`;
}

// ---- the page --------------------------------------------------------------------------------------------------------

const ICONS = {
  pen: "M4 20l1-4L16 5l3 3L8 19l-4 1zM14 7l3 3",
  erase: "M4 15l9-9 6 6-7 7H8l-4-4zM9 10l6 6M12 19h8",
  undo: "M8 5L4 9l4 4M4 9h10a5 5 0 010 10h-4",
  redo: "M16 5l4 4-4 4M20 9H10a5 5 0 000 10h4",
  clear: "M5 7h14M10 4h4M7 7l1 13h8l1-13M10 11v5M14 11v5",
};

function element(tag, className, parent, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  parent.append(made);
  return made;
}

function iconButton(name, parent, onclick) {
  const button = element("button", name, parent);
  button.type = "button";
  button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;
  button.onclick = onclick;
  return button;
}

function answer(parent, name) {
  const figure = element("figure", "", parent);
  const canvas = element("canvas", "digit", figure);
  paint(canvas, new Float32Array(PIXELS));
  element("figcaption", "", figure, name).title = name;
  return { canvas, note: element("small", "", figure) };
}

class Board {
  constructor({ root, send }) {
    this.send = send;
    this.drawing = null; // comes with the first update
    this.programs = [];
    this.erase = false;
    this.pointer = null; // id of the one that draws
    this.cursor = { x: FAR / 2, y: FAR / 2 };
    this.frame = onFrame(() => this.show());
    this.#build(root);
    this.#listen();
  }

  #build(root) {
    root.replaceChildren();
    const box = element("div", "draw", root);
    const board = element("div", "board", box);
    const sheet = element("div", "sheet", board);
    this.canvas = element("canvas", "ink", sheet);
    this.canvas.width = this.canvas.height = BOARD;
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.hint = element("div", "hint", sheet);
    this.hair = element("div", "hair", sheet);
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.image = this.context.createImageData(BOARD, BOARD);
    this.words = new Uint32Array(this.image.data.buffer);
    const tools = element("div", "tools", board);
    this.buttons = {
      pen: iconButton("pen", tools, () => this.take(false)),
      erase: iconButton("erase", tools, () => this.take(true)),
      undo: iconButton("undo", tools, () => this.undo()),
      redo: iconButton("redo", tools, () => this.redo()),
      clear: iconButton("clear", tools, () => this.clear()),
    };
    this.width = element("input", "width", tools);
    Object.assign(this.width, { type: "range", min: 8, max: 48, step: 2, value: 22 });
    this.said = element("div", "said", board);
    this.said.setAttribute("aria-live", "polite");
    this.answers = element("div", "answers", box);
  }

  // -- pointer

  #listen() {
    const { canvas } = this;
    canvas.onpointerdown = (e) => {
      if (this.pointer !== null || e.button !== 0) return;
      e.preventDefault();
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(e.pointerId);
      this.hair.hidden = true;
      const { x, y, pressure } = this.#place(e);
      const tail = e.pointerType === "pen" && (e.buttons & 32) !== 0; // the eraser end of a pen
      if (this.#begin(x, y, pressure, tail || this.erase)) this.pointer = e.pointerId;
    };
    canvas.onpointermove = (e) => {
      if (e.pointerId !== this.pointer) return;
      const events = e.getCoalescedEvents?.() ?? [];
      for (const event of events.length ? events : [e]) {
        const { x, y, pressure } = this.#place(event);
        this.drawing.extend(x, y, pressure);
      }
      this.frame();
    };
    canvas.onpointerup = (e) => {
      if (e.pointerId !== this.pointer) return;
      this.pointer = null;
      this.drawing.end();
      this.done();
    };
    canvas.onpointercancel = (e) => {
      if (e.pointerId !== this.pointer) return;
      this.pointer = null;
      this.drawing.cancel();
      this.frame();
    };
    canvas.onkeydown = (e) => this.#key(e);
    canvas.onblur = () => this.#lift();
  }

  /** Where an event is, in tenths of board pixels; only pens have a pressure that means something. */
  #place(e) {
    const box = this.canvas.getBoundingClientRect();
    const pressure = e.pointerType === "pen" && e.pressure > 0 ? 100 * e.pressure : 50;
    return { x: ((e.clientX - box.left) / box.width) * FAR, y: ((e.clientY - box.top) / box.height) * FAR, pressure };
  }

  #begin(x, y, pressure, erase) {
    const begun = this.drawing.begin(x, y, { erase, width: Number(this.width.value), pressure });
    if (!begun) this.say("full");
    this.frame();
    return begun;
  }

  // -- keys

  #key(e) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const key = e.key.toLowerCase(), command = e.ctrlKey || e.metaKey;
    if (this.pointer !== null || e.altKey) return;
    if (command && (key === "y" || (key === "z" && e.shiftKey))) this.redo();
    else if (command && key === "z") this.undo();
    else if (command) return;
    else if (arrows[e.key]) this.#walk(...arrows[e.key], e.shiftKey ? STEP / 10 : STEP);
    else if (key === " ") this.#toggle();
    else if (key === "e") this.take(!this.erase);
    else if (key === "escape" && this.drawing.current) this.#lift();
    else return;
    e.preventDefault();
  }

  #walk(dx, dy, step) {
    const inside = (v) => Math.min(Math.max(v, 0), FAR);
    this.cursor = { x: inside(this.cursor.x + dx * step), y: inside(this.cursor.y + dy * step) };
    this.#showHair();
    if (this.drawing.extend(this.cursor.x, this.cursor.y)) {
      this.frame();
      this.#later();
    }
  }

  #toggle() {
    this.#showHair();
    if (this.drawing.current) return this.#lift();
    if (!this.#begin(this.cursor.x, this.cursor.y, 50, this.erase)) return;
    this.say("down");
    this.#showHair();
    this.#later();
  }

  #lift() {
    if (!this.drawing?.current || this.pointer !== null) return;
    this.drawing.end();
    this.say("up");
    this.#showHair();
    this.done();
  }

  #later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.done(), PAUSE);
  }

  #showHair() {
    this.hair.hidden = false;
    this.hair.style.left = `${(100 * this.cursor.x) / FAR}%`;
    this.hair.style.top = `${(100 * this.cursor.y) / FAR}%`;
    this.hair.classList.toggle("down", Boolean(this.drawing.current));
  }

  // -- tools

  take(erase) {
    this.#lift();
    this.erase = erase;
    this.say(erase ? "erase" : "pen");
    this.frame();
  }

  undo() {
    if (!this.drawing.undo()) return;
    this.say("undone");
    this.done();
  }

  redo() {
    if (!this.drawing.redo()) return;
    this.say("redone");
    this.done();
  }

  clear() {
    if (this.drawing.empty) return;
    this.drawing.clear();
    this.say("cleared");
    this.done();
  }

  say(what) {
    this.said.textContent = this.texts[what];
  }

  // -- what comes of it

  /** The hand rests: show it and tell Python. */
  done() {
    clearTimeout(this.timer);
    this.frame.cancel();
    const bytes = this.show();
    this.send({ pixels: bytes ? Array.from(bytes) : [], strokes: this.drawing.all });
  }

  /** The board, what the model sees, and what each model makes of it. Returns the 784 bytes, null without ink. */
  show() {
    const { drawing, buttons } = this;
    for (let i = 0; i < drawing.ink.length; i++) this.words[i] = 0xff000000 | (drawing.ink[i] * 0x10101);
    this.context.putImageData(this.image, 0, 0);
    this.hint.hidden = !drawing.empty;
    buttons.undo.disabled = !drawing.past.length && !drawing.current;
    buttons.redo.disabled = !drawing.future.length;
    buttons.clear.disabled = drawing.empty;
    buttons.pen.setAttribute("aria-pressed", String(!this.erase));
    buttons.erase.setAttribute("aria-pressed", String(this.erase));
    const bytes = mnistLike(drawing.ink);
    this.#answer(bytes);
    return bytes;
  }

  #answer(bytes) {
    const pixels = new Float32Array(PIXELS);
    if (bytes) for (let i = 0; i < PIXELS; i++) pixels[i] = bytes[i] / 255;
    if (bytes && this.live) channel(`drawing:${this.key}`).set({ pixels }, this);
    const [seen, ...answers] = this.shown;
    paint(seen.canvas, pixels);
    answers.forEach(({ canvas, note }, i) => {
      const program = this.programs[i];
      const code = bytes && program.encode(pixels);
      paint(canvas, code ? program.decode(code.mu) : pixels);
      note.textContent = code ? codeNote(code, program.prior) : "";
    });
  }

  /** New data from Python. The strokes are ours from the first update on. */
  update(spec, _arrays, programs) {
    this.key = spec.key;
    this.texts = spec.texts;
    this.programs = programs;
    this.drawing ??= new Drawing(spec.strokes);
    this.canvas.setAttribute("aria-label", spec.texts.board);
    this.hint.textContent = spec.texts.hint;
    this.width.title = spec.texts.width;
    this.width.setAttribute("aria-label", spec.texts.width);
    for (const [name, button] of Object.entries(this.buttons)) {
      button.title = spec.texts[`${name}_button`];
      button.setAttribute("aria-label", button.title);
    }
    if (this.names !== spec.names.join("\n")) {
      this.names = spec.names.join("\n");
      this.answers.replaceChildren();
      this.shown = [spec.texts.seen, ...spec.names].map((name) => answer(this.answers, name));
    }
    this.hair.hidden ||= !this.drawing.current;
    this.live = false; // the page knows this drawing: others need not be told of it
    this.show();
    this.live = true;
  }

  destroy() {
    clearTimeout(this.timer);
    this.frame.cancel();
  }
}

/** The module: see loader.js. */
export function mount(ctx) {
  const board = new Board(ctx);
  return {
    update: (spec, arrays, programs) => board.update(spec, arrays, programs),
    destroy: () => board.destroy(),
  };
}
