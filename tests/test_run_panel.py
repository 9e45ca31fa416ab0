"""The panel of a run on the Train page: it shows how far the run is, and survives whatever it finds."""

import dataclasses
import json
import re
import shutil
import threading

import pytest
from conftest import open_page, tiny_config, until
from page_helpers import click, module_of, open_train_page, texts, widget_keys
from streamlit.testing.v1 import AppTest

from aevae import paths
from aevae.browser.blob import unpack
from aevae.config import DataConfig
from aevae.queue import jobs, worker
from aevae.store import checkpoints
from aevae.ui.train import run_panel

pytestmark = pytest.mark.usefixtures("no_worker")


def test_what_exists_is_opened_not_trained(store):
    config = tiny_config("vae")
    at = open_train_page()
    at.session_state["train_family"] = "vae"
    for name, value in {"latent_dim": 3, "hidden": 16, "limit": 200, "epochs": 1, "batch_size": 64}.items():
        at.session_state[f"train_{name}"] = value
    at.run()
    at.number_input(key="train_lr").set_value(config.train.lr).run()
    assert "is finished" in texts(at.success) and "train_start" not in widget_keys(at)
    click(at, "form_watch")
    assert at.query_params["job"] == config.name and at.get("plotly_chart")
    click(at, "form_open_sliders")
    assert at.session_state["model"] == config.name and "sliders" in at.title[0].value.lower()


def test_same_request_watches_the_waiting_job(empty_store):
    at = open_train_page()
    click(at, "train_start")
    assert "in the queue" in texts(at.info) and "train_start" not in widget_keys(at)
    click(at, "train_cancel")
    assert jobs.jobs()[0].state == "cancelled" and "train_start" in widget_keys(at)
    click(at, "train_resume")
    assert jobs.jobs()[0].state == "queued" and len(jobs.jobs()) == 2


def test_queue_shows_positions_and_switches(empty_store):
    for seed in range(3):
        jobs.submit(tiny_config("vae", seed=seed))
    at = open_train_page()
    assert "number 3 in the queue" in texts(at.markdown)
    third = jobs.jobs()[2]
    click(at, f"train_watch_{third.id}")
    assert at.query_params["job"] == third.run
    click(at, f"train_cancel_{jobs.jobs()[1].id}")
    assert [job.state for job in jobs.jobs()] == ["queued", "queued", "cancelled"]


def test_finished_job_seen_from_another_browser(empty_store):
    config = tiny_config("vae", epochs=2)
    jobs.submit(config, "cpu")
    worker.Worker(once=True).run()
    at = open_train_page(job=config.name)
    assert "Finished: 2 epochs" in texts(at.success)
    assert len(at.get("plotly_chart")) == len(checkpoints.read_history(paths.runs_dir() / config.name)[-1]["test"])
    header, arrays = player(at)
    assert module_of(header) == "film" and header["spec"]["runs"][0]["name"] == config.name
    assert {0, 0.25, 0.75, 1, 2} <= set(arrays["0.epoch"].tolist())


def player(at: AppTest, which: int = 0) -> tuple[dict, dict]:
    """What the page hands to its component in the browser."""
    return unpack(at.get("bidi_component")[which].proto.bytes)


def test_a_browser_that_cannot_play_gets_a_sheet(store):
    at = open_page("pages/lab/train.py", None, False, job=store["vae"])
    assert not at.exception and not at.main.get("bidi_component") and "lacks a function" in texts(at.caption)
    slider = next(s for s in at.select_slider if s.label == "Epoch shown")
    assert slider.value == "1"
    slider.set_value("0.25").run()
    assert "After epoch 0.25" in texts(at.caption)


def test_another_run_beside_it(store):
    at = open_train_page(job=store["vae"])
    at.selectbox(key="train_beside").set_value(store["ae"]).run()
    assert not at.exception
    assert [run["name"] for run in player(at)[0]["spec"]["runs"]] == [store["vae"], store["ae"]]


@pytest.fixture
def running(empty_store):
    """A job that a worker of this process holds in its second epoch; the film of its first, and a newest frame."""
    config = tiny_config("vae", epochs=3)
    job = jobs.submit(config, "cpu")
    thread = threading.Thread(target=worker.Worker(once=True).run)
    jobs.advance(job.id, "epoch")
    jobs.advance(job.id, "step")
    thread.start()
    until(lambda: jobs.get(job.id).progress.get("step") == 5 and jobs.get(job.id).progress.get("held"))
    yield job
    jobs.cancel(job.id)
    thread.join()


def clocks(at) -> list[str]:
    """Whatever on the page says how far training is."""
    said = [bar.proto.text for bar in at.get("progress")] + [text.value for text in (*at.markdown, *at.caption)]
    return [text for text in said if re.search(r"\bepoch \d|\bstep \d", text)]


