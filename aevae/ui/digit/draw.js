// A board to draw a digit with mouse, pen, finger or keys. During a stroke the drawing is converted to the format of
// MNIST, and its reconstruction by each model is shown beside it. After the stroke the drawing is sent to Python.

import { ARROWS, paint, PIXELS, placeIn } from "../live/canvas.js";
import { div, element, svg } from "../live/dom.js";
import { klToPrior, stdOf } from "../live/gaussian.js";
import { clamp } from "../live/maths.js";
import { drawingChannel, Stage } from "../live/page.js";
import { mnistLike } from "./handwriting.js";
import { BOARD, Drawing, FULL } from "./strokes.js";

const STEP = 70; // tenths of a board pixel that an arrow key moves; with Shift a tenth of it
const PAUSE_MS = 300; // after the last key

const ICONS = {
  pen: "M4 20l1-4L16 5l3 3L8 19l-4 1zM14 7l3 3",
  erase: "M4 15l9-9 6 6-7 7H8l-4-4zM9 10l6 6M12 19h8",
  undo: "M8 5L4 9l4 4M4 9h10a5 5 0 010 10h-4",
  redo: "M16 5l4 4-4 4M20 9H10a5 5 0 000 10h4",
  clear: "M5 7h14M10 4h4M7 7l1 13h8l1-13M10 11v5M14 11v5",
};

function iconButton(name, onclick) {
  const icon = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
  return element("button", { class: name, type: "button", onclick }, icon);
}

/** An image with its name and a note: {canvas, note, figure}. */
function answerOf(name) {
  const canvas = element("canvas", { class: "digit" }), note = element("small");
  paint(canvas, new Float32Array(PIXELS));
  return { canvas, note, figure: element("figure", {}, canvas, element("figcaption", { title: name }, name), note) };
}

/** A text about a code: its KL if it has a variance, else its norm. */
export function codeNote({ mu, logvar }, std = 1) {
  return logvar ? `KL ${klToPrior(mu, stdOf(logvar), std).toFixed(1)} nats` : `‖z‖ ${Math.hypot(...mu).toFixed(1)}`;
}

export class Board extends Stage {
  create({ root, spec }) {
    this.strokes = new Drawing(spec.strokes); // from now on changed only here
    this.isErasing = false;
    this.isChanged = false; // the drawing was changed here since the last frame
    this.pointer = null; // id of the drawing pointer
    this.cursor = { x: FULL / 2, y: FULL / 2 };
    this.canvas = element("canvas", { class: "ink", width: BOARD, height: BOARD, tabIndex: 0, role: "application" });
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.image = this.context.createImageData(BOARD, BOARD);
    this.words = new Uint32Array(this.image.data.buffer);
    this.hint = div("hint");
    this.hair = div("hair");
    this.buttons = {
      pen: iconButton("pen", () => this.take(false)),
      erase: iconButton("erase", () => this.take(true)),
      undo: iconButton("undo", () => this.undo()),
      redo: iconButton("redo", () => this.redo()),
      clear: iconButton("clear", () => this.clear()),
    };
    this.width = element("input", { class: "width", type: "range", min: 8, max: 48, step: 2, value: 22 });
    this.said = element("div", { class: "said", "aria-live": "polite" });
    this.answers = div("answers");
    const sheet = div("sheet", this.canvas, this.hint, this.hair);
    const tools = div("tools", ...Object.values(this.buttons), this.width);
    root.replaceChildren(div("board", sheet, tools, this.said), this.answers);
    this.#listen();
  }

  refresh({ spec: { texts, names } }) {
    this.canvas.setAttribute("aria-label", texts.board);
    this.hint.textContent = texts.hint;
    this.width.title = texts.width;
    this.width.setAttribute("aria-label", texts.width);
    for (const [name, button] of Object.entries(this.buttons)) {
      button.title = texts[`${name}_button`];
      button.setAttribute("aria-label", button.title);
    }
    if (this.names !== names.join("\n")) {
      this.names = names.join("\n");
      this.shown = [texts.seen, ...names].map(answerOf);
      this.answers.replaceChildren(...this.shown.map(({ figure }) => figure));
    }
    this.hair.hidden ||= !this.strokes.current;
    this.paintAll(false); // Python has this drawing already
  }

  // -- pointer

