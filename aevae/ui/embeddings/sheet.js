// Draws nothing: hands what Python sent once (pictures, codes, a program) to whoever on the page listens to the channel.

import { channel } from "../live/page.js";

class Sheet {
  update(spec, arrays, programs) {
    this.shared = channel(spec.channel);
    this.value = { ...arrays, program: programs[0] ?? null };
    this.shared.set(this.value);
  }

  destroy() {
    if (this.shared?.value === this.value) this.shared.set(null);
  }
}

export function mount() {
  return new Sheet();
}
