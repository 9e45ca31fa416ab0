// What belongs to no page: on a phone the menu closes after a choice; a teacher's ticket is exchanged for the cookie.

const PHONE = "(max-width: 768px)"; // there Streamlit lays the menu over the page
const LINK = '[data-testid="stSidebarNavLink"]';
const CLOSE = '[data-testid="stSidebarCollapseButton"] button';

const exchanged = new Set(); // tickets, each of which the server takes once

function chosen(event) {
  if (!event.target.closest?.(LINK) || !matchMedia(PHONE).matches) return;
  setTimeout(() => document.querySelector(CLOSE)?.click()); // after Streamlit has followed the link
}

export function mount({ root }) {
  root.hidden = true;
  document.addEventListener("click", chosen);
  return {
    update({ ticket }) {
      if (!ticket || exchanged.has(ticket)) return;
      exchanged.add(ticket);
      fetch(new URL(`teacher/${ticket}`, document.baseURI), { method: "POST" }).catch(() => exchanged.delete(ticket));
    },
    destroy() {
      document.removeEventListener("click", chosen);
    },
  };
}
