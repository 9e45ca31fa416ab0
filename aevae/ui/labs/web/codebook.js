// An image as a grid of codebook indices: choose a cell and its code vector; the decoder shows the result.
import { ARROWS, paint, PIXELS, SIDE } from "../../live/canvas.js";
import { button, div, element, fill, imageCanvas } from "../../live/dom.js";
import { Stage } from "../../live/page.js";

/** Index of the nearest of `vectors` (K, D) for each cell of z (D, cells): Int32Array (cells). */
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

/** The vectors z (D, cells) of these indices (cells), into `out`. */
export function lookUp(indices, vectors, out) {
  const cells = indices.length;
  const size = out.length / cells;
  for (let cell = 0; cell < cells; cell++)
    for (let j = 0; j < size; j++) out[j * cells + cell] = vectors[indices[cell] * size + j];
  return out;
}

/** Indices after edits [[cell, index], ...]; `editsBetween` returns the edits between two grids. */
export function withEdits(indices, edits) {
  const out = Int32Array.from(indices);
  for (const [cell, number] of edits) out[cell] = number;
  return out;
}

export function editsBetween(from, to) {
  return [...to].flatMap((number, cell) => (number === from[cell] ? [] : [[cell, number]]));
}

/** The cell after an arrow key at cell `at` of `count` cells in `columns`; null for other keys. */
export function moved(key, at, columns, count) {
  const way = ARROWS[key];
  const by = way ? way[0] - columns * way[1] : { Home: -at, End: count - 1 - at }[key];
  if (by === undefined) return null;
  const to = at + by;
  return to >= 0 && to < count ? to : at;
}

/** A grid as tiles: the centre of each vector's mean patch, atlas (K, patch, patch), into an image (784). */
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

