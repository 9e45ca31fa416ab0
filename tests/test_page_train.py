"""The Train page: the form is the config, and the button puts it on the queue."""

import dataclasses
import io
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from conftest import tiny_config
from page_helpers import click, open_train_page, sent_to_module, texts, widget_keys
from safetensors.numpy import load_file
from streamlit.testing.v1 import AppTest

from aevae import paths
from aevae.config import DataConfig, TrainConfig, preset
from aevae.models import FAMILIES, family_class
from aevae.queue import estimates, jobs, worker
from aevae.reporting import report
from aevae.run_config import RunConfig
from aevae.runs import train_or_load
from aevae.runs.preview import first_frame
from aevae.ui.digit import picker
from aevae.ui.shared import option_words
from aevae.ui.train import costs, families

pytestmark = pytest.mark.usefixtures("no_worker")


def queued(at: AppTest) -> RunConfig:
    click(at, "train_start")
    return RunConfig.from_dict(max(jobs.jobs(), key=lambda job: job.id).config)


def test_plain_form_is_the_default_config(empty_store):
    at = open_train_page()
    assert {m.label for m in at.metric} == {"parameters", "training time"}
    model = family_class("vae").Config(latent_dim=2)
    config = queued(at)
    assert config == RunConfig(DataConfig(), model, preset("fast", DataConfig(), model)), "its codes fill a plane"
    assert at.query_params["job"] == config.name


def test_the_first_family_leaves_no_trace_in_the_next(empty_store):
    at = open_train_page()
    at.selectbox(key="train_family").set_value("k_sparse").run()
    assert not at.error and queued(at).model == family_class("k_sparse").Config()


def test_a_link_keeps_its_meaning(empty_store):
    assert queued(open_train_page(train_epochs="5")).model == family_class("ae").Config()
    assert queued(open_train_page(train_family="vae")).model == family_class("vae").Config()


def test_every_option_has_words_and_every_family_a_line():
    fields = {f.name for name in FAMILIES for f in dataclasses.fields(family_class(name).Config)}
    fields |= {f.name for part in (DataConfig, TrainConfig) for f in dataclasses.fields(part)}
    titles = {name: option_words.option_title(name) for name in fields}
    plain = {"network", "epochs", "penalty", "grouping", "pooling", "roughness", "pairs", "decay", "codebook", "digest"}
    assert {name for name in fields if titles[name] == name} <= plain, "a raw name that is no word"
    assert set(families.lines()) == set(FAMILIES) and max(map(len, families.lines().values())) <= 45


def test_before_training_the_page_shows_the_first_frame_of_the_run(empty_store):
    config = tiny_config("vae", latent_dim=2)
    frames, traits = first_frame(config)
    assert train_or_load(config, "cpu").finished and traits["generative"]
    film = load_file(paths.runs_dir() / config.name / "film.safetensors")
    assert all(np.array_equal(frames[name][0], film[name][0]) for name in film if name not in ("original", "labels"))
    assert first_frame(tiny_config("td_vae")) is None
    spec, arrays = sent_to_module(open_train_page(), "film")
    assert spec["runs"][0]["label"] == "VAE, 2 numbers" and spec["runs"][0]["prior"] == 1
    assert arrays["0.xy"].shape == (1, 1000, 2) and spec["runs"][0]["chosen"] in picker.GOOD_DIGITS


def test_the_worker_is_woken_by_the_page(empty_store, monkeypatch):
    woken = []
    monkeypatch.setattr(jobs, "wake_worker", lambda lane="auto": woken.append(lane))
    open_train_page()
    assert woken == ["auto"]


def test_an_idle_worker_has_imported_torch(empty_store):
    code = "import sys; from aevae.queue.worker import Worker; Worker()._prepare(); print('torch' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.ROOT, stdout=subprocess.PIPE, encoding="utf-8", check=True
    )
    assert found.stdout.split() == ["True"]


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
    at = open_train_page(train_family="beta_vae")
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
    at = open_train_page(train_family=family)
    widget = at.toggle(key=f"train_{name}") if isinstance(value, bool) else at.button_group(key=f"train_{name}")
    widget.set_value(value)
    at.run()
    assert getattr(queued(at).model, name) == value


