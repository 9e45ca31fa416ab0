// Elements, said in one line.

/** A new element: properties are set, attributes with a hyphen and `role` too, `class` by its name; then children. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") node.className = value;
    else if (name.includes("-") || name === "role") node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children);
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** A new SVG element with attributes and children. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** "{a} of {b}" with {a: 1, b: 2} -> "1 of 2". */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

/**
 * The ten colours of classes in the theme that is shown (.streamlit/config.toml; Streamlit hands them to components).
 * Read them whenever something is painted: `update` runs again when the theme changes.
 */
export function classColours(node) {
  return getComputedStyle(node).getPropertyValue("--st-chart-categorical-colors").split(",").map((c) => c.trim() || "gray");
}

/** A canvas for each model {label, colour}, its name beneath, in place of what `box` held; `text`: "... {model} ...". */
export function figures(box, models, text) {
  const canvases = models.map(({ label }) =>
    el("canvas", { class: "digit", role: "img", width: 28, height: 28, "aria-label": fill(text, { model: label }) }),
  );
  const made = models.map(({ label, colour }, i) => {
    const dot = el("i", { class: "dot" });
    dot.style.background = colour;
    return el("figure", {}, canvases[i], el("figcaption", { title: label }, dot, label));
  });
  box.replaceChildren(...made);
  box.dataset.many = models.length > 1;
  return canvases;
}

/** A row of `count` pictures under its title: {node, says (beside the title), canvases}. */
export function pictureRow(title, count, label) {
  const canvases = Array.from({ length: count }, () => el("canvas", { class: "digit", width: 28, height: 28 }));
  const says = el("span");
  const digits = el("div", { class: "digits", role: "img", "aria-label": label }, ...canvases);
  return { node: el("div", { class: "row" }, el("div", { class: "says" }, el("b", {}, title), says), digits), says, canvases };
}
