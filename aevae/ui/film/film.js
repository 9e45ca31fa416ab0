// The film of one run, or of two in step: the cloud of codes, the digits, the loss terms, and the model as a picture.
// A place on the bar is a number: whole ones are frames (of all runs together, by epoch), between them points flow.
import { classColours, PIXELS, SIDE } from "../live/canvas.js";
import { channel, onFrame, prefersReducedMotion } from "../live/page.js";

const FOLLOWED = 16;
const RATE = 5; // frames a second at speed 1
const SPEEDS = [0.25, 0.5, 1, 2, 4];
const KEPT = 400; // frames that came one by one while training

// ---- pure: frames and time -------------------------------------------------------------------------------------------

/** Arrays of aevae/ui/filming.parcel whose names begin with `before` -> frames, views into them, in order of time. */
export function framesOf(arrays, before) {
  const get = (name) => arrays[before + name];
  const epoch = get("epoch");
  const each = (name, i) => {
    const all = get(name);
    if (!all) return null;
    const size = all.length / epoch.length;
    return all.subarray(i * size, (i + 1) * size);
  };
  return Array.from(epoch, (t, i) => ({
    t,
    step: get("step") ? get("step")[i] : null,
    xy: each("xy", i),
    mu: each("mu", i),
    std: each("std", i),
    recon: each("recon", i),
    sample: each("sample", i),
    reconNats: each("recon_nats", i),
    klNats: each("kl_nats", i),
    terms: each("terms", i) ?? new Float32Array(0),
  }));
}

/** A film and frames that came by themselves, in order of time; of two at one time the film's stays. */
export function join(film, extra) {
  const times = new Set(film.map((frame) => frame.t));
  return [...film, ...extra.filter((frame) => !times.has(frame.t))].sort((a, b) => a.t - b.t);
}

/** All times at which some run has a frame, ascending. */
export function timeline(runs) {
  return [...new Set(runs.flatMap((frames) => frames.map((frame) => frame.t)))].sort((a, b) => a - b);
}

/** Index of the last element <= value, and how far it is to the next in 0..1. `values` ascend. */
export function locate(values, value) {
  let low = 0, high = values.length - 1;
  if (value >= values[high]) return [high, 0];
  if (value <= values[0]) return [0, 0];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] <= value) low = middle;
    else high = middle;
  }
  return [low, (value - values[low]) / (values[high] - values[low])];
}

/** Time at a place on the bar, and back. */
export function timeAt(times, place) {
  const i = Math.max(0, Math.min(Math.floor(place), times.length - 1));
  const next = Math.min(i + 1, times.length - 1);
  return times[i] + (place - i) * (times[next] - times[i]);
}

export function placeOf(times, t) {
  const [i, part] = locate(times, t);
  return i + part;
}

/** Of points (N, 2): [x0, x1, y0, y1] without the outermost `share` at each side. */
export function span(xy, share) {
  const cut = Math.floor((xy.length / 2) * share);
  return [0, 1].flatMap((axis) => {
    const values = Float32Array.from({ length: xy.length / 2 }, (_, i) => xy[2 * i + axis]).sort();
    return [values[cut], values[values.length - 1 - cut]];
  });
}

/**
 * The square [x0, x1, y0, y1] that holds nearly all points of the last frame, and most of every other.
 * prior: standard deviation of the prior, whose circles are on it, too; 0: none.
 */
export function boxOf(frames, prior) {
  const spans = frames.map((frame) => (frame.most ??= span(frame.xy, 0.06)));
  spans.push(span(frames[frames.length - 1].xy, 0.003));
  if (prior) spans.push([-2.2, 2.2, -2.2, 2.2].map((v) => v * prior));
  const [x0, x1, y0, y1] = [Math.min, Math.max, Math.min, Math.max].map((f, i) => f(...spans.map((s) => s[i])));
  const side = Math.max(x1 - x0, y1 - y0, 1e-6) * 1.08; // the same scale both ways
  const [cx, cy] = [(x0 + x1) / 2, (y0 + y1) / 2];
  return [cx - side / 2, cx + side / 2, cy - side / 2, cy + side / 2];
}

