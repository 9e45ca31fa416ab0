"""Every family of the registry: saved and resumed bit for bit; unsupported requests give one sentence."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch
from conftest import fitting, open_page, tiny_config
from model_helpers import of_pictures, variants
from streamlit.testing.v1 import AppTest

from aevae import cli, datasets, paths, runs
from aevae.metrics import samples
from aevae.models import FAMILIES, family_class
from aevae.store.recorder import Recorder

SMALL = {"codes": 16, "prior_width": 8, "prior_layers": 0, "belief_dim": 8, "block": 8, "fit_steps": 5}
EACH = list(dict.fromkeys((family, network) for family, network, _likelihood in variants()))


# -- kept on disk ----------------------------------------------------------------------------------------------------


@pytest.fixture
def trained(monkeypatch, empty_store, tmp_path):
    """trained(config, *stops): the run, stopped before these steps and resumed, and the model as it was in memory.

    Data sets have 20 test pictures, so that an epoch ends soon.
    """
    load, finish, kept = datasets.load, Recorder.finish, []

    def fewer(config, *args, **more):
        data = load(config, *args, **more)
        return dataclasses.replace(data, test=data.test.take(slice(20)))

    def keep(recorder, metrics):
        kept.append(copy.deepcopy(recorder.trainer.model))
        finish(recorder, metrics)

    monkeypatch.setattr(datasets, "load", fewer)
    monkeypatch.setattr(Recorder, "finish", keep)

    def train(config, *stops):
        monkeypatch.setenv("AEVAE_RUNS", str(tmp_path / f"runs{len(kept)}"))
        for stop in stops:
            step = (
                json.loads((paths.runs_dir() / config.name / "state.json").read_text("utf-8"))["step"]
                if stop > 1
                else 0
            )
            asked = iter(range(step, 1000))
            assert not runs.train_or_load(config, "cpu", should_stop=lambda a=asked, s=stop: next(a) >= s).finished
            assert json.loads((paths.runs_dir() / config.name / "state.json").read_text("utf-8"))["step"] == stop
        assert runs.train_or_load(config, "cpu").finished
        return runs.load_run(config.name), kept[-1].eval()

    return train


def content(run) -> dict[str, object]:
    """All that a run keeps, but for times."""
    files = {file.name: file.read_bytes() for file in run.path.iterdir() if file.name not in ("state.json",)}
    lines = [json.loads(line) for line in files.pop("history.jsonl").splitlines()]
    times = ("seconds", "images_per_s")
    return files | {"history": [{k: v for k, v in line.items() if k not in times} for line in lines]}


def said(model, x: torch.Tensor) -> list[torch.Tensor]:
    """Codes and pictures of x, or what a model of sequences or pairs makes of it."""
    with torch.inference_mode():
        if model.input != "image":
            return [model.preview_rows(x)]
        z = model.encode(x)
        return [z, model.decode(z), model.decode(model.sample_prior(torch.linspace(-1, 1, z.numel()).view_as(z)))]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "network"), EACH)
def test_stopped_resumed_and_opened_it_is_the_same_run(trained, family, network):
    options = fitting(family, network=network, **SMALL)
    config = tiny_config(family, epochs=2, limit=48, batch_size=24, **options)  # two steps an epoch
    (whole, memory), (parts, _) = trained(config), trained(config, 1, 3)
    assert content(whole) == content(parts)
    weights = whole.model.state_dict()
    assert weights.keys() == memory.state_dict().keys()
    assert all(torch.equal(value, weights[name]) for name, value in memory.state_dict().items())
    x = torch.rand(16, *memory.shape, generator=torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(said(memory, x), said(whole.model, x), strict=True))
    assert runs.evaluate_model(whole.config, whole.model, whole.device) == whole.metrics
    says_what_it_is(whole)


def says_what_it_is(run) -> None:
    """Its listing, preview, numbers and film are those of this model."""
    assert run.info.status == "finished" and run.info.traits == run.model.traits
    assert run.info.latent_dim == run.config.model.latent_dim
    assert (run.path / "preview.png").stat().st_size > 200
    numbers = run.metrics[run.config.data.name]
    assert numbers["images"] == 20 and all(np.isfinite(np.ravel(v)).all() for v in numbers.values())
    pictures = np.random.default_rng(0).random((3, 1, 28, 28), dtype=np.float32)
    if run.model.input == "image":
        assert run.encode(pictures).shape == (3, run.latent_dim)
        frames = len(run.film["step"])
        assert run.film["recon"].shape == run.film["sample"].shape == (frames, 16, 28, 28)
        assert run.film["codes"].shape[2] == run.latent_dim
    else:
        with pytest.raises(ValueError, match="a single image has no code"):
            run.encode(pictures)


# -- wrong options ---------------------------------------------------------------------------------------------------


def wrong_values(f: dataclasses.Field) -> list:
    """What a field cannot be, of each kind."""
    low, high, choices = (f.metadata.get(k) for k in ("min", "max", "choices"))
    if isinstance(f.default, bool):
        return [1, "yes"]
    if isinstance(f.default, str):
        return ["no such thing", 3] if choices else [3]
    beyond = [] if low is None else [low - 1]
    beyond += [] if high is None else [2 * high + 1]
    return [*beyond, float("nan"), float("inf"), "many", None, *([0.5] if isinstance(f.default, int) else [])]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_wrong_value_is_one_sentence(family):
    own = family_class(family).Config
    for f in dataclasses.fields(own):
        assert f.metadata["help"]
        for value in wrong_values(f):
            with pytest.raises(ValueError) as refusal:
                own(**{f.name: value})
            words = str(refusal.value)
            assert words.startswith(f"{f.name} must be ") and ", got " in words and "\n" not in words, words


@pytest.mark.parametrize(
    ("family", "options", "sentence"),
    [
        ("k_sparse", {"latent_dim": 16, "k": 32}, "k must be in 1..latent_dim=16, got 32"),
        ("deep_ae", {"widths": "100-ten"}, "widths must be 1 to 6 whole numbers in 1..2000 with dashes between"),
    ],
)
def test_options_that_do_not_go_together_are_one_sentence(family, options, sentence):
    with pytest.raises(ValueError) as refusal:
        family_class(family).Config(**options)
    assert str(refusal.value).startswith(sentence) and "\n" not in str(refusal.value)


# -- asked for what it has not ---------------------------------------------------------------------------------------


def command(capsys, *args) -> tuple[int, str, str]:
    code = cli.main([str(a) for a in args])
    return code, *capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_command_answers_or_says_in_a_sentence_why_not(zoo, capsys, tmp_path, family, monkeypatch):
    monkeypatch.setattr(samples, "NUM_SAMPLES", 40)
    monkeypatch.setattr(samples, "NUM_REPEATS", 2)
    model, x, z = runs.load_run(zoo[family]).model, tmp_path / "x.npy", tmp_path / "z.npy"
    np.save(x, np.random.default_rng(0).random((2, 1, 28, 28), np.float32))
    np.save(z, np.zeros((2, model.config.latent_dim), np.float32))
    asked = {
        "encode": (zoo[family], "--in", x, "--out", tmp_path / "codes.npy"),
        "decode": (zoo[family], "--in", z, "--out", tmp_path / "pictures.npy"),
        "embed": (zoo[family], "--method", "pca", "--n", 30, "--out", tmp_path / "map.npz"),
    }
    for verb, args in asked.items():
        code, out, err = command(capsys, verb, *args)
        if model.input == "image":
            assert code == 0 and ("found by a search" in err) == (not model.has_encoder and verb != "decode"), err
        else:
            assert code == 2 and out == "" and f"takes {model.input}s" in err and err.count("\n") == 1
    no_density = "no prior" if model.latent == "continuous" else "discrete codes"
    expected = {  # metric -> its options, why this family has none
        "kl": ((), "" if model.generative and model.latent == "continuous" else "no kl"),
        "frechet_distance": ((), "" if model.generative else "no prior to sample from"),
        "nll": (("--samples", 2), "" if model.generative and model.latent == "continuous" else no_density),
    }
    for metric, (options, problem) in expected.items():
        if metric != "kl" and model.input != "image":
            problem = "is not a single image"
        code, out, err = command(capsys, "eval", zoo[family], "--metrics", metric, "--n", 30, *options)
        assert code == (2 if problem else 0) and problem in err, err
        if problem:
            assert out == "" and f"{family} " in err and err.count("\n") == 1


def page(name: str, **chosen) -> AppTest:
    at = open_page(f"pages/explore/{name}.py", chosen)
    assert not at.exception and not at.error
    return at


def words(at: AppTest) -> str:
    return " ".join(element.value for element in (*at.info, *at.caption))


def test_sliders_say_why_a_codebook_has_none(zoo):
    for family in of_pictures(FAMILIES):
        if family_class(family).latent == "discrete":
            at = page("sliders", model=zoo[family], z="1,2")
            assert "Sliders cannot change this code" in words(at) and "z" not in at.query_params


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sliders", "denoise", "interpolate"])
def test_pages_say_that_a_code_is_searched_for(zoo, name):
    family = next(family for family in FAMILIES if not family_class(family).has_encoder)
    at = page(name, model=zoo[family], models=[zoo[family]])
    assert "has no encoder. After each of your actions, the server searches for the code" in words(at)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in of_pictures(FAMILIES)])
def test_links_and_buttons_of_what_takes_no_single_images(zoo, family):
    at = open_page("pages/explore/sliders.py", model=zoo[family])
    assert not at.exception and "its input is" in words(at)
    at.query_params["run"] = zoo[family]
    at.switch_page("pages/lab/models.py").run()
    assert not at.exception and "models_open_sliders" not in {button.key for button in at.button}
    assert "Open its lab" in {link.proto.label for link in at.get("page_link")}
