// The posterior q(z|x) of one digit on a plane of the code: move it, stretch it, and the same noise gives other codes.
import { paint, stage } from "./core.js";
import { el, fill, svg } from "./dom.js";
import { crossEntropy, klToPrior, reparameterise } from "./gaussian.js";

const SIZE = 320;
const REACH = 4; // units of the prior from the middle to the edge
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

/** {recon of each draw, mean recon, kl} of q = N(mu, std^2) with the draws' noise eps (R, D); prior: its std. */
export function terms(decode, x, mu, std, eps, draws, prior = 1) {
  const width = mu.length;
  const recons = [];
  const z = new Float32Array(width);
  for (let r = 0; r < draws; r++) {
    reparameterise(mu, std, eps.subarray(r * width, (r + 1) * width), z);
    recons.push(crossEntropy(x, decode(z, r)));
  }
  return { recons, recon: recons.reduce((a, b) => a + b, 0) / draws, kl: klToPrior(mu, std, prior) };
}

export function mount(ctx) {
  let now = null;
  const px = (v) => (SIZE * (v / now.programs[0].prior + REACH)) / (2 * REACH);
  const unit = (v) => ((2 * REACH * v) / SIZE - REACH) * now.programs[0].prior;
  let state = null; // {a, b, spread, draws}
  let parts = null;

  const post = () => now.out.later(() => state);
  const change = (more) => {
    state = { ...state, ...more };
    now.show();
  };

  /** What the encoder says of the digit: mu, std (D). */
  const encoded = () => {
    if (!now.picture) return { mu: now.arrays.mu, std: now.arrays.std };
    const { mu, logvar } = now.programs[0].encode(now.picture);
    return { mu: Float32Array.from(mu), std: Float32Array.from(logvar, (v) => Math.exp(v / 2)) };
  };

  function draw({ spec, arrays, programs: [program], picture }) {
    const [i, j] = spec.plane;
    const x = picture ?? arrays.x;
    const own = encoded();
    const mu = own.mu.slice();
    mu[i] += state.a;
    mu[j] += state.b;
    const std = own.std.map((s) => s * state.spread);
    const width = mu.length;
    const found = terms(
      (z, r) => {
        const back = program.decode(z);
        paint(parts.canvases[r], back);
        return back;
      },
      x, mu, std, arrays.eps, state.draws, program.prior,
    );
    parts.canvases.forEach((canvas, r) => (canvas.hidden = r >= state.draws));
    const base = terms((z) => program.decode(z), x, own.mu, own.std, arrays.eps, state.draws, program.prior);
    for (const [ring, k] of [[parts.one, 1], [parts.two, 2]]) {
      const rx = px(k * std[i]) - px(0), ry = px(k * std[j]) - px(0);
      for (const [name, value] of Object.entries({ cx: px(mu[i]), cy: px(-mu[j]), rx, ry }))
        ring.setAttribute(name, value);
    }
    parts.dots.forEach((dot, r) => {
      dot.setAttribute("visibility", r < state.draws ? "visible" : "hidden");
      dot.setAttribute("cx", px(mu[i] + std[i] * arrays.eps[r * width + i]));
      dot.setAttribute("cy", px(-(mu[j] + std[j] * arrays.eps[r * width + j])));
    });
    parts.home.setAttribute("cx", px(own.mu[i]));
    parts.home.setAttribute("cy", px(-own.mu[j]));
    const most = Math.max(1.15 * (base.recon + base.kl), found.recon + found.kl);
    bar(parts.now, found, most);
    bar(parts.base, base, most);
    parts.spread.value = Math.log10(state.spread);
    parts.draws.value = state.draws;
    parts.spreadSaid.textContent = fill(spec.texts.times, { value: state.spread.toFixed(2) });
    parts.drawsSaid.textContent = `R = ${state.draws}`;
    parts.spread.setAttribute("aria-valuetext", parts.spreadSaid.textContent);
    parts.back.disabled = !state.a && !state.b && state.spread === 1;
  }

  function bar({ recon, kl, sum }, found, most) {
    recon.style.width = `${(100 * found.recon) / most}%`;
    kl.style.width = `${(100 * found.kl) / most}%`;
    recon.textContent = found.recon.toFixed(1);
    kl.textContent = found.kl / most > 0.07 ? found.kl.toFixed(1) : "";
    sum.textContent = fill(now.spec.texts.sum, {
      recon: found.recon.toFixed(1), kl: found.kl.toFixed(1), sum: (found.recon + found.kl).toFixed(1),
    });
  }

  function stack(label) {
    const made = { recon: el("div", { class: "recon" }), kl: el("div", { class: "kl" }), sum: el("output") };
    const row = el(
      "div", { class: "bar" }, el("span", { textContent: label }), el("div", { class: "track" }, made.recon, made.kl), made.sum,
    );
    return [row, made];
  }

  function build(given) {
    now = given;
    const { texts, most, start } = now.spec;
    state = { ...start };
    parts = { canvases: Array.from({ length: most }, () => el("canvas", { class: "digit", width: 28, height: 28 })) };
    const circle = (name, more) => (parts[name] = svg(more.rx === undefined ? "circle" : "ellipse", { class: name, ...more }));
    parts.dots = Array.from({ length: most }, () => svg("circle", { class: "dot", r: 3.5 }));
    const plane = svg(
      "svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "application", tabindex: 0, "aria-label": texts.plane, "data-finger": "tap" },
      svg("line", { x1: 0, x2: SIZE, y1: SIZE / 2, y2: SIZE / 2 }), svg("line", { y1: 0, y2: SIZE, x1: SIZE / 2, x2: SIZE / 2 }),
      svg("circle", { class: "prior", cx: SIZE / 2, cy: SIZE / 2, r: SIZE / (2 * REACH) }),
      svg("circle", { class: "prior", cx: SIZE / 2, cy: SIZE / 2, r: SIZE / REACH }),
      circle("home", { r: 5 }), circle("two", { rx: 1 }), circle("one", { rx: 1 }), ...parts.dots,
    );
    let grip = null;
    const at = (event) => {
      const place = plane.getBoundingClientRect();
      return [unit(((event.clientX - place.left) * SIZE) / place.width), -unit(((event.clientY - place.top) * SIZE) / place.height)];
    };
    const follow = (event) => {
      const [a, b] = at(event);
      const [i, j] = now.spec.plane;
      change({ a: a - grip[0] - encoded().mu[i], b: b - grip[1] - encoded().mu[j] });
    };
    plane.onpointerdown = (event) => {
      plane.setPointerCapture(event.pointerId);
      grip = [0, 0];
      follow(event);
    };
    plane.onpointermove = (event) => plane.hasPointerCapture(event.pointerId) && follow(event);
    plane.onpointerup = post;
    plane.onkeydown = (event) => {
      const step = ARROWS[event.key];
      if (!step) return;
      event.preventDefault();
      const by = 0.1 * now.programs[0].prior;
      change({ a: state.a + by * step[0], b: state.b + by * step[1] });
      post();
    };
    parts.spread = el("input", {
      type: "range", min: -2, max: 1, step: 0.01, "aria-label": texts.spread,
      oninput: () => change({ spread: 10 ** +parts.spread.value }), onchange: post,
    });
    parts.draws = el("input", {
      type: "range", min: 1, max: most, step: 1, "aria-label": texts.draws,
      oninput: () => change({ draws: +parts.draws.value }), onchange: post,
    });
    parts.spreadSaid = el("output");
    parts.drawsSaid = el("output");
    parts.back = el("button", {
      type: "button", textContent: texts.back,
      onclick() {
        change({ a: 0, b: 0, spread: 1 });
        post();
      },
    });
    const [nowRow, nowBar] = stack(texts.now);
    const [baseRow, baseBar] = stack(texts.base);
    Object.assign(parts, { now: nowBar, base: baseBar });
    now.box.replaceChildren(
      el(
        "div", { class: "left" }, plane,
        el("label", {}, el("span", { textContent: texts.spread }), parts.spread, parts.spreadSaid),
        el("label", {}, el("span", { textContent: texts.draws }), parts.draws, parts.drawsSaid), parts.back,
      ),
      el(
        "div", { class: "right" }, el("div", { class: "title", textContent: texts.decoded }),
        el("div", { class: "digits", role: "img", "aria-label": texts.decoded }, ...parts.canvases),
        el("div", { class: "legend" }, el("span", { class: "recon", textContent: texts.recon }), el("span", { class: "kl", textContent: "KL(q ‖ p)" })),
        nowRow, baseRow,
      ),
    );
  }

  return stage(ctx, "posterior", { build, draw });
}
