// A plane of codes, shaded by the decoder's magnification, and two paths ("ways") from a to b: straight, and shortest in
// image space. The metric is given on a lattice; the shortest path is searched on it and then refined.
import {
  classColours, classDiscs, fitToBox, onArrows, onDrag, paint, PIXELS, placeIn, strokeOnPaper, themeColours,
} from "../../live/canvas.js";
import { button, div, element, fill, imageCanvases } from "../../live/dom.js";
import { clamp } from "../../live/maths.js";
import { Stage } from "../../live/page.js";

const NUM_IMAGES = 9; // images along a path
const NUM_POINTS = 33; // points of a path

// ---- pure parts: places are x, y in units of the lattice, 0..side-1; the metric G11, G12, G22 at each of its points -----

/** G at a position, interpolated between four lattice points. */
export function metricAt(metric, side, x, y, out) {
  const cx = clamp(x, 0, side - 1.001), cy = clamp(y, 0, side - 1.001);
  const i = Math.floor(cx), j = Math.floor(cy), u = cx - i, v = cy - j;
  for (let c = 0; c < 3; c++) {
    const at = (a, b) => metric[3 * (b * side + a) + c];
    out[c] = (1 - v) * ((1 - u) * at(i, j) + u * at(i + 1, j)) + v * ((1 - u) * at(i, j + 1) + u * at(i + 1, j + 1));
  }
  return out;
}

const buffer = new Float64Array(3);

/** sqrt(dz^T G dz) of a short step. */
export function stepLength(metric, side, ax, ay, bx, by) {
  const [p, q, r] = metricAt(metric, side, (ax + bx) / 2, (ay + by) / 2, buffer);
  const dx = bx - ax, dy = by - ay;
  return Math.sqrt(Math.max(p * dx * dx + 2 * q * dx * dy + r * dy * dy, 0));
}

/** Length of a path (x, y, x, y, ...). */
export function wayLength(metric, side, way) {
  let sum = 0;
  for (let i = 2; i < way.length; i += 2) sum += stepLength(metric, side, way[i - 2], way[i - 1], way[i], way[i + 1]);
  return sum;
}

/**
 * `count` points from a to b.
 * @param {number[]} a
 * @param {number[]} b
 */
export function straight([ax, ay], [bx, by], count = NUM_POINTS) {
  const out = new Float64Array(2 * count);
  for (let i = 0; i < count; i++) {
    out[2 * i] = ax + ((bx - ax) * i) / (count - 1);
    out[2 * i + 1] = ay + ((by - ay) * i) / (count - 1);
  }
  return out;
}

/** The path resampled to `count` points with steps of equal length in image space. */
export function evenly(metric, side, way, count = NUM_POINTS) {
  const sums = [0];
  for (let i = 2; i < way.length; i += 2)
    sums.push(sums.at(-1) + stepLength(metric, side, way[i - 2], way[i - 1], way[i], way[i + 1]) + 1e-12);
  const out = new Float64Array(2 * count), total = sums.at(-1);
  for (let n = 0, s = 1; n < count; n++) {
    const wanted = (total * n) / (count - 1);
    while (s < sums.length - 1 && sums[s] < wanted) s++;
    const t = clamp((wanted - sums[s - 1]) / (sums[s] - sums[s - 1]));
    for (const c of [0, 1]) out[2 * n + c] = way[2 * s - 2 + c] + t * (way[2 * s + c] - way[2 * s - 2 + c]);
  }
  return out;
}

const MOVES = [];
for (let dx = -3; dx <= 3; dx++)
  for (let dy = -3; dy <= 3; dy++) {
    let a = Math.abs(dx), b = Math.abs(dy);
    while (b) [a, b] = [b, a % b];
    if (a === 1) MOVES.push([dx, dy]); // directions without a common divisor: 32 of them
  }

/** The shortest path over lattice points (Dijkstra 1959), from the point nearest to a to the one nearest to b. */
export function overLattice(metric, side, a, b) {
  const near = ([x, y]) => Math.round(y) * side + Math.round(x);
  const from = near(a), to = near(b), count = side * side;
  const far = new Float64Array(count).fill(Infinity), before = new Int32Array(count).fill(-1), heap = [[0, from]];
  far[from] = 0;
  while (heap.length) {
    const [d, u] = pop(heap);
    if (u === to) break;
    if (d > far[u]) continue;
    const x = u % side, y = (u - x) / side;
    for (const [dx, dy] of MOVES) {
      const nx = x + dx, ny = y + dy;
      if (nx < 0 || ny < 0 || nx >= side || ny >= side) continue;
      const v = ny * side + nx, sum = d + stepLength(metric, side, x, y, nx, ny);
      if (sum < far[v]) {
        far[v] = sum;
        before[v] = u;
        push(heap, [sum, v]);
      }
    }
  }
  const way = [];
  for (let u = to; u !== -1; u = before[u]) way.unshift(u % side, Math.floor(u / side));
  return way;
}

