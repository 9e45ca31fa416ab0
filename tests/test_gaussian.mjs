import assert from "node:assert/strict";
import test from "node:test";

import { curve } from "../aevae/ui/labs/web/elbo_divergence.js";
import {
  crossEntropy, descend, kl, klNormal, klToPrior, logMixture, moments, reparameterise,
} from "../aevae/ui/live/gaussian.js";
import { terms } from "../aevae/ui/labs/web/elbo.js";

const near = (a, b, by = 1e-9) => assert.ok(Math.abs(a - b) <= by, `${a} is not ${b}`);
const BUMPS = [{ w: 0.5, m: -2, s: 0.5 }, { w: 0.5, m: 2, s: 0.5 }];

test("KL between Gaussians: 0 iff equal, known values, the narrow prior", () => {
  near(klNormal(0.3, 0.7, 0.3, 0.7), 0);
  near(klNormal(1, 1, 0, 1), 0.5);
  near(klNormal(1, Math.exp(0.5), 0, 1), (Math.E - 1) / 2);
  const [m, s] = [0.03, 0.02];
  near(klNormal(m, s, 0, 0.01), 5000 * (m * m + s * s) - Math.log(s) - 5.105170185988091, 1e-9);
});

test("quadrature agrees with the closed form", () => {
  const a = { m: 0.4, s: 0.8 }, b = { m: -0.3, s: 1.3 };
  const half = (p) => [{ w: 0.5, ...p }, { w: 0.5, ...p }]; // a mixture of two equal parts is that part
  near(kl(half(a), half(b)), klNormal(a.m, a.s, b.m, b.s), 1e-6);
  near(Math.exp(logMixture(0, [{ w: 1, m: 0, s: 1 }])), 1 / Math.sqrt(2 * Math.PI));
});

test("the forward divergence ends at the moments and covers, the reverse one picks a bump", () => {
  const { m, s } = moments(BUMPS);
  near(m, 0);
  near(s, Math.sqrt(4.25));
  const run = (cost, q) => {
    for (let i = 0; i < 3000 && !q.isAtMinimum; i++) q = descend(cost, q);
    return q;
  };
  const covers = run((m, s) => kl(BUMPS, [{ w: 1, m, s }]), { m: 0.6, s: 1 });
  near(covers.m, m, 5e-3);
  near(covers.s, s, 5e-3);
  const picks = run((m, s) => kl([{ w: 1, m, s }], BUMPS), { m: 0.6, s: 1 });
  near(picks.m, 2, 0.02);
  near(picks.s, 0.5, 0.02);
});

test("a curve stays within its picture", () => {
  assert.match(curve(BUMPS, -6, 6, 0.5), /^M0\.0,/);
  assert.equal(curve(BUMPS, -6, 6, 0.5, 10).split("L").length, 11);
});

test("reparameterisation, KL to the prior and cross-entropy", () => {
  assert.deepEqual([...reparameterise([1, 2], [0.5, 2], [2, -1])], [2, 0]);
  near(klToPrior([0, 0], [1, 1]), 0);
  near(klToPrior([1, 1], [1, 1]), 1);
  near(klToPrior([0.1, 0.1], [0.1, 0.1], 0.1), 1);
  near(crossEntropy(new Float32Array(784).fill(0.3), new Float32Array(784).fill(0.5)), 784 * Math.LN2, 1e-6);
  const found = terms((z) => [z[0] > 0 ? 0.5 : 0.25], [1], Float32Array.of(0), Float32Array.of(1), Float32Array.of(1, -1), 2);
  near(found.recon, (Math.log(2) + Math.log(4)) / 2, 1e-9);
  near(found.kl, 0);
});
