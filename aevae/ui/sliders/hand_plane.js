// A plane of two-dimensional codes: codes of real digits, rings of N(0, I), and a hand. The hand is the pointer, a finger,
// the arrow keys, or, until somebody takes it, a point that wanders. Places on the plane are in standard deviations.

import { ARROWS, classColours, disc, ring, strokeOnPaper } from "../live/canvas.js";
import { element } from "../live/dom.js";
import { clamp } from "../live/maths.js";
import { onFrame, prefersReducedMotion } from "../live/page.js";
import { PlaneMap } from "./plane_map.js";
import { PlanePainter } from "./plane_painter.js";
import { outline } from "./planes.js";

export const FRAME = 3.3; // the plane shows -FRAME..FRAME standard deviations
const RINGS = [1, 2, 3];
const MIN_LABEL_GAP = 22; // CSS pixels between two rings that both get a label
const MARGIN = { left: 1, right: 1, top: 1, bottom: 1 };
const STEP = 0.02, LARGE_STEP = 0.1; // parts of the plane that an arrow key moves
const WANDER_FRAME_MS = 33;
const STILL = 4; // seconds of the wander at which the hand stands if motion is reduced

/** The place [x, y], in standard deviations, of the hand that wanders, after these seconds. */
export function wander(seconds) {
  return [
    1.4 * Math.sin(0.31 * seconds + 0.4) + 0.7 * Math.sin(0.83 * seconds),
    1.4 * Math.cos(0.37 * seconds) + 0.7 * Math.sin(0.61 * seconds + 1),
  ];
}

/**
 * Place -> code of a frame {mean [2], scale [a, b, c, d] row by row}: z = mean + scale place.
 * @param {{mean: number[], scale: number[]}} frame
 * @param {ArrayLike<number>} place
 */
export function codeAt({ mean, scale: [a, b, c, d] }, place) {
  const x = place[0], y = place[1];
  return Float32Array.of(mean[0] + a * x + b * y, mean[1] + c * x + d * y);
}

/**
 * The inverse of `codeAt`.
 * @param {{mean: number[], scale: number[]}} frame
 * @param {ArrayLike<number>} z
 */
export function placeOf({ mean, scale: [a, b, c, d] }, z) {
  const x = z[0] - mean[0], y = z[1] - mean[1], det = a * d - b * c;
  return [(d * x - b * y) / det, (a * y - c * x) / det];
}

/** The map of the places (2N) and labels (N) of codes. */
export function mapOf(places, labels) {
  const ends = [-FRAME, FRAME].map((v) => Float32Array.of(v, v));
  return new PlaneMap({ mode: "dims", dims: [0, 1], behind: "codes" }, {
    low: ends[0], high: ends[1], codes: places, labels, three: null, xs: null, ys: null,
  });
}

/** The rings of N(0, I) in a frame: for 1, 2, 3 standard deviations the places around it. */
export function ringsOf(frame) {
  const circle = outline([0, 0], { a: 1, b: 1, angle: 0 }, 1);
  return RINGS.map((k) => circle.map(([x, y]) => placeOf(frame, [k * x, k * y])));
}

class HandPainter extends PlanePainter {
  constructor(maxWidth) {
    super({ maxWidth, margin: MARGIN });
    this.rings = []; // places around each
    this.samples = []; // [{place, isGood}]
  }

  /** The hand is a disc that is seen on points of any colour. */
  paint(map, layers) {
    super.paint(map, layers);
    const g = this.canvas.getContext("2d"), { accent, ink, paper } = this.theme, at = this.px(map, layers.z);
    g.fillStyle = accent;
    disc(g, at, 7);
    ring(g, at, 8, ink, paper, 2.5);
  }

  /** Instead of axes: the rings, and the random codes. */
  paintAxes(g, map) {
    const { ink } = this.theme;
    this.clipToField(g);
    g.globalAlpha = 0.8;
    for (const places of this.rings) this.stroke(g, map, places, true, ink, 1.5);
    g.globalAlpha = 1;
    for (const { place, isGood } of this.samples) {
      const [x, y] = this.px(map, place);
      this.paintSample(g, [x, y], isGood);
    }
    this.labelRings(g, map);
    g.restore();
  }

  /** The standard deviations of the rings, below each; only the last if they are close together. */
  labelRings(g, map) {
    const { ink, paper, font } = this.theme;
    const lowest = this.rings.map((places) => {
      return places.map((place) => this.px(map, place)).reduce((low, at) => (at[1] > low[1] ? at : low));
    });
    const isClose = lowest.length > 1 && lowest[1][1] - lowest[0][1] < MIN_LABEL_GAP;
    g.font = `12px ${font}`;
    g.textAlign = "center";
    g.textBaseline = "middle";
    g.lineWidth = 4;
    lowest.forEach(([x, y], i) => {
      if (isClose && i < lowest.length - 1) return;
      const at = y + (isClose ? 11 : 0), text = `${RINGS[i]}σ`;
      g.strokeStyle = paper;
      g.strokeText(text, x, at);
      g.fillStyle = ink;
      g.fillText(text, x, at);
    });
  }

