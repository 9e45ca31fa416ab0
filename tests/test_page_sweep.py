"""Several runs at once on the Train page: lists become runs, watched as one, with their rate and distortion."""

import dataclasses
import json
import sqlite3
import threading

import numpy as np
import pytest
from conftest import tiny_config, until
from model_helpers import beta_configs
from page_helpers import click, open_train_page, texts, widget_keys
from PIL import Image

from aevae import paths
from aevae.config import DataConfig, preset
from aevae.figures import rates
from aevae.figures.palette import contrast
from aevae.models import family_class
from aevae.queue import jobs, worker
from aevae.run_config import RunConfig
from aevae.store import checkpoints
from aevae.ui.train import fields, form, sweep_runs, sweep_strips

pytestmark = pytest.mark.usefixtures("no_worker")

BETA = {f.name: f for f in dataclasses.fields(family_class("beta_vae").Config)}


def fingerprints(configs) -> str:
    return "-".join(config.fingerprint for config in configs)


def trained(configs) -> None:
    jobs.submit_all(configs, "cpu")
    worker.Worker(once=True).run()


def charts(at) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in at.get("plotly_chart")]


# -- lists -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [("beta", "0.25, 1, 4, 16", [0.25, 1.0, 4.0, 16.0]), ("latent_dim", "10;2  2", [2, 10]), ("beta", " ", []),
     ("hidden", "1e2", [100])],
)  # fmt: skip
def test_a_list_is_read(name, text, values):
    found = fields.parse_list(BETA[name], text)
    assert found == values and [type(v) for v in found] == [type(BETA[name].default)] * len(values)


@pytest.mark.parametrize(
    ("link", "open_"), [({}, False), ({"train_list_beta": "1, 4"}, True), ({"train_seeds": "2"}, True)]
)
def test_what_the_link_asks_for_is_not_folded_away(empty_store, link, open_):
    at = open_train_page(train_family="beta_vae", **link)
    folded = lambda: not next(e for e in at.expander if e.label == "Several runs at once").proto.expanded  # noqa: E731
    assert folded() != open_
    at.text_input(key="train_list_latent_dim").set_value("2, 3").run().run()
    assert not folded()
    at.text_input(key="train_list_latent_dim").set_value("").run()
    assert not folded(), "nor while it is being emptied"


def test_a_grid_is_every_combination_and_seed():
    config = dataclasses.replace(tiny_config("beta_vae"), seed=3)
    made = form.grid(config, {"beta": [1.0, 4.0], "latent_dim": [2, 5]}, 2)
    assert [(c.model.beta, c.model.latent_dim, c.seed) for c in made] == [
        (1.0, 2, 3), (1.0, 2, 4), (1.0, 5, 3), (1.0, 5, 4), (4.0, 2, 3), (4.0, 2, 4), (4.0, 5, 3), (4.0, 5, 4),
    ]  # fmt: skip
    assert form.grid(config, {}) == [config]
    assert len(form.grid(config, {"beta": list(range(8))}, 8)) == 64
    with pytest.raises(ValueError, match="at most 64 runs, these lists give 72"):
        form.grid(config, {"beta": list(range(9))}, 8)


def test_lists_of_the_form_become_one_sweep(empty_store):
    at = open_train_page(train_family="beta_vae", train_list_latent_dim="2, 3", train_limit="200", train_epochs="1")
    at.text_input(key="train_list_beta").set_value("1, 4").run()
    at.number_input(key="train_seeds").set_value(2).run()
    assert {m.label: m.value for m in at.metric}["runs"] == "8" and "training time" in {m.label for m in at.metric}
    click(at, "train_start")
    found = [RunConfig.from_dict(job.config) for job in sorted(jobs.jobs(), key=lambda job: job.id)]
    assert [(c.model.beta, c.model.latent_dim, c.seed) for c in found] == [
        (b, d, s) for d in (2, 3) for b in (1.0, 4.0) for s in (0, 1)
    ]
    assert len({job.sweep for job in jobs.jobs()}) == 1 and {c.train.epochs for c in found} == {1}
    assert at.query_params["sweep"] == fingerprints(found) and "job" not in at.query_params
    assert "8 waiting" in at.get("progress")[0].proto.text


