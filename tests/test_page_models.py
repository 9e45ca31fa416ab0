"""The Models page: every run is there, whatever its state; what the page says it does, it does."""

import functools
import io
import json
import shlex
import shutil
import time
import zipfile

import pytest
from conftest import open_page, tiny_config
from page_helpers import click, open_checked_page, texts
from streamlit.testing.v1 import AppTest

from aevae import paths, runs
from aevae.browser.blob import unpack
from aevae.cli.parser import build_parser
from aevae.exchange import run_archive
from aevae.queue import jobs
from aevae.run_config import build_config, fingerprint
from aevae.store import checkpoints, files
from aevae.ui.models import compare_view, gallery, run_view
from aevae.ui.train import naming

pytestmark = pytest.mark.usefixtures("no_worker")

page = functools.partial(open_checked_page, "pages/lab/models.py")

APP = paths.ROOT / "app.py"


def cards(at: AppTest) -> list[str]:
    return [b.key.removeprefix("card_") for b in at.button if b.key.startswith("card_") and "compare" not in b.key]


def unfinished(**options) -> str:
    """A run that was stopped after its first epoch."""
    config = tiny_config("vae", epochs=50, seed=77, **options)
    looks = []
    runs.train_or_load(config, "cpu", should_stop=lambda: looks.append(0) or len(looks) > 8)
    return config.name


def break_config(name: str, config: dict) -> str:
    """A folder whose name fits its foreign config."""
    source = paths.runs_dir() / name
    target = source.with_name(f"vae-mnist-5k-{fingerprint(config)}")
    shutil.copytree(source, target)
    (target / "config.json").write_text(json.dumps(config), "utf-8")
    return target.name


def test_empty_store_points_to_training(empty_store):
    for view in gallery.VIEWS:
        at = page(view=gallery.view_titles()[view])
        assert at.button_group(key="view").value == view


def test_card_for_every_run_with_numbers_and_units(store):
    at = page()
    assert sorted(cards(at)) == sorted(store.values())
    said = texts(at.caption)
    assert "nats / image" in said and "squared error / image" in said and "1 of 1 epochs" in said


def test_filters(store):
    at = page()
    at.selectbox(key="models_family").set_value("vae").run()
    assert cards(at) == [store["vae"]]
    at.selectbox(key="models_family").set_value(None).run()
    at.text_input(key="models_text").set_value("beta=4").run()
    assert cards(at) == [store["beta_vae"]]
    at.text_input(key="models_text").set_value("").run()
    at.selectbox(key="models_status").set_value("damaged").run()
    assert cards(at) == [] and "No run matches" in texts(at.info)


@pytest.mark.parametrize(
    ("text", "families"),
    [("beta=4", ["beta_vae"]), ("β=4", ["beta_vae"]), ("β = 4", ["beta_vae"]), ("BETA=4.0", ["beta_vae"]),
     ("d=3", ["ae", "denoising", "vae", "beta_vae"]), ("d=30", []), ("VAE · d=3", ["vae", "beta_vae"]),
     ("β-VAE, 3 numbers", ["beta_vae"]), ("denoising", ["denoising"]), ("mnist-5k vae d=3", ["vae", "beta_vae"]),
     ("", ["ae", "denoising", "vae", "beta_vae"])],
)  # fmt: skip
def test_a_search_finds_what_cards_say(store, text, families):
    found = gallery.filtered(checkpoints.list_runs(), text)
    assert sorted(run.family for run in found) == sorted(families)


def test_a_run_gets_a_name_that_is_shown_everywhere(store):
    name = store["vae"]
    at = page(run=name)
    for text in ("", "x" * 41, "<b>"):
        at.text_input(key=f"models_name_{name}").set_value(text)
        click(at, "models_name_save")
        assert texts(at.error).startswith("The name was not saved: ") and not checkpoints.find_run(name).title
    at.text_input(key=f"models_name_{name}").set_value("Blurry twos")
    click(at, "models_name_save")
    assert not at.error and at.header[0].value == "Blurry twos"
    assert "**Blurry twos**" in texts(page().markdown)
    assert "Blurry twos" in open_checked_page("pages/explore/sliders.py", model=name).selectbox(key="model").options
    data = run_archive.pack(checkpoints.find_run(name))
    at = page(run=name)
    click(at, "models_name_remove")
    assert at.header[0].value == "VAE, 3 numbers"
    checkpoints.delete_run(checkpoints.find_run(name))
    assert run_archive.unpack(data) == name and checkpoints.find_run(name).title == "Blurry twos"