/** Half axes and angle of the one-sigma ellipse of N(., diag std^2) seen on the plane (D, 2). */
export function ellipse(plane, std) {
  let a = 0, b = 0, c = 0; // covariance [[a, b], [b, c]]
  for (let i = 0; i < std.length; i++) {
    const v = std[i] * std[i], p = plane[2 * i], q = plane[2 * i + 1];
    a += v * p * p;
    b += v * p * q;
    c += v * q * q;
  }
  const middle = (a + c) / 2, half = Math.hypot((a - c) / 2, b);
  return { rx: Math.sqrt(middle + half), ry: Math.sqrt(Math.max(middle - half, 0)), angle: Math.atan2(2 * b, a - c) / 2 };
}

/** What a person reads of a time: `epoch 3`, in the first epoch `step 30`. */
export function say(t, step, texts) {
  if (t === 0) return texts.untrained;
  if (t < 1 && step !== null) return texts.step.replace("{}", step);
  const epoch = texts.epoch.replace("{}", Number.isInteger(t) ? t : t.toFixed(2));
  return step !== null && !Number.isInteger(t) ? `${epoch} · ${texts.step.replace("{}", step)}` : epoch;
}

/** A number with about three digits. */
export function short(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2).replace("-", "−");
}

/** From where to where a curve is drawn: all that comes after the first third, and as much again of the steep beginning. */
export function range(values) {
  const least = (list) => list.reduce((a, b) => Math.min(a, b)), most = (list) => list.reduce((a, b) => Math.max(a, b));
  const later = values.slice(Math.floor(values.length / 3));
  const [a, b] = [least(later), most(later)];
  const low = Math.max(least(values), a - (b - a)), high = Math.min(most(values), b + (b - a));
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}

// ---- drawing ---------------------------------------------------------------------------------------------------------

function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function digit(name = "") {
  const canvas = h("canvas", { class: `digit ${name}`, width: SIDE, height: SIDE, "aria-hidden": "true" });
  return canvas;
}

/** 784 grey bytes of `pixels`, from `at`. */
function grey(canvas, pixels, at) {
  const g = canvas.getContext("2d");
  const image = (canvas.image ??= g.createImageData(SIDE, SIDE));
  for (let i = 0; i < PIXELS; i++) {
    image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = pixels[at + i];
    image.data[4 * i + 3] = 255;
  }
  g.putImageData(image, 0, 0);
}

/** A canvas as large as its box, in device pixels; the context draws in CSS pixels. */
function fit(canvas) {
  const scale = globalThis.devicePixelRatio || 1;
  const { clientWidth: w, clientHeight: hh } = canvas;
  const width = Math.round(w * scale), height = Math.round(hh * scale);
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const g = canvas.getContext("2d");
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, w, hh);
  return [g, w, hh];
}

function inks(root) {
  const style = getComputedStyle(root);
  const get = (name) => style.getPropertyValue(name).trim();
  return {
    text: get("--st-text-color"), line: get("--st-border-color"), accent: get("--st-primary-color"),
    paper: get("--st-background-color"), classes: classColours(root),
  };
}

