"""The Compare page: each control changes what it says it changes."""

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
import pytest
from conftest import _own_store, train_all
from page_helpers import open_checked_page, widget
from streamlit.testing.v1 import AppTest

from aevae import metrics
from aevae.queue import jobs
from aevae.reporting import comparison
from aevae.runs import load_run
from aevae.store import checkpoints, files
from aevae.ui.compare import choice, missing, table, views
from aevae.ui.shared import cached, run_picker

PAGE = "pages/explore/compare.py"
page = functools.partial(open_checked_page, PAGE)


def see(at: AppTest, view: str) -> AppTest:
    widget(at, "button_group", "compare_view").set_value(view).run()
    assert not at.exception
    return at


def numbers(at: AppTest):
    return at.dataframe[0].value


def charts(at: AppTest) -> list[str]:
    return [chart.proto.spec if hasattr(chart, "proto") else chart.spec for chart in at.get("plotly_chart")]


def said(at: AppTest) -> str:
    return " ".join(caption.value for caption in at.caption)


@pytest.fixture
def queued(monkeypatch) -> list:
    """What is put on the queue; no worker is started."""
    found, real = [], jobs.submit_task

    def submit(kind, name, request):
        found.append((kind, name, request))
        return real(kind, name, request)

    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)
    monkeypatch.setattr(missing.jobs, "submit_task", submit)
    return found


# -- the table -------------------------------------------------------------------------------------------------------


def test_an_empty_store_says_what_to_do(empty_store):
    at = page()
    assert "no trained model" in at.info[0].value
    assert not at.dataframe


def test_the_table_has_every_run_and_its_numbers(store, queued):
    at = page()
    frame = numbers(at)
    assert set(frame.index) == set(store.values())
    for name in store.values():
        known = checkpoints.find_run(name).metrics["mnist-5k"]
        for column in choice.FIRST:
            assert frame.loc[name, column] == pytest.approx(known.get(column, np.nan), nan_ok=True)
    assert queued == []


def test_chosen_models_stand_first(store, queued):
    at = page()
    widget(at, "multiselect", run_picker.MODELS).set_value([store["denoising"], store["ae"]]).run()
    frame = numbers(at)
    assert list(frame.index[:2]) == [store["denoising"], store["ae"]]
    assert frame["chosen"].tolist() == [True, True, False, False]
    labels = run_picker.run_labels(choice.finished())
    at = page(models=[labels[store["denoising"]], labels[store["vae"]]])  # by the link
    assert list(numbers(at).index[:2]) == [store["denoising"], store["vae"]]


def test_families_filter_rows_and_numbers_choose_columns(store, queued):
    at = page()
    widget(at, "multiselect", choice.FAMILY).set_value(["vae", "beta_vae"]).run()
    assert set(numbers(at).index) == {store["vae"], store["beta_vae"]}
    widget(at, "multiselect", choice.NUMBERS).set_value(["bce", "kl"]).run()
    assert numbers(at).columns.tolist() == ["model", "bce", "kl", "kl_max", "chosen"]
    widget(at, "toggle", choice.SPREAD).set_value(True).run()
    columns = ["bce", "bce_median", "bce_worst10", "kl", "kl_median", "kl_worst10", "kl_max"]
    assert numbers(at).columns.tolist() == ["model", *columns, "chosen"], "a mean has its median and share beside it"
    options = widget(at, "multiselect", choice.NUMBERS).options
    assert "KL: largest" in options and not any("median" in option for option in options)
    assert {"NLL (upper bound)", "bits per dimension"} <= set(options) and "KL per dimension" not in options
    at = page(compare_family="VAE", compare_numbers="PSNR")  # by the link
    assert numbers(at).index.tolist() == [store["vae"]] and numbers(at).columns.tolist()[1:-1] == ["psnr"]


def test_the_data_set_of_the_numbers(store, queued):
    info = checkpoints.find_run(store["vae"])
    files.write_json(info.path / "metrics.json", info.metrics | {"kmnist": {"sse": 7.25, "kl": 1.0}})
    cached.runs.clear()
    at = page()
    assert len(numbers(at)) == 4
    widget(at, "selectbox", choice.DATASET).set_value("kmnist").run()
    assert numbers(at).index.tolist() == [store["vae"]] and numbers(at)["sse"].tolist() == [7.25]