@pytest.mark.parametrize(
    ("lists", "sentence"),
    [({"beta": "1, x"}, "Beta must be a number, got 'x'"), ({"beta": "1, -1"}, "Beta must be in 0.0..1000.0, got -1.0"),
     ({"latent_dim": "2, 2.5"}, "Latent_dim must be a whole number, got 2.5"),
     ({"hidden": ",".join(map(str, range(1, 66)))}, "A sweep may have at most 64 runs, these lists give 65")],
)  # fmt: skip
def test_a_wrong_list_is_one_sentence(empty_store, lists, sentence):
    at = open_train_page(train_family="beta_vae", **{f"train_list_{name}": text for name, text in lists.items()})
    assert [e.value for e in at.error] == [sentence] and "train_start" not in widget_keys(at)


def test_only_numbers_with_an_effect_take_lists(empty_store):
    shown = {
        k
        for k in widget_keys(open_train_page(train_family="denoising", train_network="conv"))
        if k.startswith("train_list_")
    }
    assert shown == {"train_list_latent_dim", "train_list_noise_level"}
    shown = {k for k in widget_keys(open_train_page(train_likelihood="gaussian")) if k.startswith("train_list_")}
    assert shown == {"train_list_latent_dim", "train_list_sigma", "train_list_hidden"}


def test_what_is_here_is_not_trained_again(empty_store):
    config = RunConfig(DataConfig(limit=100), family_class("vae").Config(hidden=8, latent_dim=2))
    config = dataclasses.replace(config, train=preset("fast", config.data, config.model, epochs=1))
    trained([config])
    link = {"train_family": "vae", "train_limit": "100", "train_hidden": "8", "train_epochs": "1"}
    at = open_train_page(**link, train_list_latent_dim="2,3")
    assert "1 of them are finished" in texts(at.caption)
    assert at.button(key="train_start").label == "Train the missing run"
    trained([dataclasses.replace(config, model=dataclasses.replace(config.model, latent_dim=3))])
    at.run()
    assert "train_start" not in widget_keys(at) and "nothing to train" in texts(at.success)
    click(at, "form_watch")
    assert "Finished: 2 runs" in texts(at.success)


# -- watched as one --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_finished_sweep_shows_a_chart(empty_store):
    configs = [c for seed in (0, 1) for c in beta_configs(0.25, 4.0, seed=seed)]
    trained(configs)
    at = open_train_page(sweep=fingerprints(configs))
    assert "Finished: 4 runs" in texts(at.success) and "β = 0.25, 4 · 2 seeds" in texts(at.caption)
    plane, curves = charts(at)
    assert [t.value for t in at.markdown if t.value.startswith("**β =")] == ["**β = 0.25**", "**β = 4**"]
    assert len(at.get("image")) == 3, "test images, and a strip for each value"
    found = {c.name: checkpoints.finished_run(c.name).metrics["mnist-5k"] for c in configs}
    means = [sum(found[c.name]["kl"] for c in configs if c.model.beta == beta) / 2 for beta in (0.25, 4.0)]
    (line,) = [trace for trace in plane["data"] if trace.get("text")]
    assert line["text"] == ["β = 0.25", "β = 4"] and line["x"] == pytest.approx(means)
    assert means[0] > means[1], "a heavier KL buys a cheaper code"
    assert [trace["name"] for trace in curves["data"] if trace["showlegend" if "showlegend" in trace else "name"]] == [
        "β = 0.25", "β = 4",
    ]  # fmt: skip
    at.button_group(key="train_sweep_term").set_value("kl").run()
    assert charts(at)[1]["layout"]["yaxis"]["title"]["text"] == "kl (nats / image)"
    at.selectbox(key="train_sweep_one").set_value(configs[1].name).run()
    click(at, "train_sweep_watch")
    assert at.query_params["job"] == configs[1].name and at.query_params["sweep"] == fingerprints(configs)
    click(at, "train_back")
    assert "job" not in at.query_params and "Finished: 4 runs" in texts(at.success)
    click(at, "train_sweep_open_sliders")
    assert at.session_state["model"] == configs[1].name and "sliders" in at.title[0].value.lower()