function drawCloud(canvas, view, ink) {
  const [g, w, hh] = fit(canvas);
  if (!w) return;
  const [x0, x1, y0, y1] = view.box;
  const sx = (x) => ((x - x0) / (x1 - x0)) * w, sy = (y) => (1 - (y - y0) / (y1 - y0)) * hh;
  const unit = w / (x1 - x0);
  g.strokeStyle = ink.line;
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(sx(0), 0);
  g.lineTo(sx(0), hh);
  g.moveTo(0, sy(0));
  g.lineTo(w, sy(0));
  g.stroke();
  const { xy: a } = view.frame, { xy: b } = view.next, f = view.part, size = Math.max(2, w / 130);
  g.globalAlpha = 0.95;
  for (const [colour, points] of view.classes) {
    g.fillStyle = ink.classes[colour];
    g.beginPath();
    for (const i of points) {
      const x = sx(a[2 * i] + f * (b[2 * i] - a[2 * i]));
      const y = sy(a[2 * i + 1] + f * (b[2 * i + 1] - a[2 * i + 1]));
      g.moveTo(x + size, y);
      g.arc(x, y, size, 0, 7);
    }
    g.fill();
  }
  if (view.prior) {
    g.strokeStyle = ink.text; // above the points, which hide it else
    g.globalAlpha = 0.45;
    for (const r of [1, 2]) {
      g.beginPath();
      g.arc(sx(0), sy(0), r * view.prior * unit, 0, 2 * Math.PI);
      g.stroke();
    }
  }
  g.globalAlpha = 1;
  const k = view.chosen;
  const x = sx(a[2 * k] + f * (b[2 * k] - a[2 * k])), y = sy(a[2 * k + 1] + f * (b[2 * k + 1] - a[2 * k + 1]));
  const oval = view.oval ?? { rx: 0, ry: 0, angle: 0 };
  for (const [colour, width] of [[ink.paper, 5], [ink.text, 2.5]]) {
    g.strokeStyle = colour;
    g.lineWidth = width;
    g.beginPath();
    g.ellipse(x, y, Math.max(oval.rx * unit, 7), Math.max(oval.ry * unit, 7), -oval.angle, 0, 7);
    g.stroke();
  }
}

function drawCurve(canvas, lines, places, place, end, ink) {
  const [g, w, hh] = fit(canvas);
  if (!w) return;
  const ranges = lines.map((line) => range(line.values));
  const low = Math.min(...ranges.map((r) => r[0])), high = Math.max(...ranges.map((r) => r[1]));
  const px = (p) => 4 + (p / Math.max(end, 1)) * (w - 8);
  const py = (v) => 5 + (1 - Math.max(-0.2, Math.min((v - low) / (high - low), 1.2))) * (hh - 10);
  g.strokeStyle = ink.line;
  g.beginPath();
  g.moveTo(px(place), 0);
  g.lineTo(px(place), hh);
  g.stroke();
  lines.forEach((line, n) => {
    g.strokeStyle = g.fillStyle = line.colour;
    g.lineWidth = 2;
    g.setLineDash(line.dash ? [5, 4] : []);
    g.beginPath();
    line.values.forEach((v, i) => g.lineTo(px(places[n][i]), py(v)));
    g.stroke();
    g.setLineDash([]);
    g.beginPath();
    g.arc(px(Math.min(place, places[n][places[n].length - 1])), py(line.now), 4, 0, 7);
    g.fill();
  });
}

/** Bars of D numbers around zero; `spread` adds a whisker of that half length to each; `level` is a line to compare. */
function drawBars(canvas, values, reach, ink, { spread = null, level = null, floor = -reach } = {}) {
  const [g, w, hh] = fit(canvas);
  if (!w) return;
  const y = (v) => (1 - (Math.max(floor, Math.min(v, reach)) - floor) / (reach - floor)) * (hh - 2) + 1;
  const each = w / values.length, gap = each > 5 ? Math.min(each * 0.25, 6) : each > 2 ? 1 : 0;
  g.strokeStyle = ink.line;
  g.lineWidth = 1;
  for (const v of [0, ...(level === null ? [] : [level])]) {
    g.setLineDash(v ? [3, 3] : []);
    g.beginPath();
    g.moveTo(0, y(v));
    g.lineTo(w, y(v));
    g.stroke();
  }
  g.setLineDash([]);
  const most = Math.min(each - gap, 40);
  values.forEach((v, i) => {
    const x = i * each + (each - most) / 2;
    if (spread) {
      g.globalAlpha = 0.28;
      g.fillStyle = ink.accent;
      g.fillRect(x, y(v + spread[i]), most, Math.max(y(v - spread[i]) - y(v + spread[i]), 1));
      g.globalAlpha = 1;
      g.fillStyle = ink.accent;
      g.fillRect(x, y(v) - 1.5, most, 3);
    } else {
      g.fillStyle = ink.accent;
      g.fillRect(x, Math.min(y(v), y(0)), most, Math.max(Math.abs(y(v) - y(0)), 1));
    }
  });
}

