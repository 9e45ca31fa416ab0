// An invisible module that passes data from Python (images, codes, a program) to all modules that use the channel.

import { channel, stage } from "../live/page.js";

export function mount(ctx) {
  let shared = null, value = null;
  return stage(ctx, "broadcast", {
    refresh({ spec, arrays, programs }) {
      shared = channel(spec.channel);
      value = { ...arrays, program: programs[0] ?? null };
      shared.set(value);
    },
    stop() {
      if (shared.value === value) shared.set(null);
    },
  });
}