function push(heap, item) {
  let i = heap.push(item) - 1;
  while (i && heap[(i - 1) >> 1][0] > item[0]) {
    heap[i] = heap[(i - 1) >> 1];
    i = (i - 1) >> 1;
  }
  heap[i] = item;
}

function pop(heap) {
  const top = heap[0], last = heap.pop();
  if (!heap.length) return top;
  for (let i = 0; ; ) {
    let child = 2 * i + 1;
    if (child >= heap.length) {
      heap[i] = last;
      return top;
    }
    if (child + 1 < heap.length && heap[child + 1][0] < heap[child][0]) child++;
    if (heap[child][0] >= last[0]) {
      heap[i] = last;
      return top;
    }
    heap[i] = heap[child];
    i = child;
  }
}

/** Minimise the energy, the sum of squared steps, by coordinate moves of decreasing size of the inner points. */
export function tightened(metric, side, way, sweeps = 60) {
  const out = Float64Array.from(way);
  const energy = (i, x, y) => {
    const before = stepLength(metric, side, out[i - 2], out[i - 1], x, y);
    return before ** 2 + stepLength(metric, side, x, y, out[i + 2], out[i + 3]) ** 2;
  };
  for (let s = 0; s < sweeps; s++) {
    const h = 0.6 * 0.94 ** s;
    for (let i = 2; i < out.length - 2; i += 2) {
      let best = energy(i, out[i], out[i + 1]);
      for (const [dx, dy] of [[h, 0], [-h, 0], [0, h], [0, -h]]) {
        const x = clamp(out[i] + dx, 0, side - 1), y = clamp(out[i + 1] + dy, 0, side - 1);
        const e = energy(i, x, y);
        if (e < best) {
          best = e;
          out[i] = x;
          out[i + 1] = y;
        }
      }
    }
  }
  return out;
}

/**
 * An approximate geodesic from a to b: over the lattice, then refined; never longer than the straight path.
 * @param {ArrayLike<number>} metric
 * @param {number} side
 * @param {number[]} a
 * @param {number[]} b
 */
export function geodesic(metric, side, a, b) {
  const lattice = overLattice(metric, side, a, b);
  const begun = evenly(metric, side, [...a, ...lattice.slice(2, -2), ...b]);
  const line = straight(a, b);
  const ways = [begun, evenly(metric, side, line)].map((way) => tightened(metric, side, way));
  return [...ways, line].reduce((x, y) => (wayLength(metric, side, y) < wayLength(metric, side, x) - 1e-9 ? y : x));
}

// ---- the view -------------------------------------------------------------------------------------------------------

const WAYS = ["straight", "geodesic"];

class ContractionGeodesic extends Stage {
  create({ root }) {
    this.map = element("canvas", { class: "map" });
    this.handles = [0, 1].map((i) => this.handleOf(i));
    this.strips = WAYS.map((name) => {
      const canvases = imageCanvases(NUM_IMAGES), label = div("name");
      const strip = element("div", { class: "strip", role: "img" }, ...canvases);
      return { canvases, label, strip, box: div(`way-${name}`, label, strip) };
    });
    this.verdict = element("div", { class: "verdict", role: "status" });
    const frame = div("frame", this.map, ...this.handles);
    this.names = { across: div("across"), up: div("up") };
    this.legend = div("legend");
    root.append(
      div("plane", this.names.up, frame, this.names.across, this.legend),
      div("side", ...this.strips.map((s) => s.box), this.verdict),
    );
    this.onResize();
  }

  /** The handle of an end, moved by hand or by arrows. */
  handleOf(i) {
    const node = button("AB"[i], null, { class: "handle" });
    const ends = () => {
      const [ax, ay, bx, by] = this.ends.flat().map((v) => Math.round(1000 * v));
      return { ax, ay, bx, by };
    };
    const move = (event) => {
      if (event.type === "pointerdown") return; // no jump to the pointer
      const { x, y } = placeIn(this.map, event);
      this.moveEnd(i, x, 1 - y);
    };
    onDrag(node, "", { move, done: () => this.outbox.post(ends()) });
    onArrows(node, (right, up) => {
      this.moveEnd(i, this.ends[i][0] + 0.02 * right, this.ends[i][1] + 0.02 * up);
      this.outbox.postLater(ends);
    });
    return node;
  }