@pytest.mark.slow
def test_they_are_compared_in_models(empty_store):
    configs = [c for seed in (0, 1) for c in beta_configs(0.25, 1.0, 2.0, 4.0, 8.0, seed=seed, limit=64)]
    trained(configs)
    at = open_train_page(sweep=fingerprints(configs))
    assert at.button(key="train_sweep_compare").label == "Show 4 of them side by side"
    click(at, "train_sweep_compare")
    assert at.title[0].value == "Models" and at.session_state["view"] == "compare"
    chosen = [checkpoints.finished_run(name).config for name in at.session_state["models"]]
    assert [(c["model"]["beta"], c["seed"]) for c in chosen] == [(0.25, 0), (1.0, 0), (4.0, 0), (8.0, 0)]


def test_without_a_prior_recon_stands_against_the_size_of_the_code(empty_store):
    configs = [tiny_config("ae", latent_dim=d) for d in (2, 5)]
    trained(configs)
    at = open_train_page(sweep=fingerprints(configs))
    plane, _curves = charts(at)
    found = [checkpoints.finished_run(c.name).metrics["mnist-5k"]["recon"] for c in configs]
    (line,) = plane["data"]
    assert plane["layout"]["xaxis"]["title"]["text"] == "latent dimensions"
    assert line["x"] == [2, 5] and line["y"] == pytest.approx(found)


def test_one_bar_one_cancel_and_resume_for_all(empty_store):
    configs = beta_configs(1.0, 4.0, 16.0)
    numbers = [job.id for job in jobs.submit_all(configs, "cpu")]
    at = open_train_page(sweep=fingerprints(configs))
    (bar,) = at.get("progress")
    assert bar.proto.value == 0 and bar.proto.text == "0 of 3 finished · 3 waiting"
    at.selectbox(key="train_sweep_one").set_value(configs[1].name).run()
    click(at, "train_sweep_cancel")
    assert [jobs.get(n).state for n in numbers] == ["queued", "cancelled", "queued"]
    assert "1 of 3 runs were stopped" in texts(at.info)
    click(at, "train_cancel")
    assert {jobs.get(n).state for n in numbers} == {"cancelled"} and not at.get("progress")
    click(at, "train_resume")
    again = [job for job in jobs.jobs() if job.active]
    assert {job.fingerprint for job in again} == {c.fingerprint for c in configs} and len({j.sweep for j in again}) == 1
    assert at.query_params["sweep"] == fingerprints(configs)


def test_a_running_sweep_says_how_far_it_is(empty_store):
    configs = beta_configs(1.0, 4.0, 16.0)
    jobs.submit_all(configs)
    db = sqlite3.connect(paths.runs_dir() / "queue.sqlite")
    progress = json.dumps({"step": 10, "steps": 20, "epoch": 1, "images_per_s": 1000, "seconds_left": 41.0})
    db.execute("UPDATE jobs SET state = 'running'")
    db.execute("UPDATE jobs SET progress = ? WHERE id < 3", (progress,))
    db.commit()
    (bar,) = open_train_page(sweep=fingerprints(configs)).get("progress")
    assert bar.proto.value == 33 and bar.proto.text == "0 of 3 finished · 2,000 images / s together · about 80 s left"


