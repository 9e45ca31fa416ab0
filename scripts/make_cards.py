"""Makes aevae/ui/start/pictures/: a picture of each page for its card on Start, taken in Chromium.

    python -m scripts.make_cards [--url http://localhost:8501] [ADDRESS ...]

A picture shows the part of a page that one plays with, in the dark theme, which fits both themes of Start. Make them
anew when a page looks different. Needs playwright and Chromium; two minutes.
"""

import argparse
import contextlib
import io
import shutil

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from aevae.ui.frame import menu
from aevae.ui.start import cards
from scripts.record_readme import FLAGS, server

SIZE = (320, 180)  # pixels of a picture
QUALITY = 60
WINDOW = {"width": 1280, "height": 1400}
SETTLE_MS = 4000
BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")
MAX_WIDTH = 560  # CSS pixels of the page that a picture shows
MODULE = ".live > :not(.plane, .draw)"  # a live module, but not the digit picker
FIRST = (MODULE, "[data-testid=stImage] img", "[data-testid=stPlotlyChart]", "h1")
SHOWN = {  # address -> query of its address, and what its picture shows, if it is not the first module or image
    "train": ("?job=vae-mnist-8af5219dbc7d", ".film"),
    "models": ("", "[data-testid=stImage] img"),
    "sliders": ("", ".latent_plane, .latent_code"),
    "embeddings": ("", ".atlas canvas"),
    "score": ("", ".score canvas"),
}


def picture(page: Page, url: str, address: str) -> Image.Image:
    """The page from the upper left corner of what it shows, in the shape of a card."""
    query, selector = SHOWN.get(address, ("", MODULE))
    page.goto(f"{url}/{address}{query}")
    page.locator("h1").wait_for(timeout=120_000)
    page.wait_for_timeout(SETTLE_MS)
    box = next(filter(None, (_box(page, each) for each in (selector, *FIRST))))
    width = min(MAX_WIDTH, max(box["width"], MAX_WIDTH / 2), WINDOW["width"] - box["x"])
    clip = {"x": box["x"], "y": box["y"], "width": width, "height": width * SIZE[1] / SIZE[0]}
    png = page.screenshot(clip=clip, full_page=True)
    return Image.open(io.BytesIO(png)).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)


def _box(page: Page, selector: str) -> dict | None:
    """The first large box of a selector; None without one."""
    boxes = [element.bounding_box() for element in page.locator("[data-testid=stMain]").locator(selector).all()]
    return next((dict(box) for box in boxes if box and min(box["width"], box["height"]) > 50), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url")
    parser.add_argument("addresses", nargs="*")
    args = parser.parse_args()
    cards.PICTURES.mkdir(exist_ok=True)
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with contextlib.nullcontext(args.url) if args.url else server() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport=WINDOW, color_scheme="dark")
        for info in menu.all_pages()[1:]:
            if args.addresses and info.url_path not in args.addresses:
                continue
            file = cards.picture(info)
            picture(page, url, info.url_path).save(file, quality=QUALITY, method=6)
            print(f"{file.name}: {file.stat().st_size:,} bytes", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