  moveEnd(i, x, y) {
    this.ends[i] = [x, y].map((v) => clamp(v, 0.01, 0.99));
    this.show();
  }

  build({ spec: { ends } }) {
    this.ends = [[ends[0], ends[1]], [ends[2], ends[3]]].map((end) => end.map((v) => v / 1000));
  }

  refresh({ spec: { texts } }) {
    for (const name of ["across", "up"]) this.names[name].textContent = texts[name];
    const classes = classColours(this.root).slice(0, 10).map((colour, c) => {
      return element("span", {}, element("b", { style: `background: ${colour}` }), `${c}`);
    });
    this.legend.replaceChildren(
      div("entries", texts.classes, ...classes), div("entries", `${texts.shade}: ${texts.little}`, element("i"), texts.much),
    );
    this.shade = this.shaded();
    this.handles.forEach((node, i) => node.setAttribute("aria-label", fill(texts.handle, { name: "AB"[i] })));
    this.strips.forEach(({ strip }, n) => strip.setAttribute("aria-label", n ? texts.alongGeodesic : texts.alongStraight));
  }

  /** Paint the magnification as an image of side x side, darker where it is larger. */
  shaded() {
    const { side } = this.spec, { shade } = this.arrays;
    const canvas = element("canvas", { width: side, height: side }), g = canvas.getContext("2d");
    const image = new ImageData(side, side);
    const colour = colourBytes(g, themeColours(this.root).accent);
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++) {
        const opacity = 235 * shade[(side - 1 - y) * side + x];
        image.data.set([...colour, opacity], 4 * (y * side + x));
      }
    g.putImageData(image, 0, 0);
    return canvas;
  }

  draw({ spec, arrays, strips }) {
    const box = fitToBox(this.map, this.map.clientWidth);
    if (!box) return;
    const { side, texts } = spec, { metric } = arrays;
    const [a, b] = this.ends.map(([x, y]) => [x * (side - 1), y * (side - 1)]);
    const ways = [straight(a, b), geodesic(metric, side, a, b)];
    this.drawMap(box, ways);
    const lengths = ways.map((way) => wayLength(metric, side, way) / spec.unit);
    strips.forEach(({ canvases, label }, n) => {
      this.drawAlong(canvases, evenly(metric, side, ways[n], NUM_IMAGES));
      label.textContent = fill(texts[WAYS[n]], { length: lengths[n].toFixed(1) });
    });
    this.verdict.textContent = fill(texts.verdict, { percent: (100 * (1 - lengths[1] / lengths[0])).toFixed(0) });
  }

  drawMap({ g, width }, ways) {
    const { points, classes } = this.arrays, { side } = this.spec;
    g.drawImage(this.shade, 0, 0, width, width);
    const px = (u, v) => [u * width, (1 - v) * width];
    g.globalAlpha = 0.95;
    classDiscs(g, points, classes, classColours(this.root), px, 1.8);
    g.globalAlpha = 1;
    const { ink, paper } = themeColours(this.root);
    ways.forEach((way, n) => {
      g.setLineDash(n ? [] : [7, 5]);
      g.beginPath();
      for (let i = 0; i < way.length; i += 2) g.lineTo(...px(way[i] / (side - 1), way[i + 1] / (side - 1)));
      strokeOnPaper(g, ink, paper, 2.2, 1.4);
    });
    this.handles.forEach((node, i) => {
      const [x, y] = px(...this.ends[i]);
      node.style.transform = `translate(${x}px, ${y}px) translate(-50%, -50%)`;
    });
  }

  /** Paint decoded images along a path. */
  drawAlong(canvases, way) {
    const { box: [x0, x1, y0, y1], side } = this.spec;
    canvases.forEach((canvas, i) => {
      const u = way[2 * i] / (side - 1), v = way[2 * i + 1] / (side - 1);
      paint(canvas, this.programs[0].decode(Float32Array.of(x0 + u * (x1 - x0), y0 + v * (y1 - y0))).subarray(0, PIXELS));
    });
  }
}

/** A CSS colour as [red, green, blue]; paints over the first pixel of the context. */
function colourBytes(g, colour) {
  g.fillStyle = colour;
  g.fillRect(0, 0, 1, 1);
  return g.getImageData(0, 0, 1, 1).data.slice(0, 3);
}

export const mount = (ctx) => new ContractionGeodesic(ctx, "contraction_geodesic");