  /** Not onDrag (canvas.js): a stroke needs every coalesced event, one pointer, its pressure, and can be cancelled. */
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
      if (this.#begin(x, y, pressure, tail || this.isErasing)) this.pointer = e.pointerId;
    };
    canvas.onpointermove = (e) => {
      if (e.pointerId !== this.pointer) return;
      const events = e.getCoalescedEvents?.() ?? [];
      for (const event of events.length ? events : [e]) {
        const { x, y, pressure } = this.#place(event);
        this.strokes.extend(x, y, pressure);
      }
      this.changed();
    };
    canvas.onpointerup = (e) => {
      if (e.pointerId !== this.pointer) return;
      this.pointer = null;
      this.strokes.end();
      this.done();
    };
    canvas.onpointercancel = (e) => {
      if (e.pointerId !== this.pointer) return;
      this.pointer = null;
      this.strokes.cancel();
      this.changed();
    };
    canvas.onkeydown = (e) => this.#key(e);
    canvas.onblur = () => this.#lift();
  }

  /** Position of an event in tenths of board pixels, and its pressure (only pens report a meaningful one). */
  #place(e) {
    const { x, y } = placeIn(this.canvas, e);
    const pressure = e.pointerType === "pen" && e.pressure > 0 ? 100 * e.pressure : 50;
    return { x: x * FULL, y: y * FULL, pressure };
  }

  #begin(x, y, pressure, erase) {
    const begun = this.strokes.begin(x, y, { erase, width: Number(this.width.value), pressure });
    if (!begun) this.say("full");
    this.changed();
    return begun;
  }

  // -- keys

  #key(e) {
    const key = e.key.toLowerCase(), command = e.ctrlKey || e.metaKey;
    if (this.pointer !== null || e.altKey) return;
    if (command && (key === "y" || (key === "z" && e.shiftKey))) this.redo();
    else if (command && key === "z") this.undo();
    else if (command) return;
    else if (ARROWS[e.key]) this.#walk(...ARROWS[e.key], e.shiftKey ? STEP / 10 : STEP);
    else if (key === " ") this.#toggle();
    else if (key === "e") this.take(!this.isErasing);
    else if (key === "escape" && this.strokes.current) this.#lift();
    else return;
    e.preventDefault();
  }

  #walk(right, up, step) {
    this.cursor = { x: clamp(this.cursor.x + right * step, 0, FULL), y: clamp(this.cursor.y - up * step, 0, FULL) };
    this.#showHair();
    if (this.strokes.extend(this.cursor.x, this.cursor.y)) {
      this.changed();
      this.#later();
    }
  }

  #toggle() {
    this.#showHair();
    if (this.strokes.current) return this.#lift();
    if (!this.#begin(this.cursor.x, this.cursor.y, 50, this.isErasing)) return;
    this.say("down");
    this.#showHair();
    this.#later();
  }

  #lift() {
    if (!this.strokes?.current || this.pointer !== null) return;
    this.strokes.end();
    this.say("up");
    this.#showHair();
    this.done();
  }

  #later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.done(), PAUSE_MS);
  }

  #showHair() {
    this.hair.hidden = false;
    this.hair.style.left = `${(100 * this.cursor.x) / FULL}%`;
    this.hair.style.top = `${(100 * this.cursor.y) / FULL}%`;
    this.hair.classList.toggle("down", Boolean(this.strokes.current));
  }

  // -- tools

  take(erase) {
    this.#lift();
    this.isErasing = erase;
    this.say(erase ? "erase" : "pen");
    this.changed();
  }

  undo() {
    if (!this.strokes.undo()) return;
    this.say("undone");
    this.done();
  }

  redo() {
    if (!this.strokes.redo()) return;
    this.say("redone");
    this.done();
  }

  clear() {
    if (this.strokes.isEmpty) return;
    this.strokes.clear();
    this.say("cleared");
    this.done();
  }

  say(what) {
    this.said.textContent = this.spec.texts[what];
  }

  // -- output

  /** The drawing has changed: paint it in the next frame. */
  changed() {
    this.isChanged = true;
    this.show();
  }

  draw() {
    if (this.isChanged) this.paintAll(true);
  }

  /** After a stroke: paint the drawing and send it to Python. */
  done() {
    clearTimeout(this.timer);
    const bytes = this.paintAll(true);
    this.send({ pixels: bytes ? Array.from(bytes) : [], strokes: this.strokes.all });
  }

  /** Paint the board, the model input, and each reconstruction. Returns the 784 bytes, null without ink. */
  paintAll(isLive) {
    const { strokes, buttons } = this;
    if (isLive) this.isChanged = false;
    for (let i = 0; i < strokes.ink.length; i++) this.words[i] = 0xff000000 | (strokes.ink[i] * 0x10101);
    this.context.putImageData(this.image, 0, 0);
    this.hint.hidden = !strokes.isEmpty;
    buttons.undo.disabled = !strokes.past.length && !strokes.current;
    buttons.redo.disabled = !strokes.future.length;
    buttons.clear.disabled = strokes.isEmpty;
    buttons.pen.setAttribute("aria-pressed", String(!this.isErasing));
    buttons.erase.setAttribute("aria-pressed", String(this.isErasing));
    const bytes = mnistLike(strokes.ink, BOARD, BOARD);
    this.#answer(bytes, isLive);
    return bytes;
  }

  #answer(bytes, isLive) {
    const pixels = Float32Array.from(bytes ?? new Uint8Array(PIXELS), (v) => v / 255);
    if (bytes && isLive) drawingChannel(this.spec.key).set({ pixels }, this);
    const [seen, ...answers] = this.shown;
    paint(seen.canvas, pixels);
    answers.forEach(({ canvas, note }, i) => {
      const program = this.programs[i], code = bytes && program.encode(pixels);
      paint(canvas, code ? program.decode(code.mu) : pixels);
      note.textContent = code ? codeNote(code, program.prior) : "";
    });
  }

  stop() {
    clearTimeout(this.timer);
  }
}

export const mount = (ctx) => new Board(ctx, "draw");
