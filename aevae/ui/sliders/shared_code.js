// The code z that the live sliders and the live plane share.

import { clamp } from "../live/maths.js";
import { channel } from "../live/page.js";

const codes = new Map(); // run -> SharedCode

/** The code of a run that all components of the page share. */
export function sharedCodeOf(run) {
  if (!codes.has(run)) codes.set(run, new SharedCode(channel(`z:${run}`)));
  return codes.get(run);
}

/**
 * settled: the code in Python, or in a message to it. live: the code that is shown, the value of the channel.
 * No other component changes the code while a component holds it, or until Python has read the last message.
 */
export class SharedCode {
  constructor(shared) {
    this.channel = shared;
    this.settled = null;
    this.outboxes = new Map(); // who -> outbox
    this.holders = new Set();
  }

  get live() {
    return this.channel.value?.z ?? this.settled;
  }

  join(who, outbox) {
    this.outboxes.set(who, outbox);
  }

  leave(who) {
    this.outboxes.delete(who);
    this.holders.delete(who);
  }

  hold(who) {
    this.holders.add(who);
  }

  release(who) {
    this.holders.delete(who);
  }

  /** Whether another component holds the code. */
  isHeldByOther(who) {
    return this.holders.size > (this.holders.has(who) ? 1 : 0);
  }

  /** Show z in all components except `who`. */
  move(z, who = null) {
    this.channel.set({ z: Float32Array.from(z) }, who);
  }

  /** `who` releases the code at z. */
  settle(z, who = null) {
    this.settled = Float32Array.from(z);
    this.release(who);
    this.move(z, who);
  }

  /** Back to the settled code. */
  restore(who) {
    this.release(who);
    if (this.settled && !same(this.settled, this.live)) this.move(this.settled);
  }

  /** Take over the code z from Python, which has read messages up to `read` (who -> number), unless it is outdated. */
  offer(z, read) {
    let known = true;
    for (const [who, outbox] of this.outboxes) known = outbox.isSettled(read[who] ?? 0) && known;
    if (!known || this.holders.size) return false;
    const before = this.channel.value?.z;
    this.settled = Float32Array.from(z);
    if (!before || !same(this.settled, before)) this.move(this.settled);
    return true;
  }
}

/** Whether two codes are equal. */
export function same(a, b) {
  return a.length === b.length && a.every((v, i) => v === b[i]);
}

/** Index of the only dimension in which two codes differ; -1: none, Infinity: several. */
export function changedIndex(a, b) {
  let found = -1;
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i]) continue;
    if (found >= 0) return Infinity;
    found = i;
  }
  return found;
}

const images = new WeakMap(); // z of a channel value -> Map(program -> image)

/** decode(z), cached per program; z must not be changed afterwards. */
export function decodedImage(program, z) {
  if (!images.has(z)) images.set(z, new Map());
  const known = images.get(z);
  if (!known.has(program)) known.set(program, Float32Array.from(program.decode(z)));
  return known.get(program);
}

/** What model i shows at z: the first decodes z, the others encode and decode its image again. */
export function shownImage(programs, i, z) {
  const image = decodedImage(programs[0], z);
  return i ? programs[i].reconstruct(image) : image;
}

/** z within low..high. */
export function clampCode(z, low, high) {
  return Float32Array.from(z, (v, i) => clamp(v, low[i], high[i]));
}
