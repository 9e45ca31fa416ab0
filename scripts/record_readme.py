"""Makes docs/sliders.webp, the animation in the README: two sliders are dragged, and the digit follows.

    python -m scripts.record_readme [--url http://localhost:8501]

Without --url a server is started. The pointer is moved before each screenshot, so the animation shows real frames at a
constant speed. Needs playwright and chromium.
"""

import argparse
import contextlib
import io
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Iterator
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Page, sync_playwright

from aevae import paths

OUT = paths.ROOT / "docs" / "sliders.webp"
MAX_BYTES = 1_000_000
MODEL = "7797c7142785"  # shipped: VAE, d = 20
WIDTH, HEIGHT, SHOWN_WIDTH = 1180, 640, 800
FRAMES, FRAME_MS = 32, 70  # frames per slider; duration of a frame
SLIDERS = 0, 1
FLAGS = ["--no-sandbox", "--disable-gpu", "--force-device-scale-factor=1"]


@contextlib.contextmanager
def server() -> Generator[str]:
    """Context manager: the address of a server with an empty store."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{s.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-m", "aevae", "app", "--server.port", url.rpartition(":")[2]]
        process = subprocess.Popen(command, cwd=paths.ROOT, env=os.environ | {"AEVAE_RUNS": store})
        try:
            for _ in range(300):
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{url}/_stcore/health", timeout=1)
                    break
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            process.wait(15)


def settled(page: Page) -> None:
    """Wait until the script has run and the sliders are visible."""
    page.get_by_role("slider").first.wait_for(timeout=120_000)
    app = page.locator('[data-testid="stApp"]').first
    quiet = 0
    while quiet < 5:
        quiet = quiet + 1 if app.get_attribute("data-test-script-state") == "notRunning" else 0
        page.wait_for_timeout(200)


def drag(page: Page, number: int) -> Iterator[tuple[bytes, float, float]]:
    """Yields (screenshot, x, y of the pointer) while this slider is dragged once to and fro."""
    box = page.locator(".live input[type=range]").nth(number).bounding_box()
    y, middle = box["y"] + box["height"] / 2, box["x"] + box["width"] / 2
    page.mouse.move(middle, y)
    page.mouse.down()
    for i in range(FRAMES):
        x = middle + 0.42 * box["width"] * math.sin(2 * math.pi * i / FRAMES)
        page.mouse.move(x, y)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        yield page.screenshot(), x, y
    page.mouse.up()


def with_hand(png: bytes, x: float, y: float) -> Image.Image:
    """A frame in the size of the README, with the pointer, which screenshots lack."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    arrow = [(0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (13, 12)]
    place = [(x + dx, y + dy) for dx, dy in arrow]
    ImageDraw.Draw(image).polygon(place, fill="black", outline="white")
    return image.resize((SHOWN_WIDTH, round(SHOWN_WIDTH * image.height / image.width)), Image.Resampling.LANCZOS)


def record(url: str) -> list[Image.Image]:
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(f"{url}/sliders?model={MODEL}")
        settled(page)
        page.locator(".live input[type=range]").first.evaluate("e => e.scrollIntoView({ block: 'center' })")
        page.wait_for_timeout(1000)
        frames = [with_hand(*frame) for number in SLIDERS for frame in drag(page, number)]
        browser.close()
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    with contextlib.nullcontext(args.url) if args.url else server() as url:
        frames = record(url)
    frames[0].save(args.out, save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, quality=60, method=4)
    size = args.out.stat().st_size
    print(f"{args.out}: {len(frames)} frames, {size:,} bytes")
    if size > MAX_BYTES:
        raise SystemExit(f"the image must have at most {MAX_BYTES:,} bytes")


if __name__ == "__main__":
    main()
