"""The Train page: the form is the config, the button puts it on the queue, the panel survives whatever it finds."""

import dataclasses
import io
import json
import re
import shutil
import threading
import zipfile

import numpy as np
import pytest
from conftest import module_of, open_page, tiny_config, until
from streamlit.testing.v1 import AppTest

from aevae import paths
from aevae.browser.blob import unpack
from aevae.config import DataConfig, TrainConfig, preset
from aevae.models import FAMILIES, family_class
from aevae.queue import estimates, jobs, worker
from aevae.reporting import report
from aevae.run_config import RunConfig
from aevae.store import checkpoints
from aevae.ui.train import costs, run_panel

APP = paths.ROOT / "app.py"


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    """Jobs wait; a test that wants one trained runs the worker itself."""
    monkeypatch.setattr(jobs, "ensure_worker", lambda device="auto": None)


def page(**link) -> AppTest:
    at = open_page("pages/lab/train.py", **link)
    assert not at.exception
    return at


def press(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click().run()
    assert not at.exception
    return at


def queued(at: AppTest) -> RunConfig:
    press(at, "train_start")
    return RunConfig.from_dict(max(jobs.jobs(), key=lambda job: job.id).config)


def keys(at: AppTest) -> set[str]:
    kinds = ("number_input", "toggle", "button_group", "selectbox", "text_input", "button")
    return {w.key for kind in kinds for w in at.get(kind)}


def texts(elements) -> str:
    return "\n".join(str(e.value) for e in elements)


def test_plain_form_is_the_default_config(empty_store):
    at = page()
    assert {m.label for m in at.metric} == {"parameters", "training time"}
    config = queued(at)
    assert config == RunConfig(DataConfig(), family_class("ae").Config(), TrainConfig())
    assert at.query_params["job"] == config.name


CHANGES = {
    "hidden": 32,
    "latent_dim": 5,
    "warmup_epochs": 2.0,
    "beta": 2.5,
    "epochs": 3,
    "batch_size": 64,
    "lr": 0.01,
    "seed": 7,
    "limit": 300,
}


def test_every_number_reaches_the_config(empty_store):
    at = page(train_family="beta_vae")
    for name, value in CHANGES.items():
        at.number_input(key=f"train_{name}").set_value(value)
    at.run()
    config = queued(at)
    found = {**vars(config.model), **vars(config.train), **vars(config.data), "seed": config.seed}
    assert {name: found[name] for name in CHANGES} == CHANGES


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "name", "value"),
    [("vae", "network", "conv"), ("vae", "likelihood", "gaussian_learned"), ("denoising", "noise", "block"),
     ("denoising", "clip", False), ("ae", "likelihood", "gaussian")],
)  # fmt: skip
def test_every_choice_reaches_the_config(empty_store, family, name, value):
    at = page(train_family=family)
    widget = at.toggle(key=f"train_{name}") if isinstance(value, bool) else at.button_group(key=f"train_{name}")
    widget.set_value(value)
    at.run()
    assert getattr(queued(at).model, name) == value


@pytest.mark.parametrize(("key", "value"), [("train_seed", 5), ("train_seeds", 3)])
def test_a_field_that_is_left_by_the_press_counts(empty_store, key, value):
    """A browser sends what was typed and the press at once: the server has not drawn the form between them."""
    link = {"train_seeds": 2} if key == "train_seeds" else {}
    at = page(**link)
    at.number_input(key=key).set_value(value)
    press(at, "train_start")
    seeds = sorted(job.config["seed"] for job in jobs.jobs())
    assert seeds == ([5] if key == "train_seed" else [0, 1, 2])


