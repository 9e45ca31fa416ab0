// One run in a film: the cloud of codes, the followed images, samples, and a diagram of the model.

import { classColours, imageAt, paint } from "../live/canvas.js";
import { div, element, fill, imageCanvas } from "../live/dom.js";
import { channel } from "../live/page.js";
import { maxAbs } from "../live/signed.js";
import { drawBars, drawCloud } from "./charts.js";
import { boundsOf, framesOf, locate, mergeFrames, posteriorEllipse, shortNumber, timeText } from "./timeline.js";

const NUM_FOLLOWED = 16; // images
const MAX_LIVE_FRAMES = 400; // frames that were received singly during training

const imageOf = (name = "") => imageCanvas({ class: `digit${name}`, "aria-hidden": "true" });

export class RunView {
  constructor(player) {
    this.player = player;
    this.extra = [];
    this.off = () => {};
    this.root = element("section", { class: "run" });
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
    this.classes = new Map(); // colour -> points
    this.labels.forEach((label, i) => {
      if (!this.classes.has(label % 10)) this.classes.set(label % 10, []);
      this.classes.get(label % 10).push(i);
    });
    this.off();
    this.off = spec.live ? channel(spec.channel).on((parts) => this.liveFrame(parts)) : () => {};
    if (spec.live && channel(spec.channel).value) this.take(channel(spec.channel).value);
    this.merge();
    const colours = classColours(this.player.root);
    const { label, colour, classes, network, objective } = spec;
    const shape = JSON.stringify([label, colour, classes, network, objective, !this.film[0].std, texts, this.dim, colours]);
    if (shape !== this.shape) this.build(texts, colours);
    this.shape = shape;
    const cloud = fill(texts.cloud, { count: this.labels.length });
    this.planeText.textContent = [cloud, spec.plane, ...(spec.prior ? [spec.circles] : [])].join(" · ");
    for (let k = 0; k < NUM_FOLLOWED; k++) paint(this.pairs[k].original, imageAt(this.original, k), 255);
  }

  take(parts) {
    const [frame] = framesOf(parts, "0.");
    if (frame.xy.length !== this.film[0].xy.length || frame.terms.length !== this.film[0].terms.length) return;
    const known = this.extra[this.extra.length - 1];
    if (known && known.t > frame.t) this.extra = []; // the training was restarted
    if (known?.t === frame.t) this.extra.pop();
    this.extra.push(frame);
    if (this.extra.length > MAX_LIVE_FRAMES) this.extra.shift();
  }

  liveFrame(parts) {
    this.take(parts);
    this.merge();
    this.player.lengthened();
  }

  merge() {
    this.frames = mergeFrames(this.film, this.extra);
    this.times = this.frames.map((frame) => frame.t);
    this.bounds = boundsOf(this.frames, this.spec.prior);
    const last = this.frames[this.frames.length - 1]; // the scale fits the last frame; larger bars before are clipped
    this.limits = { mu: Math.max(maxAbs(last.mu), 1e-6), std: Math.max(1, last.std ? maxAbs(last.std) : 0) };
  }

  build(texts, colours) {
    const { spec } = this, labels = [...new Set(this.labels)].sort((a, b) => a - b).slice(0, 10);
    const note = (text = "") => element("p", { class: "note" }, text);
    this.cloud = element("canvas", { class: "cloud", role: "img" });
    this.planeText = note();
    const legend = labels.map((label) => {
      const dot = element("i", { style: `background:${colours[label % 10]}` });
      return element("span", {}, dot, spec.classes[label] ?? String(label));
    });
    this.pairs = Array.from({ length: NUM_FOLLOWED }, (_, k) => this.pairOf(k, texts));
    this.samples = Array.from({ length: NUM_FOLLOWED }, () => imageOf());
    const map = div("map", this.cloud, element("p", { class: "legend" }, ...legend), this.planeText);
    const images = div(
      "images",
      div("sheet", ...this.pairs.map((pair) => pair.button)), note(texts.images),
      div("sheet samples", ...this.samples), note(texts.samples),
    );
    this.when = element("span", { class: "when" });
    const title = element("h3", {}, element("i", { style: `background:${spec.colour}` }), spec.label, this.when);
    this.root.replaceChildren(title, div("stage", map, images), this.buildModel(texts));
  }

