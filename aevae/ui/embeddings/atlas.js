// Maps beside each other: the same points, in the same colours, in two to four panes. What is pointed at or brushed in
// one lights up in all. Pictures and codes come once, by channels (sheet.js); the maps themselves may change while they
// are being made. Python hears what was chosen and brushed when the hand lets go.

import { classColours, PIXELS } from "../live/canvas.js";
import { element, fill } from "../live/dom.js";
import { channel, onFrame, outbox, prefersReducedMotion } from "../live/page.js";
import {
  between, countByClass, ease, findName, growLasso, indicesOf, parseColour, pixelOf, ramp, WHOLE, withClass,
} from "./cloud.js";
import { download, picture, tableOf } from "./atlasout.js";
import { Pane } from "./atlaspane.js";
import { lift } from "../sliders/planes.js";

const MORPH = 900; // ms
const WHILE_MOVING = 24_000; // points painted a frame while the hand moves
const REST = 100; // ms after the last move until all points are painted
const LISTED = 200; // rows of the table of the selection
const PAUSE = 500; // ms after the last move until Python hears how the maps are looked at
const MANY = 20; // classes that have a button each; of more, one is found by its name
const COUNTED = 20; // classes that are named beside the number of selected points
const NEAREST = 5; // codes whose mean stands for a place between them

const inHand = new Map(); // key of an atlas -> the tool in hand, while the browser page lives

class Atlas {
  constructor({ root, send }) {
    this.outbox = outbox((payload) => send({ ...payload, views: this.views() }), PAUSE);
    this.panes = [];
    this.labels = new Uint8Array(0);
    this.selected = new Uint8Array(0);
    Object.assign(this, { buttons: [], hover: -1, point: -1, any: false, counts: [], sheets: {}, offs: [], shown: [], moving: 0 });
    this.dirty = new Set();
    this.frame = onFrame(() => this.draw());
    this.build(root);
    this.sizes = new ResizeObserver(() => this.layout());
    this.sizes.observe(this.root);
  }

  build(root) {
    const button = (act) => element("button", { type: "button", onclick: act });
    this.lassoTool = button(() => this.take("lasso"));
    this.moveTool = button(() => this.take("move"));
    this.none = button(() => this.clear());
    this.png = button(() => download(this.panes, this));
    this.classes = element("div", { class: "classes", role: "group" });
    this.scale = element("div", { class: "scale" });
    this.field = element("div", { class: "field" });
    this.count = element("p", { class: "count" });
    this.table = element("table");
    this.aloud = element("div", { class: "aloud", "aria-live": "polite" });
    const tools = element("div", { class: "tools" }, this.lassoTool, this.moveTool, this.none, this.png);
    this.root = element("div", { class: "atlas" }, element("div", { class: "head" }, this.classes, this.scale, tools), this.field,
      this.count, element("div", { class: "aloud" }, this.table), this.aloud);
    root.append(this.root);
  }

  update(spec, arrays) {
    const before = this.spec;
    Object.assign(this, { spec, labels: arrays.labels });
    this.tool = inHand.get(spec.key) ?? "lasso";
    this.theme();
    this.totals = countByClass(new Uint8Array(this.labels.length).fill(1), this.labels, spec.classes.length);
    this.codes = spec.shade ? arrays.shade : arrays.labels;
    const colours = classColours(this.root);
    this.colours = spec.classes.map((_, c) => colours[c % colours.length]);
    const plain = () => Uint32Array.from(this.colours, (c) => pixelOf(parseColour(c)));
    this.palette = spec.shade ? ramp(spec.shade.ramp) : plain();
    this.ownPicture = arrays.own ? picture(arrays.own) : null;
    const other = this.selected.length !== this.labels.length;
    const settled = this.outbox.isSettled(spec.n);
    if (other || settled) {
      this.selected = new Uint8Array(this.labels.length);
      for (const i of arrays.selected) this.selected[i] = 1;
      this.point = spec.point;
    }
    if (this.hover >= this.labels.length) this.hover = -1;
    this.listen();
    this.hang(spec, arrays, before);
    if (settled) this.panes.forEach((pane, i) => pane.lookBack(spec.views[i]));
    this.words();
    this.brushed();
    this.layout();
  }

  destroy() {
    for (const off of this.offs) off();
    this.outbox.close();
    this.frame.cancel();
    this.sizes.disconnect();
    clearTimeout(this.resting);
    cancelAnimationFrame(this.moving);
  }