def test_the_numbers_begin_with_images_that_the_chosen_models_were_measured_on(store, queued):
    info = checkpoints.find_run(store["vae"])
    checkpoints.write_json(info.path / "metrics.json", {"kmnist": {"sse": 7.25}})
    cached.runs.clear()
    at = page(models=store["vae"])
    assert widget(at, "selectbox", choice.DATASET).value == "kmnist" and numbers(at).index.tolist() == [store["vae"]]
    at = page(models=store["vae"], compare_set="mnist-5k")
    assert "Not in the table: VAE" in said(at) and not at.exception


def test_a_reference_turns_numbers_into_differences(store, queued):
    at = page()
    before = numbers(at)
    widget(at, "selectbox", choice.PIN).set_value(store["vae"]).run()
    assert not at.exception
    after = numbers(at)
    assert after.loc[store["vae"], "sse"] == before.loc[store["vae"], "sse"]
    difference = before.loc[store["beta_vae"], "sse"] - before.loc[store["vae"], "sse"]
    assert after.loc[store["beta_vae"], "sse"] == pytest.approx(difference)
    assert np.isnan(after.loc[store["ae"], "kl"]) and "Differences from" in said(at)


def test_better_and_worse_have_the_sign_of_the_number():
    assert [table.verdict("sse", d) for d in (-1, 0, 2, np.nan)] == [1, 0, -1, 0]
    assert [table.verdict("psnr", d) for d in (-1, 2)] == [-1, 1]
    assert table.verdict("kl", 5) == 0
    assert table.verdict("recon", -300, alike=False) == 0  # other pixels, other nats
    assert table.verdict("sse", -3, alike=False) == 1


def test_the_csv_has_units_and_all_digits(store, queued):
    runs = choice.finished()
    frame = table.table(runs, [], "mnist-5k", ["recon"], None)
    head, *lines = table.table_csv(frame, runs, ["recon"], "mnist-5k").splitlines()
    assert head == "run,model,recon ↓ (nats / image)"
    known = checkpoints.find_run(store["ae"]).metrics["mnist-5k"]["recon"]
    assert any(line.startswith(store["ae"]) and line.endswith(str(known)) for line in lines)


def test_an_error_and_what_belongs_to_it_stand_beside_a_number(store, queued):
    for family in ("vae", "beta_vae"):
        info = checkpoints.find_run(store[family])
        nll = {"nll": 99.5, "nll_se_pictures": 0.8, "nll_se": 0.01, "nll_ess": 12.0, "nll_samples": 500}
        files.write_json(info.path / "metrics.json", {"mnist-5k": info.metrics["mnist-5k"] | nll})
    cached.runs.clear()
    at = page(compare_numbers="NLL (upper bound)")
    assert not at.exception and numbers(at).columns.tolist()[1:-1] == ["nll", "nll_se_pictures", "nll_ess"]
    runs = choice.finished()
    found = table.heads(runs, "mnist-5k", ["nll", "total_correlation", "nll_ess"])
    assert found["nll"] == "NLL (upper bound, K = 500) ↓ (nats / image)"
    assert found["total_correlation"] == "total correlation (N = 1,000) (nats / image)"
    assert found["nll_ess"] == "effective sample size of the NLL (of K samples)"


def test_information_at_its_ceiling_is_said(store, queued):
    info = checkpoints.find_run(store["vae"])
    numbers = info.metrics["mnist-5k"] | {"index_code_mi": 6.85, "aggregate_images": 1000}
    files.write_json(info.path / "metrics.json", {"mnist-5k": numbers})
    cached.runs.clear()
    assert any("its upper limit log N" in c.value for c in page(compare_numbers="mutual information").caption)
    assert not any("its upper limit log N" in c.value for c in page(compare_numbers="KL").caption)


def test_every_formula_is_one_click_away(store, queued):
    at = page(compare_numbers="KL")
    assert comparison.describe("kl").formula in at.latex[0].value


# -- numbers that are missing ----------------------------------------------------------------------------------------


def test_quick_metrics_are_queued_at_once_and_only_once(store, queued):
    at = page()
    assert queued == []
    widget(at, "multiselect", choice.NUMBERS).set_value(["bits_per_dim"]).run()
    requests = [{"run": store[f], "metrics": ["bits_per_dim"], "dataset": "mnist-5k"} for f in ("vae", "beta_vae")]
    assert [request for _, _, request in queued] == requests  # an AE has no ELBO
    assert {(kind, name) for kind, name, _ in queued} == {("evaluate", store["vae"]), ("evaluate", store["beta_vae"])}
    at.run()
    assert len(queued) == 2


