// A picture as a map of numbers: choose a cell, choose what stands in it, see what the decoder makes of the map.
import { PIXELS, SIDE, channel, onFrame, outbox, paint } from "../../live/core.js";
import { el, fill } from "../../live/dom.js";

/** The nearest of `vectors` (K, D) in each cell of z (D, cells): Int32Array (cells). */
export function indicesOf(z, vectors, cells) {
  const size = z.length / cells;
  const count = vectors.length / size;
  return Int32Array.from({ length: cells }, (_, cell) => {
    let best = 0;
    let least = Infinity;
    for (let k = 0; k < count; k++) {
      let far = 0;
      for (let j = 0; j < size; j++) far += (z[j * cells + cell] - vectors[k * size + j]) ** 2;
      if (far < least) {
        least = far;
        best = k;
      }
    }
    return best;
  });
}

/** The map of vectors z (D, cells) of these numbers (cells), into `out`. */
export function lookUp(indices, vectors, out) {
  const cells = indices.length;
  const size = out.length / cells;
  for (let cell = 0; cell < cells; cell++)
    for (let j = 0; j < size; j++) out[j * cells + cell] = vectors[indices[cell] * size + j];
  return out;
}

/** Numbers with changes [[cell, number], ...], and the changes that lead from one map to another. */
export function withEdits(indices, edits) {
  const out = Int32Array.from(indices);
  for (const [cell, number] of edits) out[cell] = number;
  return out;
}

export function editsBetween(from, to) {
  return [...to].flatMap((number, cell) => (number === from[cell] ? [] : [[cell, number]]));
}

/** Where a key leads from cell `at` of `count` cells in `columns`; null: it is no key of a grid. */
export function moved(key, at, columns, count) {
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -at, End: count - 1 - at }[key];
  if (by === undefined) return null;
  const to = at + by;
  return to >= 0 && to < count ? to : at;
}

/** A map seen as tiles: the middle of what each number is used for, (K, patch, patch), into a picture (784). */
export function mosaic(indices, atlas, patch, out) {
  const side = Math.sqrt(indices.length);
  const cell = SIDE / side;
  const margin = (patch - cell) / 2;
  for (let p = 0; p < PIXELS; p++) {
    const y = Math.floor(p / SIDE), x = p % SIDE;
    const number = indices[Math.floor(y / cell) * side + Math.floor(x / cell)];
    out[p] = atlas[(number * patch + margin + (y % cell)) * patch + margin + (x % cell)] / 255;
  }
  return out;
}

/** Buttons in a grid of which one can be reached by Tab; arrows move on. `over(i)`: pointed at, null: left. */
function grid(buttons, columns, { chosen, over }) {
  const reach = (i) => buttons.forEach((button, j) => (button.tabIndex = j === i ? 0 : -1));
  buttons.forEach((button, i) => {
    button.onclick = () => chosen(i);
    button.onpointerenter = () => over(i);
    button.onfocus = () => over(i);
    button.onblur = () => over(null);
    button.onkeydown = (event) => {
      const to = moved(event.key, i, columns(), buttons.length);
      if (to === null) return;
      event.preventDefault();
      reach(to);
      buttons[to].focus();
    };
  });
  reach(0);
  return { reach };
}

function small(atlas, patch, number) {
  const canvas = el("canvas", { width: patch, height: patch });
  const g = canvas.getContext("2d");
  const image = g.createImageData(patch, patch);
  for (let i = 0; i < patch * patch; i++) {
    image.data.fill(atlas[number * patch * patch + i], 4 * i, 4 * i + 3);
    image.data[4 * i + 3] = 255;
  }
  g.putImageData(image, 0, 0);
  return canvas;
}

class View {
  constructor({ root, send }) {
    this.root = root;
    this.box = root.appendChild(el("div", { class: "codemap" }));
    this.out = outbox(send);
    this.render = onFrame(() => this.draw());
    this.tiles = new Float32Array(PIXELS);
    this.cell = null;
    this.tried = null; // a number that is only pointed at
  }

  update(spec, arrays, [program]) {
    const other = this.spec?.model !== spec.model;
    const fresh = other || this.spec.key !== spec.key;
    Object.assign(this, { spec, arrays, program });
    if (other) this.build();
    if (this.following !== spec.picture) {
      this.off?.();
      this.following = spec.picture;
      this.off = channel(`picture:${spec.picture}`).on((value) => this.follow(value));
    }
    if (fresh) {
      this.base = Int32Array.from(arrays.indices);
      this.map = withEdits(this.base, spec.edits);
      this.clean = arrays.clean;
    }
    this.render();
  }

  /** Somebody draws: the map follows the pen, edits are gone. */
  follow(value) {
    if (value?.pixels?.length !== PIXELS) return;
    this.clean = value.pixels;
    this.base = indicesOf(this.program.encode(value.pixels).mu, this.arrays.vectors, this.base.length);
    this.map = Int32Array.from(this.base);
    this.render();
  }

