"""Frame rate of several maps in Chromium with software rendering: `python -m benchmarks.atlas`.

Only the component of the page Embeddings, with random clouds of ten classes and images. A simulated mouse with 100
events per second pans one pane, zooms it, draws a lasso in it (which selects in all panes), and hovers. Prints a
Markdown table. first paint: from the arrays to the first painted frame (ms). frames/s: animation frames in which a pane
was painted during the movement. Needs an idle machine, playwright and chromium.
"""

import asyncio
import functools
import http.server
import math
import shutil
import threading
import time

from playwright.async_api import async_playwright

from aevae.ui.live.component import ROOMS, STYLES
from benchmarks import results

SIZES = ((2, 10_000), (4, 10_000), (2, 70_000), (4, 70_000))  # panes, points
SECONDS = 4
COLUMNS = {
    "panes x points": "", "first paint (ms)": ".0f", "hovering (frames/s)": ".0f", "lasso": ".0f", "panning": ".0f",
    "zooming": ".0f",
}  # fmt: skip
PAGE = """<!doctype html><meta charset="utf-8"><body style="margin: 0; width: 1000px"><div class="live" style="
--st-text-color: #1D232B; --st-background-color: #FDFCF9; --st-border-color: #DCD8CC; --st-primary-color: #24569E;
--st-font: sans-serif"></div>"""
START = """async ([panes, n]) => {
  const { mount } = await import("/embeddings/atlas.js");
  const { channel } = await import("/live/page.js");
  const root = document.querySelector(".live");
  const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(6.2832 * Math.random());
  const labels = Uint8Array.from({ length: n }, (_, i) => i % 10);
  const arrays = { labels, selected: new Int32Array(0) };
  const looks = [];
  for (let p = 0; p < panes; p++) {
    const places = Array.from({ length: 20 }, () => 2 * Math.random() - 1);
    const near = (_, k) => places[2 * labels[k >> 1] + (k & 1)] + normal() / 4;
    arrays[`xy${p}`] = Float32Array.from({ length: 2 * n }, near);
    looks.push({ title: "", sub: "", run: "", state: "ready", again: false, note: "", part: null, numbers: [],
      warnings: [], frame: [0, 0, 1.3], own: null });
  }
  channel("images").set({ images: new Uint8Array(n * 784) });
  const texts = new Proxy({}, { get: (_, name) => name === "columns" ? [] : String(name) });
  const colour = (c) => ({ back: `#${(c * 1500000 + 2000000).toString(16).padStart(6, "0")}`, text: "#000000" });
  const spec = { key: `${panes} ${n}`, points: "", panes: looks, classes: [..."0123456789"], shade: null, texts,
    colours: Array.from({ length: 10 }, (_, c) => colour(c)), images: "images", point: -1, views: [], n: 0 };
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  await frame();
  const began = performance.now();
  const view = mount({ root, send() {} });
  view.update(spec, arrays);
  await frame();
  await frame();
  const seen = (window.seen = { painted: new Set(), frame: 0 });
  const first = performance.now() - began;
  const tick = () => { seen.frame++; requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
  for (const name of ["putImageData", "clearRect"]) {
    const put = CanvasRenderingContext2D.prototype[name];
    CanvasRenderingContext2D.prototype[name] = function (...args) {
      put.apply(this, args);
      if (this.canvas.width > 100) seen.painted.add(seen.frame);
    };
  }
  return first;
}"""


class Files(http.server.SimpleHTTPRequestHandler):
    """The modules, and a page for them."""

    def do_GET(self):
        if self.path != "/":
            return super().do_GET()
        style = "".join(p.read_text("utf-8") for p in STYLES.values())
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(f"{PAGE}<style>{style}</style>".encode())

    def log_message(self, *args):
        pass


async def moved(page, session, what: str) -> float:
    """Painted frames per second during this interaction with the first pane."""
    box = await page.locator("canvas.over").first.bounding_box()
    x, y, r = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"] * 0.3
    if what in ("panning", "lasso"):
        button = "right" if what == "panning" else "left"
        await page.mouse.move(x + r, y)
        await page.mouse.down(button=button)
    await page.evaluate("window.seen.painted.clear()")
    began = time.perf_counter()
    asked = []
    while (now := time.perf_counter() - began) < SECONDS:
        at = {"x": x + r * math.cos(2 * now), "y": y + r * math.sin(2 * now)}
        event = {"type": "mouseMoved", **at}
        if what == "zooming":
            event = {"type": "mouseWheel", **at, "deltaX": 0, "deltaY": 30 * math.sin(3 * now)}
        elif what != "hovering":
            event |= {"button": button, "buttons": 2 if what == "panning" else 1}
        asked.append(asyncio.ensure_future(session.send("Input.dispatchMouseEvent", event)))
        await asyncio.sleep(0.01)
    await asyncio.gather(*asked)
    seconds = time.perf_counter() - began
    painted = await page.evaluate("window.seen.painted.size")
    if what in ("panning", "lasso"):
        await page.mouse.up(button=button)
    await page.keyboard.press("Escape")
    return painted / seconds


async def report(url: str) -> None:
    async with async_playwright() as p:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = await p.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        rows = []
        for panes, n in SIZES:
            page = await browser.new_page(viewport={"width": 1000, "height": 1200})
            await page.goto(url)
            first = await page.evaluate(START, [panes, n])
            session = await page.context.new_cdp_session(page)
            rates = [await moved(page, session, what) for what in ("hovering", "lasso", "panning", "zooming")]
            rows.append((f"{panes} x {n:,}", first, *rates))
            await page.close()
        await browser.close()
    results.save("atlas", COLUMNS, rows)


def main() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(ROOMS)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        asyncio.run(report(f"http://127.0.0.1:{server.server_port}/"))
    finally:
        server.shutdown()


if __name__ == "__main__":
    main()
