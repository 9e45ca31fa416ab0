// Canvases: images of 28 x 28, device pixels, theme colours, marks that are visible on any background, drags and arrow
// keys.

import { clamp } from "./maths.js";

export const SIDE = 28;
export const PIXELS = SIDE * SIDE;

/** Image i of an array of images, as a view. */
export const imageAt = (images, i) => images.subarray(i * PIXELS, (i + 1) * PIXELS);

/** Draw 784 pixels in [0, white] into a canvas of 28 x 28 (CSS makes it large: image-rendering: pixelated). */
export function paint(canvas, pixels, white = 1) {
  if (canvas.width !== SIDE || canvas.height !== SIDE) canvas.width = canvas.height = SIDE;
  stamp(canvas.getContext("2d"), pixels, 0, 0, white);
}

const buffers = new WeakMap(); // context -> ImageData

/** The image of 28 x 28 in which pixels for a context are prepared. */
export function imageBuffer(g) {
  if (!buffers.has(g)) buffers.set(g, g.createImageData(SIDE, SIDE));
  return buffers.get(g);
}

/** Draw 784 pixels in [0, white] into a context, the upper left pixel at x, y. */
export function stamp(g, pixels, x, y, white = 1) {
  const image = imageBuffer(g);
  for (let i = 0; i < PIXELS; i++) {
    const v = (pixels[i] * 255) / white;
    image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = v; // clamped and rounded
    image.data[4 * i + 3] = 255;
  }
  g.putImageData(image, x, y);
}

// ---- device pixels --------------------------------------------------------------------------------------------------

let zoom = 1; // of the page in the mode Present (frame/present.js)

/** Say how much CSS enlarges the page. */
export const setZoom = (value) => {
  zoom = value;
};

/** Device pixels per CSS pixel of a canvas. */
export const pixelRatio = () => (globalThis.devicePixelRatio || 1) * zoom;

/** Give canvases the device pixels of `width` x `height` CSS pixels, unless they have them. */
export function resize(canvases, width, height, ratio = pixelRatio()) {
  const w = Math.round(width * ratio), h = Math.round(height * ratio);
  for (const canvas of canvases) if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
}

/** The context of a canvas, cleared; it draws in CSS pixels. */
export function clearedContext(canvas, ratio = pixelRatio()) {
  const g = canvas.getContext("2d");
  g.setTransform(1, 0, 0, 1, 0, 0);
  g.clearRect(0, 0, canvas.width, canvas.height);
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  return g;
}

/** Fit a canvas to its box on the page (`height`: CSS pixels): {g, width, height}; null while it has no width. */
export function fitToBox(canvas, height = canvas.clientHeight) {
  const width = canvas.clientWidth;
  if (!width) return null;
  resize([canvas], width, height);
  return { g: clearedContext(canvas), width, height };
}

// ---- colours --------------------------------------------------------------------------------------------------------

/**
 * Colours and font of the active theme, from Streamlit: {ink, paper, line, accent, font}.
 * Read them whenever something is painted, because `update` runs again after a change of theme.
 */
export function themeColours(node) {
  const style = getComputedStyle(node), get = (name) => style.getPropertyValue(`--st-${name}`).trim() || "gray";
  return {
    ink: get("text-color"), paper: get("background-color"), line: get("border-color"), accent: get("primary-color"),
    font: get("font"),
  };
}

/** The ten colours of classes in the theme that is shown (.streamlit/config.toml). */
export function classColours(node) {
  const colours = getComputedStyle(node).getPropertyValue("--st-chart-categorical-colors").split(",");
  return colours.map((colour) => colour.trim() || "gray");
}

// ---- marks ----------------------------------------------------------------------------------------------------------

export const TURN = 2 * Math.PI; // radians of a circle

/**
 * A filled disc.
 * @param {any} g
 * @param {number[]} at
 * @param {number} radius
 */
export function disc(g, [x, y], radius) {
  g.beginPath();
  g.arc(x, y, radius, 0, TURN);
  g.fill();
}

/** Paint discs at points (2N) in the colours of their classes; place(x, y): canvas pixels. */
export function classDiscs(g, points, classes, palette, place, radius) {
  for (let i = 0; i < points.length / 2; i++) {
    g.fillStyle = palette[classes[i] % palette.length];
    disc(g, place(points[2 * i], points[2 * i + 1]), radius);
  }
}

/** Stroke the current path with a border of paper colour, so that it is visible on white and black. */
export function strokeOnPaper(g, colour, paper, width, rim = 1.25) {
  for (const [line, wide] of [[paper, width + 2 * rim], [colour, width]]) {
    g.lineWidth = wide;
    g.strokeStyle = line;
    g.stroke();
  }
}

/**
 * A ring that is visible on any background.
 * @param {any} g
 * @param {number[]} at
 */
export function ring(g, [x, y], radius, colour, paper, width = 3, rim = 1.5) {
  g.beginPath();
  g.arc(x, y, radius, 0, TURN);
  strokeOnPaper(g, colour, paper, width, rim);
}

/**
 * A small image (side x side CSS pixels, or null for an empty one) in a line of `colour`, its middle at x, y.
 * @param {any} g
 * @param {any} image
 * @param {number[]} at
 */
export function framedImage(g, image, [x, y], side, colour, paper, width = 1.5) {
  const left = Math.round(x - side / 2), top = Math.round(y - side / 2);
  for (const [fill, rim] of [[paper, width + 1], [colour, width]]) {
    g.fillStyle = fill;
    g.fillRect(left - rim, top - rim, side + 2 * rim, side + 2 * rim);
  }
  g.imageSmoothingEnabled = false;
  if (image) g.drawImage(image, left, top, side, side);
}

// ---- pointer and keys -----------------------------------------------------------------------------------------------

/** @type {Record<string, [number, number]>} Arrow keys -> [to the right, up]. */
export const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** Call move(right, up, event) for each arrow key pressed on a node. */
export function onArrows(node, move) {
  node.onkeydown = (event) => {
    const way = ARROWS[event.key];
    if (!way) return;
    event.preventDefault();
    move(...way, event);
  };
}

/** Position of an event in a node: x to the right, y down, both in 0..1 inside the node. */
export function placeIn(node, event) {
  const box = node.getBoundingClientRect();
  return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
}

/** Position of an event in a node, in the node's own CSS pixels. */
export function pixelIn(node, event) {
  const { left, top } = node.getBoundingClientRect(), zoom = node.currentCSSZoom ?? 1;
  return { x: (event.clientX - left) / zoom, y: (event.clientY - top) / zoom };
}

/** `placeIn`, clamped to 0..1. */
export function clampedPlaceIn(node, event) {
  const { x, y } = placeIn(node, event);
  return { x: clamp(x), y: clamp(y) };
}

/**
 * Handle drags on a node. start(event): at the press; move(event): at the press and at each move; done(): at the release.
 * finger: how the node reacts to touch (touch.js): "across", "tap", or "" for a small handle.
 * @param {any} node
 * @param {string} finger
 * @param {{start?: (event: any) => void, move: (event: any) => void, done?: () => void}} on
 */
export function onDrag(node, finger, { start = (_event) => {}, move, done = () => {} }) {
  let isHeld = false;
  if (finger) node.dataset.finger = finger;
  node.onpointerdown = (event) => {
    if (event.button !== 0) return;
    isHeld = true;
    node.setPointerCapture(event.pointerId);
    start(event);
    move(event);
  };
  node.onpointermove = (event) => isHeld && move(event);
  node.onpointerup = node.onpointercancel = () => {
    if (isHeld) done();
    isHeld = false;
  };
}
