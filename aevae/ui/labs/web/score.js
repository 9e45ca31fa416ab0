// A density, its score, what a denoising autoencoder makes of it, and walkers that follow either (Langevin).
import { onFrame, outbox } from "../../live/core.js";
import { el, fill } from "../../live/dom.js";

const SHADES = 84; // lattice of the density
const ARROWS = 23; // lattice of the arrows
const WALKERS = 240;
const STEP = 0.35; // of sigma: size of a Langevin step
const ANNEAL = 420; // steps from the largest sigma to the smallest

// ---- pure parts -----------------------------------------------------------------------------------------------------

/** What a mixture is under noise: x, y, 1 / variance, log of weight and normaliser, of each part x, y, std, weight. */
export function spoilt(parts, sigma) {
  const out = Float64Array.from(parts);
  for (let k = 0; k < parts.length; k += 4) {
    const v = parts[k + 2] ** 2 + sigma * sigma;
    out[k + 2] = 1 / v;
    out[k + 3] = Math.log(parts[k + 3] / (2 * Math.PI * v));
  }
  return out;
}

const logs = new Float64Array(64); // of the parts; a mixture has no more

/** log p_sigma and its gradient at x, y -> out [log p, d/dx, d/dy]. p: what `spoilt` makes. */
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

/** One step of Langevin's walk: x + step / 2 score + sqrt(step) noise, noise from N(0, 1). */
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

/** Of a curve {sigma (rising), name: values, ...} each value at `s`, on straight lines over log sigma, as it is drawn. */
export function along(curve, s) {
  const { sigma } = curve;
  const k = sigma.slice(1, -1).filter((edge) => edge <= s).length;
  const part = Math.min(Math.max(Math.log(s / sigma[k]) / Math.log(sigma[k + 1] / sigma[k]), 0), 1);
  return Object.fromEntries(Object.entries(curve).map(([name, v]) => [name, v[k] + part * (v[k + 1] - v[k])]));
}

/** sigma of part t in 0..1 of an annealing from the largest to the smallest, in equal ratios. */
export const annealed = (t, [low, high]) => high * (low / high) ** Math.min(t, 1);

/** Of walkers (x, y, ...) the percentage that is nearest to each of the parts. */
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

