// Two densities on a line: q is moved by hand or by gradient descent on one of two divergences; p is fixed or movable.
import { clampedPlaceIn, onDrag } from "../../live/canvas.js";
import { button, div, element, fill, slider, svg } from "../../live/dom.js";
import { descend, kl, klNormal, logMixture } from "../../live/gaussian.js";
import { prefersReducedMotion, Stage } from "../../live/page.js";

const WIDTH = 640;
const HEIGHT = 240;
const FOOT = 22; // space below the axis
const MAX_STEPS = 400; // steps of gradient descent

/** Path of a density over [low, high] as an SVG `d`, `unit` the density that fills the height. */
export function curve(parts, low, high, unit, points = 240) {
  const out = [];
  for (let i = 0; i <= points; i++) {
    const x = low + ((high - low) * i) / points;
    const y = Math.min(1.2, Math.exp(logMixture(x, parts)) / unit);
    out.push(`${((i / points) * WIDTH).toFixed(1)},${(HEIGHT - FOOT - y * (HEIGHT - FOOT - 8)).toFixed(1)}`);
  }
  return `M${out.join("L")}`;
}

class ElboDivergence extends Stage {
  build() {
    this.halt();
    this.q = { ...this.spec.start };
    this.p = this.spec.p;
    const { texts, free } = this.spec;
    const message = () => (free ? { ...this.q, pm: this.p[0].m, ps: this.p[0].s } : { ...this.q });
    this.post = () => this.outbox.postLater(message);
    this.plot = this.plotOf();
    const of = (name) => (free ? `${name}: ` : "");
    this.sliders = this.slidersOf(of("q"), () => this.q, (to) => (this.q = to));
    if (free) this.sliders.push(...this.slidersOf(of("p"), () => this.p[0], (to) => (this.p = [to])));
    this.check = div("check");
    this.values = { forward: element("output"), reverse: element("output") };
    const kind = (name, label) => div(
      "kind", element("span", { textContent: label }), this.values[name],
      button(texts.slide, () => this.minimise(name), { title: `${texts.slide} ${label}` }),
    );
    const key = ["p", "q"].map((name) => element("span", { class: `of-${name}`, textContent: texts[name] }));
    this.root.replaceChildren(
      this.plot, div("key", ...key),
      ...this.sliders.map(({ input, value }) => element("label", {}, input, value)),
      div("kinds", kind("forward", "KL(p ‖ q)"), kind("reverse", "KL(q ‖ p)")), this.check,
    );
  }

  plotOf() {
    const { low, high, texts, digits } = this.spec, base = HEIGHT - FOOT;
    this.curves = { p: svg("path", { class: "p" }), q: svg("path", { class: "q" }) };
    const ticks = ["start", "middle", "middle", "middle", "end"].map((anchor, i) => {
      const text = (low + ((high - low) * i) / 4).toFixed(Math.min(digits, 2));
      return svg("text", { x: (i / 4) * WIDTH, y: HEIGHT - 5, "text-anchor": anchor }, text);
    });
    const plot = svg(
      "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": texts.plot },
      this.curves.p, this.curves.q, svg("line", { x1: 0, x2: WIDTH, y1: base, y2: base }), ...ticks,
    );
    const move = (event) => {
      this.halt();
      this.q = { ...this.q, m: low + (high - low) * clampedPlaceIn(plot, event).x };
      this.show();
    };
    onDrag(plot, "across", { move, done: this.post });
    return plot;
  }

  /** Two sliders, for mean and standard deviation of the Gaussian that get() gives and set() takes. */
  slidersOf(of, get, set) {
    const { low, high, least, most, digits } = this.spec;
    const one = (name, min, max, key, read, write) => {
      const input = () => {
        this.halt();
        set({ ...get(), [key]: write(+made.input.value) });
        this.show();
      };
      const made = slider({ min, max, step: (max - min) / 500, "aria-label": of + name }, { input, change: this.post });
      const show = () => {
        made.input.value = read(get()[key]);
        made.say(`${of}${name} = ${get()[key].toFixed(digits)}`);
      };
      return { ...made, show };
    };
    const scale = Math.log(most / least);
    return [
      one("μ", low, high, "m", (m) => m, (m) => m),
      one("σ", 0, 1, "s", (s) => Math.log(s / least) / scale, (v) => least * Math.exp(v * scale)),
    ];
  }

  /** Gradient descent of q on one of the two divergences. */
  minimise(kind) {
    this.halt();
    const { p } = this, q = (m, s) => [{ w: 1, m, s }];
    const cost = kind === "forward" ? (m, s) => kl(p, q(m, s), 200) : (m, s) => kl(q(m, s), p, 200);
    let left = MAX_STEPS;
    const step = () => {
      const { m, s, isAtMinimum } = descend(cost, this.q);
      this.q = { m, s };
      return isAtMinimum || --left <= 0;
    };
    if (prefersReducedMotion()) {
      while (!step());
      this.show();
      return this.post();
    }
    const frame = () => {
      const done = step() || step();
      this.show();
      this.running = done ? 0 : requestAnimationFrame(frame);
      if (done) this.post();
    };
    this.running = requestAnimationFrame(frame);
  }

  halt() {
    cancelAnimationFrame(this.running);
    this.running = 0;
  }

  draw({ p, spec: { low, high, unit, texts } }) {
    const { m, s } = this.q, q = [{ w: 1, m, s }], base = HEIGHT - FOOT;
    this.curves.p.setAttribute("d", `${curve(p, low, high, unit)}L${WIDTH},${base}L0,${base}Z`);
    this.curves.q.setAttribute("d", curve(q, low, high, unit));
    for (const [name, value] of Object.entries({ forward: kl(p, q), reverse: kl(q, p) }))
      this.values[name].textContent = fill(texts.nats, { value: value.toFixed(value < 100 ? 3 : 0) });
    for (const made of this.sliders) made.show();
    if (p.length === 1) this.check.textContent = fill(texts.closed, { value: klNormal(m, s, p[0].m, p[0].s).toFixed(3) });
  }

  stop() {
    this.halt();
  }
}

export const mount = (ctx) => new ElboDivergence(ctx, "elbo_divergence");
