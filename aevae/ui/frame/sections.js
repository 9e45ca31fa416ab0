// Before Streamlit reads which sections of the menu are open: the section of the open page is, and of the others those
// that the reader left open, as far as they fit the window. On the first visit all are open that fit.
(() => {
  const sections = JSON.parse(document.currentScript?.dataset.sections ?? "{}"); // title -> addresses of pages
  const KEY = "stSidebarSectionsState-", LINK = 34, HEAD = 39, REST = 230; // heights in pixels; REST: all else
  const page = location.pathname.split("/").pop();
  const names = Object.keys(sections), here = names.find((name) => sections[name].includes(page));
  const order = here ? [here, ...names.filter((name) => name !== here)] : names;
  let left = innerHeight - REST - HEAD * names.length;
  try {
    const known = JSON.parse(localStorage.getItem(KEY) ?? "{}"), open = {};
    for (const name of order) {
      const height = LINK * sections[name].length;
      open[name] = name === here || ((known[name] ?? true) && height <= left);
      if (open[name]) left -= height;
    }
    localStorage.setItem(KEY, JSON.stringify(open));
  } catch {
    // without storage Streamlit opens all
  }
})();
