// An invisible module that passes data from Python (images, codes, a program) to all modules that use the channel.

import { channel } from "../live/page.js";

export function mount() {
  let shared = null, value = null;
  return {
    update(spec, arrays, programs) {
      shared = channel(spec.channel);
      value = { ...arrays, program: programs[0] ?? null };
      shared.set(value);
    },
    destroy() {
      if (shared?.value === value) shared?.set(null);
    },
  };
}