def test_slow_numbers_wait_for_the_button(store, queued):
    at = page()
    widget(at, "multiselect", choice.NUMBERS).set_value(["recon", "nll"]).run()
    assert queued == [] and not at.exception
    button = widget(at, "button", "compare_compute")
    assert button.label == "Compute NLL (upper bound) for 2 models"  # an AE has none
    button.click().run()
    assert {name for _, name, _ in queued} == {store["vae"], store["beta_vae"]}
    assert all(request["metrics"] == ["nll"] for _, _, request in queued)


def test_progress_cancel_and_failure_are_shown(store, monkeypatch):
    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)
    job = jobs.submit_task("evaluate", store["vae"], {"run": store["vae"], "metrics": ["nll"], "dataset": "mnist-5k"})
    at = page()
    assert widget(at, "button", f"compare_cancel_{job.id}")
    widget(at, "button", f"compare_cancel_{job.id}").click().run()
    assert jobs.get(job.id).state == "cancelled", "no worker has begun it"
    with jobs.transaction() as db:
        db.execute("UPDATE jobs SET state = 'failed', cancel = 0, error = 'it has diverged' WHERE id = ?", (job.id,))
    assert not page().warning  # nobody asks for this number now
    at = page(compare_numbers="NLL (upper bound)")
    assert any("it has diverged" in warning.value for warning in at.warning)


def test_the_queue_finds_what_is_missing(store):
    """Through the function that the worker calls: asked, worked off, in the table."""
    from aevae.queue import evaluation_task

    name, wanted = store["vae"], ["bits_per_dim"]
    assert missing.gaps([checkpoints.find_run(name)], wanted, "mnist-5k") == {name: {"quick": wanted}}
    reported = []
    assert evaluation_task.work({"run": name, "metrics": wanted, "dataset": "mnist-5k"}, reported.append, lambda: False)
    cached.runs.clear()
    info = checkpoints.find_run(name)
    assert missing.gaps([info], wanted, "mnist-5k") == {}
    numbers = comparison.numbers_of(info, "mnist-5k")
    assert numbers["bits_per_dim"] == pytest.approx(-numbers["elbo"] / 784 / np.log(2), rel=0.05)
    assert all(0 <= word["fraction"] <= 1 and word["text"] for word in reported)


def test_a_metric_that_a_model_cannot_have_is_not_queued(store):
    info = checkpoints.find_run(store["ae"])
    assert metrics.METRICS["nll"].applies(info) and missing.gaps([info], ["nll"], "mnist-5k") == {}


# -- views -----------------------------------------------------------------------------------------------------------


def test_rate_and_distortion_of_the_table(store, queued):
    at = see(page(), "rates")
    (spec,) = charts(at)
    assert "ELBO" in spec and "distortion: reconstruction error (nats / image)" in spec and "best of these runs" in spec
    widget(at, "button_group", "compare_upwards").set_value("sse").run()
    assert not at.exception
    assert "ELBO −" not in charts(at)[0] and "Gaussian" in charts(at)[0]
    widget(at, "multiselect", choice.FAMILY).set_value(["ae"]).run()
    assert not charts(at) and "None of these models has a KL" in at.info[0].value


def test_other_likelihoods_are_left_out_of_the_nats(store, queued, monkeypatch):
    monkeypatch.setattr(comparison, "likelihood", lambda run: run.family)
    at = see(page(), "rates")
    assert "nats under another likelihood" in said(at)
    widget(at, "button_group", "compare_upwards").set_value("sse").run()
    assert "nats under another likelihood" not in said(at)


def test_kl_over_training_follows_the_slider(store, queued):
    at = see(page(), "kl")
    assert len(charts(at)) == 2 and "no KL per dimension" in said(at)
    film = load_run(store["vae"]).film
    kl = comparison.film_kl(film).sum(1)
    assert f"{kl[-1]:.1f} nats in total" in said(at)
    slider = widget(at, "select_slider", "compare_epoch")
    assert len(slider.options) == len(film["epoch"])
    before = charts(at)
    slider.set_value(0.0).run()
    assert f"{kl[0]:.1f} nats in total" in said(at) and charts(at) != before


def test_dimensions_are_paired_and_follow_the_digit(store, queued):
    at = see(page(), "dims")

    def strips() -> str:
        return next(body for e in at.get("html") if 'class="strips"' in (body := e.proto.body))

    names = [store[family] for family in ("vae", "beta_vae", "ae")]
    runs, codes = [load_run(name) for name in names], [cached.codes(name) for name in names]
    dims = [int(d) for d in runs[0].latent_summary()["order"]]
    walks = comparison.aligned(runs, codes, 0, dims, views.NUM_STEPS)
    assert strips().count("<img") == sum(strip is not None for walk in walks for strip in walk) == 9
    assert all(f"z{strip.dim} <i>r = {strip.r:+.2f}" in strips() for strip in walks[1])
    before = strips()
    widget(at, "number_input", run_picker.DIGIT).set_value(33).run()
    assert strips() != before


