// Two to four maps side by side: the same points in the same colours. Points that are hovered or selected in one pane are
// marked in all. Images and codes are received once, by channels (broadcast.js); maps change while they are computed. The
// selection is sent to Python after the release.

import { classColours, imageAt, themeColours } from "../live/canvas.js";
import { button, div, element, fill } from "../live/dom.js";
import { channel, prefersReducedMotion, Stage } from "../live/page.js";
import { lift } from "../sliders/planes.js";
import { download, tableOf } from "./export.js";
import { Guest } from "./guest.js";
import { Legend } from "./legend.js";
import { Pane } from "./pane.js";
import {
  between, countByClass, ease, growLasso, indicesOf, parseColour, pixelOf, ramp, WHOLE, withClass,
} from "./points.js";

const MORPH_MS = 900;
const MAX_POINTS_MOVING = 24_000; // points per frame during a movement
const REPAINT_MS = 100; // delay after a movement until all points are painted
const MAX_TABLE_ROWS = 200; // rows of the table of selected points
const VIEW_PAUSE_MS = 500; // delay after a movement until the views are sent to Python
const MAX_COUNTED = 20; // classes that are listed beside the number of selected points

const inHand = new Map(); // key of an atlas -> active tool, until the browser page is closed

class Atlas extends Stage {
  constructor({ root, send }, name) {
    super({ root, send: (payload) => send({ ...payload, views: this.views() }) }, name, VIEW_PAUSE_MS);
  }

  create({ root }) {
    this.sheets = {}; // channel -> its value
    this.guest = new Guest(this.sheets, () => this.outbox.post({ rests: true }));
    Object.assign(this, { panes: [], shown: [], counts: [], sheetOffs: [] });
    Object.assign(this, { labels: new Uint8Array(0), selected: new Uint8Array(0), any: false, hover: -1, point: -1 });
    this.moving = 0; // request of the next frame while points move
    this.dirty = new Set();
    this.lassoTool = button("", () => this.take("lasso"));
    this.moveTool = button("", () => this.take("move"));
    this.none = button("", () => this.clear());
    this.png = button("", () => download(this.panes, this));
    this.legend = new Legend((c, add) => this.byClass(c, add), (text) => this.say((this.count.textContent = text)));
    this.field = div("field");
    this.count = element("p", { class: "count" });
    this.table = element("table");
    this.aloud = element("div", { class: "aloud", "aria-live": "polite" });
    this.links = ["selected", "point"].map((name) => button("", () => showAnchor(this.spec.anchors[name])));
    const tools = div("tools", this.lassoTool, this.moveTool, this.none, this.png);
    const foot = div("foot", this.legend.classes, this.legend.scale, tools);
    root.append(this.field, foot, this.count, div("tools", ...this.links), div("aloud", this.table), this.aloud);
    this.onResize(() => this.layout());
  }

  refresh({ spec, arrays }) {
    const before = this.known;
    this.known = spec;
    this.labels = arrays.labels;
    this.tool = inHand.get(spec.key) ?? "lasso";
    this.readColours();
    this.totals = countByClass(new Uint8Array(this.labels.length).fill(1), this.labels, spec.classes.length);
    this.codes = spec.shade ? arrays.shade : arrays.labels;
    this.field.toggleAttribute("data-board", spec.board);
    const isSettled = this.outbox.isSettled(spec.n);
    if (isSettled || this.selected.length !== this.labels.length) {
      this.selected = new Uint8Array(this.labels.length);
      for (const i of arrays.selected) this.selected[i] = 1;
      this.point = spec.point;
    }
    if (this.hover >= this.labels.length) this.hover = -1;
    this.listen();
    this.hang(spec, arrays, before);
    this.guest.update(arrays.own, spec.drawn);
    if (isSettled) this.panes.forEach((pane, i) => pane.setView(spec.views[i]));
    this.write();
    this.selectionChanged();
    this.layout();
  }

  /** The user draws. */
  drawn() {
    this.guest.move(this.drawing);
  }

  stop() {
    this.guest.stop();
    for (const off of this.sheetOffs) off();
    clearTimeout(this.resting);
    cancelAnimationFrame(this.moving);
  }

