"""The report: one self-contained file with escaped text."""

import base64
import dataclasses
import io
import json
import re
import shlex
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from aevae import cli
from aevae.cli.parser import build_parser
from aevae.cli.settings import read_settings
from aevae.config import DataConfig
from aevae.reporting import comparison, report
from aevae.run_config import build_config
from aevae.runs import load_run
from aevae.store import checkpoints


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(text)
        assert self.open == [], "every tag is closed"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "line", "rect", "circle", "path", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def infos(names) -> list:
    return [checkpoints.find_run(name) for name in names]


@pytest.fixture
def page(store) -> Page:
    return Page(report.report(infos(store.values())))


def test_the_report_requests_nothing(page):
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert re.match(r"data:image/png;base64,|#", attributes.get(name) or "#")
        assert "url(" not in (attributes.get("style") or "")
    assert "@import" not in page.text and "http" not in page.text


def test_it_says_what_was_measured(page, store):
    numbers = checkpoints.find_run(store["vae"]).metrics["mnist-5k"]
    for name in ("recon", "kl", "elbo", "sse"):
        assert first_table(store, name, numbers[name]) in page.text and f"{numbers[name]:,.6g}" in page.text
        assert comparison.meaning(name) in page.text, "the sentence of the page Compare"
    for words in ("recon ↓ (nats / image)", "squared error / image", "Rate and distortion", "model.latent_dim"):
        assert words in page.text
    assert all(("h2", {"id": name}) in page.tags for name in store.values())
    assert all(attributes["href"][1:] in store.values() for tag, attributes in page.tags if tag == "a")


def first_table(store, name: str, value: float) -> str:
    """The value as the first table shows it: with as many digits as the error allows."""
    errors = [comparison.standard_error(name, info.metrics["mnist-5k"]) for info in infos(store.values())]
    return comparison.rounded(value, comparison.decimals(errors))


def test_the_best_of_a_column_is_bold(store):
    text = report.report(infos(store.values()))
    best = min(infos(store.values()), key=lambda info: info.metrics["mnist-5k"]["sse"])
    bold = re.findall(r'<td class="best">([^<]*)</td>', text)
    assert first_table(store, "sse", best.metrics["mnist-5k"]["sse"]) in bold
    assert len(bold) == 7  # recon, elbo, sse, their medians, psnr; a KL is neither better nor worse, nor is a share
    assert (
        "recon: ten worst (fraction of the sum)" in text and "squared error: median ↓ (squared error / image)" in text
    )
    assert 'class="best"' not in report.report(infos([store["ae"]]))


def test_its_images_can_be_opened(page):
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 4 * 3 + 2 + 4  # best, worst, film of each; samples of two; traversals
    for attributes in images:
        assert attributes["alt"]
        with Image.open(io.BytesIO(base64.b64decode(attributes["src"].partition(",")[2]))) as picture:
            picture.load()
            assert int(attributes["width"]) == 2 * picture.width
    assert sum(tag == "svg" for tag, _ in page.tags) == 1 + 2 + 2  # trade-off; recon and kl; KL of two models


def test_the_commands_make_the_same_run_again(store):
    """What is printed is parsed by the command line; its config has the fingerprint of the run."""
    for name in store.values():
        config = load_run(name).config
        words = shlex.split(report.command(config))
        assert words[:4] == ["python", "-m", "aevae", "train"]
        args = build_parser().parse_args(words[3:])
        again = build_config(args.family, read_settings(args), args.seed, args.preset)
        assert again.fingerprint == config.fingerprint
        assert report.command(config) in Page(report.report(infos([name]))).text


def test_seen_images_are_called_so(store):
    """A run on all of MNIST has the shown digits among its training pictures."""
    run = load_run(store["ae"])
    names = {run.name: "AE"}
    assert "has seen" not in "".join(report._images([run], names))
    run.config = dataclasses.replace(run.config, data=DataConfig("mnist"))
    assert run.shown.name == "mnist-5k" and "has seen" in "".join(report._images([run], names))
    run.config = dataclasses.replace(run.config, data=DataConfig("mnist", leave_out_5k=True))
    assert "has seen" not in "".join(report._images([run], names))


def test_names_and_options_cannot_carry_markup(store):
    info = checkpoints.find_run(store["vae"])
    evil = '<script>alert("x")</script>'
    info.config["data"]["name"] = f"images:{evil}"
    info.state["device"], info.state["versions"] = evil, {evil: evil}
    info.metrics[evil] = info.metrics["mnist-5k"] | {evil: 1.0}
    page = [*report._numbers([info], {info.name: evil}, evil), *report._one(info, evil, None)]
    text = "".join([*page, *report._definitions([info])])
    assert "<script" not in text and "&lt;script" in text


def test_families_that_lack_something_can_be_reported(zoo):
    names = [zoo[family] for family in ("flow_vae", "td_vae", "vq_vae2", "k_sparse", "iwae")]
    page = Page(report.report(infos(names)))
    assert all(("h2", {"id": name}) in page.tags for name in names)
    assert "perplexity, top" in page.text and "takes pairs" not in page.text


def test_what_cannot_be_reported_is_said(store):
    with pytest.raises(ValueError, match="at least one run"):
        report.report([])
    info = checkpoints.find_run(store["ae"])
    (info.path / "state.json").write_text("{}", "utf-8")
    with pytest.raises(ValueError, match="is unfinished; only finished"):
        report.report(infos([store["ae"]]))


def test_from_the_command_line(store, tmp_path, capsys):
    out = tmp_path / "report.html"
    assert cli.main(["report", store["vae"], store["vae"], store["ae"], "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["runs"] == [store["vae"], store["ae"]] and told["bytes"] == out.stat().st_size < 5_000_000
    assert "Report of 2 runs" in Page(out.read_text(encoding="utf-8")).text
    assert cli.main(["report", "nobody", "--out", str(out)]) == 2
    assert "no run 'nobody'" in capsys.readouterr().err
    assert cli.main(["report", store["ae"], "--out", str(tmp_path / "no" / "report.html")]) == 2


def test_a_sheet_is_transparent_where_there_is_no_image():
    images = np.full((3, 28, 28), 0.5, np.float32)
    images[1] = np.nan
    with Image.open(io.BytesIO(report.sheet(images, 2))) as picture:
        assert picture.size == (58, 58) and picture.mode == "LA"
        grey, alpha = (np.asarray(band) for band in picture.split())
    assert (grey[0, 0], alpha[0, 0], alpha[0, 28], alpha[0, 40], alpha[40, 0], alpha[40, 40]) == (
        128,
        255,
        0,
        0,
        255,
        0,
    )