@pytest.mark.parametrize(("key", "value"), [("train_seed", 5), ("train_seeds", 3)])
def test_a_field_that_is_left_by_the_press_counts(empty_store, key, value):
    """A browser sends what was typed and the press at once: the server has not drawn the form between them."""
    link = {"train_seeds": 2} if key == "train_seeds" else {}
    at = open_train_page(**link)
    at.number_input(key=key).set_value(value)
    click(at, "train_start")
    seeds = sorted(job.config["seed"] for job in jobs.jobs())
    assert seeds == ([5] if key == "train_seed" else [0, 1, 2])


def test_a_press_outlives_a_page_that_is_drawn_anew(empty_store, monkeypatch):
    """Somebody else's job comes onto the queue while the press is answered: the panel above the form runs the page."""
    other, at = tiny_config("ae"), open_train_page()
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
        at = open_train_page(train_family=family, **({f"train_{name}": str(value)} if name else {}))
        assert wanted <= widget_keys(at)
        assert not at.error and not at.exception
        if not name:
            config = queued(at)
            own = family_class(family).Config
            assert config.model == own() and config.data.name == own.dataset
            assert config.train == preset("fast", config.data, own)


def test_another_family_begins_at_its_own_defaults_and_keeps_what_was_changed(empty_store):
    at = open_train_page(train_family="vae")
    at.number_input(key="train_latent_dim").set_value(7).run()
    at.selectbox(key="train_family").set_value("linear_ae").run()
    model = queued(at).model
    assert model.latent_dim == 7
    assert model.likelihood == family_class("linear_ae").Config().likelihood != "bernoulli"
    at.selectbox(key="train_family").set_value("vae").run()
    assert queued(at).model == family_class("vae").Config(latent_dim=7)


def test_a_family_of_sequences_learns_from_sequences_only(empty_store):
    at = open_train_page(train_family="td_vae")
    assert at.selectbox(key="train_data").options == ["moving-digits"]
    at.selectbox(key="train_family").set_value("ae").run()
    assert "moving-digits" not in at.selectbox(key="train_data").options
    assert queued(at).data.name == "mnist-5k"


def test_field_without_effect_is_hidden_and_keeps_its_default(empty_store):
    at = open_train_page(train_family="vae", train_hidden="32")
    assert "train_sigma" not in widget_keys(at)
    at.button_group(key="train_network").set_value("conv").run()
    assert "train_hidden" not in widget_keys(at)
    assert queued(at).model.hidden == 400


def test_prepared_link_fills_the_form(empty_store):
    at = open_train_page(
        train_family="vae", train_latent_dim="2", train_epochs="4", train_network="conv", train_seed="3"
    )
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
    at = open_train_page(**{f"train_{name}": value})
    assert len(at.warning) == 1 and sentence in at.warning[0].value
    assert queued(at) == RunConfig(DataConfig(), family_class("ae").Config(), TrainConfig())


def test_a_recipe_sets_the_training_fields_and_what_is_changed_then_stays(empty_store):
    at = open_train_page()
    at.button_group(key="train_recipe").set_value("classic").run()
    assert at.number_input(key="train_epochs").value == 10
    at.number_input(key="train_epochs").set_value(4).run()
    at.number_input(key="train_latent_dim").set_value(5).run()
    config = queued(at)
    assert config.train == dataclasses.replace(preset("classic", config.data), epochs=4)
    at.button_group(key="train_recipe").set_value("fast").run()
    assert queued(at).train == preset("fast", DataConfig(), config.model)