export function mount({ root, send }) {
  const box = root.appendChild(el("div", { class: "score" }));
  const out = outbox(send);
  const slider = el("input", { type: "range", min: 0, max: 100, step: 1 });
  const what = el("span", { class: "what" }), said = el("output");
  const button = (onclick) => el("button", { type: "button", onclick });
  const walk = button(() => (running ? stop() : start(false)));
  const anneal = button(() => start(true));
  const scatter = button(() => (stop(), scattered(), show()));
  const canvas = el("canvas", { role: "img" });
  const legend = el("div", { class: "legend" }), verdict = el("div", { class: "verdict", role: "status" });
  box.append(
    el("label", { class: "knob" }, what, slider, said),
    el("div", { class: "buttons" }, walk, anneal, scatter),
    canvas, legend, verdict,
  );
  const show = onFrame(draw);
  const watch = new ResizeObserver(show);
  watch.observe(box);
  const noise = normals();
  const at = new Float64Array(3);
  const walkers = new Float64Array(2 * WALKERS);
  let now = null, net = null, field = null, running = 0, steps = -1, spoken = 0;

  const sigma = () => annealed(1 - slider.value / 100, now.spec.sigmas);
  slider.oninput = () => {
    steps = -1;
    show();
  };
  slider.onchange = () => out.later(() => ({ sigma: +slider.value }));

  function scattered() {
    const { half } = now.spec;
    for (let i = 0; i < walkers.length; i++) walkers[i] = (2 * Math.random() - 1) * half;
  }
  function start(falling) {
    cancelAnimationFrame(running);
    if (falling) {
      scattered();
      steps = 0;
    } else steps = -1;
    const beat = () => {
      advance();
      draw();
      running = requestAnimationFrame(beat);
    };
    running = requestAnimationFrame(beat);
    walk.textContent = now.spec.texts.pause;
  }
  function stop() {
    cancelAnimationFrame(running);
    running = 0;
    if (now) walk.textContent = now.spec.texts.walk;
    if (steps >= 0) slider.onchange();
    steps = -1;
  }

  function advance() {
    const { spec } = now;
    if (steps >= 0) {
      slider.value = 100 * (1 - Math.min(++steps / ANNEAL, 1));
      if (steps >= ANNEAL) steps = -1;
    }
    const s = sigma();
    renew(s);
    const step = (STEP * s) ** 2, far = 1.15 * spec.half;
    for (let i = 0; i < walkers.length; i += 2) {
      let gx, gy;
      if (spec.follow === "learnt") {
        const back = net(walkers[i], walkers[i + 1], Math.log(s));
        [gx, gy] = [back[0] / s, back[1] / s];
      } else {
        scoreAt(field.p, walkers[i], walkers[i + 1], at);
        [gx, gy] = [at[1], at[2]];
      }
      walkers[i] = Math.min(Math.max(langevin(walkers[i], gx, step, noise()), -far), far);
      walkers[i + 1] = Math.min(Math.max(langevin(walkers[i + 1], gy, step, noise()), -far), far);
    }
  }

  /** Density as a picture, both fields on the lattice of arrows: for one sigma of one toy. */
  function fieldOf(s) {
    const { spec, arrays } = now, { half } = spec, p = spoilt(arrays.parts, s);
    const log = new Float32Array(SHADES * SHADES);
    const place = (i, n) => ((i + 0.5) / n) * 2 * half - half;
    for (let j = 0; j < SHADES; j++)
      for (let i = 0; i < SHADES; i++) log[j * SHADES + i] = scoreAt(p, place(i, SHADES), -place(j, SHADES), at)[0];
    const most = log.reduce((a, b) => Math.max(a, b));
    const made = document.createElement("canvas");
    made.width = made.height = SHADES;
    const image = new ImageData(SHADES, SHADES);
    log.forEach((v, i) => image.data.set([86, 140, 200, 165 * Math.exp(v - most) ** 0.6], 4 * i));
    made.getContext("2d").putImageData(image, 0, 0);
    const learnt = new Float32Array(2 * ARROWS * ARROWS), truth = learnt.slice();
    for (let n = 0; n < ARROWS * ARROWS; n++) {
      const x = place(n % ARROWS, ARROWS), y = place(Math.floor(n / ARROWS), ARROWS);
      scoreAt(p, x, y, at);
      truth.set([at[1] * s, at[2] * s], 2 * n); // in units of sigma
      learnt.set(net(x, y, Math.log(s)), 2 * n);
    }
    return { key: `${spec.key}|${s}`, p, made, learnt, truth, place };
  }

  function renew(s) {
    if (field?.key !== `${now.spec.key}|${s}`) field = fieldOf(s);
  }

  function draw() {
    if (!now || !box.clientWidth) return;
    const { spec, arrays } = now, { texts, half } = spec, s = sigma();
    renew(s);
    const ratio = window.devicePixelRatio || 1, wide = canvas.clientWidth;
    canvas.width = canvas.height = Math.round(wide * ratio);
    const g = canvas.getContext("2d");
    g.imageSmoothingEnabled = true;
    g.drawImage(field.made, 0, 0, canvas.width, canvas.height);
    const u = wide / (2 * half);
    g.setTransform(ratio * u, 0, 0, -ratio * u, ratio * u * half, ratio * u * half);
    const ink = getComputedStyle(box).color;
    const cell = (2 * half) / ARROWS;
    for (const [name, colour, width] of [["truth", ink, 3.4], ["learnt", spec.colour, 1.7]]) {
      g.strokeStyle = colour;
      g.globalAlpha = name === "truth" ? 0.3 : 1;
      g.lineWidth = width / u;
      g.beginPath();
      for (let n = 0; n < ARROWS * ARROWS; n++)
        arrow(g, field.place(n % ARROWS, ARROWS), field.place(Math.floor(n / ARROWS), ARROWS), field[name][2 * n], field[name][2 * n + 1], cell);
      g.stroke();
    }
    g.globalAlpha = 0.9;
    g.fillStyle = ink;
    for (let i = 0; i < walkers.length; i += 2) {
      g.beginPath();
      g.arc(walkers[i], walkers[i + 1], 2.3 / u, 0, 7);
      g.fill();
    }
    g.globalAlpha = 1;
    said.textContent = `σ = ${s.toFixed(2)}`;
    slider.setAttribute("aria-valuetext", said.textContent);
    const time = performance.now();
    if (running && time - spoken < 250) return; // words need not change sixty times a second
    spoken = time;
    const off = along(spec.curve, s);
    const percent = (part) => (100 * part).toFixed(0);
    const lines = [fill(texts.agree, { near: percent(off.near_error), far: percent(off.far_error), cosine: off.near_cosine.toFixed(2) })];
    if (spec.modes) {
      const parts = arrays.parts, wanted = [];
      for (let k = 3; k < parts.length; k += 4) wanted.push(Math.round(100 * parts[k]));
      lines.push(fill(texts.shares, { walkers: shares(walkers, parts).join(" / "), truth: wanted.join(" / ") }));
    }
    verdict.replaceChildren(...lines.map((line) => el("div", { textContent: line })));
  }

  return {
    update(spec, arrays) {
      const first = now === null, other = now?.spec.key !== spec.key;
      now = { spec, arrays };
      if (other) {
        net = network([0, 2, 4].map((n) => ({ w: arrays[`${n}.weight`], b: arrays[`${n}.bias`] })), spec.finer);
        field = null;
        scattered();
      }
      what.textContent = spec.texts.sigma;
      walk.textContent = running ? spec.texts.pause : spec.texts.walk;
      anneal.textContent = spec.texts.anneal;
      scatter.textContent = spec.texts.scatter;
      canvas.setAttribute("aria-label", spec.texts.picture);
      legend.replaceChildren(
        el("span", {}, el("b", { style: `background: ${spec.colour}` }), spec.texts.learnt),
        el("span", {}, el("b", { class: "truth" }), spec.texts.truth),
        el("span", {}, el("b", { class: "dot" }), spec.texts.walkers),
      );
      if (first) slider.value = spec.sigma;
      show();
    },
    destroy() {
      cancelAnimationFrame(running);
      show.cancel();
      out.close();
      watch.disconnect();
      box.remove();
    },
  };
}

/** An arrow of a field in units of sigma, no longer than a cell. */
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
