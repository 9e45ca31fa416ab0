// A density, its score, the score learned by a denoising autoencoder, and walkers that follow one of them (Langevin).
import { disc, fitToBox, themeColours } from "../../live/canvas.js";
import { button, div, element, fill, slider } from "../../live/dom.js";
import { clamp } from "../../live/maths.js";
import { prefersReducedMotion, Stage } from "../../live/page.js";

const SHADES_ACROSS = 84; // side of the lattice of the density
const ARROWS_ACROSS = 23; // side of the lattice of the arrows
const NUM_WALKERS = 240;
const STEP_SIZE = 0.35; // size of a Langevin step, in units of sigma
const ANNEALING_STEPS = 420; // from the largest sigma to the smallest
const ARRIVAL_STEPS = 300, ARRIVAL_FRAMES = 6; // steps of the walk that nobody started; frames for each of them

// ---- pure parts -----------------------------------------------------------------------------------------------------

/** Components (x, y, std, weight) of a mixture -> with noise sigma (x, y, 1 / variance, log of weight / normaliser). */
export function smoothed(parts, sigma) {
  const out = Float64Array.from(parts);
  for (let k = 0; k < parts.length; k += 4) {
    const v = parts[k + 2] ** 2 + sigma * sigma;
    out[k + 2] = 1 / v;
    out[k + 3] = Math.log(parts[k + 3] / (2 * Math.PI * v));
  }
  return out;
}

const logs = new Float64Array(64); // of the parts; a mixture has no more

/** log p_sigma and its gradient at x, y -> out [log p, d/dx, d/dy]. p: what `smoothed` returns. */
export function scoreAt(p, x, y, out) {
  let most = -Infinity;
  for (let k = 0; k < p.length; k += 4) {
    const log = p[k + 3] - ((x - p[k]) ** 2 + (y - p[k + 1]) ** 2) * p[k + 2] * 0.5;
    logs[k >> 2] = log;
    if (log > most) most = log;
  }
  let total = 0, gx = 0, gy = 0;
  for (let k = 0; k < p.length; k += 4) {
    const share = Math.exp(logs[k >> 2] - most), part = share * p[k + 2];
    total += share;
    gx += part * (p[k] - x);
    gy += part * (p[k + 1] - y);
  }
  out[0] = most + Math.log(total);
  out[1] = gx / total;
  out[2] = gy / total;
  return out;
}

/** Linear layers [{w (out, in), b (out)}] with SiLU between them, as a function of x, y (times `finer`), log sigma. */
export function network(layers, finer = 1) {
  const values = [new Float32Array(3), ...layers.map(({ b }) => new Float32Array(b.length))];
  return (x, y, logSigma) => {
    values[0].set([finer * x, finer * y, logSigma]);
    layers.forEach(({ w, b }, n) => {
      const from = values[n], to = values[n + 1], last = n === layers.length - 1;
      for (let i = 0; i < to.length; i++) {
        let sum = b[i];
        for (let j = 0; j < from.length; j++) sum += w[i * from.length + j] * from[j];
        to[i] = last ? sum : sum / (1 + Math.exp(-sum));
      }
    });
    return values.at(-1);
  };
}

/** One Langevin step: x + step / 2 score + sqrt(step) noise, noise from N(0, 1). */
export const langevin = (x, score, step, noise) => x + (step / 2) * score + Math.sqrt(step) * noise;

/** A generator of N(0, 1) numbers (Box & Muller 1958) from a uniform one. */
export function normals(uniform = Math.random) {
  let spare = null;
  return () => {
    if (spare !== null) {
      const out = spare;
      spare = null;
      return out;
    }
    const r = Math.sqrt(-2 * Math.log(1 - uniform())), turn = 2 * Math.PI * uniform();
    spare = r * Math.sin(turn);
    return r * Math.cos(turn);
  };
}

/** Values at `s` of a curve {sigma (ascending), name: values, ...}, by linear interpolation over log sigma. */
export function curveAt(curve, s) {
  const { sigma } = curve;
  const k = sigma.slice(1, -1).filter((edge) => edge <= s).length;
  const part = clamp(Math.log(s / sigma[k]) / Math.log(sigma[k + 1] / sigma[k]));
  return Object.fromEntries(Object.entries(curve).map(([name, v]) => [name, v[k] + part * (v[k + 1] - v[k])]));
}

/** sigma at t in 0..1 of a geometric annealing from the largest to the smallest. */
export const annealed = (t, [low, high]) => high * (low / high) ** Math.min(t, 1);

/** Percentage of walkers (x, y, ...) nearest to each component. */
export function shares(walkers, parts) {
  const counts = Array.from({ length: parts.length / 4 }, () => 0);
  for (let i = 0; i < walkers.length; i += 2) {
    let best = 0, least = Infinity;
    for (let k = 0; k < parts.length; k += 4) {
      const d = (walkers[i] - parts[k]) ** 2 + (walkers[i + 1] - parts[k + 1]) ** 2;
      if (d < least) [best, least] = [k / 4, d];
    }
    counts[best]++;
  }
  return counts.map((n) => Math.round((200 * n) / walkers.length));
}