// ---- one run ---------------------------------------------------------------------------------------------------------

class RunView {
  constructor(player) {
    this.player = player;
    this.extra = [];
    this.off = () => {};
    this.root = h("section", { class: "run" });
  }

  update(spec, arrays, before, texts) {
    this.spec = spec;
    this.film = framesOf(arrays, before);
    this.plane = arrays[`${before}plane`];
    this.original = arrays[`${before}original`];
    this.labels = arrays[`${before}labels`];
    this.dim = this.plane.length / 2;
    if (spec.name !== this.name) this.extra = [];
    this.name = spec.name;
    this.classes = new Map();
    this.labels.forEach((label, i) => {
      const colour = label % 10;
      if (!this.classes.has(colour)) this.classes.set(colour, []);
      this.classes.get(colour).push(i);
    });
    this.off();
    this.off = spec.live ? channel(spec.channel).on((parts) => this.newest(parts)) : () => {};
    if (spec.live && channel(spec.channel).value) this.take(channel(spec.channel).value);
    this.merge();
    const colours = classColours(this.player.root);
    const shape = JSON.stringify([spec.label, spec.colour, spec.classes, spec.network, spec.objective, !this.film[0].std, texts, this.dim, colours]);
    if (shape !== this.shape) this.build(texts, colours);
    this.shape = shape;
    this.planeText.textContent = `${texts.cloud.replace("{}", this.labels.length)} · ${spec.plane}${spec.prior ? ` · ${spec.circles}` : ""}`;
    for (let k = 0; k < FOLLOWED; k++) grey(this.pairs[k].original, this.original, k * PIXELS);
  }

  take(parts) {
    const [frame] = framesOf(parts, "0.");
    if (frame.xy.length !== this.film[0].xy.length || frame.terms.length !== this.film[0].terms.length) return;
    const known = this.extra[this.extra.length - 1];
    if (known && known.t > frame.t) this.extra = []; // it began anew
    if (known?.t === frame.t) this.extra.pop();
    this.extra.push(frame);
    if (this.extra.length > KEPT) this.extra.shift();
  }

  newest(parts) {
    this.take(parts);
    this.merge();
    this.player.lengthened();
  }

