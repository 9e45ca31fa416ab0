// The keys and the address of the mode Present.
import assert from "node:assert/strict";
import { test } from "node:test";
import { aboutOf, addressFor, isTyping, stepOf } from "../aevae/ui/frame/present.js";

test("a presenter's remote steps, whatever has the focus", () => {
  for (const isFree of [true, false]) {
    assert.equal(stepOf("PageDown", isFree), 1);
    assert.equal(stepOf("PageUp", isFree), -1);
  }
});

test("arrow keys step while no slider or plane has the focus", () => {
  assert.deepEqual([stepOf("ArrowRight", true), stepOf("ArrowLeft", true)], [1, -1]);
  assert.deepEqual([stepOf("ArrowRight", false), stepOf("ArrowLeft", false), stepOf("ArrowUp", true)], [0, 0, 0]);
});

test("keys in a field are text; keys on a slider or a button are not", () => {
  const input = (type) => ({ tagName: "INPUT", type });
  for (const node of [input("text"), input("number"), input("password"), { tagName: "TEXTAREA" }, { tagName: "SELECT" }, { isContentEditable: true }]) {
    assert.ok(isTyping(node));
  }
  for (const node of [input("range"), input("checkbox"), { tagName: "BUTTON" }, { tagName: "CANVAS" }, null]) {
    assert.ok(!isTyping(node));
  }
});

test("the address keeps all else", () => {
  const plain = "http://localhost/sliders?digit=10&model=vae#a";
  assert.equal(addressFor(plain, true), "http://localhost/sliders?digit=10&model=vae&present=1#a");
  assert.equal(addressFor(addressFor(plain, true), false), plain);
  assert.equal(addressFor("http://localhost/elbo?present=0", true), "http://localhost/elbo?present=1");
});

test("a line names the figure that it is about", () => {
  assert.equal(aboutOf("stVerticalBlock st-key-try_line_3__holes e1"), "holes");
  assert.equal(aboutOf("stVerticalBlock st-key-try_line_3 e1"), "");
  assert.equal(aboutOf(""), "");
});
