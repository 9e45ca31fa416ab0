// node --test tests/test_touch.mjs: whose a finger is.
import assert from "node:assert/strict";
import test from "node:test";
import { direction } from "../aevae/ui/web/touch.js";

test("a finger means the element across, the page up and down, and neither while it is near", () => {
  assert.equal(direction(0, 0), "");
  assert.equal(direction(5, -5), "");
  assert.equal(direction(20, 5), "across");
  assert.equal(direction(-20, 19), "across");
  assert.equal(direction(5, -20), "along");
  assert.equal(direction(9, 9), "along", "in doubt the page scrolls");
});
