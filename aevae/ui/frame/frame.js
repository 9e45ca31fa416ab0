// For all pages: on phones the menu closes after a choice, and swipes over Streamlit's sliders and charts scroll; a
// teacher's ticket is exchanged for the cookie.

import { stage } from "../live/page.js";
import { guard } from "../live/touch.js";

const PHONE = "(max-width: 768px)"; // below this width Streamlit's menu covers the page
const LINK = '[data-testid="stSidebarNavLink"]';
const CLOSE = '[data-testid="stSidebarCollapseButton"] button';

const exchanged = new Set(); // tickets that were sent; the server accepts each once

function closeMenu(event) {
  if (!event.target.closest?.(LINK) || !matchMedia(PHONE).matches) return;
  setTimeout(() => /** @type {HTMLElement | null} */ (document.querySelector(CLOSE))?.click()); // after Streamlit has followed the link
}

/** Charts and sliders take each finger at `touchstart`. Without it charts get a tap as a click of the mouse; sliders get
 * what `guard` hands them. */
function hideTouch(event) {
  if (event.target.closest?.(".js-plotly-plot, .stSlider")) event.stopImmediatePropagation();
}

export function mount(ctx) {
  ctx.root.hidden = true;
  return stage(ctx, "frame", {
    create({ offs }) {
      document.addEventListener("click", closeMenu);
      document.addEventListener("touchstart", hideTouch, { capture: true, passive: true });
      offs.push(
        () => document.removeEventListener("click", closeMenu),
        () => document.removeEventListener("touchstart", hideTouch, true),
        guard(document, () => ""),
      );
    },
    refresh({ spec: { ticket } }) {
      if (!ticket || exchanged.has(ticket)) return;
      exchanged.add(ticket);
      fetch(new URL(`teacher/${ticket}`, document.baseURI), { method: "POST" }).catch(() => exchanged.delete(ticket));
    },
  });
}