  /** Colours of the theme, as it is now. */
  theme() {
    const style = getComputedStyle(this.root), get = (name) => style.getPropertyValue(`--st-${name}`).trim() || "gray";
    Object.assign(this, { ink: get("text-color"), accent: get("primary-color"), font: get("font") });
    this.paperText = get("background-color");
    const paper = parseColour(this.paperText);
    this.paper = pixelOf(paper);
    this.opacity = 0.95; // of points: fainter ones would have too little contrast
  }

  /** Pictures, and of each model codes and program, come when they come. */
  listen() {
    for (const off of this.offs) off();
    const runs = this.spec.panes.map((p) => p.run).filter(Boolean);
    this.offs = [this.spec.pictures, ...runs.map((run) => `codes:${run}`)].map((name) => {
      const shared = channel(name), take = (value) => (this.sheets[name] = value);
      take(shared.value);
      return shared.on(take);
    });
  }

  hang(spec, arrays, before) {
    const anew = this.panes.length !== spec.panes.length;
    if (anew) {
      const views = this.panes.map((pane) => pane.view);
      this.panes = spec.panes.map((_, i) => new Pane(this, i, views[i] ?? WHOLE));
      this.field.replaceChildren(...this.panes.map((pane) => pane.root));
      this.field.dataset.panes = spec.panes.length;
      this.shown = this.panes.map((_, i) => i);
    }
    this.panes.forEach((pane, i) => pane.update(spec.panes[i], arrays[`xy${i}`], arrays[`lift${i}`]));
    const same = !anew && before.points === spec.points;
    const from = this.panes.map((pane) => pane.points);
    const to = this.panes.map((_, i) => this.mapOf(this.shown[i]));
    const changed = to.map((points, i) => !equal(points, from[i]));
    const finished = spec.panes.every((p) => p.state === "ready");
    if (same && finished && changed.some(Boolean)) this.animate(from, to);
    else if (!this.moving || !same || changed.some(Boolean)) this.jump(to);
  }

  /** The points of a pane's map in its square. */
  mapOf(number) {
    return this.panes[number].own();
  }

  // -- who moves?

  /** Which map a pane shows. */
  at(number) {
    return this.shown[number];
  }

  /** A pane goes on to the next map, and in the end back to its own. */
  morph(number) {
    const from = this.panes.map((pane) => pane.points), to = from.slice();
    for (let k = 1; k <= this.panes.length; k++) {
      const next = (this.shown[number] + k) % this.panes.length, points = this.mapOf(next);
      if (!points.length) continue;
      this.shown[number] = next;
      to[number] = points;
      break;
    }
    this.words();
    this.animate(from, to);
  }

  animate(from, to) {
    cancelAnimationFrame(this.moving);
    if (prefersReducedMotion()) return this.jump(to);
    const began = performance.now();
    const step = (now) => {
      const t = ease((now - began) / MORPH);
      if (t >= 1) return this.jump(to);
      this.moving = requestAnimationFrame(step);
      this.panes.forEach((pane, i) => {
        const [a, b] = [from[i], to[i]];
        if (a === b || equal(a, b)) return;
        pane.show(a.length === b.length ? b.map((v, k) => a[k] + t * (v - a[k])) : b);
      });
    };
    this.moving = requestAnimationFrame(step);
  }

  jump(to) {
    cancelAnimationFrame(this.moving);
    this.moving = 0;
    this.panes.forEach((pane, i) => pane.show(to[i]));
  }

  // -- painting

  layout() {
    for (const pane of this.panes) pane.layout();
    this.frame();
  }

  /** This pane must be painted anew; `hand`: because the hand moves, so that fewer points will do. */
  touch(pane, hand = false) {
    this.dirty.add(pane);
    this.hand ||= hand;
    this.frame();
  }

  draw() {
    const points = this.dirty.size * this.labels.length;
    const step = this.hand || this.moving ? Math.max(Math.ceil(points / WHILE_MOVING), 1) : 1;
    for (const pane of this.dirty) pane.paintBase(step);
    if (step > 1) this.later([...this.dirty]);
    this.dirty.clear();
    this.hand = false;
    for (const pane of this.panes) pane.paintOver();
  }

  /** The whole of it when the hand rests. */
  later(panes) {
    clearTimeout(this.resting);
    this.thin = new Set([...(this.thin ?? []), ...panes]);
    this.resting = setTimeout(() => {
      for (const pane of this.thin) this.touch(pane);
      this.thin = null;
    }, REST);
  }

