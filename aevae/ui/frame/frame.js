// For all pages: on phones the menu closes after a choice, and swipes over Streamlit's sliders and charts scroll; the
// sections of the menu fold to fit the window; the mode Present; a teacher's ticket is exchanged for the cookie.

import { stage } from "../live/page.js";
import { guard } from "../live/touch.js";
import { Present } from "./present.js";

const PHONE = "(max-width: 768px)"; // below this width Streamlit's menu covers the page
const LINK = '[data-testid="stSidebarNavLink"]';
const CLOSE = '[data-testid="stSidebarCollapseButton"] button';
const SECTION = '[data-testid="stNavSectionHeader"]';
const MENU = '[data-testid="stSidebar"][data-collapsed="false"] [data-testid="stSidebarContent"]'; // seen, so it has a size

const exchanged = new Set(); // tickets that were sent; the server accepts each once
let present = null; // outlives this module, which begins again when a page is set up
let page; // address of the page that is open

const sections = () => /** @type {HTMLElement[]} */ ([...document.querySelectorAll(SECTION)]);
const isOpen = (header) => header.parentElement.children.length > 1;

/** Fold open sections of the menu, the upper first, until it fits the window. kept: the one that stays open. */
function fitMenu(kept) {
  const menu = document.querySelector(MENU);
  if (!menu || menu.scrollHeight <= menu.clientHeight + 1) return;
  const upper = sections().find((one) => one !== kept && isOpen(one));
  if (!upper) return;
  upper.click();
  requestAnimationFrame(() => fitMenu(kept)); // after Streamlit has folded it
}

/** Open the section of this title. */
function openSection(title) {
  const header = title && sections().find((one) => one.textContent?.startsWith(title));
  if (header && !isOpen(header)) header.click();
  requestAnimationFrame(() => fitMenu(header));
}

function onClick(event) {
  const header = event.isTrusted && event.target.closest?.(SECTION);
  if (header) setTimeout(() => isOpen(header) && fitMenu(header), 50); // after Streamlit has opened it
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
    create({ offs, spec }) {
      present ??= new Present(spec.texts);
      document.addEventListener("click", onClick);
      document.addEventListener("touchstart", hideTouch, { capture: true, passive: true });
      offs.push(
        () => document.removeEventListener("click", onClick),
        () => document.removeEventListener("touchstart", hideTouch, true),
        guard(document, () => ""),
      );
    },
    refresh({ spec }) {
      if (spec.page !== page) {
        page = spec.page;
        openSection(spec.section);
        present.arrive();
      }
      if (!spec.ticket || exchanged.has(spec.ticket)) return;
      exchanged.add(spec.ticket);
      fetch(new URL(`teacher/${spec.ticket}`, document.baseURI), { method: "POST" }).catch(() => exchanged.delete(spec.ticket));
    },
  });
}