/** A grid of buttons with one Tab stop and arrow keys. over(i): called on hover, with null at the end. */
function keyboardGrid(buttons, columns, { chosen, over }) {
  const reach = (i) => buttons.forEach((node, j) => (node.tabIndex = j === i ? 0 : -1));
  buttons.forEach((node, i) => {
    node.onclick = () => chosen(i);
    node.onpointerenter = () => over(i);
    node.onfocus = () => over(i);
    node.onblur = () => over(null);
    node.onkeydown = (event) => {
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

/** Patch `number` of the atlas as a canvas. */
function patchCanvas(atlas, patch, number) {
  const canvas = element("canvas", { width: patch, height: patch }), g = canvas.getContext("2d"), size = patch * patch;
  const image = g.createImageData(patch, patch);
  for (let i = 0; i < size; i++) {
    image.data.fill(atlas[number * size + i], 4 * i, 4 * i + 3);
    image.data[4 * i + 3] = 255;
  }
  g.putImageData(image, 0, 0);
  return canvas;
}

class Codebook extends Stage {
  create() {
    this.tiles = new Float32Array(PIXELS);
    this.tried = null; // a hovered index
  }

  build({ spec, arrays }) {
    if (spec.model !== this.model) this.buildModel();
    this.model = spec.model;
    this.base = Int32Array.from(arrays.indices);
    this.map = withEdits(this.base, spec.edits);
    this.clean = arrays.clean;
  }

  /** Encode the drawing and drop the edits. */
  drawn({ drawing }) {
    if (!drawing) return;
    this.clean = drawing;
    this.base = indicesOf(this.programs[0].encode(drawing).mu, this.arrays.vectors, this.base.length);
    this.map = Int32Array.from(this.base);
  }

  /** Build cells and code vectors of another model. */
  buildModel() {
    const { root, arrays, spec: { texts } } = this, cells = arrays.indices.length;
    this.side = Math.sqrt(cells);
    this.z = new Float32Array(arrays.vectors.shape[1] * cells);
    this.cell = Math.floor(cells / 2);
    this.canvases = { clean: imageCanvas(), tiles: imageCanvas(), painted: imageCanvas() };
    this.reach = div("reach");
    const shown = (name, ...inside) => {
      const frame = div("frame", this.canvases[name], ...inside);
      return element("figure", {}, frame, element("figcaption", {}, texts[name]));
    };
    this.said = element("p", { class: "said", role: "status" });
    this.undo = button(texts.undo, () => this.reset(), { class: "plain" });
    root.replaceChildren(
      div("images", shown("clean"), shown("tiles", this.mapOf()), shown("painted", this.reach)),
      div("line", this.said, this.undo),
      div("name", texts.atlas),
      this.atlasOf(),
    );
  }

  /** A button for each cell of the map. */
  mapOf() {
    this.cells = Array.from({ length: this.side ** 2 }, () => button("", null, { role: "gridcell" }));
    const rows = Array.from({ length: this.side }, (_, i) =>
      element("div", { class: "row", role: "row" }, ...this.cells.slice(i * this.side, (i + 1) * this.side)),
    );
    const map = element("div", { class: "cells", role: "grid", "aria-label": this.spec.texts.map }, ...rows);
    map.style.setProperty("--side", this.side);
    map.onpointerleave = () => this.point(null);
    this.onMap = keyboardGrid(this.cells, () => this.side, { chosen: (i) => this.choose(i), over: () => {} });
    return map;
  }

  /** A button for each code vector. */
  atlasOf() {
    const { order, atlas: patches } = this.arrays, { texts } = this.spec, patch = patches.shape[1];
    this.codes = Array.from(order, (number) => {
      const node = button("", null, { role: "option", "aria-label": fill(texts.number, { number }) });
      node.append(patchCanvas(patches, patch, number));
      return node;
    });
    const atlas = element("div", { class: "codes", role: "listbox", "aria-label": texts.atlas }, ...this.codes);
    atlas.onpointerleave = () => this.point(null);
    const columns = () => getComputedStyle(atlas).gridTemplateColumns.split(" ").length;
    const on = { chosen: (i) => this.put(this.arrays.order[i]), over: (i) => this.point(i) };
    this.onCodes = keyboardGrid(this.codes, columns, on);
    return atlas;
  }

  choose(cell) {
    this.cell = cell;
    this.onMap.reach(cell);
    this.onCodes.reach(this.arrays.order.indexOf(this.map[cell]));
    this.show();
  }

  point(place) {
    this.tried = place === null ? null : this.arrays.order[place];
    this.show();
  }

  put(number) {
    this.map[this.cell] = number;
    this.report();
  }

  reset() {
    this.map = Int32Array.from(this.base);
    this.report();
  }

  report() {
    this.outbox.post({ edits: editsBetween(this.base, this.map) });
    this.show();
  }

  draw({ arrays, spec, cell, side }) {
    const now = this.tried === null ? this.map : withEdits(this.map, [[cell, this.tried]]);
    paint(this.canvases.clean, this.clean);
    paint(this.canvases.tiles, mosaic(now, arrays.atlas, arrays.atlas.shape[1], this.tiles));
    paint(this.canvases.painted, this.programs[0].decode(lookUp(now, arrays.vectors, this.z)));
    const place = (i) => ({ row: Math.floor(i / side) + 1, column: (i % side) + 1, number: now[i] });
    const mark = (node, isChosen) => {
      node.classList.toggle("chosen", isChosen);
      node.setAttribute("aria-selected", isChosen);
    };
    this.cells.forEach((node, i) => {
      mark(node, i === cell);
      node.classList.toggle("changed", now[i] !== this.base[i]);
      node.setAttribute("aria-label", fill(spec.texts.cell, place(i)));
    });
    this.codes.forEach((node, i) => mark(node, arrays.order[i] === now[cell]));
    const percent = (cells) => `${(100 * cells) / side}%`, size = percent(1);
    const left = percent(cell % side), top = percent(Math.floor(cell / side));
    Object.assign(this.reach.style, { left, top, width: size, height: size });
    const share = (100 * arrays.share[now[cell]]).toFixed(1);
    this.said.textContent = fill(spec.texts.said, { ...place(cell), share });
    this.undo.disabled = !editsBetween(this.base, this.map).length;
  }
}

export const mount = (ctx) => new Codebook(ctx, "codebook");