def test_who_may_not_name_a_run_is_told_why(store, monkeypatch):
    shutil.copytree(paths.runs_dir() / store["ae"], paths.pretrained_dir() / store["ae"])
    at = page(run=store["ae"])
    assert "shipped with aevae and keeps its name" in texts(at.info)
    assert "models_name_save" not in [b.key for b in at.button]
    monkeypatch.setattr(naming, "store_problem", lambda: "the store cannot be written")
    assert "cannot be written" in texts(page(run=store["vae"]).info)
    monkeypatch.setattr(naming, "store_problem", lambda: "")
    monkeypatch.setenv("AEVAE_PASSCODE", "open sesame")
    assert "Only the teacher and the person who started" in texts(page(run=store["vae"]).info)
    at = open_page("pages/lab/models.py", {"gate_own_runs": {store["vae"]}}, run=store["vae"])
    assert "models_name_save" in [b.key for b in at.button]


def test_damaged_and_unfinished_say_so(store):
    name = unfinished()
    (paths.runs_dir() / store["ae"] / "model.safetensors").write_bytes(b"short")
    at = page()
    assert "unfinished" in texts(at.markdown) and "damaged" in texts(at.markdown)
    assert "model.safetensors is truncated" in texts(at.caption)
    at = page(run=store["ae"])
    assert "cannot be opened" in texts(at.error)
    at = page(run=name)
    click(at, "models_resume")
    assert at.title[0].value == "Train" and at.query_params["job"] == name
    assert jobs.jobs()[0].run == name


def test_link_opens_the_run_and_back(store):
    at = page(run=store["vae"])
    assert at.button_group(key="view").value == "run" and at.get("plotly_chart")
    assert any("recon" in frame.value.to_string() for frame in at.dataframe)
    at.button_group(key="view").set_value("gallery").run()
    click(at, f"card_{store['ae']}")
    assert at.button_group(key="view").value == "run" and at.query_params["run"] == store["ae"]
    at = page(run=store["vae"].rpartition("-")[2])
    assert at.query_params["run"] == store["vae"]


def test_unknown_run_is_a_sentence(store):
    assert "no run" in texts(page(run="<b>x</b>").warning)


def test_open_in_another_page(store):
    at = page(run=store["beta_vae"])
    click(at, "models_open_denoise")
    assert at.title[0].value == "Denoise" and store["beta_vae"] in at.session_state["models"]


def test_variation_fills_the_form(store):
    at = page(run=store["beta_vae"])
    click(at, "models_variation")
    assert at.title[0].value == "Train"
    assert at.number_input(key="train_hidden").value == 16 and "is finished" in texts(at.success)


def test_delete_asks_first_then_is_gone(store):
    name = store["denoising"]
    at = page(run=name)
    assert "Delete the run" in [b.label for b in at.button]
    assert (paths.runs_dir() / name).exists()
    click(at, "models_delete")
    assert not (paths.runs_dir() / name).exists()
    assert name in texts(at.success) and name not in cards(at)


def test_run_in_training_is_not_deleted(store):
    name = store["ae"]
    at = page(run=name)
    with files.named_lock(name).acquire(timeout=5):
        click(at, "models_delete")
    assert "is being trained" in texts(at.error) and (paths.runs_dir() / name).exists()


def test_shipped_run_has_no_delete(store):
    shutil.copytree(paths.runs_dir() / store["ae"], paths.pretrained_dir() / store["ae"])
    at = page(run=store["ae"])
    assert "models_delete" not in [b.key for b in at.button] and "shipped" in texts(at.caption)


def test_export_and_bring_in(store):
    info = checkpoints.find_run(store["vae"])
    data = run_archive.pack(info)
    checkpoints.delete_run(info)
    at = page(view="Import")
    at.file_uploader(key="models_zip").set_value(("run.zip", data, "application/zip")).run()
    click(at, "models_import")
    assert "is imported" in texts(at.success) and checkpoints.finished_run(store["vae"])
    click(at, "models_import")
    assert "is already here" in texts(at.info) and not at.error
    click(at, "models_import_show")
    assert at.query_params["run"] == store["vae"]


def test_bring_in_a_folder(store):
    info = checkpoints.find_run(store["vae"])
    files = [(f"{info.name} (1)/{file.name}", file.read_bytes(), "") for file in info.path.iterdir() if file.is_file()]
    checkpoints.delete_run(info)
    at = page(view="Import")
    at.file_uploader(key="models_folder").set_value([f for f in files if f[0].split("/")[1] in run_archive.FILES]).run()
    click(at, "models_import")
    assert "is imported" in texts(at.success) and checkpoints.finished_run(store["vae"])


