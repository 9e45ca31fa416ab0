// The newest frame of a run in training, handed to the player of its film. Draws nothing.
import { channel } from "../live/page.js";

export function mount() {
  return {
    update(spec, arrays) {
      channel(spec.channel).set(arrays);
    },
    destroy() {},
  };
}
