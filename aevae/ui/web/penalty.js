// KL(rho || rho_hat) over rho_hat, with a point on it to be dragged, and where the units of a run lie.
import { onFrame, outbox } from "./core.js";
import { el, fill, svg } from "./dom.js";

const EDGE = 0.001;
const BOX = { left: 40, right: 8, top: 10, bottom: 30, width: 640, height: 260 };
const TOP = 2; // nats, the top of the axis
const BINS = 50;

// ---- pure parts -----------------------------------------------------------------------------------------------------

/** KL between two units that are on with these probabilities, in nats. */
export const kl = (rho, hat) => rho * Math.log(rho / hat) + (1 - rho) * Math.log((1 - rho) / (1 - hat));

/** Its slope over the second. */
export const slope = (rho, hat) => (1 - rho) / (1 - hat) - rho / hat;

/** How many values lie in each of `bins` equal parts of 0..1. */
export function histogram(values, bins) {
  const out = new Int32Array(bins);
  for (const v of values) out[Math.min(Math.max(Math.floor(v * bins), 0), bins - 1)]++;
  return out;
}

const px = (hat) => BOX.left + hat * (BOX.width - BOX.left - BOX.right);
const py = (cost) => BOX.height - BOX.bottom - (cost / TOP) * (BOX.height - BOX.top - BOX.bottom);

/** The curve as a path, cut where it leaves the axes. */
export function curve(rho, steps = 300) {
  const points = [];
  for (let i = 0; i <= steps; i++) {
    const hat = EDGE + ((1 - 2 * EDGE) * i) / steps;
    points.push(`${points.length ? "L" : "M"}${px(hat).toFixed(1)},${py(Math.min(kl(rho, hat), TOP * 1.2)).toFixed(1)}`);
  }
  return points.join("");
}

// ---- the view -------------------------------------------------------------------------------------------------------

export function mount({ root, send }) {
  const box = root.appendChild(el("div", { class: "penalty" }));
  const out = outbox(send);
  const show = onFrame(draw);
  const post = () => out.later(() => ({ rho: +rho.slider.value, hat: +hat.slider.value }));
  const knob = () => {
    const slider = el("input", { type: "range", min: 0.01, max: 0.99, step: 0.01, oninput: show, onchange: post });
    const what = el("span", { class: "what" }), said = el("output");
    return { slider, what, said, box: el("label", { class: "knob" }, what, slider, said) };
  };
  const rho = knob(), hat = knob();
  const path = svg("path", { class: "curve" }), bars = svg("g", { class: "bars" }), axes = svg("g", { class: "axes" });
  const wanted = svg("line", { class: "wanted" }), tangent = svg("line", { class: "tangent" });
  const point = svg("circle", { r: 8, class: "point" });
  const clip = svg("clipPath", { id: "inside" }, svg("rect", { x: px(0), y: BOX.top, width: px(1) - px(0), height: py(0) - BOX.top }));
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${BOX.width} ${BOX.height}`, role: "img", "data-finger": "across" },
    clip, axes, bars, wanted, svg("g", { "clip-path": "url(#inside)" }, path, tangent), point,
  );
  const said = el("div", { class: "said", role: "status" });
  box.append(el("div", { class: "knobs" }, rho.box, hat.box), picture, said);
  let now = null, held = false;

  for (let i = 0; i <= 5; i++) {
    const label = svg("text", { x: px(i / 5), y: BOX.height - 12, "text-anchor": "middle" });
    label.textContent = (i / 5).toFixed(1);
    axes.append(label);
  }
  for (const cost of [0, 1, 2]) {
    const label = svg("text", { x: BOX.left - 8, y: py(cost) + 4, "text-anchor": "end" });
    label.textContent = cost;
    axes.append(svg("line", { x1: px(0), x2: px(1), y1: py(cost), y2: py(cost) }), label);
  }

  function move(event) {
    const where = picture.getBoundingClientRect();
    const x = ((event.clientX - where.left) / where.width) * BOX.width;
    hat.slider.value = (x - BOX.left) / (px(1) - px(0));
    show();
  }
  picture.onpointerdown = (event) => {
    held = true;
    picture.setPointerCapture(event.pointerId);
    move(event);
  };
  picture.onpointermove = (event) => held && move(event);
  picture.onpointerup = picture.onpointercancel = () => {
    if (held) post();
    held = false;
  };

  function draw() {
    if (!now) return;
    const { texts } = now.spec;
    const r = +rho.slider.value, h = +hat.slider.value, cost = kl(r, h), s = slope(r, h);
    path.setAttribute("d", curve(r));
    const set = (node, values) => Object.entries(values).forEach(([name, v]) => node.setAttribute(name, v));
    set(wanted, { x1: px(r), x2: px(r), y1: py(0), y2: BOX.top });
    set(point, { cx: px(h), cy: Math.max(py(cost), BOX.top) });
    set(tangent, { x1: px(h - 0.12), x2: px(h + 0.12), y1: py(cost - 0.12 * s), y2: py(cost + 0.12 * s) });
    rho.said.textContent = r.toFixed(2);
    hat.said.textContent = h.toFixed(2);
    said.textContent = fill(texts.verdict, { cost: cost.toFixed(3), slope: s.toFixed(2) });
  }

  return {
    update(spec, arrays) {
      const fresh = now === null;
      now = { spec, arrays };
      rho.what.textContent = spec.texts.rho;
      hat.what.textContent = spec.texts.hat;
      picture.setAttribute("aria-label", spec.texts.picture);
      if (fresh) {
        rho.slider.value = spec.rho;
        hat.slider.value = spec.hat;
      }
      const counts = histogram(arrays.units, BINS), most = Math.max(...counts, 1);
      const width = (px(1) - px(0)) / BINS;
      bars.replaceChildren(
        ...[...counts].flatMap((count, i) => {
          const tall = (count / most) * 0.5 * (py(0) - BOX.top);
          return count ? [svg("rect", { x: px(i / BINS) + 0.5, y: py(0) - tall, width: width - 1, height: tall })] : [];
        }),
      );
      show();
    },
    destroy() {
      show.cancel();
      out.close();
      box.remove();
    },
  };
}