  settle() {
    if (this.thin) this.later([]);
  }

  /** A pane is looked at in another way: Python hears of it when the hand rests. */
  looked() {
    this.outbox.postLater(() => ({}));
  }

  /** Middle and zoom of each pane. */
  views() {
    return this.panes.map(({ view: { x, y, k } }) => [x, y, k]);
  }

  // -- what the points are

  pictureOf(i) {
    const pictures = this.sheets[this.spec.pictures]?.pictures;
    return pictures ? Float32Array.from(pictures.subarray(i * PIXELS, (i + 1) * PIXELS), (v) => v / 255) : null;
  }

  wordsOf(i) {
    const { texts, classes, shade } = this.spec;
    const words = fill(texts.point, { class: classes[this.labels[i]], number: i });
    if (!shade) return words;
    const value = shade.low + (this.codes[i] / 255) * (shade.high - shade.low);
    return `${words}\n${Number(value.toPrecision(3))} ${shade.unit}`;
  }

  /** What the decoder of the map that a pane shows draws at a place of its square: {pixels, words}, or null. */
  decodeAt(pane, place) {
    const { spec, lift: flat } = this.panes[this.shown[pane.number]];
    const sheet = this.sheets[`codes:${spec.run}`];
    if (!sheet?.program || this.moving) return null;
    const d = sheet.program.latentDim, [cx, cy, half] = spec.frame;
    if (flat) {
      const [origin, u, v] = [0, 1, 2].map((k) => flat.subarray(k * d, (k + 1) * d));
      const z = lift({ origin, u, v }, [cx + half * place[0], cy + half * place[1]], origin);
      return { pixels: sheet.program.decode(z), words: this.spec.texts.exact };
    }
    const z = between(pane.index.few(...place, NEAREST), sheet.codes, d);
    if (!z) return null;
    const count = Math.min(NEAREST, this.labels.length);
    return { pixels: sheet.program.decode(z), words: fill(this.spec.texts.nearest, { count }) };
  }

  // -- the brush

  hoverOn(i) {
    if (i === this.hover) return;
    this.hover = i;
    this.frame();
  }

  /** A click or Enter on a point, -1: on nothing. `add`: into the selection, or out of it again. */
  choose(i, add) {
    if (i < 0) return add || this.clear();
    if (add) {
      this.selected[i] ^= 1;
      this.brushed();
      this.tell();
    } else {
      this.point = i;
      this.frame();
      this.outbox.post({ point: i });
    }
    this.say(this.wordsOf(i));
  }

  beginLasso(add) {
    this.before = this.selected;
    this.adding = add;
    this.inside = new Uint8Array(this.labels.length);
  }

  growLasso(pane, path) {
    if (path.length < 3) return this.frame();
    const changed = growLasso(pane.points, this.inside, path[0], path[path.length - 2], path[path.length - 1]);
    if (!changed) return this.frame();
    this.selected = this.adding ? this.inside.map((v, i) => v | this.before[i]) : this.inside;
    this.brushed(true);
  }

  endLasso() {
    this.selected = this.selected.slice();
    this.brushed();
    this.tell();
  }

  dropLasso() {
    this.selected = this.before ?? this.selected;
    this.brushed();
  }

  byClass(c, add) {
    this.selected = withClass(this.selected, this.labels, c, add);
    this.brushed();
    this.tell();
  }

  clear() {
    if (!this.any && this.point < 0) return;
    this.selected = new Uint8Array(this.labels.length);
    this.point = -1;
    this.brushed();
    this.outbox.post({ selected: [], point: -1 });
  }

  tell() {
    const chosen = indicesOf(this.selected);
    this.outbox.post({ selected: chosen });
    this.say(this.count.textContent);
  }

  /** The selection has changed; `hand`: and will again. */
  brushed(hand = false) {
    this.counts = countByClass(this.selected, this.labels, this.spec.classes.length);
    const total = this.counts.reduce((a, b) => a + b, 0);
    this.any = total > 0;
    this.none.disabled = !this.any && this.point < 0;
    const { texts, classes } = this.spec;
    const parts = this.counts.flatMap((n, c) => (n ? [`${classes[c]} × ${n}`] : []));
    if (parts.length > COUNTED) parts.push(fill(texts.more, { count: parts.splice(COUNTED).length }));
    this.count.textContent = this.any ? `${fill(texts.selected, { count: total.toLocaleString("en") })} ${parts.join(" · ")}` : texts.hint;
    const whole = (c) => this.totals[c] > 0 && this.counts[c] === this.totals[c];
    this.buttons.forEach((b, c) => b.setAttribute("aria-pressed", whole(c)));
    if (!hand) this.list();
    for (const pane of this.panes) this.touch(pane, hand);
  }