def test_foreign_zip_is_one_sentence(empty_store):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../evil.py", "x")
    at = page(view="Import")
    for data in (out.getvalue(), b"no zip at all"):
        at.file_uploader(key="models_zip").set_value(("run.zip", data, "application/zip")).run()
        click(at, "models_import")
        assert len(at.error) == 1 and at.error[0].value.startswith("The run was not imported:")
    assert not [f for f in paths.runs_dir().glob("*") if not f.name.startswith(".")]


def test_compare_shows_what_differs_first(store):
    at = page()
    click(at, f"card_compare_{store['vae']}")
    click(at, f"card_compare_{store['beta_vae']}")
    assert at.session_state["models"] == [store["vae"], store["beta_vae"]]
    at.button_group(key="view").set_value("compare").run()
    assert not at.exception
    assert set(at.dataframe[0].value["option"]) == {"model.family", "model.beta"}
    numbers = at.dataframe[1].value
    assert {("recon", "nats / image"), ("recon: ten worst", "fraction of the sum")} <= set(
        zip(numbers["metric"], numbers["unit"], strict=True)
    )
    assert at.get("plotly_chart")
    at.multiselect(key="models").set_value([store["ae"], store["vae"]]).run()
    film = unpack(at.get("bidi_component")[0].proto.bytes)[0]
    assert [run["name"] for run in film["spec"]["runs"]] == [store["ae"], store["vae"]], "two films in step"
    assert "model.warmup_epochs" in set(at.dataframe[0].value["option"])


def test_hostile_config_is_text(store):
    config = tiny_config("vae").to_dict()
    config["data"]["name"] = "<script>alert(1)</script> [x](javascript:1)"
    name = break_config(store["vae"], config)
    at = page(run=name)
    page()
    assert "<script>" not in texts(at.markdown, at.caption, at.header)


@pytest.mark.parametrize("part", ["model", "data", "train"])
def test_config_of_another_shape_is_no_crash(store, part):
    config = tiny_config("vae").to_dict()
    config[part] = []
    name = break_config(store["vae"], config)
    page()
    page(run=name)


@pytest.mark.parametrize(("key", "value"), [("epoch", "x"), ("created", "x"), ("checksums", []), ("seconds", None)])
def test_state_of_another_shape_is_no_crash(store, key, value):
    path = paths.runs_dir() / store["vae"] / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {key: value}), "utf-8")
    page()
    page(run=store["vae"])


@pytest.mark.parametrize("family", ["ae", "denoising", "vae", "beta_vae"])
def test_command_line_makes_this_very_run(family):
    options = {"latent_dim": 7, "network": "conv", "likelihood": "gaussian", "sigma": 0.3}
    options |= {"beta_vae": {"beta": 2.5, "warmup_epochs": 3.0}, "denoising": {"clip": False}}.get(family, {})
    config = tiny_config(family, epochs=3, seed=5, **options)
    words = shlex.split(run_view.command(config))
    args = build_parser().parse_args(words[3:])
    settings = dict(pair.split("=", 1) for pair in args.set)
    for key in ("dataset", "latent_dim", "beta", "epochs", "batch_size", "lr"):
        if getattr(args, key) is not None:
            settings[key] = getattr(args, key)
    assert build_config(args.family, settings, args.seed).fingerprint == config.fingerprint


def test_hundred_runs_are_quick(store):
    source = paths.runs_dir() / store["vae"]
    for seed in range(1, 101):
        config = tiny_config("vae", seed=seed)
        target = paths.runs_dir() / config.name
        shutil.copytree(source, target)
        (target / "config.json").write_text(json.dumps(config.to_dict()), "utf-8")
    at = page()
    assert len(cards(at)) == gallery.CARDS_PER_PAGE
    started = time.perf_counter()
    at.number_input(key="models_page").set_value(9).run()
    assert time.perf_counter() - started < 3
    assert len(cards(at)) == 104 - 8 * gallery.CARDS_PER_PAGE


def test_differences_and_flat():
    configs = {"a": {"model": {"beta": 1, "d": 2}}, "b": {"model": {"beta": 4, "d": 2}, "seed": 0}}
    differ, same = compare_view.differences(configs)
    assert [row["option"] for row in differ] == ["model.beta", "seed"] and differ[1]["a"] == "—"
    assert [row["option"] for row in same] == ["model.d"]
