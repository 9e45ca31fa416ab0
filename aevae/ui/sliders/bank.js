// The bank of latent sliders: a row per number of the code, the pictures of all chosen models, and where z lies.
// Every move decodes at once; Python hears of it when the hand lets go.

import { paint, SIDE, stamp } from "../live/canvas.js";
import { element, figures } from "../live/dom.js";
import { logPrior } from "../live/gaussian.js";
import { channel, onFrame, outbox } from "../live/page.js";
import { changed, clip, idleWork, keeperOf, pictureOf } from "./latent.js";

const ME = "bank";
const CELL = 30; // pixels that one small picture asks for
const MOST = 9; // small pictures along a slider
const FEWEST = 5;
const FEW = 4; // sliders that stand in one column

// ---- pure parts (tested with node) ----------------------------------------------------------------------------------

/** Which dimensions stand open and which are folded, both strongest first. order: all of them; alive: how many live. */
export function parted(order, alive) {
  return { open: Array.from(order.slice(0, alive)), folded: Array.from(order.slice(alive)) };
}

/** z with number d as in `home`. */
export function reset(z, d, home) {
  const next = Float32Array.from(z);
  next[d] = home[d];
  return next;
}

/** Decimals that show a slider's step. */
export function decimals(step) {
  return Math.min(Math.max(0, -Math.floor(Math.log10(step) + 1e-6)), 6);
}

/** Part of the way from low to high, 0..1. */
export function part(value, low, high) {
  return Math.min(Math.max((value - low) / (high - low), 0), 1);
}

/** How many small pictures a slider of this width carries. */
export function count(width) {
  return Math.min(Math.max(Math.floor(width / CELL), FEWEST), MOST);
}

/** Left edge of small picture i of n, so that its middle is where the thumb stands at its value. */
export function left(i, n, width) {
  return Math.round((i / (n - 1)) * (width - SIDE));
}

export function norm(z) {
  return Math.sqrt(z.reduce((sum, v) => sum + v * v, 0));
}

/** Below, within or above a range: -1, 0, 1. */
export function beside(value, [low, high]) {
  return value < low ? -1 : value > high ? 1 : 0;
}

// ---- one slider -----------------------------------------------------------------------------------------------------

class Row {
  constructor(bank, dim) {
    this.bank = bank;
    this.dim = dim;
    this.next = 0; // the first small picture that does not show the present z
    this.root = element("div", { class: "row" });
    this.built = false;
  }

  build() {
    if (this.built) return;
    this.built = true;
    const { bank, dim } = this;
    const { spec, low, high, step } = bank;
    this.digits = decimals(step[dim]);
    this.film = element("canvas", { class: "film", height: SIDE, "aria-hidden": "true" });
    this.input = element("input", {
      type: "range",
      min: low[dim],
      max: high[dim],
      step: step[dim],
      "aria-label": `${spec.names[dim]} · ${spec.amounts[dim]}`,
    });
    this.value = element("output");
    this.home = element("i", { class: "home" });
    const soft = element("i", { class: "soft" });
    const from = part(bank.softLow[dim], low[dim], high[dim]), to = part(bank.softHigh[dim], low[dim], high[dim]);
    soft.style.setProperty("--from", from);
    soft.style.setProperty("--to", to);
    const names = [element("b", {}, spec.names[dim]), element("span", {}, spec.amounts[dim])];
    this.root.append(
      element("div", { class: "name", title: spec.texts.row }, ...names, this.value),
      element("div", { class: "track" }, this.film, this.input, element("div", { class: "rule" }, soft, this.home)),
    );
    this.input.onpointerdown = () => bank.grab();
    this.input.oninput = () => bank.turn(dim, Number(this.input.value));
    this.input.onchange = () => bank.released();
    this.input.onkeydown = (event) => {
      bank.keys = true;
      if (event.key === "Backspace" || event.key === "Delete") bank.goHome(dim);
    };
    this.root.ondblclick = () => bank.goHome(dim);
    this.width = 0;
    this.sized();
    this.show();
    this.mark();
  }

  /** The small pictures of the slider follow its width. */
  sized() {
    const width = this.film.clientWidth;
    if (!width || width === this.width) return;
    this.width = width;
    this.film.width = width;
    this.n = count(width);
    this.next = 0;
  }

  /** Where the chosen digit has this number. */
  mark() {
    const { bank, dim } = this;
    this.home.style.setProperty("--at", part(bank.home[dim], bank.low[dim], bank.high[dim]));
  }