def test_a_press_outlives_a_page_that_is_drawn_anew(empty_store, monkeypatch):
    """Somebody else's job comes onto the queue while the press is answered: the panel above the form runs the page."""
    other, at = tiny_config("ae"), page()
    monkeypatch.setattr(jobs, "ensure_worker", lambda device="auto": jobs.submit(other))
    assert queued(at).fingerprint != other.fingerprint and len(jobs.jobs()) == 2
    at.run()
    assert len(jobs.jobs()) == 2, "and it is answered once"


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_field_of_a_family_has_a_widget(empty_store, family):
    """Those that wait for another field's value too; and what the form begins with is a run of this family."""
    needs, fields = {}, {f.name: f for f in dataclasses.fields(family_class(family).Config)}
    for f in fields.values():
        name, values = f.metadata.get("when", ("", ("",)))
        asked = not name or name in fields
        possible = [v for v in values if asked and (not name or v in fields[name].metadata.get("choices", (v,)))]
        if possible:  # else this family has no such likelihood
            needs.setdefault((name, possible[0]), set()).add(f"train_{f.name}")
    for (name, value), wanted in needs.items():
        at = page(train_family=family, **({f"train_{name}": str(value)} if name else {}))
        assert wanted <= keys(at)
        assert not at.error and not at.exception
        if not name:
            config = queued(at)
            own = family_class(family).Config
            assert config.model == own() and config.data.name == own.dataset
            assert config.train == preset("fast", config.data, own)


def test_another_family_begins_at_its_own_defaults_and_keeps_what_was_changed(empty_store):
    at = page(train_family="vae")
    at.number_input(key="train_latent_dim").set_value(7).run()
    at.selectbox(key="train_family").set_value("linear_ae").run()
    model = queued(at).model
    assert model.latent_dim == 7
    assert model.likelihood == family_class("linear_ae").Config().likelihood != "bernoulli"
    at.selectbox(key="train_family").set_value("vae").run()
    assert queued(at).model == family_class("vae").Config(latent_dim=7)


def test_a_family_of_sequences_learns_from_sequences_only(empty_store):
    at = page(train_family="td_vae")
    assert at.selectbox(key="train_data").options == ["moving-digits"]
    at.selectbox(key="train_family").set_value("ae").run()
    assert "moving-digits" not in at.selectbox(key="train_data").options
    assert queued(at).data.name == "mnist-5k"


def test_field_without_effect_is_hidden_and_keeps_its_default(empty_store):
    at = page(train_family="vae", train_hidden="32")
    assert "train_sigma" not in keys(at)
    at.button_group(key="train_network").set_value("conv").run()
    assert "train_hidden" not in keys(at)
    assert queued(at).model.hidden == 400


def test_prepared_link_fills_the_form(empty_store):
    at = page(train_family="vae", train_latent_dim="2", train_epochs="4", train_network="conv", train_seed="3")
    config = queued(at)
    assert (config.model.family, config.model.latent_dim, config.model.network) == ("vae", 2, "conv")
    assert (config.train.epochs, config.seed) == (4, 3)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("latent_dim", "0", "latent_dim must be in 1..784, got 0"),
        ("epochs", "many", "epochs must be a number, got 'many'"),
        ("family", "gan", "must be one of ae, "),
        ("network", "rnn", "mlp, conv, got rnn"),
        ("data", "imagenet", "got imagenet"),
    ],
)
def test_wrong_value_in_the_link_is_one_sentence_and_the_default(empty_store, name, value, sentence):
    at = page(**{f"train_{name}": value})
    assert len(at.warning) == 1 and sentence in at.warning[0].value
    assert queued(at) == RunConfig(DataConfig(), family_class("ae").Config(), TrainConfig())


def test_a_recipe_sets_the_training_fields_and_what_is_changed_then_stays(empty_store):
    at = page()
    at.button_group(key="train_recipe").set_value("classic").run()
    assert at.number_input(key="train_epochs").value == 10
    at.number_input(key="train_epochs").set_value(4).run()
    at.number_input(key="train_latent_dim").set_value(5).run()
    config = queued(at)
    assert config.train == dataclasses.replace(preset("classic", config.data), epochs=4)
    at.button_group(key="train_recipe").set_value("fast").run()
    assert queued(at).train == preset("fast", DataConfig())