def test_best_and_worst_are_of_the_shown_digits(store, queued):
    at = see(page(), "errors")
    run = load_run(store["vae"])
    images = cached.shown_digits()[0]
    middle = np.median(comparison.squared_errors(images, run.reconstruct(images)))
    assert any(f"median squared error: {middle:.1f}" in text.value for text in at.markdown)
    assert len(at.get("image")) == 2 * 3


def test_samples_follow_the_seed(store, queued):
    at = see(page(), "samples")
    assert len(at.get("image")) == 2 and "no prior" in said(at)

    def shown() -> list[str]:
        return [element.value[0] for element in at.get("image")]

    before = shown()
    widget(at, "number_input", run_picker.SEED).set_value(5).run()
    assert all(new != old for new, old in zip(shown(), before, strict=True))


@pytest.fixture(scope="session")
def made_odd(tmp_path_factory) -> tuple:
    return train_all(tmp_path_factory.mktemp("odd"), ("vq_vae", "auto_decoder", "k_sparse"))


@pytest.fixture
def odd(made_odd, tmp_path, monkeypatch) -> Iterator[dict[str, str]]:
    """Families that lack something: an encoder, a prior, a smooth code."""
    yield from _own_store(made_odd, tmp_path, monkeypatch)


@pytest.mark.slow
def test_codebooks_have_samples_but_no_dimensions(odd, queued):
    at = page()
    widget(at, "multiselect", run_picker.MODELS).set_value([odd["vq_vae"]]).run()
    see(at, "dims")
    assert "codebook" in said(at) and not any('class="strips"' in e.proto.body for e in at.get("html"))
    see(at, "samples")
    assert len(at.get("image")) == 1
    see(at, "kl")
    assert not charts(at) and "no KL per dimension" in said(at)


@pytest.mark.slow
def test_every_view_takes_odd_families(odd, queued):
    at = page()
    widget(at, "multiselect", run_picker.MODELS).set_value(list(odd.values())).run()
    for view in ("images", "rates", "kl", "dims", "errors", "samples"):
        see(at, view)
        assert not at.error and not at.warning


def test_a_damaged_run_is_named_and_the_others_work(store, queued):
    weights = checkpoints.find_run(store["vae"]).path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-9] ^= 4
    weights.write_bytes(data)
    at = see(page(), "samples")
    assert any("checksum" in warning.value for warning in at.warning)
    assert len(at.get("image")) == 1


def test_runs_without_any_number_are_no_accident(store, queued):
    for name in store.values():
        (checkpoints.find_run(name).path / "metrics.json").unlink()
    cached.runs.clear()
    at = page()
    assert len(numbers(at)) == 0 and not charts(at)
    assert len(see(at, "samples").get("image")) == 2


@pytest.mark.parametrize(
    "query", [{"compare_view": "?"}, {"compare_pin": "x"}, {"compare_set": "../.."}, {"compare_numbers": "<b>"}]
)
def test_nonsense_in_the_link_is_ignored(store, queued, query):
    assert len(numbers(page(**query))) == 4


# -- taking it away --------------------------------------------------------------------------------------------------


def test_the_report_and_every_file_can_be_taken(store, queued):
    at = page()
    keys = {button.proto.id.rpartition("-")[2] for button in at.get("download_button")}
    assert {"compare_report", "compare_numbers_csv"} <= keys
    see(at, "rates")
    keys = {button.proto.id.rpartition("-")[2] for button in at.get("download_button")}
    assert {"compare_rates_svg", "compare_rates_csv"} <= keys
    see(at, "dims")
    assert "compare_dimensions_png" in {b.proto.id.rpartition("-")[2] for b in at.get("download_button")}
    info = dataclasses.replace(checkpoints.find_run(store["vae"]))
    assert views.report.report([info], "mnist-5k").startswith("<!doctype html>")
    assert views.rows_csv(("a", "b"), [("=1", 2)]) == "a,b\n'=1,2\n"


def test_it_opens_without_any_model(store, queued, monkeypatch):
    """Films and metrics are files: neither a run nor a family is opened for them, which would load torch."""
    page()
    monkeypatch.setattr("aevae.models.family_class", None)
    monkeypatch.setattr(cached, "run", None)
    assert any('class="pictures"' in element.proto.body for element in page().get("html"))
    assert len(charts(page(compare_view="rates"))) == 1