  /** A random code: a dot if it looks like a digit, else a cross. */
  paintSample(g, [x, y], isGood) {
    const { ink, paper } = this.theme;
    if (isGood) {
      g.fillStyle = paper;
      disc(g, [x, y], 5);
      g.fillStyle = ink;
      return disc(g, [x, y], 3.5);
    }
    g.beginPath();
    for (const [dx, dy] of [[4, 4], [4, -4]]) {
      g.moveTo(x - dx, y - dy);
      g.lineTo(x + dx, y + dy);
    }
    strokeOnPaper(g, ink, paper, 2, 1.5);
  }
}

/** A plane on the page. `canvas` is its element; hand(place) is called when a hand moves over it. */
export class HandPlane {
  /** @param {(place: number[]) => void} hand */
  constructor(maxWidth, hand) {
    this.painter = new HandPainter(maxWidth);
    this.hand = hand;
    this.map = null;
    this.place = [0, 0];
    this.belief = null;
    this.isPressed = false;
    this.show = onFrame(() => this.draw());
    const { canvas } = this.painter;
    this.canvas = canvas;
    canvas.dataset.finger = "tap";
    // Not onDrag (canvas.js): a mouse moves the hand without a press, too.
    canvas.onpointerdown = (event) => this.pressed(event);
    canvas.onpointermove = (event) => (this.isPressed || event.pointerType !== "touch") && this.moved(event);
    canvas.onpointerup = canvas.onpointercancel = () => (this.isPressed = false);
    canvas.onkeydown = (event) => this.key(event);
  }

  /** Show other codes. frame: that of `codeAt`; samples: [{place, isGood}]. */
  open({ map, frame, label, samples = [] }) {
    this.map = map;
    Object.assign(this.painter, { rings: ringsOf(frame), samples });
    this.canvas.setAttribute("aria-label", label);
    this.layout();
  }

  layout(available = this.canvas.parentElement?.clientWidth) {
    if (!this.map || !this.painter.layout(available)) return;
    this.painter.paintBase(this.map, "codes", null);
    this.show();
  }

  /** Move the hand. belief: {mu, logvar} of a drawing, in standard deviations, or null. */
  move(place, belief = this.belief) {
    this.place = place;
    this.belief = belief;
    this.show();
  }

  draw() {
    if (!this.map || !this.painter.field) return;
    const z = this.place.map((v) => clamp(v, -FRAME, FRAME)); // the code of a drawing may lie outside
    this.painter.paint(this.map, { belief: this.belief, path: null, pins: [], z });
  }

  pressed(event) {
    if (event.button) return;
    this.isPressed = true;
    this.canvas.setPointerCapture(event.pointerId);
    this.moved(event);
  }

  moved(event) {
    if (this.map && this.painter.field) this.hand(this.painter.placeOf(this.map, event));
  }

  key(event) {
    const way = ARROWS[event.key];
    if (!way || !this.map) return;
    event.preventDefault();
    const step = event.shiftKey ? LARGE_STEP : STEP, parts = this.map.toField(this.place);
    this.hand(this.map.fromField(parts.map((part, axis) => clamp(part + way[axis] * step))));
  }
}

/**
 * Lets a hand wander until `stop()`. move(place): the next place. node: nothing moves while it is out of sight.
 * @param {Element} node
 * @param {(place: number[]) => void} move
 */
export function letWander(node, move) {
  if (prefersReducedMotion()) {
    move(wander(STILL));
    return { stop() {} };
  }
  let request = 0, last = 0, seconds = 0;
  const step = (now) => {
    request = requestAnimationFrame(step);
    if (now - last < WANDER_FRAME_MS) return;
    seconds += last ? Math.min(now - last, 100) / 1000 : 0;
    last = now;
    move(wander(seconds));
  };
  const pause = () => {
    cancelAnimationFrame(request);
    request = last = 0;
  };
  const visibility = new IntersectionObserver(([entry]) => {
    pause();
    if (entry.isIntersecting) request = requestAnimationFrame(step);
  });
  visibility.observe(node);
  return {
    stop() {
      pause();
      visibility.disconnect();
    },
  };
}

/** The legend of the classes: a coloured dot and a name for each. node: any element of the theme. */
export function classDots(node, names) {
  const palette = classColours(node);
  return names.map((name, i) => {
    const dot = element("i", { class: "dot" });
    dot.style.background = palette[i % palette.length];
    return element("span", {}, dot, name);
  });
}
