// Two densities on a line: q is moved by hand or slides down one of the two divergences; p stays, or is one to move, too.
import { onFrame, outbox, stillness } from "./core.js";
import { el, fill, svg } from "./dom.js";
import { descend, kl, klNormal, logMixture } from "./gaussian.js";

const WIDTH = 640;
const HEIGHT = 240;
const FOOT = 22;
const STEPS = 400;

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

export function mount({ root, send }) {
  const box = root.appendChild(el("div", { class: "divergence" }));
  const out = outbox(send);
  let now = null;
  let p = null;
  let q = null;
  let running = 0;
  let parts = null;

  const stop = () => {
    cancelAnimationFrame(running);
    running = 0;
  };
  const post = () => out.later(() => (now.free ? { ...q, pm: p[0].m, ps: p[0].s } : { ...q }));
  const cost = (kind) => {
    return kind === "forward" ? (m, s) => kl(p, [{ w: 1, m, s }], 200) : (m, s) => kl([{ w: 1, m, s }], p, 200);
  };

  function slide(kind) {
    stop();
    const f = cost(kind);
    let left = STEPS;
    const step = () => {
      const { m, s, rest } = descend(f, q);
      q = { m, s };
      return rest || --left <= 0;
    };
    if (stillness()) {
      while (!step());
      show();
      return post();
    }
    const frame = () => {
      const done = step() || step();
      show();
      running = done ? 0 : requestAnimationFrame(frame);
      if (done) post();
    };
    running = requestAnimationFrame(frame);
  }

  const show = onFrame(() => {
    const { low, high, unit, texts } = now;
    const mine = [{ w: 1, ...q }];
    parts.p.setAttribute("d", `${curve(p, low, high, unit)}L${WIDTH},${HEIGHT - FOOT}L0,${HEIGHT - FOOT}Z`);
    parts.q.setAttribute("d", curve(mine, low, high, unit));
    const forward = kl(p, mine);
    const reverse = kl(mine, p);
    parts.forward.textContent = fill(texts.nats, { value: forward.toFixed(forward < 100 ? 3 : 0) });
    parts.reverse.textContent = fill(texts.nats, { value: reverse.toFixed(reverse < 100 ? 3 : 0) });
    for (const knob of parts.knobs) knob.show();
    if (p.length === 1) parts.check.textContent = fill(texts.closed, { value: klNormal(q.m, q.s, p[0].m, p[0].s).toFixed(3) });
  });

  /** Two sliders, for mean and deviation of the Gaussian that get() gives and set() takes. */
  function knobs(get, set, of) {
    const { low, high, least, most, digits } = now;
    const knob = (name, min, max, read, write) => {
      const said = el("output");
      const input = el("input", {
        type: "range", min, max, step: (max - min) / 500, "aria-label": of + name,
        oninput() {
          stop();
          set({ ...get(), ...write(+input.value) });
          show();
        },
        onchange: post,
      });
      const text = () => `${of}${name} = ${get()[name === "μ" ? "m" : "s"].toFixed(digits)}`;
      return {
        input,
        said,
        show() {
          input.value = read(get());
          said.textContent = text();
          input.setAttribute("aria-valuetext", text());
        },
      };
    };
    const scale = Math.log(most / least);
    return [
      knob("μ", low, high, ({ m }) => m, (m) => ({ m })),
      knob("σ", 0, 1, ({ s }) => Math.log(s / least) / scale, (v) => ({ s: least * Math.exp(v * scale) })),
    ];
  }

  function build() {
    const { low, high, texts, digits, free } = now;
    parts = { p: svg("path", { class: "p" }), q: svg("path", { class: "q" }) };
    const ticks = Array.from({ length: 5 }, (_, i) => {
      const label = svg("text", { x: (i / 4) * WIDTH, y: HEIGHT - 5, "text-anchor": ["start", "middle", "middle", "middle", "end"][i] });
      label.textContent = (low + ((high - low) * i) / 4).toFixed(Math.min(digits, 2));
      return label;
    });
    const plot = svg(
      "svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": texts.plot, "data-finger": "across" },
      parts.p, parts.q, svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT - FOOT, y2: HEIGHT - FOOT }), ...ticks,
    );
    const aim = (event) => {
      stop();
      const at = plot.getBoundingClientRect();
      q = { ...q, m: low + (high - low) * Math.min(1, Math.max(0, (event.clientX - at.left) / at.width)) };
      show();
    };
    plot.onpointerdown = (event) => {
      plot.setPointerCapture(event.pointerId);
      aim(event);
    };
    plot.onpointermove = (event) => plot.hasPointerCapture(event.pointerId) && aim(event);
    plot.onpointerup = post;
    const of = (name) => (free ? `${name}: ` : "");
    parts.knobs = [...knobs(() => q, (to) => (q = to), of("q")), ...(free ? knobs(() => p[0], (to) => (p = [to]), of("p")) : [])];
    parts.check = el("div", { class: "check" });
    const kind = (name, label) => {
      parts[name] = el("output");
      return el(
        "div", { class: "kind" }, el("span", { textContent: label }), parts[name],
        el("button", { type: "button", textContent: texts.slide, title: `${texts.slide} ${label}`, onclick: () => slide(name) }),
      );
    };
    box.replaceChildren(
      plot,
      el("div", { class: "key" }, el("span", { class: "of-p", textContent: texts.p }), el("span", { class: "of-q", textContent: texts.q })),
      ...parts.knobs.map(({ input, said }) => el("label", {}, input, said)),
      el("div", { class: "kinds" }, kind("forward", "KL(p ‖ q)"), kind("reverse", "KL(q ‖ p)")), parts.check,
    );
  }

  return {
    update(spec) {
      const fresh = now === null || now.key !== spec.key;
      now = spec;
      if (fresh) {
        stop();
        q = { ...spec.start };
        p = spec.p;
        build();
      }
      show();
    },
    destroy() {
      stop();
      show.cancel();
      out.close();
      box.remove();
    },
  };
}
