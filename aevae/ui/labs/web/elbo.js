// The posterior q(z|x) of one digit on a plane of the code. The user moves and scales it; the noise samples are fixed.
import { onArrows, onDrag, paint, placeIn } from "../../live/canvas.js";
import { button, div, element, fill, imageCanvas, imageCanvases, setAll, slider, svg } from "../../live/dom.js";
import { crossEntropy, gaussianOf, klToPrior, reparameterise } from "../../live/gaussian.js";
import { Stage } from "../../live/page.js";

const SIZE = 320; // side of the plane in pixels
const REACH = 4; // half the side in standard deviations of the prior

/** {recon of each sample, mean recon, kl} of q = N(mu, std^2) with noise eps (R, D); prior: its std. */
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

class Elbo extends Stage {
  build() {
    const { texts, most, start } = this.spec;
    this.state = { ...start }; // {a, b, spread, draws}
    this.post = () => this.outbox.postLater(() => this.state);
    this.canvases = imageCanvases(most);
    this.plane = this.planeOf();
    const range = (name, min, max, step, write) => {
      const input = () => this.change(write(+made.input.value));
      const made = slider({ min, max, step, "aria-label": texts[name] }, { input, change: this.post });
      made.name.textContent = texts[name];
      return made;
    };
    this.spread = range("spread", -2, 1, 0.01, (v) => ({ spread: 10 ** v }));
    this.draws = range("draws", 1, most, 1, (draws) => ({ draws }));
    this.back = button(texts.back, () => {
      this.change({ a: 0, b: 0, spread: 1 });
      this.post();
    });
    this.bars = { now: barOf(texts.now), base: barOf(texts.base) };
    this.x = imageCanvas({ role: "img", "aria-label": texts.x });
    const digits = element("div", { class: "digits", role: "img", "aria-label": texts.decoded }, ...this.canvases);
    const images = div(
      "images", element("figure", {}, element("figcaption", {}, texts.x), this.x),
      element("figure", {}, element("figcaption", {}, texts.decoded), digits),
    );
    const entries = [["recon", texts.recon], ["kl", "KL(q ‖ p)"]].map(([name, text]) => element("span", { class: name }, text));
    const legend = div("legend", ...entries);
    this.root.replaceChildren(
      div("left", this.plane, this.keyOf(), this.spread.box, this.draws.box, this.back),
      div("right", images, legend, this.bars.now.row, this.bars.base.row),
    );
  }

  /** The plane of two latent dimensions, in which the mean of q is moved. */
  planeOf() {
    const middle = SIZE / 2, dots = { length: this.spec.most };
    const circle = (name, r) => svg("circle", { class: name, cx: middle, cy: middle, r });
    this.dots = Array.from(dots, () => circle("dot", 3.5));
    this.home = circle("home", 5);
    this.rings = ["one", "two"].map((name) => svg("ellipse", { class: name, rx: 1 }));
    const [across, up] = this.spec.texts.axes;
    const plane = svg(
      "svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "application", tabindex: 0, "aria-label": this.spec.texts.plane },
      svg("line", { x1: 0, x2: SIZE, y1: middle, y2: middle }), svg("line", { y1: 0, y2: SIZE, x1: middle, x2: middle }),
      svg("text", { x: SIZE - 6, y: middle - 6, "text-anchor": "end" }, across), svg("text", { x: middle + 6, y: 18 }, up),
      circle("prior", middle / REACH), circle("prior", SIZE / REACH),
      this.home, this.rings[1], this.rings[0], ...this.dots,
    );
    const move = (event) => {
      const { x, y } = placeIn(plane, event), { mu } = this.encoded(), [i, j] = this.spec.plane;
      this.change({ a: this.unit(x * SIZE) - mu[i], b: -this.unit(y * SIZE) - mu[j] });
    };
    onDrag(plane, "tap", { move, done: this.post });
    onArrows(plane, (right, up) => {
      const by = 0.1 * this.prior;
      this.change({ a: this.state.a + by * right, b: this.state.b + by * up });
      this.post();
    });
    return plane;
  }

