// The mode Present, for a projector: the page shows its pictures alone, as large as the window allows, and one line at
// the foot. P or `?present=1` begins it, P or Escape ends it. The keys of a presenter's remote (PageUp, PageDown) and
// free arrow keys step through the things to try: each presses its button *Set it up* and becomes the line at the foot.

import { setZoom } from "../live/canvas.js";
import { button, div, element } from "../live/dom.js";
import { clamp } from "../live/maths.js";

const TEXT_ZOOM = 22 / 16; // a text of 16 px is shown with 22 px
// [zoom, width in % of the window]: the first in which the picture fits into the window is taken
const FITS = [
  [1.8, 100], [1.6, 100], [TEXT_ZOOM, 100], [TEXT_ZOOM, 80], [1.2, 100], [1.2, 80], [TEXT_ZOOM, 62], [1.1, 100],
  [1.1, 70], [1, 100], [1, 80], [1, 65], [1, 55], [0.85, 100], [0.85, 60],
];
const MARGIN = 24; // pixels above and below the picture
const SETTLE_MS = [50, 700, 2500]; // the picture is fitted again, because a page comes in parts
const PICTURES = '[data-testid^="stBidiComponent"], .js-plotly-plot, [data-testid="stImage"]';
const NO_TYPING = new Set(["button", "checkbox", "color", "file", "radio", "range", "reset", "submit"]);

/** Whether a key that is pressed in this element is a character of a text or of a list. */
export function isTyping(target) {
  const name = target?.tagName?.toLowerCase();
  return Boolean(target?.isContentEditable) || name === "textarea" || name === "select"
    || (name === "input" && !NO_TYPING.has(target.type));
}

/** Steps that a key means: 1, -1, or 0. isFree: no element of the page has the focus. */
export function stepOf(key, isFree) {
  if (key === "PageDown" || (isFree && key === "ArrowRight")) return 1;
  if (key === "PageUp" || (isFree && key === "ArrowLeft")) return -1;
  return 0;
}

/** The address with the mode, or without. */
export function addressFor(href, isOn) {
  const url = new URL(href);
  if (isOn) url.searchParams.set("present", "1");
  else url.searchParams.delete("present");
  return url.href;
}

/** The key of the figure that a thing to try is about, from the classes of its line; "" for the first figure. */
export const aboutOf = (classes) => /st-key-try_line_\d+__(\S+)/.exec(classes)?.[1] ?? "";

const frames = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(undefined))));
const block = () => /** @type {HTMLElement | null} */ (document.querySelector('[data-testid="stMainBlockContainer"]'));
const isInAddress = () => new URL(location.href).searchParams.get("present") === "1";

/** The things to try on this page, in order. */
const lines = () => [...document.querySelectorAll('[class*="st-key-try_line_"]')];

/** The element of the figure that a line is about, or null. */
function figureOf(line) {
  const about = aboutOf(line?.className ?? "");
  return about ? document.querySelector(`.st-key-${CSS.escape(about)}`) : null;
}

/** The first picture in an element that is shown and has at least 100 pixels in both directions. */
function picture(root) {
  return [...(root?.querySelectorAll(PICTURES) ?? [])].find((node) => {
    const { width, height } = node.getBoundingClientRect();
    return width >= 100 && height >= 100;
  });
}

/** The mode, once per tab. texts: {next, previous, leave}. */
export class Present {
  constructor(texts) {
    this.isOn = false;
    this.step = 0; // 0: the page as it opens; i: the i-th thing to try
    this.fitting = 0; // number of the running fit; a newer one ends it
    this.timers = [];
    this.line = div("line");
    const quiet = (text, title, onclick) => button(text, onclick, { title, "aria-label": title });
    this.foot = element(
      "div", { class: "aevae-present", role: "status" }, this.line,
      quiet("‹", texts.previous, () => this.go(-1)), quiet("›", texts.next, () => this.go(1)),
      quiet("×", texts.leave, () => this.set(false)),
    );
    document.addEventListener("keydown", (event) => this.capture(event), true);
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("click", (event) => {
      const target = /** @type {Element} */ (event.target);
      if (target.closest?.(".aevae-present-button")) this.set(true);
      if (target.closest?.("button")) figureOf(target.closest('[class*="st-key-try_line_"]'))?.scrollIntoView();
    });
    addEventListener("resize", () => this.settle(true));
    addEventListener("popstate", () => this.set(isInAddress()));
  }