  merge() {
    this.frames = join(this.film, this.extra);
    this.times = this.frames.map((frame) => frame.t);
    this.box = boxOf(this.frames, this.spec.prior);
    const last = this.frames[this.frames.length - 1]; // bars of the last frame fit, wilder ones before are cut
    const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-6);
    this.reach = { mu: largest(last.mu), std: Math.max(1, last.std ? largest(last.std) : 0) };
  }

  build(texts, colours) {
    const { spec } = this;
    this.cloud = h("canvas", { class: "cloud", role: "img" });
    this.planeText = h("p", { class: "note" });
    this.legend = h("p", { class: "legend" }, ...[...new Set(this.labels)].sort((a, b) => a - b).slice(0, 10).map((label) =>
      h("span", {}, h("i", { style: `background:${colours[label % 10]}` }), spec.classes[label] ?? String(label))));
    this.pairs = Array.from({ length: FOLLOWED }, (_, k) => {
      const original = digit(), recon = digit();
      const name = texts.choose.replace("{}", k + 1).replace("{}", spec.classes[this.labels[k]] ?? this.labels[k]);
      const button = h("button", { type: "button", class: "pair", "aria-label": name, title: name, onclick: () => this.player.choose(k) }, original, recon);
      return { original, recon, button };
    });
    this.samples = Array.from({ length: FOLLOWED }, () => digit());
    const pictures = h(
      "div", { class: "pictures" },
      h("div", { class: "sheet" }, ...this.pairs.map((pair) => pair.button)),
      h("p", { class: "note" }, texts.pictures),
      h("div", { class: "sheet samples" }, ...this.samples),
      h("p", { class: "note" }, texts.samples),
    );
    this.when = h("span", { class: "when" });
    const title = h("h3", {}, h("i", { style: `background:${spec.colour}` }), spec.label, this.when);
    this.root.replaceChildren(
      title,
      h("div", { class: "stage" }, h("div", { class: "map" }, this.cloud, this.legend, this.planeText), pictures),
      this.buildModel(texts),
    );
  }

  buildModel(texts) {
    const { spec } = this, parts = (this.model = {});
    const box = (name, label, ...content) => h("div", { class: `part ${name}` }, ...content, h("span", { class: "label" }, ...[label].flat()));
    const arrow = () => h("span", { class: "arrow", "aria-hidden": "true" });
    const bars = (name) => (parts[name] = h("canvas", { class: "bars", role: "img" }));
    const block = (name, text) => h("div", { class: `block ${name}` }, h("b", {}, texts[name]), h("small", {}, text));
    parts.x = digit("large");
    parts.y = digit("large");
    parts.kl = h("b", {});
    parts.recon = h("b", {});
    const many = texts.dims.replace("{}", this.dim);
    const code = this.film[0].std
      ? [
          h("div", { class: "part two" },
            h("div", { class: "named" }, h("em", {}, texts.mu), bars("mu")), h("div", { class: "named" }, h("em", {}, texts.sigma), bars("std")),
            h("span", { class: "label" }, parts.kl)),
          arrow(),
          box("code", texts.drawn, h("div", { class: "named" }, h("em", {}, texts.z), bars("z"))),
        ]
      : [box("code wide", `${texts.code} · ${many}`, h("div", { class: "named" }, h("em", {}, texts.z), bars("z")))];
    return h(
      "figure", { class: "model", "aria-label": texts.model },
      h("div", { class: "flow" },
        box("x", texts.digit, parts.x), arrow(), block("encoder", spec.network[0]), arrow(), ...code, arrow(),
        block("decoder", spec.network[1]), arrow(), box("y", parts.recon, parts.y)),
      h("figcaption", {}, spec.objective ? `${texts.objective} ` : "", h("b", {}, spec.objective)),
    );
  }

  draw(t, chosen, texts, ink) {
    const [i, part] = locate(this.times, t);
    const frame = (this.now = this.frames[i]), next = this.frames[Math.min(i + 1, this.frames.length - 1)];
    const std = frame.std?.subarray(chosen * this.dim, (chosen + 1) * this.dim);
    const mu = frame.mu.subarray(chosen * this.dim, (chosen + 1) * this.dim);
    this.when.textContent = say(frame.t, frame.step, texts);
    drawCloud(this.cloud, {
      box: this.box, prior: this.spec.prior, frame, next, part, classes: this.classes, chosen, oval: std && ellipse(this.plane, std),
    }, ink);
    for (let k = 0; k < FOLLOWED; k++) {
      grey(this.pairs[k].recon, frame.recon, k * PIXELS);
      grey(this.samples[k], frame.sample, k * PIXELS);
      this.pairs[k].button.setAttribute("aria-pressed", k === chosen);
    }
    const { model } = this;
    grey(model.x, this.original, chosen * PIXELS);
    grey(model.y, frame.recon, chosen * PIXELS);
    if (std) {
      drawBars(model.mu, mu, this.reach.mu, ink);
      drawBars(model.std, std, this.reach.std, ink, { level: 1, floor: 0 });
      drawBars(model.z, mu, this.reach.mu + 1, ink, { spread: std });
      model.kl.textContent = frame.klNats ? texts.kl_nats.replace("{}", short(frame.klNats[chosen])) : "";
    } else {
      drawBars(model.z, mu, this.reach.mu, ink);
    }
    model.recon.textContent = frame.reconNats ? texts.recon_nats.replace("{}", short(frame.reconNats[chosen])) : texts.recon;
    if (this.player.playing) return; // nobody reads aloud what changes all the time
    this.cloud.setAttribute("aria-label", `${this.planeText.textContent}, ${this.when.textContent}`);
    for (const [name, values] of [["mu", mu], ["std", std], ["z", mu]])
      if (model[name] && values) model[name].setAttribute("aria-label", `${texts[name === "std" ? "sigma" : name]}: ${[...values.subarray(0, 20)].map(short).join(", ")}`);
  }

  destroy() {
    this.off();
  }
}

