import assert from "node:assert/strict";
import test from "node:test";

import { placeOf } from "../aevae/ui/labs/web/beta.js";

test("pictures of frames lie row by row, column by column", () => {
  assert.equal(placeOf(0, 0, 0, 3, 5), 0);
  assert.equal(placeOf(0, 0, 1, 3, 5), 784);
  assert.equal(placeOf(0, 1, 0, 3, 5), 5 * 784);
  assert.equal(placeOf(2, 1, 4, 3, 5), (2 * 15 + 5 + 4) * 784);
});
