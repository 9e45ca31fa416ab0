// The film of one run, or of two in step: time bar, runs, and loss terms.

import { ARROWS, classColours, themeColours } from "../live/canvas.js";
import { button, div, element } from "../live/dom.js";
import { clamp } from "../live/maths.js";
import { prefersReducedMotion, Stage } from "../live/page.js";
import { drawCurve } from "./charts.js";
import { RunView } from "./run_view.js";
import { locate, placeOf, shortNumber, timeAt, timeline, timeText } from "./timeline.js";

const FRAMES_PER_SECOND = 5; // at speed 1
const SPEEDS = [0.25, 0.5, 1, 2, 4];

class Player extends Stage {
  create({ root, spec: { texts } }) {
    this.views = [];
    this.place = null; // position on the time bar
    Object.assign(this, { times: [0], chosen: 0, speed: 1, playing: false, following: false });
    this.button = button("", () => this.toggle(), { class: "play" });
    this.bar = element("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": texts.time });
    this.bar.oninput = () => this.seek(Number(this.bar.value));
    this.bar.onkeydown = (event) => this.key(event);
    this.label = element("output", { class: "time" });
    this.newest = button("", () => this.seek(Infinity), { class: "newest" });
    const speeds = SPEEDS.map((value) => element("option", { value, selected: value === 1 }, `${value} ×`));
    this.select = element("select", { "aria-label": texts.speed }, ...speeds);
    this.select.onchange = () => (this.speed = Number(this.select.value));
    this.curves = div("curves");
    this.list = div("runs");
    const controls = div("controls", this.button, this.bar, this.label, this.newest, this.select);
    root.append(controls, this.list, this.curves);
    this.onResize(this.show, this.list);
  }

  refresh({ spec, arrays }) {
    const isFirst = this.place === null;
    const t = isFirst ? 0 : timeAt(this.times, this.place), isAtEnd = !isFirst && this.place >= this.times.length - 1;
    const names = spec.runs.map((run) => run.name).join(), isOther = names !== this.names;
    this.names = names;
    while (this.views.length > spec.runs.length) this.views.pop().destroy();
    spec.runs.forEach((run, i) => {
      this.views[i] ??= new RunView(this);
      this.views[i].update(run, arrays, `${i}.`, spec.texts);
    });
    this.list.replaceChildren(...this.views.map((view) => view.root));
    this.list.dataset.runs = this.views.length;
    this.live = spec.runs.some((run) => run.live);
    if (isOther) {
      this.chosen = spec.runs[0].chosen;
      this.following = this.live;
      this.playing = false;
    }
    if (!this.live) this.following = false;
    this.buildCurves();
    this.retime(isOther || this.following || isAtEnd ? Infinity : t);
    if (isFirst && !this.live && !prefersReducedMotion()) this.playWhenSeen();
    this.showState();
  }

  /** Extend the time bar by new frames; the thumb keeps its time. */
  lengthened() {
    const t = timeAt(this.times, this.place);
    this.retime(this.following ? Infinity : t);
  }

  retime(t) {
    this.times = timeline(this.views.map((view) => view.frames));
    this.root.classList.toggle("still", this.times.length < 2);
    this.bar.max = this.times.length - 1;
    this.place = placeOf(this.times, t);
    this.show();
  }

  buildCurves() {
    const names = [...new Set(this.spec.runs.flatMap((run) => run.terms))];
    if (names.join() === this.curveNames) return;
    this.curveNames = names.join();
    this.charts = names.map((name) => {
      const canvas = element("canvas", { "aria-hidden": "true" }), value = element("span");
      const head = element("div", {}, element("b", {}, name), value, element("small", {}, this.spec.texts.unit));
      return { name, canvas, value, box: div("curve", head, canvas) };
    });
    this.curves.replaceChildren(...this.charts.map(({ box }) => box));
  }

  draw() {
    if (!this.root.isConnected) return;
    const { texts } = this.spec, ink = { ...themeColours(this.root), classes: classColours(this.root) };
    const t = timeAt(this.times, this.place);
    for (const view of this.views) view.draw(t, this.chosen, texts, ink);
    this.drawCurves(t, ink);
    const [i] = locate(this.times, t), last = this.times.length - 1;
    const step = this.views.map((view) => view.now).find((frame) => frame.t === this.times[i])?.step ?? null;
    // During a training the page itself shows the epoch.
    this.label.textContent = this.following ? texts.now : timeText(this.times[i], step, texts);
    this.bar.value = this.place;
    this.bar.setAttribute("aria-valuetext", this.label.textContent);
    this.bar.style.setProperty("--part", `${(100 * this.place) / Math.max(last, 1)}%`);
  }

  /** A chart for each loss term, with a line for each run that has it. */
  drawCurves(t, ink) {
    const places = this.views.map((view) => view.times.map((time) => placeOf(this.times, time)));
    for (const { name, canvas, value } of this.charts) {
      const lines = this.views.flatMap(({ spec, frames, times }, n) => {
        const k = spec.terms.indexOf(name);
        if (k < 0) return [];
        const values = frames.map((frame) => frame.terms[k]);
        const [i, part] = locate(times, t), next = Math.min(i + 1, values.length - 1);
        const now = values[i] + part * (values[next] - values[i]);
        return [{ values, places: places[n], colour: spec.colour, dash: spec.dash, now, said: shortNumber(values[i]) }];
      });
      drawCurve(canvas, lines, this.place, this.times.length - 1, ink);
      value.textContent = lines.map((line) => line.said).join(" / ");
    }
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
    this.show();
  }

  seek(place) {
    const end = this.times.length - 1;
    this.place = clamp(place, 0, end);
    this.playing = false;
    this.following = this.live && this.place >= end;
    this.showState();
    this.show();
  }

  key(event) {
    const by = { PageUp: 5, PageDown: -5 }[event.key] ?? ARROWS[event.key]?.reduce((right, up) => right + up);
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
      const frames = ((now - before) / 1000) * FRAMES_PER_SECOND * this.speed;
      this.place = Math.min(this.place + frames, this.times.length - 1);
      before = now;
      if (this.place >= this.times.length - 1) {
        this.playing = false;
        this.following = this.live;
        this.showState();
      }
      this.show.cancel();
      this.draw();
      if (this.playing) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  /** Play once, when the reader scrolls to it. */
  playWhenSeen() {
    this.watch = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      this.watch.disconnect();
      if (!this.playing) this.toggle();
    }, { threshold: 0.5 });
    this.watch.observe(this.views[0].cloud);
  }

  stop() {
    this.playing = false;
    this.watch?.disconnect();
    for (const view of this.views) view.destroy();
  }
}

export const mount = (ctx) => new Player(ctx, "film");
