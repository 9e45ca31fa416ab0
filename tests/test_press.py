"""A click changes the page, not only its address: buttons in a fragment, and jobs that a lab starts."""

from collections import Counter

import pytest
from chromium import Tab
from conftest import open_page, tiny_config
from page_helpers import rerun_fragment
from streamlit.testing.v1 import AppTest
from test_gone import PAGES, opened

from aevae.queue import jobs
from aevae.ui.shared import cached


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)
    cached.runs.clear()


def ended(*configs) -> list[jobs.Job]:
    """Jobs that were cancelled before they began."""
    made = jobs.submit_all(list(configs), "cpu") if len(configs) > 1 else [jobs.submit(configs[0])]
    for job in made:
        jobs.cancel(job.id)
    return made


def press(at: AppTest, key: str) -> AppTest:
    """As the browser does it: only the fragment of the button runs, which is the first of the page."""
    number = next(iter(at._fragment_storage._fragments))
    at.button(key=key).click()
    rerun_fragment(at, number)
    assert not at.exception
    return at


def said(at: AppTest, key: str) -> str:
    """What the address says."""
    found = at.query_params.get(key, "")
    return found if isinstance(found, str) else found[-1]


def headers(at: AppTest) -> str:
    return " ".join(box.value for box in at.header)


def test_watch_shows_the_job_at_once(empty_store):
    (one,) = ended(tiny_config("ae"))
    at = open_page("pages/lab/train.py")
    assert "Autoencoder" not in headers(at)
    press(at, f"train_watch_{one.id}")
    assert any(one.run in box.value for box in at.caption) and said(at, "job") == one.run
    assert "Train another model" in [box.label for box in at.expander], "the page as a whole makes room for it"


def test_watch_shows_several_at_once_and_one_after_them(empty_store):
    several = ended(*(tiny_config("ae", seed=seed) for seed in (1, 2)))
    (one,) = ended(tiny_config("vae"))
    at = press(open_page("pages/lab/train.py"), f"train_watch_{several[0].id}")
    assert "2 runs" in headers(at) and said(at, "sweep") == "-".join(job.fingerprint for job in several)
    press(at, f"train_watch_{one.id}")
    assert any(one.run in box.value for box in at.caption) and said(at, "sweep") == ""


def test_the_data_set_that_is_there_is_chosen_in_the_form(empty_store):
    job = jobs.submit(tiny_config("ae"))
    with jobs.transaction() as db:
        db.execute(
            "UPDATE jobs SET state = 'failed', error = 'mnist is not here; take mnist-5k' WHERE id = ?", (job.id,)
        )
    at = open_page("pages/lab/train.py", None, True, job=job.run, train_data="mnist")
    press(at, "train_take_5k_failed")
    assert at.selectbox(key="train_data").value == "mnist-5k" and at.session_state["train_data"] == "mnist-5k"


def fragment_buttons(at: AppTest) -> dict[str, list[str]]:
    """Number of each fragment -> keys of its buttons that can be clicked and stay on the page."""
    metadata, found = at._session_state._state._new_widget_state.widget_metadata, {}
    for button in at.button:
        number = metadata[button.proto.id].fragment_id
        if number and not button.disabled and "_open_" not in button.key:
            found.setdefault(number, []).append(button.key)
    return found


def shown_texts(at: AppTest) -> Counter:
    return Counter(box.value for box in (*at.title, *at.header, *at.subheader, *at.caption))


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES)
def test_a_click_in_a_fragment_leaves_nothing_for_the_next_run_of_the_page(store, path):
    """What the browser shows after the run of the fragment is what it shows after a reload."""
    for number, keys in fragment_buttons(opened(store, path, True)).items():
        at = opened(store, path, True)
        outside = shown_texts(at) - shown_texts(rerun_fragment(at, number))
        for key in keys:
            at = opened(store, path, True)
            at.button(key=key).click()
            inside = shown_texts(rerun_fragment(at, number))
            shown = inside if at.title else inside + outside  # a press may ask for a run of the whole page
            assert not at.exception and shown_texts(at.run()) == shown, key


@pytest.mark.browser
def test_watch_in_a_browser(browser, server, monkeypatch):
    monkeypatch.setenv("AEVAE_RUNS", str(server.store))
    (one,), several = ended(tiny_config("vae")), ended(*(tiny_config("ae", seed=seed) for seed in (1, 2)))
    tab = Tab(browser, stranger=True).open(f"{server.url}/train")
    tab.page.set_default_timeout(30_000)
    tab.page.get_by_text("Earlier jobs").click()
    tab.page.get_by_role("button", name="Watch", exact=True).last.click()
    tab.page.get_by_text(one.run, exact=True).wait_for()
    assert f"job={one.run}" in tab.rest().page.url
    tab.page.get_by_role("button", name="Watch", exact=True).click()
    tab.page.locator("h2", has_text="2 runs").wait_for()
    assert "sweep=" + "-".join(job.fingerprint for job in several) in tab.rest().page.url and "job=" not in tab.page.url
    tab.sound()
    tab.close()