def test_while_it_is_trained_the_curves_grow(empty_store):
    configs = beta_configs(1.0, 4.0, epochs=3)
    queued = jobs.submit_all(configs, "cpu")
    jobs.advance(queued[0].id, "epoch")
    thread = threading.Thread(target=worker.Worker(once=True).run)
    thread.start()
    until(lambda: all(jobs.get(job.id).progress.get("epochs_done") == 1 for job in queued))
    at = open_train_page(sweep=fingerprints(configs))
    (curves,) = charts(at)
    assert [trace["x"] for trace in curves["data"]] == [[0, 1], [0, 1]]
    click(at, "train_cancel")
    thread.join()


def test_one_that_failed_is_named(empty_store):
    configs = beta_configs(1.0, 4.0)
    jobs.submit_all(configs, "cpu")
    db = sqlite3.connect(paths.runs_dir() / "queue.sqlite")
    db.execute("UPDATE jobs SET state = 'failed', error = 'kl became nan' WHERE id = 2")
    db.commit()
    at = open_train_page(sweep=fingerprints(configs))
    assert texts(at.error) == "Failed: kl became nan (β = 4)"


def test_a_sweep_is_one_row_of_the_queue(empty_store):
    shared = beta_configs(1.0, 4.0)
    jobs.submit_all(shared)
    jobs.submit_all([shared[1], *beta_configs(16.0, 32.0)])
    alone = jobs.submit(tiny_config("ae"))
    at = open_train_page(job=alone.run)
    assert texts(at.markdown).count("2 runs** · 2 waiting") == 2
    click(at, "train_watch_3")
    assert at.query_params["sweep"] == fingerprints(beta_configs(16.0, 32.0)) and "job" not in at.query_params
    click(at, "train_cancel_1")
    assert [jobs.get(n).state for n in (1, 2, 3, 4, 5)] == ["cancelled", "cancelled", "queued", "queued", "queued"]


@pytest.mark.parametrize(
    ("link", "kind", "words"),
    [("../../etc", "warning", "no valid sweep"), ("0123456789ab-0123456789ac", "info", "None of the runs")],
)
def test_a_sweep_that_cannot_be(empty_store, link, kind, words):
    assert words in texts(getattr(open_train_page(sweep=link), kind))