  show() {
    const { bank, dim } = this;
    const v = bank.z[dim];
    if (v === this.shown) return;
    this.shown = v;
    const text = v.toFixed(this.digits);
    const outside = v < bank.softLow[dim] || v > bank.softHigh[dim];
    this.input.value = v;
    this.value.textContent = text;
    this.input.setAttribute("aria-valuetext", outside ? `${text}, ${bank.spec.texts.outside}` : text);
    this.root.classList.toggle("outside", outside);
  }

  /** One small picture more; false when all are there. */
  develop() {
    if (!this.width || this.next >= this.n) return false;
    const { bank, dim } = this;
    const i = this.next++;
    const z = Float32Array.from(bank.z);
    z[dim] = bank.low[dim] + (i / (this.n - 1)) * (bank.high[dim] - bank.low[dim]);
    const pixels = bank.programs[0].decode(z);
    stamp(this.film.getContext("2d"), pixels, left(i, this.n, this.width), 0);
    return true;
  }
}

// ---- the bank -------------------------------------------------------------------------------------------------------

class Bank {
  constructor({ root, send }) {
    this.outbox = outbox((payload) => {
      this.keeper.letGo(ME);
      send(payload);
    });
    this.run = null;
    this.keys = false; // the last hand on a slider was a key
    this.frame = onFrame(() => this.draw());
    this.films = idleWork(() => this.develop());
    this.figures = element("div", { class: "figures" });
    this.gauge = element("div", { class: "gauge" });
    this.rowsBox = element("div", { class: "rows" });
    this.help = element("p", { class: "help" });
    this.root = element(
      "div",
      { class: "bank" },
      element(
        "div",
        { class: "desk" },
        element("div", { class: "left" }, this.figures, this.gauge),
        element("div", { class: "right" }, this.rowsBox, this.help),
      ),
    );
    root.append(this.root);
    this.release = () => this.released(false);
    this.widths = new ResizeObserver(() => this.resized());
    this.widths.observe(this.rowsBox);
  }

  update(spec, arrays, programs) {
    const first = spec.run !== this.run;
    const models = spec.models.map((m) => m.run).join();
    Object.assign(this, { spec, programs, home: arrays.home, low: arrays.low, high: arrays.high, step: arrays.step });
    Object.assign(this, { softLow: arrays.soft_low, softHigh: arrays.soft_high });
    for (const name of ["low", "high", "step"]) this[name] = Float64Array.from(this[name], (v) => +v.toPrecision(6));
    if (first) this.open(spec, arrays);
    if (models !== this.models) this.canvases = figures(this.figures, spec.models, spec.texts.picture);
    this.models = models;
    this.keeper.offer(arrays.z, spec.read);
    this.take(this.keeper.live ?? arrays.z);
    for (const row of this.rows) if (row.built) row.mark();
  }

  /** Another run: its rows, its code, its keeper. */
  open(spec, arrays) {
    this.shut();
    this.run = spec.run;
    this.z = Float32Array.from(arrays.z);
    this.keeper = keeperOf(spec.run);
    this.keeper.join(ME, this.outbox);
    const drawn = (value) => this.follow(value);
    this.offs = [
      this.keeper.shared.on((value) => this.take(value.z), ME),
      channel(`drawing:${spec.key}`).on(drawn, ME),
      () => this.keeper.leave(ME),
    ];
    this.stage();
    this.lay(parted(arrays.order, spec.alive));
    this.help.textContent = spec.texts.help;
  }

  shut() {
    for (const off of this.offs ?? []) off();
    this.offs = [];
    this.eye?.disconnect();
  }

  destroy() {
    this.shut();
    this.outbox.close();
    this.frame.cancel();
    this.films.stop();
    this.widths.disconnect();
    window.removeEventListener("pointerup", this.release, true);
    window.removeEventListener("pointercancel", this.release, true);
  }

  lay({ open, folded }) {
    this.rows = [];
    this.seen = new Set();
    const scroller = getComputedStyle(this.rowsBox).overflowY === "visible" ? null : this.rowsBox; // null: the page
    this.eye = new IntersectionObserver((entries) => this.look(entries), { root: scroller, rootMargin: "80px" });
    const place = (dims) => {
      const box = element("div", { class: dims.length > FEW ? "grid" : "grid few" });
      for (const dim of dims) {
        const row = new Row(this, dim);
        row.root.row = row;
        this.rows.push(row);
        this.eye.observe(row.root);
        box.append(row.root);
      }
      return box;
    };
    this.rowsBox.replaceChildren(place(open));
    if (!open.length) this.rowsBox.append(element("p", { class: "none" }, this.spec.texts.none));
    const closed = () => element("details", { open: !open.length }, element("summary", {}, this.spec.texts.dead), place(folded));
    if (folded.length) this.rowsBox.append(closed());
  }