// ---- the player ------------------------------------------------------------------------------------------------------

class Player {
  constructor(root) {
    this.root = root;
    this.views = [];
    this.place = null; // on the bar
    this.times = [0];
    this.chosen = 0;
    this.speed = 1;
    this.playing = false;
    this.following = false;
    this.draw = onFrame(() => this.paint());
    this.sizes = new ResizeObserver(() => this.draw());
  }

  build(texts) {
    this.built = true;
    this.button = h("button", { type: "button", class: "play", onclick: () => this.toggle() });
    this.bar = h("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": texts.time });
    this.bar.oninput = () => this.seek(Number(this.bar.value));
    this.bar.onkeydown = (event) => this.key(event);
    this.label = h("output", { class: "time" });
    this.newest = h("button", { type: "button", class: "newest", onclick: () => this.follow() });
    this.select = h("select", { "aria-label": texts.speed, onchange: () => (this.speed = Number(this.select.value)) },
      ...SPEEDS.map((speed) => h("option", speed === 1 ? { value: speed, selected: "" } : { value: speed }, `${speed} ×`)));
    this.curves = h("div", { class: "curves" });
    this.list = h("div", { class: "runs" });
    this.controls = h("div", { class: "controls" }, this.button, this.bar, this.label, this.newest, this.select);
    this.root.replaceChildren(h("div", { class: "film" }, this.controls, this.list, this.curves));
    this.sizes.observe(this.list);
  }

  update(spec, arrays) {
    const first = !this.built, before = this.spec;
    const t = first ? 0 : timeAt(this.times, this.place);
    const atEnd = !first && this.place >= this.times.length - 1;
    this.spec = spec;
    if (first) this.build(spec.texts);
    const names = spec.runs.map((run) => run.name).join();
    const other = names !== before?.runs.map((run) => run.name).join();
    while (this.views.length > spec.runs.length) this.views.pop().destroy();
    spec.runs.forEach((run, i) => {
      this.views[i] ??= new RunView(this);
      this.views[i].update(run, arrays, `${i}.`, spec.texts);
    });
    this.list.replaceChildren(...this.views.map((view) => view.root));
    this.list.dataset.runs = this.views.length;
    this.live = spec.runs.some((run) => run.live);
    if (other) {
      this.following = this.live;
      this.playing = false;
    }
    if (!this.live) this.following = false;
    this.buildCurves();
    this.retime(other || this.following || atEnd ? Infinity : t);
    if (first && !this.live && !prefersReducedMotion()) this.playWhenSeen();
    this.showState();
  }

  /** Frames came: the bar grows, the hand's place stays. */
  lengthened() {
    const t = timeAt(this.times, this.place);
    this.retime(this.following ? Infinity : t);
  }

  retime(t) {
    this.times = timeline(this.views.map((view) => view.frames));
    this.bar.max = this.times.length - 1;
    this.place = placeOf(this.times, t);
    this.draw();
  }

  buildCurves() {
    const names = [...new Set(this.spec.runs.flatMap((run) => run.terms))];
    if (names.join() === this.curveNames) return;
    this.curveNames = names.join();
    this.charts = names.map((name) => ({ name, canvas: h("canvas", { "aria-hidden": "true" }), value: h("span", {}) }));
    this.curves.replaceChildren(...this.charts.map(({ name, canvas, value }) =>
      h("div", { class: "curve" }, h("div", {}, h("b", {}, name), value, h("small", {}, this.spec.texts.unit)), canvas)));
  }

  paint() {
    if (!this.built || !this.root.isConnected) return;
    const { texts } = this.spec, ink = inks(this.root);
    const t = timeAt(this.times, this.place);
    for (const view of this.views) view.draw(t, this.chosen, texts, ink);
    const places = this.views.map((view) => view.times.map((time) => placeOf(this.times, time)));
    for (const { name, canvas, value } of this.charts) {
      const lines = [], at = [], said = [];
      this.views.forEach((view, n) => {
        const k = view.spec.terms.indexOf(name);
        if (k < 0) return;
        const values = view.frames.map((frame) => frame.terms[k]);
        const [i, part] = locate(view.times, t), j = Math.min(i + 1, values.length - 1);
        lines.push({ values, colour: view.spec.colour, dash: view.spec.dash, now: values[i] + part * (values[j] - values[i]) });
        at.push(places[n]);
        said.push(short(values[i]));
      });
      drawCurve(canvas, lines, at, this.place, this.times.length - 1, ink);
      value.textContent = said.join(" / ");
    }
    const [i] = locate(this.times, t);
    const steps = this.views.map((view) => view.now).find((frame) => frame.t === this.times[i])?.step ?? null;
    this.label.textContent = this.following ? texts.now : say(this.times[i], steps, texts); // the page tells when that is
    this.bar.value = this.place;
    this.bar.setAttribute("aria-valuetext", this.label.textContent);
    this.bar.style.setProperty("--part", `${(100 * this.place) / Math.max(this.times.length - 1, 1)}%`);
  }

  showState() {
    const { texts } = this.spec;
    this.button.textContent = this.playing ? "❚❚" : "►";
    this.button.setAttribute("aria-label", this.playing ? texts.pause : texts.play);
    this.button.title = this.playing ? texts.pause : texts.play;
    this.newest.hidden = !this.live;
    this.newest.textContent = this.following ? texts.following : texts.newest;
    this.newest.classList.toggle("on", this.following);
  }

  choose(k) {
    this.chosen = k;
    this.draw();
  }

  seek(place) {
    const end = this.times.length - 1;
    this.place = Math.max(0, Math.min(place, end));
    this.playing = false;
    this.following = this.live && this.place >= end;
    this.showState();
    this.draw();
  }

  follow() {
    this.seek(Infinity);
  }

  key(event) {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 5, PageDown: -5 }[event.key];
    if (by !== undefined) this.seek(by > 0 ? Math.floor(this.place + 1e-6) + by : Math.ceil(this.place - 1e-6) + by);
    else if (event.key === "Home") this.seek(0);
    else if (event.key === "End") this.seek(Infinity);
    else if (event.key === " ") this.toggle();
    else return;
    event.preventDefault();
  }

  toggle() {
    this.playing = !this.playing;
    this.following = false;
    this.watch?.disconnect();
    if (this.playing && this.place >= this.times.length - 1) this.place = 0;
    this.showState();
    if (this.playing) this.run();
  }

  run() {
    let before = performance.now();
    const tick = (now) => {
      if (!this.playing || !this.root.isConnected) return;
      this.place = Math.min(this.place + ((now - before) / 1000) * RATE * this.speed, this.times.length - 1);
      before = now;
      if (this.place >= this.times.length - 1) {
        this.playing = false;
        this.following = this.live;
        this.showState();
      }
      this.draw.cancel();
      this.paint();
      if (this.playing) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  /** Once, when a reader comes to it. */
  playWhenSeen() {
    this.watch = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      this.watch.disconnect();
      if (!this.playing) this.toggle();
    }, { threshold: 0.5 });
    this.watch.observe(this.views[0].cloud);
  }

  destroy() {
    this.playing = false;
    this.draw.cancel();
    this.sizes.disconnect();
    this.watch?.disconnect();
    for (const view of this.views) view.destroy();
  }
}

export function mount({ root }) {
  const player = new Player(root);
  return { update: (spec, arrays) => player.update(spec, arrays), destroy: () => player.destroy() };
}