def test_what_is_missing_of_a_link_is_said(store):
    name = store["vae"]
    at = open_train_page(sweep=f"{name[-12:]}-0123456789ab")
    assert "1 of the runs in this link are not on this computer" in texts(at.caption)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["history.jsonl", "metrics.json", "config.json", "state.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b'{"epoch": 1, "te', b"{}", b'{"mnist-5k": {"recon": "x"}}', None])
def test_half_a_run_never_breaks_it(store, file, content):
    path = paths.runs_dir() / store["vae"] / file
    path.unlink() if content is None else path.write_bytes(content)
    open_train_page(sweep="-".join(store[family][-12:] for family in ("vae", "ae", "beta_vae")))


# -- what differs ----------------------------------------------------------------------------------------------------


def test_what_varies_and_its_colours():
    made = form.grid(tiny_config("beta_vae"), {"latent_dim": [2, 10], "beta": [1.0, 4.0, 16.0]}, 2)
    found = [sweep_runs.Member(c.name, c.to_dict(), None, None, []) for c in made]
    assert sweep_runs.varied_options([m.config for m in found]) == ["beta", "latent_dim"]
    curves = sweep_runs.curves_of(found)
    assert {(c.name, c.colour, c.dash) for c in curves} == {
        (f"β = {b:g}, d = {d}", i / 2, j) for i, b in enumerate((1, 4, 16)) for j, d in enumerate((2, 10))
    }
    assert len(set(sweep_runs.labels_of(found).values())) == 12


def member(part, left=None, state="running", pace="go"):
    progress = {"step": part * 100, "steps": 100} | ({"seconds_left": left} if left is not None else {})
    job = jobs.Job(1, "", "", {}, "cpu", state, 1, "", False, 0, 0, None, 0, progress, "", "", pace)
    return sweep_runs.Member("", {}, job, None, [])


def test_time_left():
    assert sweep_runs.seconds_left([member(0.5, 10.0), member(0.5, 12.0)]) == 12
    # two took 24 s so far as they need; two more, that wait, need as long
    assert sweep_runs.seconds_left([member(0.5, 12.0)] * 2 + [member(0, state="queued")] * 2) == pytest.approx(12 + 24)
    assert sweep_runs.seconds_left([member(0)]) is None
    assert sweep_runs.seconds_left([member(0.5, 12.0, pace="pause")]) is None


def test_strips_are_rows_of_the_preview_and_values_are_in_order():
    rows = np.repeat(np.array([10, 20, 30], np.uint8), 28)[:, None] * np.ones((1, 224), np.uint8)
    image = np.asarray(sweep_strips.strip(Image.fromarray(rows)))
    assert image.shape == (28, 460, 2)
    assert (image[:, :224, 0] == 20).all() and (image[:, -224:, 0] == 30).all() and (image[:, 224:236, 1] == 0).all()
    made = [c for beta in (16.0, 0.5, 4.0) for c in form.grid(tiny_config("beta_vae"), {"beta": [beta]}, 2)]
    found = sweep_runs.by_value([sweep_runs.Member(c.name, c.to_dict(), None, None, []) for c in made])
    order = [(m.config["model"]["beta"], m.config["seed"]) for m in found]
    assert order == [(beta, seed) for beta in (0.5, 4.0, 16.0) for seed in (0, 1)]


# -- the figures -----------------------------------------------------------------------------------------------------


def test_colours_read_on_both_papers():
    for i in range(21):
        assert min(contrast(rates.ramp(i / 20), paper) for paper in ("#FDFCF9", "#14171C")) > 3
    assert (rates.ramp(0), rates.ramp(1)) == (rates.RAMP[0], rates.RAMP[-1])


@pytest.mark.parametrize(
    ("low", "high", "values"),
    [(100, 153, [110, 120, 130, 140, 150]), (3, 3, []), (0.05, 0.95, [0.2, 0.4, 0.6, 0.8])],
)
def test_bounds_are_round_numbers(low, high, values):
    assert rates.bound_values(low, high) == values


def test_lines_of_equal_elbo():
    points = [rates.Outcome("d = 2", f"β = {b}", x, y) for b, x, y in ((1, 20.0, 80.0), (4, 10.0, 110.0))]
    out = rates.rate_distortion(points)
    faint = [trace for trace in out.data if trace.line.color == rates.ELBO_LINE_COLOUR]
    assert faint
    for trace, note in zip(faint, out.layout.annotations, strict=True):
        total = float(note.text.removeprefix("ELBO −"))
        assert [x + y for x, y in zip(trace.x, trace.y, strict=True)] == pytest.approx([total, total])
    (line,) = [trace for trace in out.data if trace.text]
    assert line.text == ("β = 1", "β = 4") and line.x == (20.0, 10.0) and line.y == (80.0, 110.0)


def test_seeds_are_faint_and_their_mean_is_joined():
    points = [rates.Outcome("", "β = 1", x, 80.0) for x in (18.0, 22.0)]
    cloud, line = [t for t in rates.rate_distortion(points).data if t.line.color != rates.ELBO_LINE_COLOUR]
    assert cloud.x == (18.0, 22.0) and line.x == (20.0,)


def test_the_family_of_curves_takes_means_over_seeds():
    def history(*values):
        return [{"epoch": i, "test": {"recon": v}} for i, v in enumerate(values)]

    curves = [rates.Curve("β = 1", 0.0, 0, history(200, 100)), rates.Curve("β = 1", 0.0, 0, history(210, 120, 90)),
              rates.Curve("β = 4", 1.0, 1, [])]  # fmt: skip
    thin, other, strong = rates.curve_family(curves, "recon").data
    assert thin.line.width < strong.line.width and other.y == (210, 120, 90)
    assert strong.x == (0, 1) and strong.y == (205, 110), "as far as all seeds are"
    assert not rates.curve_family(curves, "kl").data
