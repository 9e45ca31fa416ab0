// Export of the maps: panes as one PNG, selection as a table.

import { element } from "../live/dom.js";

const GAP = 16, HEAD = 40; // pixels between panes, and above each for its title

/** Save the visible panes with titles as one PNG, two per row. */
export function download(panes, { theme: { paper, ink, font } }) {
  const side = Math.max(...panes.map((pane) => pane.base.width));
  const across = Math.min(panes.length, 2), down = Math.ceil(panes.length / across);
  const canvas = element("canvas", { width: across * (side + GAP) + GAP, height: down * (side + HEAD + GAP) });
  const g = canvas.getContext("2d");
  g.fillStyle = paper;
  g.fillRect(0, 0, canvas.width, canvas.height);
  g.fillStyle = ink;
  g.font = `600 18px ${font}`;
  panes.forEach((pane, i) => {
    const x = GAP + (i % across) * (side + GAP), y = Math.floor(i / across) * (side + HEAD + GAP);
    g.fillText(`${pane.title.textContent} · ${pane.sub.textContent}`, x, y + 28, side);
    for (const layer of [pane.base, pane.over]) g.drawImage(layer, x, y + HEAD);
  });
  canvas.toBlob((blob) => {
    const url = URL.createObjectURL(blob);
    element("a", { href: url, download: "aevae-maps.png" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  });
}

/** The children of a <table>: caption, header row, rows of cells. */
export function tableOf(caption, heads, rows) {
  const row = (tag, cells) => element("tr", {}, ...cells.map((c) => element(tag, { textContent: c })));
  return [element("caption", { textContent: caption.trim() }), row("th", heads), ...rows.map((cells) => row("td", cells))];
}