def test_another_data_set_has_its_own_recipe(empty_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    at = open_train_page()
    at.number_input(key="train_epochs").set_value(7).run()
    at.selectbox(key="train_data").set_value("mnist").run()
    found = queued(at)
    assert found.train == preset("fast", DataConfig("mnist"), found.model) != preset("fast", DataConfig(), found.model)
    at.number_input(key="train_limit").set_value(1000).run()
    small = preset("fast", DataConfig("mnist", limit=1000), found.model)
    assert queued(at).train == small, "a part of it is a small data set"
    at.selectbox(key="train_data").set_value("mnist-5k").run()
    assert at.number_input(key="train_epochs").value == preset("fast", DataConfig()).epochs


def test_a_link_wins_over_the_recipe(empty_store):
    at = open_train_page(train_recipe="classic", train_epochs="1")
    assert queued(at).train == dataclasses.replace(preset("classic", DataConfig()), epochs=1)


def test_a_link_to_a_data_set_begins_with_its_recipe(empty_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    assert queued(open_train_page(train_data="kmnist")).train == preset("fast", DataConfig("kmnist"))


def test_another_network_has_its_own_recipe(empty_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    at = open_train_page(train_data="kmnist", train_family="vae")
    before = at.number_input(key="train_batch_size").value
    at.button_group(key="train_network").set_value("conv").run()
    config = queued(at)
    assert config.train == preset("fast", config.data, config.model) and config.train.batch_size != before
    words = report.command(config)
    assert "batch" not in words and "network=conv" in words, "the command line chooses the same"


def test_device_is_the_jobs(empty_store):
    at = open_train_page()
    at.button_group(key="train_device").set_value("cpu").run()
    click(at, "train_start")
    assert jobs.jobs()[0].device == "cpu"


def test_missing_data_set_offers_the_embedded_one(empty_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    at = open_train_page(train_data="kmnist")
    assert "download" in texts(at.info) and "mnist-5k" in texts(at.info)
    click(at, "train_take_5k")
    assert queued(at).data.name == "mnist-5k"


def test_leave_out_is_for_mnist_only(empty_store):
    at = open_train_page()
    assert "train_leave_out_5k" not in widget_keys(at)
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


def test_own_images_by_zip(empty_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AEVAE_DATA", str(tmp_path / "data"))
    at = open_train_page(train_data="own pictures")
    assert "Choose a zip" in texts(at.info) and not at.error and "train_start" not in widget_keys(at)
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
    at = open_train_page(train_data="own pictures")
    at.file_uploader(key="train_folder").set_value([(name, content, "") for name, content in members.items()]).run()
    assert not at.error and not at.exception
    said = texts(at.warning)
    assert "left out 1 of 21 files" in said.lower() and "taken as a split: 10 images" in said and "<b>" not in said
    assert queued(at).data.digest


def test_own_images_by_path(empty_store, tmp_path):
    at = open_train_page(train_data="own pictures")
    at.text_input(key="train_path").set_value(str(tmp_path / "nothing")).run()
    assert "there is no folder or zip" in texts(at.error).lower()
    (tmp_path / "mine.zip").write_bytes(zipped_pictures())
    at.text_input(key="train_path").set_value(str(tmp_path / "mine.zip")).run()
    assert queued(at).data.name == f"images:{tmp_path / 'mine.zip'}"


def test_the_rate_follows_until_somebody_sets_it(empty_store):
    at = open_train_page(train_data="mnist-5k")
    rate = lambda: at.number_input(key="train_lr").value  # noqa: E731
    model = family_class("ae").Config
    assert rate() == preset("fast", DataConfig(), model).lr
    at.number_input(key="train_epochs").set_value(100).run()
    followed = preset("fast", DataConfig(), model, epochs=100).lr
    assert rate() == followed < preset("fast", DataConfig(), model).lr
    at.number_input(key="train_lr").set_value(3e-4).run()
    at.number_input(key="train_epochs").set_value(5).run()
    assert rate() == 3e-4 and queued(at).train.lr == 3e-4, "what somebody set stays"


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
        st.session_state["made"] = form.run_form(form.places(st.container(), picture=False))[0]

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
