// Functions that create elements.

import { SIDE } from "./canvas.js";

/**
 * A new element: properties are set, attributes with a hyphen and `role` too, `class` by its name; then children.
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

/** A <div> of a class, with children. */
export const div = (className, ...children) => element("div", { class: className }, ...children);

const SVG = "http://www.w3.org/2000/svg";

/**
 * A new SVG element with attributes and children.
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Set attributes of an SVG element. */
export function setAll(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}

/**
 * "{a} of {b}" with {a: 1, b: 2} -> "1 of 2".
 * @param {string} text
 * @param {Record<string, any>} values
 */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

/** A canvas for an image of 28 x 28. */
export const imageCanvas = (properties = {}) =>
  element("canvas", { class: "digit", width: SIDE, height: SIDE, ...properties });

/** `count` image canvases. */
export const imageCanvases = (count) => Array.from({ length: count }, () => imageCanvas());

/** A button with a text. */
export const button = (textContent, onclick, properties = {}) =>
  element("button", { type: "button", textContent, onclick, ...properties });

/**
 * A slider with its name and its value: {input, name, value, box}, `box` a label around the three. on: {input, change},
 * called at each move and when the hand lets go. say(text) writes the value, for the eye and the ear.
 */
export function slider(range, { input: oninput, change: onchange }) {
  const input = element("input", { type: "range", ...range, oninput, onchange });
  const name = element("span", { class: "what" }), value = element("output");
  const say = (text) => {
    value.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  return { input, name, value, say, box: element("label", { class: "knob" }, name, input, value) };
}

/** Replace the content of `box` by a canvas with caption for each model {label, colour}; text: "... {model} ...". */
export function figures(box, models, text) {
  const canvases = models.map(({ label }) => imageCanvas({ role: "img", "aria-label": fill(text, { model: label }) }));
  const made = models.map(({ label, colour }, i) => {
    const dot = element("i", { class: "dot" });
    dot.style.background = colour;
    return element("figure", {}, canvases[i], element("figcaption", { title: label }, dot, label));
  });
  box.replaceChildren(...made);
  box.dataset.many = String(models.length > 1);
  return canvases;
}

/** A row of `count` images under its title: {node, says (beside the title), canvases}. */
export function imageRow(title, count, label) {
  const canvases = imageCanvases(count);
  const says = element("span");
  const digits = element("div", { class: "digits", role: "img", "aria-label": label }, ...canvases);
  const head = div("says", element("b", {}, title), says);
  return { node: div("row", head, digits), says, canvases };
}
