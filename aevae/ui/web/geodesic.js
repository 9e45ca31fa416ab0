// A plane of codes, shaded by how much the decoder stretches it, and two ways from a to b: straight, and the shortest in
// pictures. The metric comes on a lattice; the shortest way is found on it and then drawn tight.
import { PIXELS, SIDE, onFrame, outbox, paint } from "./core.js";
import { classColours, el, fill } from "./dom.js";

const STOPS = 9; // pictures along a way
const POINTS = 33; // of a way

// ---- pure parts: places are x, y in units of the lattice, 0..side-1; the metric G11, G12, G22 at each of its points -----

/** G at a place between four lattice points. */
export function metricAt(metric, side, x, y, out) {
  const cx = Math.min(Math.max(x, 0), side - 1.001), cy = Math.min(Math.max(y, 0), side - 1.001);
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

/** Length of a way (x, y, x, y, ...). */
export function wayLength(metric, side, way) {
  let sum = 0;
  for (let i = 2; i < way.length; i += 2) sum += stepLength(metric, side, way[i - 2], way[i - 1], way[i], way[i + 1]);
  return sum;
}

/** `count` points from a to b. */
export function straight([ax, ay], [bx, by], count = POINTS) {
  const out = new Float64Array(2 * count);
  for (let i = 0; i < count; i++) {
    out[2 * i] = ax + ((bx - ax) * i) / (count - 1);
    out[2 * i + 1] = ay + ((by - ay) * i) / (count - 1);
  }
  return out;
}

/** The same way in `count` points whose steps are equally long in pictures. */
export function evenly(metric, side, way, count = POINTS) {
  const sums = [0];
  for (let i = 2; i < way.length; i += 2)
    sums.push(sums.at(-1) + stepLength(metric, side, way[i - 2], way[i - 1], way[i], way[i + 1]) + 1e-12);
  const out = new Float64Array(2 * count), total = sums.at(-1);
  for (let n = 0, s = 1; n < count; n++) {
    const wanted = (total * n) / (count - 1);
    while (s < sums.length - 1 && sums[s] < wanted) s++;
    const t = Math.min(Math.max((wanted - sums[s - 1]) / (sums[s] - sums[s - 1]), 0), 1);
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

/** The shortest way over lattice points (Dijkstra 1959), from the point nearest to a to the one nearest to b. */
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

/** Move each inner point to and fro while the energy, the sum of squared steps, falls; ever smaller moves. */
export function tightened(metric, side, way, sweeps = 60) {
  const out = Float64Array.from(way);
  const energy = (i, x, y) =>
    stepLength(metric, side, out[i - 2], out[i - 1], x, y) ** 2 + stepLength(metric, side, x, y, out[i + 2], out[i + 3]) ** 2;
  for (let s = 0; s < sweeps; s++) {
    const h = 0.6 * 0.94 ** s;
    for (let i = 2; i < out.length - 2; i += 2) {
      let best = energy(i, out[i], out[i + 1]);
      for (const [dx, dy] of [[h, 0], [-h, 0], [0, h], [0, -h]]) {
        const x = Math.min(Math.max(out[i] + dx, 0), side - 1), y = Math.min(Math.max(out[i + 1] + dy, 0), side - 1);
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

/** The shortest way from a to b that is found: over the lattice, then tightened; never longer than the straight one. */
export function geodesic(metric, side, a, b) {
  const lattice = overLattice(metric, side, a, b);
  const begun = evenly(metric, side, [...a, ...lattice.slice(2, -2), ...b]);
  const line = straight(a, b);
  const ways = [begun, evenly(metric, side, line)].map((way) => tightened(metric, side, way));
  return [...ways, line].reduce((x, y) => (wayLength(metric, side, y) < wayLength(metric, side, x) - 1e-9 ? y : x));
}

// ---- the view -------------------------------------------------------------------------------------------------------

export function mount({ root, send }) {
  const box = root.appendChild(el("div", { class: "geodesic" }));
  const out = outbox(send);
  const show = onFrame(draw);
  const canvas = el("canvas", { class: "map" });
  const handles = ["a", "b"].map((name, i) => {
    const node = el("button", { type: "button", class: "handle", textContent: name.toUpperCase() });
    node.onpointerdown = (event) => {
      node.setPointerCapture(event.pointerId);
      held = i;
    };
    node.onpointermove = (event) => held === i && grab(i, event);
    node.onpointerup = node.onpointercancel = () => {
      if (held === i) out.post(ends());
      held = -1;
    };
    node.onkeydown = (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!way) return;
      event.preventDefault();
      place(i, at[i][0] + way[0] * 0.02, at[i][1] + way[1] * 0.02);
      out.later(ends);
    };
    return node;
  });
  const map = el("div", { class: "frame" }, canvas, ...handles);
  const strips = ["straight", "geodesic"].map((name) => {
    const canvases = Array.from({ length: STOPS }, () => el("canvas", { class: "digit", width: SIDE, height: SIDE }));
    const label = el("div", { class: "name" });
    return { canvases, label, box: el("div", { class: `way-${name}` }, label, el("div", { class: "strip", role: "img" }, ...canvases)) };
  });
  const verdict = el("div", { class: "verdict", role: "status" });
  box.append(map, el("div", { class: "side" }, ...strips.map((s) => s.box), verdict));
  const watch = new ResizeObserver(show);
  watch.observe(box);
  let now = null, held = -1, at = [], shade = null;
  const ends = () => {
    const [ax, ay, bx, by] = at.flat().map((v) => Math.round(1000 * v));
    return { ax, ay, bx, by };
  };

  function place(i, x, y) {
    at[i] = [x, y].map((v) => Math.min(Math.max(v, 0.01), 0.99));
    show();
  }
  function grab(i, event) {
    const where = canvas.getBoundingClientRect();
    place(i, (event.clientX - where.left) / where.width, 1 - (event.clientY - where.top) / where.height);
  }

  /** The map as a picture of side x side: the more a place is stretched, the more ink. */
  function shaded() {
    const { spec, arrays } = now, { side } = spec;
    const made = document.createElement("canvas");
    made.width = made.height = side;
    const image = new ImageData(side, side);
    const ink = getComputedStyle(box).getPropertyValue("--st-primary-color").trim();
    const g = made.getContext("2d");
    g.fillStyle = ink;
    g.fillRect(0, 0, 1, 1);
    const [red, green, blue] = g.getImageData(0, 0, 1, 1).data;
    for (let y = 0; y < side; y++)
      for (let x = 0; x < side; x++)
        image.data.set([red, green, blue, 235 * arrays.shade[(side - 1 - y) * side + x]], 4 * (y * side + x));
    g.putImageData(image, 0, 0);
    return made;
  }

  function draw() {
    if (!now || !canvas.clientWidth) return;
    const { spec, arrays, program } = now, { side, texts } = spec;
    const ratio = window.devicePixelRatio || 1, wide = canvas.clientWidth;
    canvas.width = canvas.height = Math.round(wide * ratio);
    const g = canvas.getContext("2d");
    g.drawImage(shade, 0, 0, canvas.width, canvas.height);
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    const palette = classColours(box);
    const px = (u, v) => [u * wide, (1 - v) * wide];
    g.globalAlpha = 0.95;
    for (let i = 0; i < arrays.classes.length; i++) {
      g.fillStyle = palette[arrays.classes[i] % palette.length];
      g.beginPath();
      g.arc(...px(arrays.points[2 * i], arrays.points[2 * i + 1]), 1.8, 0, 7);
      g.fill();
    }
    g.globalAlpha = 1;
    const [a, b] = at.map(([x, y]) => [x * (side - 1), y * (side - 1)]);
    const ways = [straight(a, b), geodesic(arrays.metric, side, a, b)];
    const ink = getComputedStyle(box).color, paper = getComputedStyle(box).getPropertyValue("--st-background-color");
    ways.forEach((way, n) => {
      g.setLineDash(n ? [] : [7, 5]);
      for (const [colour, width] of [[paper, 5], [ink, 2.2]]) {
        g.strokeStyle = colour;
        g.lineWidth = width;
        g.beginPath();
        for (let i = 0; i < way.length; i += 2) g.lineTo(...px(way[i] / (side - 1), way[i + 1] / (side - 1)));
        g.stroke();
      }
    });
    handles.forEach((node, i) => {
      const [x, y] = px(...at[i]);
      node.style.transform = `translate(${x}px, ${y}px) translate(-50%, -50%)`;
    });
    const lengths = ways.map((way) => wayLength(arrays.metric, side, way) / spec.unit);
    ways.forEach((way, n) => walk(strips[n].canvases, evenly(arrays.metric, side, way, STOPS), program));
    strips.forEach((s, n) => {
      s.label.textContent = fill(n ? texts.geodesic : texts.straight, { length: lengths[n].toFixed(1) });
    });
    verdict.textContent = fill(texts.verdict, { percent: (100 * (1 - lengths[1] / lengths[0])).toFixed(0) });
  }

  function walk(canvases, way, program) {
    const { box: [x0, x1, y0, y1], side } = now.spec;
    canvases.forEach((c, i) => {
      const u = way[2 * i] / (side - 1), v = way[2 * i + 1] / (side - 1);
      paint(c, program.decode(Float32Array.of(x0 + u * (x1 - x0), y0 + v * (y1 - y0))).subarray(0, PIXELS));
    });
  }

  return {
    update(spec, arrays, [program]) {
      const fresh = now === null || now.spec.key !== spec.key;
      now = { spec, arrays, program };
      shade = shaded();
      handles.forEach((node, i) => node.setAttribute("aria-label", fill(spec.texts.handle, { name: "AB"[i] })));
      strips.forEach((s, n) => s.box.lastChild.setAttribute("aria-label", n ? spec.texts.alongGeodesic : spec.texts.alongStraight));
      if (fresh) at = [[spec.ends[0], spec.ends[1]], [spec.ends[2], spec.ends[3]]].map((p) => p.map((v) => v / 1000));
      show();
    },
    destroy() {
      show.cancel();
      out.close();
      watch.disconnect();
      box.remove();
    },
  };
}