// ---- the view -------------------------------------------------------------------------------------------------------

const WORDS_MS = 250; // shortest interval between updates of the text

class Score extends Stage {
  create({ root, outbox, show }) {
    const input = () => {
      this.annealingStep = null;
      show();
    };
    this.post = () => outbox.postLater(() => ({ sigma: +this.slider.input.value }));
    this.slider = slider({ min: 0, max: 100, step: 1 }, { input, change: this.post });
    this.walk = button("", () => (this.running ? this.halt() : this.start(false)));
    this.anneal = button("", () => this.start(true));
    this.scatter = button("", () => {
      this.halt();
      this.scatterWalkers();
      show();
    });
    this.canvas = element("canvas", { role: "img" });
    this.legend = div("legend");
    this.verdict = element("div", { class: "verdict", role: "status" });
    const buttons = div("buttons", this.walk, this.anneal, this.scatter);
    root.append(this.canvas, div("side", this.slider.box, buttons, this.legend, this.verdict));
    this.onResize();
    this.noise = normals();
    this.walkers = new Float64Array(2 * NUM_WALKERS);
    Object.assign(this, { running: 0, annealingStep: null, wordsTime: 0 });
    if (!prefersReducedMotion()) this.start(false, ARRIVAL_FRAMES, ARRIVAL_STEPS);
  }

  build({ spec, arrays }) {
    this.slider.input.value = spec.sigma;
    this.net = network([0, 2, 4].map((n) => ({ w: arrays[`${n}.weight`], b: arrays[`${n}.bias`] })), spec.finer);
    this.field = null;
    this.scatterWalkers();
  }

  refresh({ spec: { texts, colour } }) {
    this.slider.name.textContent = texts.sigma;
    this.walk.textContent = this.running ? texts.pause : texts.walk;
    this.anneal.textContent = texts.anneal;
    this.scatter.textContent = texts.scatter;
    this.canvas.setAttribute("aria-label", texts.image);
    this.legend.replaceChildren(
      element("span", {}, element("b", { style: `background: ${colour}` }), texts.learnt),
      element("span", {}, element("b", { class: "truth" }), texts.truth),
      element("span", {}, element("b", { class: "dot" }), texts.walkers),
      element("span", {}, element("b", { class: "density" }), texts.density),
    );
  }

  get sigma() {
    return annealed(1 - this.slider.input.value / 100, this.spec.sigmas);
  }

  scatterWalkers() {
    const { half } = this.spec;
    for (let i = 0; i < this.walkers.length; i++) this.walkers[i] = (2 * Math.random() - 1) * half;
  }

  /** Let the walkers step: every `frames` frames, `steps` times. */
  start(isAnnealing, frames = 1, steps = Infinity) {
    cancelAnimationFrame(this.running);
    if (isAnnealing) this.scatterWalkers();
    this.annealingStep = isAnnealing ? 0 : null;
    let frame = 0;
    const beat = () => {
      if (frame++ % frames === 0) {
        this.advance();
        this.draw();
      }
      if (frame >= frames * steps) return this.halt();
      this.running = requestAnimationFrame(beat);
    };
    this.running = requestAnimationFrame(beat);
    this.walk.textContent = this.spec.texts.pause;
  }

  halt() {
    this.stop();
    this.walk.textContent = this.spec.texts.walk;
    if (this.annealingStep !== null) this.post();
    this.annealingStep = null;
  }

  /** One step of every walker, at a smaller sigma while annealing. */
  advance() {
    if (this.annealingStep !== null) {
      const step = ++this.annealingStep;
      this.slider.input.value = 100 * (1 - Math.min(step / ANNEALING_STEPS, 1));
      if (step >= ANNEALING_STEPS) this.annealingStep = null;
    }
    const { walkers, sigma } = this, size = (STEP_SIZE * sigma) ** 2, far = 1.15 * this.spec.half;
    for (let i = 0; i < walkers.length; i += 2) {
      const score = this.scoreOf(walkers[i], walkers[i + 1], sigma);
      for (const c of [0, 1]) walkers[i + c] = clamp(langevin(walkers[i + c], score[c], size, this.noise()), -far, far);
    }
  }

  /** The score that the walkers follow, at a place. */
  scoreOf(x, y, sigma) {
    if (this.spec.follow === "learnt") {
      const out = this.net(x, y, Math.log(sigma));
      return [out[0] / sigma, out[1] / sigma];
    }
    return scoreAt(this.fieldAt(sigma).mixture, x, y, buffer).subarray(1);
  }

  fieldAt(sigma) {
    const key = `${this.spec.key}|${sigma}`;
    if (this.field?.key !== key) this.field = { key, ...fieldOf(this.arrays.parts, this.net, this.spec.half, sigma) };
    return this.field;
  }

