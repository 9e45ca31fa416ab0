// Fingers. A swipe scrolls the page, wherever it begins: a slider takes the finger once it has moved sideways, or when it
// was a tap; a plane takes fingers after a tap has woken it, until one touches something else. Modules hear a finger only
// when it is theirs, as if it had just come down. Mouse, pen and keys are as ever.
//
// data-finger="across": something that is moved sideways, as every <input type="range">; "tap": a plane; "awake": one
// that takes fingers. What each leaves to the browser stands in live.css (touch-action).

import { el } from "./dom.js";

const SLOP = 8; // CSS pixels that a finger may move and still be a tap
const TOLD = 2500; // ms

/** Across or up and down? "" while it is too near to say. */
export function direction(dx, dy, slop = SLOP) {
  if (Math.hypot(dx, dy) <= slop) return "";
  return Math.abs(dx) > Math.abs(dy) ? "across" : "along";
}

/** Guard everything below `root`; text(): what is told to whoever swipes over a plane. Gives the function that ends it. */
export function guard(root, text) {
  const hint = el("span", { class: "finger-hint", role: "status" });
  let held = null; // {id, target, x, y, before, wanted, moved}: a finger of which it is not known yet whose it is
  let awake = null, restored = null, resting = 0;

  const swallow = (event) => event.stopImmediatePropagation();
  const asleep = (target) => target?.dataset.finger === "tap";
  const ours = (event) => event.isTrusted && event.pointerType === "touch";
  const meant = (event) => event.target.closest?.('input[type="range"], [data-finger]');
  const isHeld = (event) => held !== null && event.pointerId === held.id;

  function down(event) {
    restored = null;
    const target = ours(event) && meant(event);
    if (!target || target === awake) return;
    swallow(event);
    const { pointerId: id, clientX: x, clientY: y } = event;
    held ??= { id, target, x, y, before: target.value, wanted: target.value, moved: false };
  }

  function move(event) {
    if (!ours(event)) return;
    if (!isHeld(event)) return asleep(meant(event)) && swallow(event);
    const way = direction(event.clientX - held.x, event.clientY - held.y);
    held.moved ||= way !== "";
    if (way === "across" && !asleep(held.target)) return give(event);
    swallow(event);
  }

  function up(event) {
    if (!ours(event)) return;
    if (!isHeld(event)) return asleep(meant(event)) && swallow(event);
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
    if (moved) tell(target);
    else wake(target);
  }

  function cancel(event) {
    if (!ours(event)) return;
    if (!isHeld(event)) return asleep(meant(event)) && swallow(event);
    swallow(event);
    const { target, before } = held;
    held = null;
    if (asleep(target)) return tell(target);
    if (target.type !== "range") return;
    restored = target;
    target.value = before;
  }

  /** The finger is the element's. */
  function give(event) {
    const { target } = held;
    held = null;
    const { pointerId, pointerType, clientX, clientY, isPrimary } = event;
    const said = { pointerId, pointerType, clientX, clientY, isPrimary, bubbles: true, composed: true, cancelable: true };
    target.dispatchEvent(new PointerEvent("pointerdown", { ...said, buttons: 1 }));
  }

  /** A browser moves its sliders at the first touch. */
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
    awake = target;
    target.dataset.finger = "awake";
  }

  function sleep() {
    if (awake) awake.dataset.finger = "tap";
    awake = null;
  }

  const elsewhere = (event) => ours(event) && awake && !event.composedPath().includes(awake) && sleep();

  function tell(target) {
    const at = target.getBoundingClientRect(), box = root.getBoundingClientRect();
    hint.textContent = text();
    hint.style.cssText = `left: ${at.left - box.left + at.width / 2}px; top: ${at.top - box.top + at.height / 2}px;`;
    root.append(hint);
    clearTimeout(resting);
    resting = setTimeout(() => hint.remove(), TOLD);
  }

  const listeners = { pointerdown: down, pointermove: move, pointerup: up, pointercancel: cancel, input: changed, change: changed };
  for (const [name, listener] of Object.entries(listeners)) root.addEventListener(name, listener, true);
  document.addEventListener("pointerdown", elsewhere, true);
  return () => {
    for (const [name, listener] of Object.entries(listeners)) root.removeEventListener(name, listener, true);
    document.removeEventListener("pointerdown", elsewhere, true);
    clearTimeout(resting);
  };
}