  /** Rows are built when they come into view, and only those in view are developed. */
  look(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) {
        target.row.build();
        target.row.sized();
        target.row.show();
        this.seen.add(target.row);
      } else {
        this.seen.delete(target.row);
      }
    }
    this.films.start();
  }

  resized() {
    for (const row of this.rows ?? []) if (row.built) row.sized();
    this.films.start();
  }

  // -- the pictures and the gauge

  stage() {
    const { gauge, texts } = this.spec;
    const lane = (name, range, text) => {
      const band = element("i", { class: "band" });
      band.style.setProperty("--from", part(range[0], 0, gauge.end));
      band.style.setProperty("--to", part(range[1], 0, gauge.end));
      return element("div", { class: `lane ${name}` }, element("span", {}, text), element("div", { class: "scale" }, band));
    };
    this.needle = element("i", { class: "needle" });
    this.norm = element("b");
    this.density = element("b");
    this.verdict = element("div", { class: "verdict" });
    const numbers = element("div", { class: "numbers" }, element("span", {}, "‖z‖ ", this.norm));
    if (gauge.prior) numbers.append(element("span", {}, "log p(z) ", this.density, ` ${texts.nats}`));
    const lanes = element("div", { class: "lanes" });
    if (gauge.prior) lanes.append(lane("prior", gauge.prior, texts.draws));
    lanes.append(lane("codes", gauge.codes, texts.codes), element("div", { class: "over" }, this.needle));
    this.gauge.replaceChildren(numbers, lanes, this.verdict);
    this.gauge.title = texts.gauge;
  }

  draw() {
    if (!this.programs) return;
    const z = this.z;
    this.programs.forEach((program, i) => paint(this.canvases[i], pictureOf(program, z)));
    for (const row of this.seen) row.show();
    const { gauge, texts } = this.spec;
    const length = norm(z);
    this.norm.textContent = length.toFixed(2);
    this.density.textContent = logPrior(z, gauge.std).toFixed(1);
    this.needle.style.setProperty("--at", part(length, 0, gauge.end));
    const where = beside(length, gauge.codes);
    this.gauge.classList.toggle("outside", where > 0);
    this.verdict.textContent = texts.verdict[where + 1];
  }

  // -- z

  /** Somebody moved z. */
  take(z) {
    const moved = changed(this.z, z);
    this.z = z;
    this.frame();
    for (const row of this.rows) if (moved !== -1 && moved !== row.dim) row.next = 0;
    this.films.start();
  }

  /** A slider stands at `value`. */
  turn(dim, value) {
    if (this.keys) {
      this.keeper.hold(ME);
      this.outbox.postLater(() => this.letter());
    }
    const z = Float32Array.from(this.z);
    z[dim] = value;
    this.keeper.shared.set({ z }, ME);
    this.take(z);
  }

  grab() {
    this.keys = false;
    this.keeper.hold(ME);
    window.addEventListener("pointerup", this.release, true);
    window.addEventListener("pointercancel", this.release, true);
  }

  /** The hand has let go; `post` if it has changed something. (Where nothing changed, no `change` event comes.) */
  released(post = true) {
    window.removeEventListener("pointerup", this.release, true);
    window.removeEventListener("pointercancel", this.release, true);
    if (this.keys) return;
    if (post) this.outbox.post(this.letter());
    else this.keeper.settle(this.z, ME);
  }

  letter() {
    this.keeper.settle(this.z, ME);
    return { z: Array.from(this.z, (v) => Number(v.toPrecision(6))) };
  }

  /** Number d as the chosen digit has it. */
  goHome(dim) {
    const z = clip(reset(this.z, dim, this.home), this.low, this.high);
    this.keeper.shared.set({ z }, ME);
    this.take(z);
    this.outbox.post(this.letter());
  }

  /** Somebody draws the digit: z is its code. */
  follow(value) {
    if (this.keeper.taken(ME)) return;
    if (!value?.pixels) return this.keeper.back(ME);
    const z = clip(this.programs[0].encode(value.pixels).mu, this.low, this.high);
    this.keeper.shared.set({ z }, ME);
    this.take(z);
  }

  /** One small picture in idle time. */
  develop() {
    for (const row of this.seen) if (row.develop()) return true;
    return false;
  }
}

export function mount(ctx) {
  return new Bank(ctx);
}