  /** What the circles and dots of the plane mean. */
  keyOf() {
    const entries = Object.entries(this.spec.texts.legend).map(([name, text]) => {
      const mark = svg("svg", { viewBox: "0 0 16 16" }, svg("circle", { class: name, cx: 8, cy: 8, r: name === "dot" ? 3.5 : 6 }));
      return element("span", {}, mark, text);
    });
    return div("key", ...entries);
  }

  /** Standard deviation of the prior, in whose units the plane is. */
  get prior() {
    return this.programs[0].prior;
  }

  /** A number of the code -> pixels of the plane, and back. */
  px(v) {
    return (SIZE * (v / this.prior + REACH)) / (2 * REACH);
  }

  unit(px) {
    return ((2 * REACH * px) / SIZE - REACH) * this.prior;
  }

  change(more) {
    this.state = { ...this.state, ...more };
    this.show();
  }

  /** The encoder's mu, std (D) of the digit. */
  encoded() {
    const { drawing, arrays, programs } = this;
    return drawing ? gaussianOf(programs[0].encode(drawing)) : { mu: arrays.mu, std: arrays.std };
  }

  draw({ spec, arrays, programs: [program], drawing, state }) {
    const [i, j] = spec.plane, x = drawing ?? arrays.x, own = this.encoded();
    const mu = own.mu.slice(), std = own.std.map((s) => s * state.spread);
    mu[i] += state.a;
    mu[j] += state.b;
    const decode = (z, r) => {
      const decoded = program.decode(z);
      paint(this.canvases[r], decoded);
      return decoded;
    };
    paint(this.x, x);
    const found = terms(decode, x, mu, std, arrays.eps, state.draws, program.prior);
    const base = terms((z) => program.decode(z), x, own.mu, own.std, arrays.eps, state.draws, program.prior);
    this.canvases.forEach((canvas, r) => (canvas.hidden = r >= state.draws));
    this.drawPlane(mu, std, own.mu);
    const largest = Math.max(1.15 * (base.recon + base.kl), found.recon + found.kl);
    for (const [name, values] of [["now", found], ["base", base]]) this.bars[name].show(values, largest, spec.texts.sum);
    this.spread.input.value = Math.log10(state.spread);
    this.draws.input.value = state.draws;
    this.spread.say(fill(spec.texts.times, { value: state.spread.toFixed(2) }));
    this.draws.value.textContent = `R = ${state.draws}`;
    this.back.disabled = !state.a && !state.b && state.spread === 1;
  }

  /** Paint q, its samples, and the encoder's q on the plane. */
  drawPlane(mu, std, home) {
    const [i, j] = this.spec.plane, { eps } = this.arrays, width = mu.length;
    this.rings.forEach((ring, k) => {
      const rx = this.px((k + 1) * std[i]) - this.px(0), ry = this.px((k + 1) * std[j]) - this.px(0);
      setAll(ring, { cx: this.px(mu[i]), cy: this.px(-mu[j]), rx, ry });
    });
    this.dots.forEach((dot, r) => {
      const [x, y] = [i, j].map((d) => mu[d] + std[d] * eps[r * width + d]);
      setAll(dot, { visibility: r < this.state.draws ? "visible" : "hidden", cx: this.px(x), cy: this.px(-y) });
    });
    setAll(this.home, { cx: this.px(home[i]), cy: this.px(-home[j]) });
  }
}

/** Reconstruction and KL as one bar: {row, show(values, nats that fill the row, text)}. */
function barOf(label) {
  const recon = div("recon"), kl = div("kl"), sum = element("output");
  const track = div("track", recon, kl);
  const row = div("bar", element("span", {}, label), track, sum);
  const show = (values, largest, text) => {
    recon.style.width = `${(100 * values.recon) / largest}%`;
    kl.style.width = `${(100 * values.kl) / largest}%`;
    recon.textContent = values.recon.toFixed(1);
    kl.textContent = values.kl / largest > 0.07 ? values.kl.toFixed(1) : "";
    const total = values.recon + values.kl;
    sum.textContent = fill(text, { recon: values.recon.toFixed(1), kl: values.kl.toFixed(1), sum: total.toFixed(1) });
  };
  return { row, show };
}

export const mount = (ctx) => new Elbo(ctx, "elbo");
