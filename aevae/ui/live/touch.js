// Touch input. A swipe scrolls the page, wherever it begins. A slider reacts to a finger after a sideways movement or a
// tap. A plane reacts to fingers after a tap on it, until another element is touched. Only then does the element receive
// the events of the finger, beginning with a pointerdown. Mouse, pen and keyboard are not affected.
//
// data-finger="across": an element that is dragged sideways, as every <input type="range">; "tap": a plane; "awake": a
// plane after the tap. CSS (touch-action) says what each leaves to the browser: live.css for modules, layout.py for the
// sliders of Streamlit.

import { element } from "./dom.js";

const MAX_TAP_MOVE = 8; // CSS pixels
const HINT_MS = 2500;
const STREAMLIT_SLIDER = '[data-testid="stSlider"] [role="group"] > [style*="touch-action"]';
const GUARDED = `input[type="range"], [data-finger], ${STREAMLIT_SLIDER}`;

/** Direction of a movement: "across", "along" (up or down), or "" for a movement that may still be a tap. */
export function direction(dx, dy) {
  if (Math.hypot(dx, dy) <= MAX_TAP_MOVE) return "";
  return Math.abs(dx) > Math.abs(dy) ? "across" : "along";
}

const isTouch = (event) => event.isTrusted && event.pointerType === "touch";
const isAsleep = (target) => target?.dataset.finger === "tap";
const guardedBy = (event) => event.target.closest?.(GUARDED);
const swallow = (event) => event.stopImmediatePropagation();

/** Guard all elements below `root`. text(): the hint after a swipe over a plane. Returns the function that ends it. */
export function guard(root, text) {
  const guardian = new Guard(root, text);
  return () => guardian.end();
}

class Guard {
  constructor(root, text) {
    this.root = root;
    this.text = text;
    this.hint = element("span", { class: "finger-hint", role: "status" });
    this.held = null; // {id, target, x, y, before, wanted, moved}: a finger that has not yet dragged, scrolled or tapped
    this.awake = null; // the plane that reacts to fingers
    this.restored = null; // the slider whose value was restored
    this.hintTimer = 0;
    const change = (event) => this.change(event);
    const listeners = {
      pointerdown: (event) => this.down(event), pointermove: (event) => this.move(event),
      pointerup: (event) => this.up(event), pointercancel: (event) => this.cancel(event), input: change, change,
    };
    const elsewhere = (event) => this.elsewhere(event);
    for (const [name, listener] of Object.entries(listeners)) root.addEventListener(name, listener, true);
    document.addEventListener("pointerdown", elsewhere, true);
    this.end = () => {
      for (const [name, listener] of Object.entries(listeners)) root.removeEventListener(name, listener, true);
      document.removeEventListener("pointerdown", elsewhere, true);
      clearTimeout(this.hintTimer);
    };
  }

  down(event) {
    this.restored = null;
    const target = isTouch(event) && guardedBy(event);
    if (!target || target === this.awake) return;
    swallow(event);
    const { pointerId: id, clientX: x, clientY: y } = event;
    this.held ??= { id, target, x, y, before: target.value, wanted: target.value, moved: false };
  }

  /** The held finger of an event, or null for another finger, which an inactive plane does not get. */
  heldBy(event) {
    if (this.held !== null && event.pointerId === this.held.id) return this.held;
    if (isAsleep(guardedBy(event))) swallow(event);
    return null;
  }

  move(event) {
    const held = isTouch(event) && this.heldBy(event);
    if (!held) return;
    const way = direction(event.clientX - held.x, event.clientY - held.y);
    held.moved ||= way !== "";
    if (way === "across" && !isAsleep(held.target)) return this.give(event);
    swallow(event);
  }

  up(event) {
    const held = isTouch(event) && this.heldBy(event);
    if (!held) return;
    const { target, moved, wanted } = held;
    if (!isAsleep(target)) {
      this.give(event);
      if (target.type === "range") {
        target.value = wanted;
        for (const name of ["input", "change"]) target.dispatchEvent(new Event(name, { bubbles: true }));
      }
      return;
    }
    swallow(event);
    this.held = null;
    if (moved) this.showHint(target);
    else this.wake(target);
  }

  cancel(event) {
    const held = isTouch(event) && this.heldBy(event);
    if (!held) return;
    swallow(event);
    const { target, before } = held;
    this.held = null;
    if (isAsleep(target)) return this.showHint(target);
    if (target.type !== "range") return;
    this.restored = target;
    target.value = before;
  }

  /** Pass the finger to its element. */
  give(event) {
    const { target } = this.held;
    this.held = null;
    const { pointerId, pointerType, clientX, clientY, isPrimary } = event;
    const copy = { pointerId, pointerType, clientX, clientY, isPrimary };
    const flags = { bubbles: true, composed: true, cancelable: true };
    target.dispatchEvent(new PointerEvent("pointerdown", { ...copy, ...flags, buttons: 1 }));
  }

  /** Browsers move a slider at the first touch: restore its value until the gesture is known. */
  change(event) {
    if (!event.isTrusted) return;
    if (event.target === this.restored) {
      swallow(event);
    } else if (event.target === this.held?.target) {
      swallow(event);
      this.held.wanted = event.target.value;
      event.target.value = this.held.before;
    }
  }

  wake(target) {
    this.sleep();
    this.hint.remove();
    this.awake = target;
    target.dataset.finger = "awake";
  }

  sleep() {
    if (this.awake) this.awake.dataset.finger = "tap";
    this.awake = null;
  }

  /** A touch outside the active plane. */
  elsewhere(event) {
    if (isTouch(event) && this.awake && !event.composedPath().includes(this.awake)) this.sleep();
  }

  showHint(target) {
    const at = target.getBoundingClientRect(), box = this.root.getBoundingClientRect();
    this.hint.textContent = this.text();
    this.hint.style.cssText = `left: ${at.left - box.left + at.width / 2}px; top: ${at.top - box.top + at.height / 2}px;`;
    this.root.append(this.hint);
    clearTimeout(this.hintTimer);
    this.hintTimer = setTimeout(() => this.hint.remove(), HINT_MS);
  }
}