  /** A followed image and its reconstruction, as a button that chooses it. */
  pairOf(k, texts) {
    const original = imageOf(), recon = imageOf();
    const title = fill(texts.choose, { number: k + 1, name: this.spec.classes[this.labels[k]] ?? this.labels[k] });
    const properties = { type: "button", class: "pair", "aria-label": title, title, onclick: () => this.player.choose(k) };
    return { original, recon, button: element("button", properties, original, recon) };
  }

  /** The diagram: x -> encoder -> code -> decoder -> reconstruction. */
  buildModel(texts) {
    const { spec } = this, parts = (this.model = { x: imageOf(" large"), y: imageOf(" large") });
    for (const name of ["kl", "recon"]) parts[name] = element("b");
    const label = (text) => element("span", { class: "label" }, text);
    const part = (name, text, ...content) => div(`part ${name}`, ...content, label(text));
    const arrow = () => element("span", { class: "arrow", "aria-hidden": "true" });
    const bars = (name, title) => {
      parts[name] = element("canvas", { class: "bars", role: "img" });
      return div("named", element("em", {}, title), parts[name]);
    };
    const block = (name, text) => div(`block ${name}`, element("b", {}, texts[name]), element("small", {}, text));
    const count = fill(texts.dims, { count: this.dim }), z = bars("z", texts.z);
    const code = this.film[0].std
      ? [part("two", parts.kl, bars("mu", texts.mu), bars("std", texts.sigma)), arrow(), part("code", texts.drawn, z)]
      : [part("code wide", `${texts.code} · ${count}`, z)];
    const flow = div(
      "flow", part("x", texts.digit, parts.x), arrow(), block("encoder", spec.network[0]), arrow(),
      ...code, arrow(), block("decoder", spec.network[1]), arrow(), part("y", parts.recon, parts.y),
    );
    const prefix = spec.objective ? `${texts.objective} ` : "";
    const objective = element("figcaption", {}, prefix, element("b", {}, spec.objective));
    return element("figure", { class: "model", "aria-label": texts.model }, flow, objective);
  }

  draw(t, chosen, texts, ink) {
    const [i, part] = locate(this.times, t);
    const frame = (this.now = this.frames[i]), next = this.frames[Math.min(i + 1, this.frames.length - 1)];
    const std = frame.std?.subarray(chosen * this.dim, (chosen + 1) * this.dim);
    const mu = frame.mu.subarray(chosen * this.dim, (chosen + 1) * this.dim);
    const ellipse = std && posteriorEllipse(this.plane, std);
    this.when.textContent = timeText(frame.t, frame.step, texts);
    const { bounds, classes, spec: { prior } } = this;
    drawCloud(this.cloud, { bounds, prior, frame, next, part, classes, chosen, ellipse }, ink);
    this.pairs.forEach(({ recon, button }, k) => {
      paint(recon, imageAt(frame.recon, k), 255);
      paint(this.samples[k], imageAt(frame.sample, k), 255);
      button.setAttribute("aria-pressed", k === chosen);
    });
    this.drawModel(frame, chosen, { mu, std }, texts, ink);
  }

  /** Show the chosen image, its code and its reconstruction in the diagram. */
  drawModel(frame, chosen, { mu, std }, texts, ink) {
    const { model, limits } = this;
    const nats = (text, values) => fill(text, { value: shortNumber(values[chosen]) });
    paint(model.x, imageAt(this.original, chosen), 255);
    paint(model.y, imageAt(frame.recon, chosen), 255);
    if (std) {
      drawBars(model.mu, mu, limits.mu, ink);
      drawBars(model.std, std, limits.std, ink, { level: 1, floor: 0 });
      drawBars(model.z, mu, limits.mu + 1, ink, { spread: std });
      model.kl.textContent = frame.klNats ? nats(texts.kl_nats, frame.klNats) : "";
    } else {
      drawBars(model.z, mu, limits.mu, ink);
    }
    model.recon.textContent = frame.reconNats ? nats(texts.recon_nats, frame.reconNats) : texts.recon;
    if (this.player.playing) return; // too frequent for screen readers
    this.cloud.setAttribute("aria-label", `${this.planeText.textContent}, ${this.when.textContent}`);
    const named = [[model.mu, texts.mu, mu], [model.std, texts.sigma, std], [model.z, texts.z, mu]];
    for (const [canvas, name, values] of named) {
      const numbers = values && [...values.subarray(0, 20)].map(shortNumber).join(", ");
      if (canvas && values) canvas.setAttribute("aria-label", `${name}: ${numbers}`);
    }
  }

  destroy() {
    this.off();
  }
}