  /** Another page, or this one for the first time. */
  arrive() {
    this.step = 0;
    if (this.isOn || isInAddress()) this.set(true);
  }

  // -- keys

  /** Before the page: a remote works wherever the focus is. */
  capture(event) {
    if (!this.isOn || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.composedPath()[0])) return;
    const focus = document.activeElement, main = focus?.matches('[data-testid="stMain"]');
    const by = stepOf(event.key, !focus || focus === document.body || main);
    if (event.key === "Escape") this.set(false);
    else if (by) this.go(by);
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  /** After the page: a plane may have its own use for the key. */
  key(event) {
    const isPlain = !event.defaultPrevented && !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
    if (isPlain && event.key.toLowerCase() === "p" && !isTyping(event.composedPath()[0])) this.set(!this.isOn);
  }

  // -- the mode

  set(isOn) {
    this.isOn = isOn;
    document.documentElement.toggleAttribute("data-present", isOn);
    if (isInAddress() !== isOn) history.replaceState(history.state, "", addressFor(location.href, isOn));
    if (isOn) {
      const app = document.querySelector('[data-testid="stApp"]');
      if (app) Object.assign(this.foot.style, { color: getComputedStyle(app).color, background: getComputedStyle(app).backgroundColor });
      document.body.append(this.foot);
      this.say();
      this.settle(true);
    } else {
      this.foot.remove();
      this.unfit();
    }
  }

  /** To the next or the previous thing to try. */
  go(by) {
    const all = lines(), to = clamp(this.step + by, 0, all.length);
    if (to === this.step) return;
    this.step = to;
    this.say();
    if (to) all[to - 1].querySelector("button")?.click();
    this.settle();
  }

  /** The line at the foot: the title of the page, or the thing to try. */
  say() {
    const all = lines();
    if (!this.step) return this.line.replaceChildren(document.querySelector("h1")?.textContent ?? "");
    const text = all[this.step - 1]?.querySelector('[data-testid="stMarkdownContainer"] li')?.cloneNode(true);
    this.line.replaceChildren(`${this.step}/${all.length}  `, ...(text?.childNodes ?? []));
  }

  // -- the size of the picture

  /** The figure that the step is about, or null for the first one. */
  figure() {
    return this.step ? figureOf(lines()[this.step - 1]) : null;
  }

  /** Scroll to the picture. */
  reveal() {
    const figure = this.figure();
    if (figure) (picture(figure) ?? figure).scrollIntoView({ block: "center" });
    else document.querySelector('[data-testid="stMain"]')?.scrollTo(0, 0);
  }

  /** anew: from the largest size, for another page or window. */
  settle(anew = false) {
    if (!this.isOn) return;
    if (anew) this.unfit();
    for (const timer of this.timers) clearTimeout(timer);
    this.reveal();
    this.timers = SETTLE_MS.map((ms) => setTimeout(() => this.refit().then(() => this.isOn && this.reveal()), ms));
  }

  async refit() {
    const number = ++this.fitting, isDone = () => !this.isOn || number !== this.fitting;
    if (!this.step) this.say(); // the title may have come meanwhile
    if (!isInAddress()) history.replaceState(history.state, "", addressFor(location.href, true));
    if (this.fits()) return;
    for (const [zoom, width] of FITS) {
      this.apply(zoom, width);
      await frames();
      if (isDone()) return;
      if (this.fits()) return;
    }
    this.apply(TEXT_ZOOM, 100);
  }

  /** Whether the picture is in the window as a whole and the mode has given it a size. */
  fits() {
    const main = block(), node = picture(this.figure() ?? block());
    if (!main?.style.zoom) return false;
    if (!node) return true;
    const room = innerHeight - this.foot.offsetHeight - 2 * MARGIN, box = node.getBoundingClientRect();
    return box.height <= room && box.right <= innerWidth + 1 && main.scrollWidth <= main.clientWidth + 1;
  }

  apply(zoom, width) {
    const main = block();
    if (!main) return;
    setZoom(zoom);
    Object.assign(main.style, { zoom: String(zoom), maxWidth: `${width}%` });
  }

  unfit() {
    this.fitting += 1;
    for (const timer of this.timers) clearTimeout(timer);
    setZoom(1);
    const main = block();
    if (main) Object.assign(main.style, { zoom: "", maxWidth: "" });
  }
}
