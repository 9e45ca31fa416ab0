"""Time from the start of the server to a complete page, in Chromium: `python -m benchmarks.startup`.

Every page is opened three times by its address on a new server; the table has medians. `--warm`: every page and lab on
one server that has imported torch: by the menu, for the first and the second time, and by its address in a new tab,
which includes Streamlit's own start. Needs playwright and chromium.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from statistics import median

from playwright.sync_api import sync_playwright

from aevae.paths import ROOT
from benchmarks import results

WARM = 15  # seconds after the first visit until a server has imported torch
WARM_COLUMNS = {"page": "", "by the menu, first (s)": ".1f", "again (s)": ".1f", "in a new tab (s)": ".1f"}
PAGES = ("", "train", "models", "denoise", "sliders", "interpolate", "embeddings")
IDLE = "document.querySelector('[data-testid=stApp]')?.getAttribute('data-test-script-state') === 'notRunning'"
DRAWN = "document.querySelectorAll('[data-testid=stMain] [data-testid=stElementContainer]').length > 2"


def serve() -> tuple[subprocess.Popen, str]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "app.py",
        "--server.port",
        str(port),
        "--server.headless",
        "true",
    ]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        command, cwd=ROOT, stdout=quiet, stderr=quiet, start_new_session=True
    ), f"http://127.0.0.1:{port}"


def wait_for(url: str, seconds: float = 60) -> None:
    """Wait until the server responds. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return urllib.request.urlopen(url + "/_stcore/health", timeout=1).close()
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"no answer from {url}")


def opened(browser, path: str) -> tuple[float, float]:
    """(seconds to a healthy server, seconds to a complete page) from the start of the process."""
    started = time.perf_counter()
    process, url = serve()
    try:
        wait_for(url)
        healthy = time.perf_counter() - started
        page = browser.new_page()
        page.goto(f"{url}/{path}")
        page.wait_for_function(f"{IDLE} && {DRAWN}", timeout=120_000, polling=50)
        ready = time.perf_counter() - started
        page.close()
        return healthy, ready
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def warm(browser) -> None:
    """Print the table of a warm server."""
    from aevae.ui.frame import menu

    process, url = serve()
    browser = browser.new_context()  # its tabs share a cache
    try:
        wait_for(url)
        seconds(browser, url, "", DRAWN)
        time.sleep(WARM)
        tab = browser.new_page()

        def rows():
            for page in menu.all_pages()[1:]:
                first, *again = (by_menu(tab, url, page.title) for _ in range(4))
                new = [seconds(browser, url, page.url_path, there(page.title)) for _ in range(3)]
                yield page.url_path, first, median(again), median(new)

        results.save("startup_warm", WARM_COLUMNS, rows())
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def there(title: str) -> str:
    """JavaScript that checks whether the page with this title is shown."""
    return f"document.querySelector('h1')?.innerText === {json.dumps(title)}"


def by_menu(tab, url: str, title: str) -> float:
    """Seconds from the click in the menu to a complete page."""
    tab.goto(url)
    tab.wait_for_function(f"{IDLE} && {DRAWN}", timeout=120_000, polling=50)
    link = tab.locator('[data-testid="stSidebarNavLink"]', has_text=title)
    for section in tab.locator('[data-testid="stNavSectionHeader"]').all():
        if not link.count() and section.evaluate("head => head.matches(':only-child')"):  # it is folded
            section.click()
            tab.wait_for_timeout(200)
    link.scroll_into_view_if_needed()
    started = time.perf_counter()
    link.click()
    tab.wait_for_function(f"{IDLE} && {there(title)}", timeout=120_000, polling=50)
    return time.perf_counter() - started


def seconds(browser, url: str, path: str, drawn: str) -> float:
    """Seconds from opening the address in a new tab to a complete page."""
    page = browser.new_page()
    started = time.perf_counter()
    page.goto(f"{url}/{path}")
    page.wait_for_function(f"{IDLE} && {drawn}", timeout=120_000, polling=50)
    ready = time.perf_counter() - started
    page.close()
    return ready


def main(rounds: int = 3) -> None:
    with sync_playwright() as p:
        browser = p.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        if "--warm" in sys.argv:
            return warm(browser)

        def rows():
            for path in PAGES:
                healthy, ready = zip(*(opened(browser, path) for _ in range(rounds)), strict=True)
                yield path or "start", median(healthy), median(ready)

        results.save("startup", {"page": "", "server healthy (s)": ".1f", "page at rest (s)": ".1f"}, rows())
        browser.close()


if __name__ == "__main__":
    main()
