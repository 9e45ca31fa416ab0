// The toolkit of modules: life cycle (`Stage`), messages to Python (`outbox`), and shared values (`channel`).

import { PIXELS } from "./canvas.js";
import { div } from "./dom.js";

/**
 * `fn` at most once per animation frame, however often the result is called.
 * @param {() => void} fn
 */
export function onFrame(fn) {
  let request = 0;
  const schedule = () => {
    request ||= requestAnimationFrame(() => {
      request = 0;
      fn();
    });
  };
  schedule.cancel = () => {
    cancelAnimationFrame(request);
    request = 0;
  };
  return schedule;
}

/**
 * Numbered messages to Python. By the number an update that answers an older message is recognised, which must not undo
 * what the user did meanwhile.
 * post(payload): sends now. postLater(make): sends make() after `pause` ms without another call. isSettled(n): whether
 * Python, which has read message n, has read all messages; always true before the first message.
 * @param {(payload: object) => void} send
 */
export function outbox(send, pause = 300) {
  let last = null;
  let timer = 0;
  const post = (payload) => {
    clearTimeout(timer);
    timer = 0;
    last = (last ?? 0) + 1;
    send({ ...payload, n: last });
  };
  return {
    post,
    postLater(make) {
      clearTimeout(timer);
      timer = setTimeout(() => post(make()), pause);
    },
    isSettled(n) {
      last ??= n;
      return !timer && n >= last;
    },
    close: () => clearTimeout(timer),
  };
}

const channels = new Map();

/**
 * A value that all components of the page share. set(value, from): notifies all listeners except `from`.
 * on(fn, self): adds a listener and returns the function that removes it.
 * @param {string} name
 * @returns {{value: any, set: (value: any, from?: any) => void, on: (fn: (value: any) => void, self?: any) => () => void}}
 */
export function channel(name) {
  if (!channels.has(name)) {
    const listeners = new Map(); // fn -> who
    channels.set(name, {
      value: null,
      set(value, from = null) {
        this.value = value;
        for (const [fn, who] of listeners) if (who === null || who !== from) fn(value);
      },
      on(fn, self = null) {
        listeners.set(fn, self);
        return () => listeners.delete(fn);
      },
    });
  }
  return channels.get(name);
}

/** The channel of the image that the user draws at the picker `key`: {pixels: 784 in [0, 1]}. */
export const drawingChannel = (key) => channel(`drawing:${key}`);

/**
 * Call fn(pixels, or null if blank) at each change of the drawing at the picker `key`. Returns the function that stops it.
 * @param {string} key
 * @param {(pixels: Float32Array | null) => void} fn
 */
export function onDrawing(key, fn) {
  return drawingChannel(key).on((value) => {
    fn(value?.pixels?.length === PIXELS && value.pixels.some(Boolean) ? value.pixels : null);
  });
}

/**
 * The life cycle of a module. It has `root` (its element, of class `name`), `outbox`, the latest `spec`, `arrays` and
 * `programs`, `drawing` (what the user draws at the picker `spec.picker`, or null) and `show()`, which draws in the next
 * frame. A module overrides, or hands to `stage`, any of these, each called with the stage:
 *
 * create: once, before the first build. build: when `spec.key` is new. refresh: at each update, after build.
 * draw: in a frame after anything has changed. drawn: when the user draws. stop: at the end.
 */
export class Stage {
  constructor({ root, send }, name, pause = 300) {
    /** @type {any} */
    this.root = root.appendChild(div(name));
    this.send = send;
    this.outbox = outbox(send, pause);
    /** @type {any} */
    this.spec = null;
    /** @type {any} */
    this.arrays = null;
    /** @type {any[]} */
    this.programs = [];
    /** @type {Float32Array | null} */
    this.drawing = null;
    this.show = onFrame(() => this.draw(this));
    /** @type {(() => void)[]} */
    this.offs = []; // functions that end what the stage began
    this.isCreated = false;
  }

  create(_stage) {}
  build(_stage) {}
  refresh(_stage) {}
  draw(_stage) {}
  drawn(_stage) {}
  stop(_stage) {}

  update(spec, arrays, programs) {
    const isFirst = this.spec === null, isNew = isFirst || this.spec.key !== spec.key;
    Object.assign(this, { spec, arrays, programs });
    if (isFirst) {
      this.create(this);
      this.isCreated = true;
      if (spec.picker) this.onDrawing(spec.picker);
    }
    if (isNew) {
      this.drawing = null;
      this.build(this);
    }
    this.refresh(this);
    this.show();
  }

  onDrawing(picker) {
    const off = onDrawing(picker, (pixels) => {
      this.drawing = pixels;
      this.drawn(this);
      this.show();
    });
    this.offs.push(off);
  }

  /**
   * Call `fn`, or draw, whenever a node has another size.
   * @param {() => void} fn
   */
  onResize(fn = this.show, node = this.root) {
    const observer = new ResizeObserver(() => fn());
    observer.observe(node);
    this.offs.push(() => observer.disconnect());
  }

  destroy() {
    if (this.isCreated) this.stop(this);
    for (const off of this.offs) off();
    this.show.cancel();
    this.outbox.close();
    this.root.remove();
  }
}

/** A stage of functions, for `mount` to return. */
export const stage = (ctx, name, functions) => Object.assign(new Stage(ctx, name), functions);

/** Whether the user prefers reduced motion. */
export const prefersReducedMotion = () => globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;

const SLICE_MS = 8; // duration of a slice of work

/**
 * Work in idle time: `pause` ms after the last start(), unit() is called again and again, a few milliseconds at once,
 * until it returns false. after(): called after each slice of work.
 */
export function idleWork(unit, after = () => {}, pause = 160) {
  const request = globalThis.requestIdleCallback ?? ((fn) => setTimeout(fn, 30));
  const cancel = globalThis.cancelIdleCallback ?? clearTimeout;
  let timer = 0, slice = 0;
  const work = () => {
    const end = performance.now() + SLICE_MS;
    let more = true;
    while (more && performance.now() < end) more = unit();
    slice = more ? request(work, { timeout: 1000 }) : 0;
    after();
  };
  const stop = () => {
    clearTimeout(timer);
    if (slice) cancel(slice);
    slice = 0;
  };
  return {
    start() {
      stop();
      timer = setTimeout(work, pause);
    },
    stop,
  };
}