  /** The selection as a table, for those who hear the page. */
  list() {
    const { texts, classes } = this.spec;
    const chosen = indicesOf(this.selected), more = chosen.length > LISTED ? fill(texts.listed, { count: LISTED }) : "";
    const rows = chosen.slice(0, LISTED).map((i) => [i, classes[this.labels[i]]]);
    this.table.replaceChildren(...tableOf(`${this.count.textContent} ${more}`, texts.columns, rows));
    this.table.hidden = !this.any;
  }

  ask(what, number) {
    this.outbox.post({ [what]: number });
  }

  say(text) {
    this.aloud.textContent = text;
  }

  // -- words and tools

  words() {
    const { texts, shade, classes } = this.spec;
    this.lassoTool.textContent = texts.lasso;
    this.moveTool.textContent = texts.move;
    this.none.textContent = texts.clear;
    this.png.textContent = texts.png;
    this.png.title = texts.png_help;
    this.moveTool.title = texts.move_help;
    this.lassoTool.title = texts.lasso_help;
    this.take(this.tool);
    this.classes.setAttribute("aria-label", texts.classes);
    this.offer(classes.length > MANY ? this.finder() : null);
    this.scale.hidden = !shade;
    if (shade) {
      const bar = element("i", { class: "ramp" }), number = (v) => Number(v.toPrecision(3));
      bar.style.background = `linear-gradient(to right, ${shade.ramp.join(", ")})`;
      this.scale.replaceChildren(shade.title, element("span", {}, `${number(shade.low)}`, bar, `${number(shade.high)} ${shade.unit}`));
    }
    this.panes.forEach((pane, i) => {
      const other = this.shown[i] !== i && this.spec.panes[this.shown[i]];
      pane.title.textContent = other ? fill(texts.shows, { number: this.shown[i] + 1, title: other.title }) : pane.spec.title;
      pane.sub.textContent = other ? other.sub : pane.spec.sub;
      pane.morph.setAttribute("aria-pressed", Boolean(other));
    });
  }

  /** A button for each class, or what finds one among many. */
  offer(finder) {
    const { texts, shade, classes } = this.spec;
    this.buttons = finder ? [] : classes.map((name, c) => {
      const dot = element("i", { class: "dot" });
      dot.style.background = shade ? "currentColor" : this.colours[c];
      const press = (event) => this.byClass(c, event.shiftKey);
      return element("button", { type: "button", title: texts.class_help, disabled: !this.totals[c], onclick: press }, dot, name);
    });
    if (!finder || finder !== this.classes.firstChild) this.classes.replaceChildren(...(finder ? [finder] : this.buttons));
  }

  /** A field with the names of the classes that have points here; the same one while these stay, since a hand types. */
  finder() {
    const { texts, classes, key } = this.spec, names = classes.filter((_, c) => this.totals[c]), known = JSON.stringify(names);
    if (known === this.found?.known) return this.found.node;
    const list = element("datalist", { id: `${key}-classes` }, ...names.map((value) => element("option", { value })));
    const field = element("input", { type: "search", placeholder: texts.find, title: texts.find_help, "aria-label": texts.find });
    field.setAttribute("list", list.id);
    field.onchange = () => {
      const name = field.value.trim(), at = findName(names, name);
      if (name && at < 0) this.say((this.count.textContent = fill(texts.no_class, { name })));
      if (at < 0) return;
      field.value = "";
      this.byClass(classes.indexOf(names[at]), true);
    };
    this.found = { known, node: element("div", { class: "finder" }, field, list) };
    return this.found.node;
  }

  take(tool) {
    this.tool = tool;
    inHand.set(this.spec.key, tool);
    this.lassoTool.setAttribute("aria-pressed", tool === "lasso");
    this.moveTool.setAttribute("aria-pressed", tool === "move");
    this.field.dataset.tool = tool;
  }
}

function equal(a, b) {
  return a === b || (a.length === b.length && a.every((v, i) => v === b[i] || (v !== v && b[i] !== b[i])));
}

export function mount(ctx) {
  return new Atlas(ctx);
}
