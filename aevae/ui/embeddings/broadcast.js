// Draws nothing: hands what Python sent once (images, codes, a program) to all modules that listen to the channel.

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
