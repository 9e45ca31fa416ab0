// KL(rho || rho_hat) over rho_hat, with a draggable point and a histogram of a run's units.
import { onDrag, placeIn } from "../../live/canvas.js";
import { div, element, fill, setAll, slider, svg } from "../../live/dom.js";
import { clamp } from "../../live/maths.js";
import { Stage } from "../../live/page.js";

const EDGE = 0.001; // the curve is drawn from here to 1 - EDGE
const BOX = { left: 40, right: 8, top: 30, bottom: 54, width: 640, height: 290 };
const MAX_COST = 2; // nats, the top of the axis
const BINS = 50;

// ---- pure parts -----------------------------------------------------------------------------------------------------

/** KL between Bernoulli distributions with these probabilities, in nats. */
export const klBernoulli = (rho, hat) => rho * Math.log(rho / hat) + (1 - rho) * Math.log((1 - rho) / (1 - hat));

/** Its derivative with respect to the second. */
export const gradient = (rho, hat) => (1 - rho) / (1 - hat) - rho / hat;

/** Number of values in each of `bins` equal parts of 0..1. */
export function histogram(values, bins) {
  const out = new Int32Array(bins);
  for (const v of values) out[clamp(Math.floor(v * bins), 0, bins - 1)]++;
  return out;
}

const px = (hat) => BOX.left + hat * (BOX.width - BOX.left - BOX.right);
const py = (cost) => BOX.height - BOX.bottom - (cost / MAX_COST) * (BOX.height - BOX.top - BOX.bottom);

/** The curve as an SVG path, clipped to the axes. */
export function curve(rho, steps = 300) {
  const points = [];
  for (let i = 0; i <= steps; i++) {
    const hat = EDGE + ((1 - 2 * EDGE) * i) / steps;
    const cost = Math.min(klBernoulli(rho, hat), MAX_COST * 1.2);
    points.push(`${points.length ? "L" : "M"}${px(hat).toFixed(1)},${py(cost).toFixed(1)}`);
  }
  return points.join("");
}

// ---- the view -------------------------------------------------------------------------------------------------------

/** Lines, numbers and names of both axes. */
function axesOf(texts) {
  const text = (content, attributes) => svg("text", attributes, content);
  const across = [0, 0.2, 0.4, 0.6, 0.8, 1].map((v) => {
    return text(v.toFixed(1), { x: px(v), y: BOX.height - 34, "text-anchor": "middle" });
  });
  const up = [0, 1, 2].flatMap((cost) => [
    svg("line", { x1: px(0), x2: px(1), y1: py(cost), y2: py(cost) }),
    text(`${cost}`, { x: BOX.left - 8, y: py(cost) + 4, "text-anchor": "end" }),
  ]);
  const names = [
    text(texts.across, { x: (px(0) + px(1)) / 2, y: BOX.height - 8, "text-anchor": "middle" }),
    text(texts.up, { x: 4, y: 18 }),
  ];
  return svg("g", { class: "axes" }, ...across, ...up, ...names);
}

class SparsePenalty extends Stage {
  build({ root, outbox, show, spec }) {
    const post = () => outbox.postLater(() => ({ rho: +this.rho.input.value, hat: +this.hat.input.value }));
    const probability = (value) => slider({ min: 0.01, max: 0.99, step: 0.01, value }, { input: show, change: post });
    this.rho = probability(spec.rho);
    this.hat = probability(spec.hat);
    this.path = svg("path", { class: "curve" });
    this.bars = svg("g", { class: "bars" });
    this.wanted = svg("line", { class: "wanted" });
    this.tangent = svg("line", { class: "tangent" });
    this.point = svg("circle", { r: 8, class: "point" });
    const inside = svg("rect", { x: px(0), y: BOX.top, width: px(1) - px(0), height: py(0) - BOX.top });
    this.plot = svg(
      "svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, role: "img" },
      svg("clipPath", { id: "inside" }, inside), axesOf(spec.texts), this.bars, this.wanted,
      svg("g", { "clip-path": "url(#inside)" }, this.path, this.tangent), this.point,
    );
    onDrag(this.plot, "across", { move: (event) => this.move(event), done: post });
    this.said = element("div", { class: "said", role: "status" });
    root.replaceChildren(div("knobs", this.rho.box, this.hat.box), this.plot, this.said);
  }

  move(event) {
    this.hat.input.value = (placeIn(this.plot, event).x * BOX.width - BOX.left) / (px(1) - px(0));
    this.show();
  }

  refresh({ spec, arrays }) {
    this.rho.name.textContent = spec.texts.rho;
    this.hat.name.textContent = spec.texts.hat;
    this.plot.setAttribute("aria-label", spec.texts.image);
    const counts = histogram(arrays.units, BINS), most = Math.max(...counts, 1), width = (px(1) - px(0)) / BINS;
    const bars = [...counts].flatMap((count, i) => {
      const tall = (count / most) * 0.5 * (py(0) - BOX.top);
      return count ? [svg("rect", { x: px(i / BINS) + 0.5, y: py(0) - tall, width: width - 1, height: tall })] : [];
    });
    this.bars.replaceChildren(...bars);
  }

  draw({ spec }) {
    const rho = +this.rho.input.value, hat = +this.hat.input.value, cost = klBernoulli(rho, hat), g = gradient(rho, hat);
    this.path.setAttribute("d", curve(rho));
    setAll(this.wanted, { x1: px(rho), x2: px(rho), y1: py(0), y2: BOX.top });
    setAll(this.point, { cx: px(hat), cy: Math.max(py(cost), BOX.top) });
    setAll(this.tangent, { x1: px(hat - 0.12), x2: px(hat + 0.12), y1: py(cost - 0.12 * g), y2: py(cost + 0.12 * g) });
    this.rho.value.textContent = rho.toFixed(2);
    this.hat.value.textContent = hat.toFixed(2);
    this.said.textContent = fill(spec.texts.verdict, { cost: cost.toFixed(3), slope: g.toFixed(2) });
  }
}

export const mount = (ctx) => new SparsePenalty(ctx, "sparse_penalty");
