"""A server and a tab of a real Chromium, for the tests that need them."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from conftest import until
from servers import free_port, is_healthy

from aevae import paths

# The shell is Chromium without windows: the same engine for less processor time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--process-per-site",  # tabs share a process, and with it the compiled scripts: see `keep_process`
]
LOCAL = re.compile(r"(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|data:|blob:")
SECTION = '[data-testid="stNavSectionHeader"]'  # of the menu
ERRORS = '[data-testid="stException"], [data-testid="stAlertContentError"]'


def find_chromium() -> str | None:
    """Path of a Chromium; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def keep_process(context) -> None:
    """Open a page that stays: without it, the process of the context's tabs would end with each tab."""
    page = context.new_page()
    page.route("**", lambda route: route.fulfill(body=""))
    page.goto("http://127.0.0.1/")


class Server:
    """`streamlit run app.py` on a free port, with a store of its own; `base`: `server.baseUrlPath`."""

    def __init__(self, store: Path, base: str = ""):
        self.store, self.base = store, base
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}" + (f"/{base}" if base else "")
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(self.port)]
        command += ["--server.baseUrlPath", self.base] if self.base else []
        env = os.environ | {"AEVAE_RUNS": str(self.store), "AEVAE_NICE": "5"}
        env.pop("AEVAE_PRETRAINED", None)
        self.process = subprocess.Popen(
            command,
            cwd=paths.ROOT,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if is_healthy(self.url):
                return
            time.sleep(0.1)
        self.stop()
        raise AssertionError("the server did not become healthy in 60 s")

    def stop(self) -> None:
        """End it in order, if it runs."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise


class Tab:
    """A page that remembers what went wrong on it; stranger: in a new browser context."""

    def __init__(self, browser, width=1280, height=900, scheme="light", stranger=False, motion="reduce"):
        context = browser.new_context() if stranger else browser.contexts[0]
        self.page = context.new_page()
        self.page.emulate_media(color_scheme=scheme, reduced_motion=motion)  # idle animations would take a core each
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.set_default_timeout(180_000)  # of a machine that has much else to do
        self.outside, self.crashes = [], []
        self.page.on("request", lambda r: self.outside.append(r.url) if not LOCAL.match(r.url) else None)
        self.page.on("pageerror", lambda e: self.crashes.append(str(e)))

    def open(self, url: str) -> "Tab":
        self.page.goto(url)
        return self.rest()

    def become(self, width: int, scheme: str, height: int = 720) -> "Tab":
        """The window of another size, the system of another scheme."""
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": height})
        return self.rest()

    def rest(self) -> "Tab":
        """Wait until the script has run and something is drawn."""
        app = self.page.locator('[data-testid="stApp"]').first
        app.wait_for()
        end, quiet = time.monotonic() + 180, 0
        while time.monotonic() < end and quiet < 4:
            still = app.get_attribute("data-test-script-state") == "notRunning" and self.page.locator("h1").count()
            quiet = quiet + 1 if still else 0
            time.sleep(0.1)
        assert quiet >= 4, "the page never came to rest"
        return self

    def go(self, title: str) -> "Tab":
        """To another page by the menu."""
        link = self.page.locator('[data-testid="stSidebarNavLink"]', has_text=title)
        for section in self.page.locator(SECTION).all():
            if not link.count() and section.evaluate("head => head.matches(':only-child')"):  # it is folded
                section.click()
                self.page.wait_for_timeout(200)
        link.click()
        self.page.locator("h1", has_text=title).wait_for()
        return self.rest()

    def sound(self) -> None:
        """No error box, no crash, no request to another host, no sideways overflow."""
        assert self.page.locator(ERRORS).all_inner_texts() == []
        assert self.crashes == [] and self.outside == []
        main = "document.querySelector('[data-testid=stMain]')"
        until(lambda: self.page.evaluate(f"{main}.scrollWidth - {main}.clientWidth") <= 2, 5)  # after a new layout

    def close(self) -> None:
        self.page.close()
