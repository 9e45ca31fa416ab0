// The legend of the maps: a button per class, or a search field if there are many; and the scale of numeric colours.

import { div, element, fill } from "../live/dom.js";
import { findName } from "./points.js";

const MAX_BUTTONS = 20; // with more classes there is a search field

export class Legend {
  /** onClass(number, add): a class was chosen. say(text). */
  constructor(onClass, say) {
    this.classes = element("div", { class: "classes", role: "group" });
    this.scale = div("scale");
    this.onClass = onClass;
    this.say = say;
    this.buttons = [];
    this.found = null; // the search field
  }

  /** totals: points of each class; colours: of each class. */
  write(spec, totals, colours) {
    const { texts, shade, classes } = spec;
    this.classes.setAttribute("aria-label", texts.classes);
    const finder = classes.length > MAX_BUTTONS ? this.finderOf(spec, totals) : null;
    this.buttons = finder ? [] : this.buttonsOf(spec, totals, colours);
    if (!finder || finder !== this.classes.firstChild) this.classes.replaceChildren(...(finder ? [finder] : this.buttons));
    this.scale.hidden = !shade;
    if (!shade) return;
    const bar = element("i", { class: "ramp" }), number = (v) => Number(v.toPrecision(3));
    bar.style.background = `linear-gradient(to right, ${shade.ramp.join(", ")})`;
    const values = element("span", {}, `${number(shade.low)}`, bar, `${number(shade.high)} ${shade.unit}`);
    this.scale.replaceChildren(shade.title, values);
  }

  buttonsOf({ texts, shade, classes }, totals, colours) {
    return classes.map((name, c) => {
      const dot = element("i", { class: "dot" }), onclick = (event) => this.onClass(c, event.shiftKey);
      dot.style.background = shade ? "currentColor" : colours[c];
      return element("button", { type: "button", title: texts.class_help, disabled: !totals[c], onclick }, dot, name);
    });
  }

  /** The search field for classes that have points; reused while these are the same, because the user may be typing. */
  finderOf({ texts, classes, key }, totals) {
    const names = classes.filter((_, c) => totals[c]), known = JSON.stringify(names);
    if (known === this.found?.known) return this.found.node;
    const list = element("datalist", { id: `${key}-classes` }, ...names.map((value) => element("option", { value })));
    const words = { placeholder: texts.find, title: texts.find_help, "aria-label": texts.find };
    const field = element("input", { type: "search", ...words });
    field.setAttribute("list", list.id);
    field.onchange = () => {
      const name = field.value.trim(), at = findName(names, name);
      if (name && at < 0) this.say(fill(texts.no_class, { name }));
      if (at < 0) return;
      field.value = "";
      this.onClass(classes.indexOf(names[at]), true);
    };
    this.found = { known, node: div("finder", field, list) };
    return this.found.node;
  }

  /** isWhole(c): are all points of class c selected? */
  press(isWhole) {
    this.buttons.forEach((node, c) => node.setAttribute("aria-pressed", isWhole(c)));
  }
}
