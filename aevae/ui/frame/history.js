// Keeps one history entry for each visited page.
//
// Streamlit adds an entry whenever Python changes the address, so that Back would show the same page with another
// address. Here such a change replaces the entry. Changes during a change of page belong to the new page: the old entry
// keeps the address of the last user action.
(() => {
  const push = history.pushState.bind(history);
  const replace = history.replaceState.bind(history);
  let pressed = location.href;
  const remember = () => { pressed = location.href; };
  for (const kind of ["pointerdown", "click", "keydown"]) addEventListener(kind, remember, true);
  history.pushState = (state, title, url) => {
    const to = new URL(url ?? location.href, location.href);
    if (to.pathname === location.pathname) return replace(state, title, url);
    if (new URL(pressed).pathname === location.pathname) replace(state, title, pressed);
    push(state, title, url);
    pressed = location.href;
  };
})();
