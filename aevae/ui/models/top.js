// An invisible module that scrolls the page to its top when it shows something new (`spec.key`).
import { stage } from "../live/page.js";

export function mount(ctx) {
  ctx.root.hidden = true;
  return stage(ctx, "top", {
    build: () => document.querySelector('[data-testid="stMain"]')?.scrollTo({ top: 0, behavior: "instant" }),
  });
}
