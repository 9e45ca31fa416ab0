// Touch input. A swipe scrolls the page, wherever it begins. A slider takes the finger once the finger has moved sideways,
// or when it was a tap. A plane takes fingers after a tap on it, until one touches something else. An element receives
// the events of a finger only from then on, beginning with a pointerdown. Mouse, pen and keyboard work as before.
//
// data-finger="across": an element that is dragged sideways, as every <input type="range">; "tap": a plane; "awake": a
// plane after the tap. CSS (touch-action) says what each leaves to the browser: live.css for modules, layout.py for the
// sliders of Streamlit.

import { element } from "./dom.js";

const MAX_TAP_MOVE = 8; // CSS pixels
const HINT_MS = 2500;
const STREAMLIT_SLIDER = '[data-testid="stSlider"] [role="group"] > [style*="touch-action"]';
const GUARDED = `input[type="range"], [data-finger], ${STREAMLIT_SLIDER}`;

/** Of a movement: "across", "along" (up or down), or "" for one that is still a tap. */
export function direction(dx, dy) {
  if (Math.hypot(dx, dy) <= MAX_TAP_MOVE) return "";
  return Math.abs(dx) > Math.abs(dy) ? "across" : "along";
}

/** Guard all elements below `root`. text(): the hint after a swipe over a plane. Returns the function that ends it. */
export function guard(root, text) {
  const hint = element("span", { class: "finger-hint", role: "status" });
  let held = null; // {id, target, x, y, before, wanted, moved}: a finger that has neither dragged, scrolled nor tapped yet
  let awake = null, restored = null, hintTimer = 0;

  const swallow = (event) => event.stopImmediatePropagation();
  const asleep = (target) => target?.dataset.finger === "tap";
  const ours = (event) => event.isTrusted && event.pointerType === "touch";
  const guardedBy = (event) => event.target.closest?.(GUARDED);
  const isHeld = (event) => held !== null && event.pointerId === held.id;

  function down(event) {
    restored = null;
    const target = ours(event) && guardedBy(event);
    if (!target || target === awake) return;
    swallow(event);
    const { pointerId: id, clientX: x, clientY: y } = event;
    held ??= { id, target, x, y, before: target.value, wanted: target.value, moved: false };
  }

  function move(event) {
    if (!ours(event)) return;
    if (!isHeld(event)) return asleep(guardedBy(event)) && swallow(event);
    const way = direction(event.clientX - held.x, event.clientY - held.y);
    held.moved ||= way !== "";
    if (way === "across" && !asleep(held.target)) return give(event);
    swallow(event);
  }

  function up(event) {
    if (!ours(event)) return;
    if (!isHeld(event)) return asleep(guardedBy(event)) && swallow(event);
    const { target, moved, wanted } = held;
    if (!asleep(target)) {
      give(event);
      if (target.type === "range") {
        target.value = wanted;
        for (const name of ["input", "change"]) target.dispatchEvent(new Event(name, { bubbles: true }));
      }
      return;
    }
    swallow(event);
    held = null;
    if (moved) showHint(target);
    else wake(target);
  }

  function cancel(event) {
    if (!ours(event)) return;
    if (!isHeld(event)) return asleep(guardedBy(event)) && swallow(event);
    swallow(event);
    const { target, before } = held;
    held = null;
    if (asleep(target)) return showHint(target);
    if (target.type !== "range") return;
    restored = target;
    target.value = before;
  }

  /** Hand the finger to its element. */
  function give(event) {
    const { target } = held;
    held = null;
    const { pointerId, pointerType, clientX, clientY, isPrimary } = event;
    const said = { pointerId, pointerType, clientX, clientY, isPrimary, bubbles: true, composed: true, cancelable: true };
    target.dispatchEvent(new PointerEvent("pointerdown", { ...said, buttons: 1 }));
  }

  /** Browsers move a slider at the first touch: undo it until the finger is known to mean the slider. */
  function changed(event) {
    if (!event.isTrusted) return;
    if (event.target === restored) {
      swallow(event);
    } else if (event.target === held?.target) {
      swallow(event);
      held.wanted = event.target.value;
      event.target.value = held.before;
    }
  }

  function wake(target) {
    sleep();
    hint.remove();
    awake = target;
    target.dataset.finger = "awake";
  }

  function sleep() {
    if (awake) awake.dataset.finger = "tap";
    awake = null;
  }

  const elsewhere = (event) => ours(event) && awake && !event.composedPath().includes(awake) && sleep();

  function showHint(target) {
    const at = target.getBoundingClientRect(), box = root.getBoundingClientRect();
    hint.textContent = text();
    hint.style.cssText = `left: ${at.left - box.left + at.width / 2}px; top: ${at.top - box.top + at.height / 2}px;`;
    root.append(hint);
    clearTimeout(hintTimer);
    hintTimer = setTimeout(() => hint.remove(), HINT_MS);
  }

  const pointers = { pointerdown: down, pointermove: move, pointerup: up, pointercancel: cancel };
  const listeners = { ...pointers, input: changed, change: changed };
  for (const [name, listener] of Object.entries(listeners)) root.addEventListener(name, listener, true);
  document.addEventListener("pointerdown", elsewhere, true);
  return () => {
    for (const [name, listener] of Object.entries(listeners)) root.removeEventListener(name, listener, true);
    document.removeEventListener("pointerdown", elsewhere, true);
    clearTimeout(hintTimer);
  };
}
