// The newest frame of a run in training, handed to whoever plays its film. Nothing is drawn.
import { channel } from "../live/page.js";

export function mount() {
  return {
    update(spec, arrays) {
      channel(spec.channel).set(arrays);
    },
    destroy() {},
  };
}
