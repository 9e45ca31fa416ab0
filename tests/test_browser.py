"""The app on a real server in a real Chromium. Skipped without Chromium; in CI this is a failure."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from aevae import paths
from aevae.ui.frame import menu

pytestmark = pytest.mark.browser
PAGES = ("", *(page.url_path for page in menu.all_pages()[1:] if page.section not in menu.SECTIONS.values()))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOCAL = re.compile(r"(https?|wss?)://(127\.0\.0\.1|localhost)[:/]|data:|blob:")
ERRORS = '[data-testid="stException"], [data-testid="stAlertContentError"]'


class Server:
    """`streamlit run app.py` on a free port, with a store of its own; `base`: `server.baseUrlPath`."""

    def __init__(self, store: Path, base: str = ""):
        self.store, self.base = store, base
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
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
            try:
                urllib.request.urlopen(self.url + "/_stcore/health", timeout=1).read()
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise AssertionError("the server did not become healthy in 60 s")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed, and CI must run the browser tests")
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path / "runs")
    yield server
    server.stop()


class Tab:
    """A page that remembers what went wrong on it; stranger: of a browser that was never here."""

    def __init__(self, browser, width=1280, height=900, scheme="light", stranger=False):
        context = browser.new_context() if stranger or not browser.contexts else browser.contexts[0]
        self.page = context.new_page()
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.set_default_timeout(180_000)  # of a machine that has much else to do
        self.outside, self.crashes = [], []
        self.page.on("request", lambda r: self.outside.append(r.url) if not LOCAL.match(r.url) else None)
        self.page.on("pageerror", lambda e: self.crashes.append(str(e)))

    def open(self, url: str) -> "Tab":
        self.page.goto(url)
        return self.rest()

    def become(self, width: int, scheme: str) -> "Tab":
        """The window of another size, the system of another scheme."""
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": 900})
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
        self.page.locator('[data-testid="stSidebarNavLink"]', has_text=title).click()
        self.page.locator("h1", has_text=title).wait_for()
        return self.rest()

    def sound(self) -> None:
        """No error box, no crash, no request to another host, no sideways overflow."""
        assert self.page.locator(ERRORS).all_inner_texts() == []
        assert self.crashes == [] and self.outside == []
        main = "document.querySelector('[data-testid=stMain]')"
        assert self.page.evaluate(f"{main}.scrollWidth - {main}.clientWidth") <= 2

    def close(self) -> None:
        self.page.close()


@pytest.mark.parametrize("path", ["sliders", "compare"])
def test_cold_deep_link(browser, server, path):
    """The first visitor of a fresh server comes by a link."""
    look_at(Tab(browser, 390).open(f"{server.url}/{path}"))


@pytest.mark.parametrize("path", PAGES)
def test_deep_link(browser, shared_server, path):
    look_at(Tab(browser, 390).open(f"{shared_server.url}/{path}"))


def look_at(tab: Tab) -> None:
    """On a phone and light; then wide and dark."""
    for width, scheme in ((390, "light"), (1280, "dark")):
        tab.become(width, scheme).sound()
        assert tab.page.locator('[data-testid="stSidebarNavLink"]').count() == len(menu.all_pages())
        assert tab.page.get_by_text("Page not found").count() == 0
        assert tab.page.locator("h1").count() == 1
    tab.close()


def history(store: Path) -> list[dict]:
    """Lines of the one run in the store; [] before the first."""
    files = list(store.glob("*/history.jsonl"))
    return [json.loads(line) for line in files[0].read_text().splitlines()] if files else []


def until(condition, seconds=240):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


def test_the_main_story(browser, server):
    """Open, train, see the curve grow, look elsewhere, reload, restart the server, cancel, resume; explore."""
    tab = Tab(browser).open(server.url)
    assert tab.page.locator("h1").inner_text() == "aevae"
    tab.open(server.url + "/train?train_family=vae&train_epochs=1000")
    tab.page.get_by_role("button", name="Train", exact=True).click()
    tab.page.get_by_role("button", name="Cancel").first.wait_for()
    until(lambda: len(history(server.store)) >= 3)
    tab.page.locator(".js-plotly-plot").first.wait_for()
    count = "(document.querySelector('.js-plotly-plot')?.data ?? []).reduce((n, t) => n + t.x.length, 0)"
    before = tab.page.evaluate(count)
    until(lambda: tab.page.evaluate(count) > before)
    assert "job=vae-mnist-5k-" in tab.page.url
    link = tab.page.url

    tab.go("Denoise").sound()  # other pages stay usable meanwhile
    other = Tab(browser, stranger=True).open(link)  # another browser sees the same job
    other.page.get_by_role("button", name="Cancel").first.wait_for()
    other.close()

    done = len(history(server.store))
    server.stop()  # the server restarts: the job is still there and goes on
    server.start()
    tab.open(link)
    until(lambda: len(history(server.store)) > done)
    tab.page.get_by_role("button", name="Cancel").first.click()
    tab.page.get_by_role("button", name="Resume").first.wait_for()
    until(lambda: not any(server.store.glob(".locks/vae*.tmp")))
    stopped = len(history(server.store))
    state = json.loads(next(server.store.glob("*/state.json")).read_text())
    assert not state["finished"] and state["step"] > 0
    tab.page.get_by_role("button", name="Resume").first.click()
    until(lambda: len(history(server.store)) > stopped)
    tab.page.get_by_role("button", name="Cancel").first.click()
    tab.page.get_by_role("button", name="Resume").first.wait_for()
    tab.rest().sound()
    for title in ("Denoise", "Latent sliders", "Interpolate", "Embeddings", "Models"):
        tab.go(title).sound()
    tab.close()


def test_a_finished_run_opens_in_the_pages(browser, server):
    tab = Tab(browser).open(server.url + "/train?train_family=ae&train_epochs=1")
    tab.page.get_by_role("button", name="Train", exact=True).click()
    tab.page.get_by_role("button", name="Open in Latent sliders").first.click()
    tab.page.locator("h1", has_text="Latent sliders").wait_for()
    tab.rest().sound()
    assert "model=ae-" in tab.page.url and "mnist-5k" in tab.page.url, "the address opens the same view"
    model = '[data-testid="stSelectbox"] input'
    assert tab.page.locator(model).first.input_value() == "AE · d=20 · mnist-5k"
    again = Tab(browser, stranger=True).open(tab.page.url)
    again.sound()
    assert again.page.locator(model).first.input_value() == "AE · d=20 · mnist-5k"
    again.close()
    tab.go("Denoise").sound()
    assert tab.page.get_by_text("AE · d=20 · mnist-5k").count()
    tab.close()


def test_the_choice_outlives_the_page_and_the_browser(browser, server):
    tab = Tab(browser).open(server.url + "/denoise?digit=5&noise=masking&level=0.3")
    assert float(tab.page.get_by_role("slider", name="Noise level").input_value()) == 0.3
    tab.go("Latent sliders").go("Denoise")
    assert "digit=5" in tab.page.url and "level=0.3" in tab.page.url and "noise=masking" in tab.page.url
    tab.sound()
    again = Tab(browser, stranger=True).open(tab.page.url)
    assert float(again.page.get_by_role("slider", name="Noise level").input_value()) == 0.3
    tab.close()
    again.close()


WRONG = "?model=zzz&models=a,b&noise=rain&level=9&digit=99999&seed=x&z=1,2,nan&dims=<b>"  # more: tests/test_hostile.py


@pytest.mark.parametrize("path", ["denoise", "sliders", "interpolate", "embeddings", "train", "models"])
def test_wrong_addresses_open_the_page(browser, shared_server, path):
    tab = Tab(browser).open(f"{shared_server.url}/{path}{WRONG}")
    tab.sound()
    tab.close()


def test_no_orphan_after_sigterm(browser, tmp_path):
    server = Server(tmp_path / "runs")
    tab = Tab(browser).open(server.url + "/train?train_family=vae&train_epochs=1000")
    tab.page.get_by_role("button", name="Train", exact=True).click()
    until(lambda: len(history(server.store)) >= 1)
    tab.close()
    server.stop()
    mine = lambda: [  # noqa: E731
        p for p in Path("/proc").glob("[0-9]*/environ") if _has(p, f"AEVAE_RUNS={server.store}".encode())
    ]
    if Path("/proc").is_dir():
        until(lambda: not mine(), 20)


def _has(path: Path, text: bytes) -> bool:
    try:
        return text in path.read_bytes()
    except OSError:
        return False