  build() {
    const { spec, arrays } = this;
    const { texts } = spec;
    const cells = arrays.indices.length;
    this.side = Math.sqrt(cells);
    this.patch = arrays.atlas.shape[1];
    this.z = new Float32Array(arrays.vectors.shape[1] * cells);
    this.cell = Math.floor(cells / 2);
    const canvas = () => el("canvas", { class: "digit", width: SIDE, height: SIDE });
    this.canvases = { clean: canvas(), tiles: canvas(), painted: canvas() };
    this.cells = Array.from({ length: cells }, () => el("button", { type: "button", role: "gridcell" }));
    this.reach = el("div", { class: "reach" });
    const shown = (name, ...inside) =>
      el("figure", {}, el("div", { class: "frame" }, this.canvases[name], ...inside), el("figcaption", { textContent: texts[name] }));
    const rows = Array.from({ length: this.side }, (_, i) =>
      el("div", { class: "row", role: "row" }, ...this.cells.slice(i * this.side, (i + 1) * this.side)),
    );
    const map = el("div", { class: "cells", role: "grid", "aria-label": texts.map }, ...rows);
    map.style.setProperty("--side", this.side);
    map.onpointerleave = () => this.point(null);
    this.onMap = grid(this.cells, () => this.side, { chosen: (i) => this.choose(i), over: () => {} });
    this.said = el("p", { class: "said", role: "status" });
    this.undo = el("button", { type: "button", class: "plain", textContent: texts.undo, onclick: () => this.reset() });
    this.codes = Array.from(arrays.order, (number) =>
      el("button", { type: "button", role: "option", "aria-label": fill(texts.number, { number }) }, small(arrays.atlas, this.patch, number)),
    );
    const atlas = el("div", { class: "codes", role: "listbox", "aria-label": texts.atlas }, ...this.codes);
    atlas.onpointerleave = () => this.point(null);
    const columns = () => getComputedStyle(atlas).gridTemplateColumns.split(" ").length;
    this.onCodes = grid(this.codes, columns, { chosen: (i) => this.put(arrays.order[i]), over: (i) => this.point(i) });
    this.box.replaceChildren(
      el("div", { class: "pictures" }, shown("clean"), shown("tiles", map), shown("painted", this.reach)),
      el("div", { class: "line" }, this.said, this.undo),
      el("div", { class: "name", textContent: texts.atlas }),
      atlas,
    );
  }

  choose(cell) {
    this.cell = cell;
    this.onMap.reach(cell);
    this.onCodes.reach(this.arrays.order.indexOf(this.map[cell]));
    this.render();
  }

  point(place) {
    this.tried = place === null ? null : this.arrays.order[place];
    this.render();
  }

  put(number) {
    this.map[this.cell] = number;
    this.tell();
  }

  reset() {
    this.map = Int32Array.from(this.base);
    this.tell();
  }

  tell() {
    this.out.post({ edits: editsBetween(this.base, this.map) });
    this.render();
  }

  draw() {
    const { arrays, spec, cell } = this;
    const now = this.tried === null ? this.map : withEdits(this.map, [[cell, this.tried]]);
    paint(this.canvases.clean, this.clean);
    paint(this.canvases.tiles, mosaic(now, arrays.atlas, this.patch, this.tiles));
    paint(this.canvases.painted, this.program.decode(lookUp(now, arrays.vectors, this.z)));
    const place = (i) => ({ row: Math.floor(i / this.side) + 1, column: (i % this.side) + 1, number: now[i] });
    this.cells.forEach((button, i) => {
      button.classList.toggle("chosen", i === cell);
      button.setAttribute("aria-selected", i === cell);
      button.classList.toggle("changed", now[i] !== this.base[i]);
      button.setAttribute("aria-label", fill(spec.texts.cell, place(i)));
    });
    this.codes.forEach((button, i) => {
      button.classList.toggle("chosen", arrays.order[i] === now[cell]);
      button.setAttribute("aria-selected", arrays.order[i] === now[cell]);
    });
    Object.assign(this.reach.style, {
      left: `${(100 * (cell % this.side)) / this.side}%`,
      top: `${(100 * Math.floor(cell / this.side)) / this.side}%`,
      width: `${100 / this.side}%`,
      height: `${100 / this.side}%`,
    });
    const share = (100 * arrays.share[now[cell]]).toFixed(1);
    this.said.textContent = fill(spec.texts.said, { ...place(cell), share });
    this.undo.disabled = !editsBetween(this.base, this.map).length;
  }

  destroy() {
    this.off?.();
    this.render.cancel();
    this.out.close();
    this.box.remove();
  }
}

export const mount = (ctx) => new View(ctx);
