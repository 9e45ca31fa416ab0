"""Decoding in the browser during a drag, in Chromium with software rendering: `python -m benchmarks.live`.

For three shipped models, opens the page Latent sliders and drags its first slider for some seconds. Prints a Markdown
table. decode, encode: milliseconds per image in the page, p50 and p95 of 200 samples of 5. frames/s: animation frames
in which the image was painted during the drag; busy: time of the page's main thread per such frame. next frame: share
of slider events whose image was painted in the next frame. latency: from the pointer event to the end of the frame that
painted it, including the wait for that frame (at most 16.7 ms at 60 Hz). sent: WebSocket messages during the drag.
weights: bytes. Needs an idle machine, playwright and chromium.
"""

import asyncio
import math
import os
import shutil
import signal
import time
import urllib.request

from playwright.async_api import CDPSession, Page, async_playwright

from aevae.store import checkpoints
from aevae.ui.live import component
from benchmarks import results
from benchmarks.startup import serve, wait_for

KINDS = (("mlp", 2), ("mlp", 20), ("conv", 16))
SECONDS = 5
COLUMNS = {
    "model": "", "decode, p50 / p95 (ms)": "", "encode, p50 / p95 (ms)": "", "frames/s": ".0f",
    "busy (ms / frame)": ".1f", "next frame": ".1%", "latency, p50 / p95 (ms)": "", "sent": "d",
    "weights (bytes)": ",d",
}  # fmt: skip
TIMES = """async ([core, url, size]) => {
  const program = await (await import(core)).loadProgram(url);
  const times = (f, input) => {
    const all = [];
    for (let i = 0; i < 210; i++) {
      const start = performance.now();
      for (let k = 0; k < 5; k++) f(input());
      all.push((performance.now() - start) / 5);
    }
    return all.slice(10).sort((a, b) => a - b);
  };
  const draw = (n, scale) => () => Float32Array.from({ length: n }, () => scale * (Math.random() - 0.5));
  return {
    decode: times((z) => program.decode(z), draw(size, 4)),
    encode: times((x) => program.encode(x), draw(784, 1)),
  };
}"""
WATCH = """() => {
  const seen = (window.seen = { frames: new Set(), latency: [], ticks: 0, moves: 0, next: 0 });
  let moved = 0, frame = 0, turned = [];  // turned: frames after which the slider got another value
  addEventListener("input", () => { turned.push(frame); seen.moves++; }, true);
  addEventListener("pointermove", (event) => { moved = event.timeStamp; }, true);
  const tick = () => { frame++; seen.ticks++; requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
  const done = new MessageChannel();  // its message comes after the frame was drawn
  let since = 0;
  done.port1.onmessage = () => seen.latency.push(performance.now() - since);
  const put = CanvasRenderingContext2D.prototype.putImageData;
  CanvasRenderingContext2D.prototype.putImageData = function (...args) {
    put.apply(this, args);
    seen.frames.add(frame);
    seen.next += turned.filter((since) => frame - since <= 1).length;
    turned = [];
    if (moved) { since = moved; moved = 0; done.port2.postMessage(0); }
  };
}"""


def shipped(network: str, latent_dim: int) -> checkpoints.RunInfo:
    """The shipped VAE of this kind."""
    return next(
        run
        for run in checkpoints.list_runs()
        if run.shipped and run.family == "vae" and run.config["model"]["latent_dim"] == latent_dim
        if run.config["model"].get("network", "mlp") == network
    )


def quantiles(values: list[float]) -> str:
    """p50 and p95."""
    values = sorted(values)
    return f"{values[len(values) // 2]:.2f} / {values[int(len(values) * 0.95)]:.2f}"


async def drag(page: Page) -> tuple[float, float]:
    """Drag the first slider for SECONDS with 100 mouse events per second.

    Returns (elapsed seconds, busy seconds of the page's main thread).
    """
    slider = page.locator(".live input[type=range]").first
    await slider.scroll_into_view_if_needed()
    box = await slider.bounding_box()
    y, middle = box["y"] + box["height"] / 2, box["x"] + box["width"] / 2
    await page.mouse.move(middle, y)
    await page.mouse.down()
    await page.evaluate(WATCH)
    mouse = await page.context.new_cdp_session(page)
    await mouse.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = await busy(mouse)
    start = time.perf_counter()
    moves = []
    while (now := time.perf_counter() - start) < SECONDS:
        event = {"type": "mouseMoved", "x": middle + 0.4 * box["width"] * math.sin(2 * now), "y": y, "buttons": 1}
        moves.append(asyncio.ensure_future(mouse.send("Input.dispatchMouseEvent", {**event, "button": "left"})))
        await asyncio.sleep(0.01)
    await asyncio.gather(*moves)
    return time.perf_counter() - start, await busy(mouse) - before


async def busy(session: CDPSession) -> float:
    """Busy seconds of the page's main thread so far."""
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return next(m["value"] for m in metrics if m["name"] == "TaskDuration")


async def measured(page: Page, url: str, network: str, latent_dim: int) -> tuple:
    """One row of the table."""
    run = shipped(network, latent_dim)
    sent: list = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(data)))
    await page.goto(f"{url}/sliders?model={run.name}")
    await page.locator(".live input[type=range]").first.wait_for(timeout=60_000)
    await page.wait_for_timeout(3000)  # until the images along the sliders are painted
    program = f"{url}/{component.address(run.name)}"
    times = await page.evaluate(TIMES, [f"{url}/live/{component.VERSION}/live/program.js", program, latent_dim])
    before = len(sent)
    seconds, computed = await drag(page)
    during = len(sent) - before
    await page.mouse.up()
    frames, latency, share = await page.evaluate("[seen.frames.size, seen.latency, seen.next / seen.moves]")
    return (
        f"{network} d={latent_dim}",
        quantiles(times["decode"]),
        quantiles(times["encode"]),
        frames / seconds,
        1000 * computed / frames,
        share,
        quantiles(latency),
        during,
        len(urllib.request.urlopen(program).read()),
    )


async def report(url: str) -> None:
    async with async_playwright() as p:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = await p.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        rows = []
        for kind in KINDS:
            page = await browser.new_page(viewport={"width": 1280, "height": 900})
            rows.append(await measured(page, url, *kind))
            await page.close()
        await browser.close()
    results.save("live", COLUMNS, rows)


def main() -> None:
    process, url = serve()
    try:
        wait_for(url)
        asyncio.run(report(url))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    main()
