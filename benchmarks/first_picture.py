"""Time from a press of Train to the first trained picture, in Chromium: `python -m benchmarks.first_picture`.

The run is the page's default, a VAE with 2 latent dimensions on mnist-5k. Warm: the page has been open for WARM
seconds, so its worker waits with torch imported. Cold: the press comes as soon as a new server shows the button.
Targets: 2 s and 5 s on two cores. Needs playwright and chromium.
"""

import os
import shutil
import signal
import tempfile
from statistics import mean, stdev
from time import perf_counter, sleep

from playwright.sync_api import sync_playwright

from benchmarks import results
from benchmarks.startup import WARM, serve, wait_for

TARGETS = {"warm": 2.0, "cold": 5.0}  # seconds
COLUMNS = {"server": "", "target (s)": ".1f", "measured (s)": ".1f", "measured / target": ".2f"}
TRAINED = ".film:not(.still)"  # a film with more than its untrained frame


def first_picture(browser, wait: float) -> float:
    """Seconds from the press to the first trained picture, on a new server with an empty store."""
    with tempfile.TemporaryDirectory() as store:
        os.environ["AEVAE_RUNS"] = store
        process, url = serve()
        try:
            wait_for(url)
            page = browser.new_page()
            page.goto(f"{url}/train")
            button = page.get_by_role("button", name="Train", exact=True)
            button.wait_for(timeout=120_000)
            sleep(wait)
            pressed = perf_counter()
            button.click()
            page.locator(TRAINED).first.wait_for(timeout=120_000)
            seconds = perf_counter() - pressed
            page.close()
            return seconds
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def main(rounds: int = 3) -> None:
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])

        def rows():
            for server, target in TARGETS.items():
                found = [first_picture(browser, WARM if server == "warm" else 0.0) for _ in range(rounds)]
                yield server, target, (mean(found), stdev(found)), mean(found) / target

        results.save("first_picture", COLUMNS, rows())
        browser.close()


if __name__ == "__main__":
    main()
