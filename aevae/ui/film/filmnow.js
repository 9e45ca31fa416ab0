// An invisible module that passes the newest frame of a running training to the player of its film.
import { channel, stage } from "../live/page.js";

export const mount = (ctx) =>
  stage(ctx, "filmnow", { refresh: ({ spec, arrays }) => channel(spec.channel).set(arrays) });
