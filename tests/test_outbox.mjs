// node --test tests/test_outbox.mjs: what waits for an answer is not undone by an older one.
import assert from "node:assert/strict";
import test from "node:test";
import { outbox } from "../aevae/ui/live/page.js";

test("messages continue the numbers that Python has read, and are settled when the last one is answered", () => {
  const sent = [];
  const box = outbox((payload) => sent.push(payload));
  assert.ok(box.isSettled(7));
  box.post({ t: 0.5 });
  box.post({ t: 0.6 });
  assert.deepEqual(sent, [{ t: 0.5, n: 8 }, { t: 0.6, n: 9 }]);
  assert.ok(!box.isSettled(7));
  assert.ok(!box.isSettled(8));
  assert.ok(box.isSettled(9));
});

test("keys make one message after a pause, built when it is sent; an immediate message replaces it", async () => {
  const sent = [];
  const box = outbox((payload) => sent.push(payload), 20);
  let t = 0;
  box.postLater(() => ({ t }));
  t = 1;
  box.postLater(() => ({ t }));
  t = 2;
  assert.ok(!box.isSettled(0));
  await new Promise((done) => setTimeout(done, 60));
  assert.deepEqual(sent, [{ t: 2, n: 1 }]);
  assert.ok(box.isSettled(1));
  box.postLater(() => ({ t: 3 }));
  box.post({ t: 4 });
  await new Promise((done) => setTimeout(done, 60));
  assert.deepEqual(sent.slice(1), [{ t: 4, n: 2 }]);
  box.postLater(() => ({ t: 5 }));
  box.close();
  await new Promise((done) => setTimeout(done, 60));
  assert.equal(sent.length, 2);
});