  /** Colours of the theme, as it is now, and of the points. */
  readColours() {
    const { classes, shade } = this.spec, colours = classColours(this.root);
    this.theme = themeColours(this.root);
    this.paperPixel = pixelOf(parseColour(this.theme.paper));
    this.opacity = 0.95; // lower values would have too little contrast
    this.colours = classes.map((_, c) => colours[c % colours.length]);
    this.palette = shade ? ramp(shade.ramp) : Uint32Array.from(this.colours, (c) => pixelOf(parseColour(c)));
  }

  /** Images, and codes and program of each model, arrive after the maps (broadcast.js). */
  listen() {
    for (const off of this.sheetOffs) off();
    const runs = this.spec.panes.map((p) => p.run).filter(Boolean);
    this.sheetOffs = [this.spec.images, ...runs.map((run) => `codes:${run}`)].map((name) => {
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

  // -- animation

  /** Animate a pane to the next map; after the last map back to its own. */
  morph(number) {
    const from = this.panes.map((pane) => pane.points), to = from.slice();
    for (let k = 1; k <= this.panes.length; k++) {
      const next = (this.shown[number] + k) % this.panes.length, points = this.mapOf(next);
      if (!points.length) continue;
      this.shown[number] = next;
      to[number] = points;
      break;
    }
    this.write();
    this.animate(from, to);
  }

  animate(from, to) {
    cancelAnimationFrame(this.moving);
    if (prefersReducedMotion()) return this.jump(to);
    const began = performance.now();
    const step = (now) => {
      const t = ease((now - began) / MORPH_MS);
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
    this.show();
  }

  /** Repaint a pane in the next frame. hand: during a movement, with fewer points. */
  touch(pane, hand = false) {
    this.dirty.add(pane);
    this.hand ||= hand;
    this.show();
  }

  draw() {
    const points = this.dirty.size * this.labels.length;
    const step = this.hand || this.moving ? Math.max(Math.ceil(points / MAX_POINTS_MOVING), 1) : 1;
    for (const pane of this.dirty) pane.paintBase(step);
    if (step > 1) this.later([...this.dirty]);
    this.dirty.clear();
    this.hand = false;
    for (const pane of this.panes) pane.paintOver();
  }

  /** Paint all points after a movement. */
  later(panes) {
    clearTimeout(this.resting);
    this.thin = new Set([...(this.thin ?? []), ...panes]);
    this.resting = setTimeout(() => {
      for (const pane of this.thin) this.touch(pane);
      this.thin = null;
    }, REPAINT_MS);
  }

  settle() {
    if (this.thin) this.later([]);
  }

  /** The view of a pane has changed; it is sent to Python after a pause. */
  viewChanged() {
    this.outbox.postLater(() => ({}));
  }

  /** Middle and zoom of each pane. */
  views() {
    return this.panes.map(({ view: { x, y, k } }) => [x, y, k]);
  }

  // -- texts about points

  imageOf(i) {
    const images = this.sheets[this.spec.images]?.images;
    return images ? Float32Array.from(imageAt(images, i), (v) => v / 255) : null;
  }

  wordsOf(i) {
    const { texts, classes, shade } = this.spec;
    const words = fill(texts.point, { class: classes[this.labels[i]], number: i });
    if (!shade) return words;
    const value = shade.low + (this.codes[i] / 255) * (shade.high - shade.low);
    return `${words}\n${Number(value.toPrecision(3))} ${shade.unit}`;
  }

  /** The decoded image at a position of a pane's map: {pixels, words}, or null. */
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
    const z = between(pane.index.few(...place, this.spec.nearest), sheet.codes, d);
    if (!z) return null;
    const count = Math.min(this.spec.nearest, this.labels.length);
    return { pixels: sheet.program.decode(z), words: fill(this.spec.texts.nearest, { count }) };
  }

  // -- the brush

  hoverOn(i) {
    if (i === this.hover) return;
    this.hover = i;
    this.show();
  }

  /** A click or Enter on a point (-1: none). add: toggle its selection. */
  choose(i, add) {
    if (i < 0) return add || this.clear();
    if (add) {
      this.selected[i] ^= 1;
      this.selectionChanged();
      this.tell();
    } else {
      this.point = i;
      this.show();
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
    if (path.length < 3) return this.show();
    const changed = growLasso(pane.points, this.inside, path[0], path[path.length - 2], path[path.length - 1]);
    if (!changed) return this.show();
    this.selected = this.adding ? this.inside.map((v, i) => v | this.before[i]) : this.inside;
    this.selectionChanged(true);
  }

  endLasso() {
    this.selected = this.selected.slice();
    this.selectionChanged();
    this.tell();
  }

  dropLasso() {
    this.selected = this.before ?? this.selected;
    this.selectionChanged();
  }

  byClass(c, add) {
    this.selected = withClass(this.selected, this.labels, c, add);
    this.selectionChanged();
    this.tell();
  }

  clear() {
    if (!this.any && this.point < 0) return;
    this.selected = new Uint8Array(this.labels.length);
    this.point = -1;
    this.selectionChanged();
    this.outbox.post({ selected: [], point: -1 });
  }

  tell() {
    const chosen = indicesOf(this.selected);
    this.outbox.post({ selected: chosen });
    this.say(this.count.textContent);
  }

  /** The selection has changed. hand: during a gesture, so it will change again. */
  selectionChanged(hand = false) {
    this.counts = countByClass(this.selected, this.labels, this.spec.classes.length);
    const total = this.counts.reduce((a, b) => a + b, 0);
    this.any = total > 0;
    this.none.disabled = !this.any && this.point < 0;
    this.links.forEach((link, i) => (link.hidden = i ? this.point < 0 && !this.guest.isKnown : !this.any));
    const { texts, classes } = this.spec;
    const parts = this.counts.flatMap((n, c) => (n ? [`${classes[c]} × ${n}`] : []));
    if (parts.length > MAX_COUNTED) parts.push(fill(texts.more, { count: parts.splice(MAX_COUNTED).length }));
    const selected = `${fill(texts.selected, { count: total.toLocaleString("en") })} ${parts.join(" · ")}`;
    this.count.textContent = this.any ? selected : texts.hint;
    const whole = (c) => this.totals[c] > 0 && this.counts[c] === this.totals[c];
    this.legend.press(whole);
    if (!hand) this.fillTable();
    for (const pane of this.panes) this.touch(pane, hand);
  }

  /** The selection as a table for screen readers. */
  fillTable() {
    const { texts, classes } = this.spec;
    const chosen = indicesOf(this.selected);
    const more = chosen.length > MAX_TABLE_ROWS ? fill(texts.listed, { count: MAX_TABLE_ROWS }) : "";
    const rows = chosen.slice(0, MAX_TABLE_ROWS).map((i) => [i, classes[this.labels[i]]]);
    this.table.replaceChildren(...tableOf(`${this.count.textContent} ${more}`, texts.columns, rows));
    this.table.hidden = !this.any;
  }

  request(what, number) {
    this.outbox.post({ [what]: number });
  }

  say(text) {
    this.aloud.textContent = text;
  }

  // -- words and tools

  write() {
    const { spec, legend, totals, colours } = this, { texts } = spec;
    this.lassoTool.textContent = texts.lasso;
    this.moveTool.textContent = texts.move;
    this.none.textContent = texts.clear;
    this.png.textContent = texts.png;
    [texts.to_selected, texts.to_point].forEach((text, i) => (this.links[i].textContent = `${text} ↓`));
    this.png.title = texts.png_help;
    this.moveTool.title = texts.move_help;
    this.lassoTool.title = texts.lasso_help;
    this.take(this.tool);
    legend.write(spec, totals, colours);
    this.panes.forEach((pane, i) => {
      const shown = this.shown[i], other = shown !== i && spec.panes[shown];
      pane.title.textContent = other ? fill(texts.shows, { number: shown + 1, title: other.title }) : pane.spec.title;
      pane.sub.textContent = other ? other.sub : pane.spec.sub;
      pane.morph.setAttribute("aria-pressed", Boolean(other));
    });
  }

  take(tool) {
    this.tool = tool;
    inHand.set(this.spec.key, tool);
    this.lassoTool.setAttribute("aria-pressed", tool === "lasso");
    this.moveTool.setAttribute("aria-pressed", tool === "move");
    this.field.dataset.tool = tool;
  }
}

/** Scroll to a heading of the page, below the maps. */
function showAnchor(id) {
  document.getElementById(id)?.scrollIntoView({ behavior: prefersReducedMotion() ? "auto" : "smooth" });
}

function equal(a, b) {
  return a === b || (a.length === b.length && a.every((v, i) => v === b[i] || (v !== v && b[i] !== b[i])));
}

export const mount = (ctx) => new Atlas(ctx, "atlas");