  draw() {
    const box = fitToBox(this.canvas, this.canvas.clientWidth);
    if (!box) return;
    const { g, width } = box, { spec, walkers, sigma } = this, { half } = spec, field = this.fieldAt(sigma);
    g.imageSmoothingEnabled = true;
    g.drawImage(field.density, 0, 0, width, width);
    const unit = width / (2 * half);
    g.transform(unit, 0, 0, -unit, unit * half, unit * half);
    const { ink } = themeColours(this.root);
    drawArrows(g, field.truth, half, ink, 3.4 / unit, 0.3);
    drawArrows(g, field.learnt, half, spec.colour, 1.7 / unit, 1);
    g.globalAlpha = 0.9;
    g.fillStyle = ink;
    for (let i = 0; i < walkers.length; i += 2) disc(g, [walkers[i], walkers[i + 1]], 2.3 / unit);
    g.globalAlpha = 1;
    this.slider.say(`σ = ${sigma.toFixed(2)}`);
    const time = performance.now();
    if (this.running && time - this.wordsTime < WORDS_MS) return;
    this.wordsTime = time;
    this.explain(curveAt(spec.curve, sigma));
  }

  /**
   * Show the error of the learned score at this sigma, and the distribution of the walkers.
   * @param {Record<string, number>} off
   */
  explain({ near_error: near, far_error: far, near_cosine: cosine }) {
    const { texts, modes } = this.spec, { parts } = this.arrays, percent = (part) => (100 * part).toFixed(0);
    const lines = [fill(texts.agree, { near: percent(near), far: percent(far), cosine: cosine.toFixed(2) })];
    if (modes) {
      const truth = Array.from({ length: parts.length / 4 }, (_, k) => Math.round(100 * parts[4 * k + 3])).join(" / ");
      lines.push(fill(texts.shares, { walkers: shares(this.walkers, parts).join(" / "), truth }));
    }
    this.verdict.replaceChildren(...lines.map((line) => element("div", {}, line)));
  }

  stop() {
    cancelAnimationFrame(this.running);
    this.running = 0;
  }
}

const buffer = new Float64Array(3); // of scoreAt

/** Place of point i of a lattice of n in -half..half. */
const latticeAt = (i, n, half) => ((i + 0.5) / n) * 2 * half - half;

/** Place of arrow n. */
const arrowPlace = (n, half) => [n % ARROWS_ACROSS, Math.floor(n / ARROWS_ACROSS)].map((i) => latticeAt(i, ARROWS_ACROSS, half));

/** For one sigma: the mixture, its density as a canvas, both score fields on the lattice of arrows in units of sigma. */
function fieldOf(parts, net, half, sigma) {
  const mixture = smoothed(parts, sigma);
  const learnt = new Float32Array(2 * ARROWS_ACROSS ** 2), truth = learnt.slice();
  for (let n = 0; n < ARROWS_ACROSS ** 2; n++) {
    const [x, y] = arrowPlace(n, half);
    scoreAt(mixture, x, y, buffer);
    truth.set([buffer[1] * sigma, buffer[2] * sigma], 2 * n);
    learnt.set(net(x, y, Math.log(sigma)), 2 * n);
  }
  return { mixture, density: densityCanvas(mixture, half), learnt, truth };
}

function densityCanvas(mixture, half) {
  const at = (i) => latticeAt(i, SHADES_ACROSS, half);
  const log = Float32Array.from({ length: SHADES_ACROSS ** 2 }, (_, i) => {
    return scoreAt(mixture, at(i % SHADES_ACROSS), -at(Math.floor(i / SHADES_ACROSS)), buffer)[0];
  });
  const highest = log.reduce((a, b) => Math.max(a, b));
  const canvas = element("canvas", { width: SHADES_ACROSS, height: SHADES_ACROSS });
  const image = new ImageData(SHADES_ACROSS, SHADES_ACROSS);
  log.forEach((v, i) => image.data.set([86, 140, 200, 165 * Math.exp(v - highest) ** 0.6], 4 * i));
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** The arrows of a field in units of sigma, each no longer than a cell. */
function drawArrows(g, field, half, colour, width, opacity) {
  g.strokeStyle = colour;
  g.globalAlpha = opacity;
  g.lineWidth = width;
  g.beginPath();
  for (let n = 0; n < ARROWS_ACROSS ** 2; n++) {
    const [x, y] = arrowPlace(n, half);
    arrow(g, x, y, field[2 * n], field[2 * n + 1], (2 * half) / ARROWS_ACROSS);
  }
  g.stroke();
}

function arrow(g, x, y, vx, vy, cell) {
  const size = Math.hypot(vx, vy);
  if (!size) return;
  const part = (cell * 0.92 * Math.min(size / 1.5, 1)) / size, dx = vx * part, dy = vy * part;
  g.moveTo(x, y);
  g.lineTo(x + dx, y + dy);
  g.moveTo(x + 0.72 * dx - 0.16 * dy, y + 0.72 * dy + 0.16 * dx);
  g.lineTo(x + dx, y + dy);
  g.lineTo(x + 0.72 * dx + 0.16 * dy, y + 0.72 * dy - 0.16 * dx);
}

export const mount = (ctx) => new Score(ctx, "score");