def test_another_data_set_has_its_own_recipe(empty_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    at = page()
    at.number_input(key="train_epochs").set_value(7).run()
    at.selectbox(key="train_data").set_value("mnist").run()
    assert queued(at).train == preset("fast", DataConfig("mnist")) != preset("fast", DataConfig())
    at.number_input(key="train_limit").set_value(1000).run()
    assert queued(at).train == preset("fast", DataConfig("mnist", limit=1000)), "a part of it is a small data set"
    at.selectbox(key="train_data").set_value("mnist-5k").run()
    assert at.number_input(key="train_epochs").value == preset("fast", DataConfig()).epochs


def test_a_link_wins_over_the_recipe(empty_store):
    at = page(train_recipe="classic", train_epochs="1")
    assert queued(at).train == dataclasses.replace(preset("classic", DataConfig()), epochs=1)


def test_a_link_to_a_data_set_begins_with_its_recipe(empty_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    assert queued(page(train_data="kmnist")).train == preset("fast", DataConfig("kmnist"))


def test_another_network_has_its_own_recipe(empty_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    at = page(train_data="kmnist", train_family="vae")
    before = at.number_input(key="train_batch_size").value
    at.button_group(key="train_network").set_value("conv").run()
    config = queued(at)
    assert config.train == preset("fast", config.data, config.model) and config.train.batch_size != before
    words = report.command(config)
    assert "batch" not in words and "network=conv" in words, "the command line chooses the same"


def test_device_is_the_jobs(empty_store):
    at = page()
    at.button_group(key="train_device").set_value("cpu").run()
    press(at, "train_start")
    assert jobs.jobs()[0].device == "cpu"


def test_missing_data_set_offers_the_embedded_one(empty_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    at = page(train_data="kmnist")
    assert "download" in texts(at.info) and "mnist-5k" in texts(at.info)
    press(at, "train_take_5k")
    assert queued(at).data.name == "mnist-5k"


def test_leave_out_is_for_mnist_only(empty_store):
    at = page()
    assert "train_leave_out_5k" not in keys(at)
    at.selectbox(key="train_data").set_value("mnist").run()
    at.toggle(key="train_leave_out_5k").set_value(True).run()
    assert queued(at).data == DataConfig("mnist", leave_out_5k=True)


def zipped_pictures() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for i in range(10):
            picture = io.BytesIO()
            Image.fromarray(np.full((28, 28), 20 * i, np.uint8)).save(picture, "PNG")
            archive.writestr(f"{'ab'[i % 2]}/{i}.png", picture.getvalue())
    return out.getvalue()


def test_own_pictures_by_zip(empty_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    at = page(train_data="own pictures")
    assert "Choose a zip" in texts(at.info) and not at.error and "train_start" not in keys(at)
    at.file_uploader(key="train_zip").set_value(("digits.zip", b"no zip", "application/zip")).run()
    assert "not a zip" in texts(at.error)
    at.file_uploader(key="train_zip").set_value(("digits.zip", zipped_pictures(), "application/zip")).run()
    assert not at.error and not at.exception
    assert "8 training and 2 test images. Classes: a (5), b (5)." in texts(at.caption)
    config = queued(at)
    assert config.data.name.startswith("images:") and config.data.digest


def test_what_was_guessed_and_left_out_is_said(empty_store, tmp_path, monkeypatch):
    """As a zip and as a folder, which a browser sends file by file."""
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    with zipfile.ZipFile(io.BytesIO(zipped_pictures())) as archive:
        members = {
            f"own/{part}/{name}": archive.read(name) for part in ("train", "test") for name in archive.namelist()
        }
    members |= {"own/<b>notes.txt": b"x", "own/.DS_Store": b"x"}
    at = page(train_data="own pictures")
    at.file_uploader(key="train_folder").set_value([(name, content, "") for name, content in members.items()]).run()
    assert not at.error and not at.exception
    said = texts(at.warning)
    assert "left out 1 of 21 files" in said.lower() and "taken as a split: 10 images" in said and "<b>" not in said
    assert queued(at).data.digest


def test_own_pictures_by_path(empty_store, tmp_path):
    at = page(train_data="own pictures")
    at.text_input(key="train_path").set_value(str(tmp_path / "nothing")).run()
    assert "there is no folder or zip" in texts(at.error).lower()
    (tmp_path / "mine.zip").write_bytes(zipped_pictures())
    at.text_input(key="train_path").set_value(str(tmp_path / "mine.zip")).run()
    assert queued(at).data.name == f"images:{tmp_path / 'mine.zip'}"


def test_the_rate_follows_until_somebody_sets_it(empty_store):
    at = page(train_data="mnist-5k")
    rate = lambda: at.number_input(key="train_lr").value  # noqa: E731
    assert rate() == preset("fast", DataConfig()).lr
    at.number_input(key="train_epochs").set_value(100).run()
    followed = preset("fast", DataConfig(), epochs=100).lr
    assert rate() == followed < preset("fast", DataConfig()).lr
    at.number_input(key="train_lr").set_value(3e-4).run()
    at.number_input(key="train_epochs").set_value(5).run()
    assert rate() == 3e-4 and queued(at).train.lr == 3e-4, "what somebody set stays"


def test_what_exists_is_opened_not_trained(store):
    config = tiny_config("vae")
    at = page()
    at.session_state["train_family"] = "vae"
    for name, value in {"latent_dim": 3, "hidden": 16, "limit": 200, "epochs": 1, "batch_size": 64}.items():
        at.session_state[f"train_{name}"] = value
    at.run()
    at.number_input(key="train_lr").set_value(config.train.lr).run()
    assert "is finished" in texts(at.success) and "train_start" not in keys(at)
    press(at, "form_watch")
    assert at.query_params["job"] == config.name and at.get("plotly_chart")
    press(at, "form_open_sliders")
    assert at.session_state["model"] == config.name and "sliders" in at.title[0].value.lower()


def test_same_request_watches_the_waiting_job(empty_store):
    at = page()
    press(at, "train_start")
    assert "in the queue" in texts(at.info) and "train_start" not in keys(at)
    press(at, "train_cancel")
    assert jobs.jobs()[0].state == "cancelled" and "train_start" in keys(at)
    press(at, "train_resume")
    assert jobs.jobs()[0].state == "queued" and len(jobs.jobs()) == 2


def test_queue_shows_positions_and_switches(empty_store):
    for seed in range(3):
        jobs.submit(tiny_config("vae", seed=seed))
    at = page()
    assert "number 3 in the queue" in texts(at.markdown)
    third = jobs.jobs()[2]
    press(at, f"train_watch_{third.id}")
    assert at.query_params["job"] == third.run
    press(at, f"train_cancel_{jobs.jobs()[1].id}")
    assert [job.state for job in jobs.jobs()] == ["queued", "queued", "cancelled"]


def test_finished_job_seen_from_another_browser(empty_store):
    config = tiny_config("vae", epochs=2)
    jobs.submit(config, "cpu")
    worker.Worker(once=True).run()
    at = page(job=config.name)
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
    at = page(job=store["vae"])
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
    return [text for text in said if re.search(r"of \d+ epochs|\bepoch \d|\bstep \d", text)]


@pytest.mark.slow
def test_a_running_job_is_watched_and_held(running):
    at = page(job=running.run)
    assert "**Paused.**" in texts(at.markdown) and "10 minutes after" in texts(at.markdown)
    (clock,) = clocks(at)
    assert clock.startswith("1.25 of 3 epochs · step 5 of 12")
    film, arrays = player(at)
    assert film["spec"]["runs"][0]["live"] and {0, 0.25, 0.75, 1} <= set(arrays["0.epoch"].tolist())
    newest, frame = player(at, 1)
    assert module_of(newest) == "filmnow" and newest["spec"]["channel"] == film["spec"]["runs"][0]["channel"]
    assert frame["0.epoch"].tolist() == [1.25] and frame["0.xy"].shape == (1, 1000, 2)
    press(at, "train_advance_step")
    (clock,) = clocks(at)
    assert clock.startswith("1.50 of 3 epochs · step 6 of 12"), "a step is on the page at once"
    press(at, "train_advance_epoch")
    until(lambda: jobs.get(running.id).progress["step"] == 8)
    press(at, "train_pace_slow")
    assert jobs.get(running.id).pace == "slow" and "**The run is slowed down.**" in texts(at.markdown)
    press(at, "train_pace_pause")
    assert jobs.get(running.id).pace == "pause" and "left" not in at.get("progress")[0].proto.text
    press(at, "train_pace_go")
    until(lambda: jobs.get(running.id).state == "done")


def test_a_form_that_gives_way(store):
    assert not any(e.label == "Train another model" for e in page().expander)
    at = page(job=store["vae"])
    assert any(e.label == "Train another model" for e in at.expander) and "train_start" in keys(at)


def test_failed_job_says_why(empty_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    config = dataclasses.replace(tiny_config("ae"), data=DataConfig(f"images:{tmp_path}", digest="0" * 12))
    jobs.submit(config, "cpu")
    worker.Worker(once=True).run()
    at = page(job=config.name)
    assert "Failed:" in texts(at.error) and "Traceback" in texts(at.code)


def test_running_job_shows_pace_and_download(empty_store):
    import sqlite3

    job = jobs.submit(tiny_config("vae", epochs=5))
    db = sqlite3.connect(paths.runs_dir() / "queue.sqlite")

    def told(**progress):
        db.execute("UPDATE jobs SET state = 'running', progress = ?", (json.dumps(progress),))
        db.commit()
        return [bar.proto.text for bar in page(job=job.run).get("progress")]

    assert told(loading="Downloading MNIST: 3.0 of 12 MB", part=0.25) == ["Downloading MNIST: 3.0 of 12 MB"]
    (text,) = told(step=10, steps=20, epoch=3, images_per_s=12345.6, seconds_left=41.0)
    assert text == "2.50 of 5 epochs · step 10 of 20 · 12,346 images / s · about 40 s left"
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
    page(job=name)


def test_job_that_cannot_be(empty_store):
    assert "no valid run" in texts(page(job="../../etc/passwd").warning)
    assert "not on this computer" in texts(page(job="vae-mnist-0123456789ab").info)


def test_broken_queue_is_a_sentence(empty_store):
    empty_store.mkdir(parents=True)
    (empty_store / "queue.sqlite").mkdir()
    at = page()
    press(at, "train_start")
    assert "cannot be written" in texts(at.error)


def test_folder_that_vanishes_is_said(store):
    job = jobs.submit(tiny_config("ae", seed=5), "cpu")
    worker.Worker(once=True).run()
    shutil.rmtree(paths.runs_dir() / job.run)
    assert "deleted" in texts(page(job=job.run).warning)


def test_fill_is_the_inverse_of_the_form(empty_store):
    config = tiny_config("beta_vae", epochs=4, seed=9, limit=500)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, beta=2.5))

    def script(raw):
        import streamlit as st

        from aevae.run_config import RunConfig
        from aevae.ui.train import form

        if "filled" not in st.session_state:
            st.session_state["filled"] = True
            form.fill(RunConfig.from_dict(raw))
        st.session_state["made"] = form.run_form()[0]

    at = AppTest.from_function(script, args=(config.to_dict(),), default_timeout=60).run()
    assert not at.exception and at.session_state["made"] == [config]


def test_cost_scales_and_knows_sizes(empty_store):
    assert estimates.images(DataConfig()) == (4000, 1000)
    assert estimates.images(DataConfig("mnist", leave_out_5k=True)) == (59000, 10000)
    assert estimates.images(DataConfig(limit=100)) == (100, 1000)
    found = costs.cost([tiny_config("ae")], "cpu")
    assert found.parameters == 784 * 16 + 16 + 16 * 3 + 3 + 3 * 16 + 16 + 16 * 784 + 784 and found.seconds is None
    estimates.submit(tiny_config("ae"), "cpu")
    worker.Worker(jobs.TASKS_LANE, once=True).run()
    few, many = (costs.cost([tiny_config("ae", epochs=e)], "cpu").seconds - estimates.START_SECONDS for e in (1, 10))
    assert many == pytest.approx(10 * few, rel=0.2)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "a few seconds"), (41, "about 40 s"), (8.2, "about 8 s"), (200, "about 3 min"), (95, "about 1.6 min"),
     (1500, "about 20 min"), (7300, "about 2 h")],
)  # fmt: skip
def test_duration(seconds, text):
    assert costs.duration(seconds) == text


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
