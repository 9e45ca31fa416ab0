// One entry of the browser's history for each page that a person went to.
//
// Streamlit adds an entry whenever Python writes into the address: Back would then show the same page with another
// address, and first of all do nothing. Here such a change replaces the entry. What is written while a page is being
// left belongs to the next one: the entry that stays behind keeps the address at the last press.
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
