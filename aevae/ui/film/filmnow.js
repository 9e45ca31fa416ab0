// An invisible module that passes the newest frame of a running training to the player of its film.
import { channel } from "../live/page.js";

export function mount() {
  return {
    update(spec, arrays) {
      channel(spec.channel).set(arrays);
    },
    destroy() {},
  };
}