@pytest.mark.slow
def test_a_running_job_is_watched_and_held(running):
    at = open_train_page(job=running.run)
    assert "**Paused.**" in texts(at.markdown) and "10 minutes after" in texts(at.markdown)
    (clock,) = clocks(at)
    assert clock.startswith("epoch 1.25 of 3 · step 5 of 12")
    film, arrays = player(at)
    assert film["spec"]["runs"][0]["live"] and {0, 0.25, 0.75, 1} <= set(arrays["0.epoch"].tolist())
    newest, frame = player(at, 1)
    assert module_of(newest) == "filmnow" and newest["spec"]["channel"] == film["spec"]["runs"][0]["channel"]
    assert frame["0.epoch"].tolist() == [1.25] and frame["0.xy"].shape == (1, 1000, 2)
    click(at, "train_advance_step")
    (clock,) = clocks(at)
    assert clock.startswith("epoch 1.50 of 3 · step 6 of 12"), "a step is on the page at once"
    click(at, "train_advance_epoch")
    until(lambda: jobs.get(running.id).progress["step"] == 8)
    click(at, "train_pace_slow")
    assert jobs.get(running.id).pace == "slow" and "**The run is slowed down.**" in texts(at.markdown)
    click(at, "train_pace_pause")
    assert jobs.get(running.id).pace == "pause" and "left" not in at.get("progress")[0].proto.text
    click(at, "train_pace_go")
    until(lambda: jobs.get(running.id).state == "done")


def test_a_run_that_waits_shows_its_untrained_model_and_whose_it_is(empty_store):
    job = jobs.submit(tiny_config("vae", epochs=3))
    at = open_train_page()
    film, arrays = player(at)
    assert film["spec"]["runs"][0]["name"] == job.run and arrays["0.epoch"].tolist() == [0]
    assert "Somebody else started this run" in texts(at.info)
    at = open_train_page()
    click(at, "train_cancel")
    click(at, "train_start")
    assert "Somebody else" not in texts(at.info)


def test_earlier_jobs_are_named_by_what_differs(empty_store):
    for epochs in (20, 30):
        jobs.cancel(jobs.submit(tiny_config("vae", epochs=epochs)).id)
    rows = [text.value for text in open_train_page().markdown if "VAE, 3 numbers" in text.value]
    assert len(rows) == 2 and all(" · today " in row for row in rows)
    assert {row.split("**")[1] for row in rows} == {"VAE, 3 numbers · 20 epochs", "VAE, 3 numbers · 30 epochs"}


def test_a_form_that_gives_way(store):
    assert not any(e.label == "Train another model" for e in open_train_page().expander)
    at = open_train_page(job=store["vae"])
    assert any(e.label == "Train another model" for e in at.expander) and "train_start" in widget_keys(at)


def test_failed_job_says_why(empty_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    config = dataclasses.replace(tiny_config("ae"), data=DataConfig(f"images:{tmp_path}", digest="0" * 12))
    jobs.submit(config, "cpu")
    worker.Worker(once=True).run()
    at = open_train_page(job=config.name)
    assert "Failed:" in texts(at.error) and "Traceback" in texts(at.code)


def test_running_job_shows_pace_and_download(empty_store):
    import sqlite3

    job = jobs.submit(tiny_config("vae", epochs=5))
    db = sqlite3.connect(paths.runs_dir() / "queue.sqlite")

    def told(**progress):
        db.execute("UPDATE jobs SET state = 'running', progress = ?", (json.dumps(progress),))
        db.commit()
        return [bar.proto.text for bar in open_train_page(job=job.run).get("progress")]

    assert told(loading="Downloading MNIST: 3.0 of 12 MB", part=0.25) == ["Downloading MNIST: 3.0 of 12 MB"]
    (text,) = told(step=10, steps=20, epoch=3, images_per_s=12345.6, seconds_left=41.0)
    assert text == "epoch 2.50 of 5 · 12,346 images / s · about 40 s left"
    assert told() == ["The training starts in a few seconds ..."]


@pytest.mark.parametrize(
    ("file", "content"),
    [("history.jsonl", b'{"epoch": 1, "te'), ("history.jsonl", b'{"test": {}}\n{"epoch": 1, "test": {"recon": "x"}}\n'),
     ("film.safetensors", b"x"), ("film.safetensors", None), ("config.json", b"[]"), ("state.json", b"{"),
     ("config.json", None)],
)  # fmt: skip
def test_half_a_run_never_breaks_the_panel(store, file, content):
    name = store["vae"]
    path = paths.runs_dir() / name / file
    path.unlink() if content is None else path.write_bytes(content)
    open_train_page(job=name)


def test_job_that_cannot_be(empty_store):
    assert "no valid run" in texts(open_train_page(job="../../etc/passwd").warning)
    assert "not on this computer" in texts(open_train_page(job="vae-mnist-0123456789ab").info)


def test_broken_queue_is_a_sentence(empty_store):
    empty_store.mkdir(parents=True)
    (empty_store / "queue.sqlite").mkdir()
    at = open_train_page()
    click(at, "train_start")
    assert "cannot be written" in texts(at.error)


def test_folder_that_vanishes_is_said(store):
    job = jobs.submit(tiny_config("ae", seed=5), "cpu")
    worker.Worker(once=True).run()
    shutil.rmtree(paths.runs_dir() / job.run)
    assert "deleted" in texts(open_train_page(job=job.run).warning)


def test_lines_leave_out_what_is_foreign(tmp_path):
    (tmp_path / "history.jsonl").write_text(
        '{"epoch": 0, "test": {"recon": 1.5, "bad": "x"}}\n{"epoch": "1", "test": {}}\n'
        '{"epoch": 2, "test": {"recon": NaN}, "train": []}\n',
        "utf-8",
    )
    assert run_panel.read_history(tmp_path) == [
        {"epoch": 0, "test": {"recon": 1.5}},
        {"epoch": 2, "train": {}, "test": {}},
    ]
