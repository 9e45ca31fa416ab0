"""Figures contain the data of the arrays, units, and distinguishable colours."""

import itertools
import tomllib

import numpy as np
import pytest

from aevae import paths
from aevae.figures import error_curve, latent_bars, loss_curves, sensitivity
from aevae.figures.palette import (
    CLASS_COLOURS,
    FALLBACK,
    FAMILY_COLOURS,
    FAMILY_TITLES,
    PAPERS,
    class_colour,
    contrast,
    family_colour,
    model_styles,
)
from aevae.models import FAMILIES
from aevae.tiles import tile

SIGHT = {  # Machado, Oliveira & Fernandes 2009, severity 1
    "normal": np.eye(3),
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}
LMS = np.array([[0.41222, 0.53633, 0.05145], [0.21190, 0.68070, 0.10740], [0.08830, 0.28172, 0.62998]])
LAB = np.array([[0.21045, 0.79362, -0.00407], [1.97800, -2.42859, 0.45059], [0.02590, 0.78277, -0.80868]])
HISTORY = [
    {"epoch": 0, "test": {"recon": 540.0}},
    {"epoch": 1, "train": {"recon": 130.0}, "test": {"recon": 120.0}},
]


def oklab(colour: str, sight) -> np.ndarray:
    """Lightness 0..100 and two axes of colour (Ottosson 2020)."""
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return 100 * LAB @ np.cbrt(LMS @ np.clip(np.asarray(sight) @ linear, 0, 1))


@pytest.mark.parametrize("theme", PAPERS)
@pytest.mark.parametrize(("sight", "apart"), [("normal", 17), ("deuteranopia", 11), ("protanopia", 11)])
def test_ten_classes_can_be_distinguished(theme, sight, apart):
    seen = [oklab(colour, SIGHT[sight]) for colour in CLASS_COLOURS[theme]]
    assert len(seen) == 10
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > apart


@pytest.mark.parametrize("theme", PAPERS)
def test_classes_stand_out_on_the_paper_of_their_theme(theme):
    """As they are drawn: points let 5 % of the paper through; on backgrounds of menu, code and buttons, too."""
    with (paths.ROOT / ".streamlit" / "config.toml").open("rb") as file:
        settings = tomllib.load(file)["theme"][theme]
    assert settings["backgroundColor"] == PAPERS[theme]
    assert tuple(settings["chartCategoricalColors"]) == CLASS_COLOURS[theme]
    for colour in CLASS_COLOURS[theme]:
        assert contrast(colour, settings["secondaryBackgroundColor"]) >= 3, colour
        channels = ((int(colour[i : i + 2], 16), int(PAPERS[theme][i : i + 2], 16)) for i in (1, 3, 5))
        drawn = "#" + "".join(f"{round(0.95 * ink + 0.05 * paper):02X}" for ink, paper in channels)
        assert contrast(drawn, PAPERS[theme]) >= 3, colour


def test_a_class_keeps_its_hue_in_both_themes():
    for pair in zip(*CLASS_COLOURS.values(), strict=True):
        light, dark = (np.degrees(np.arctan2(*oklab(colour, SIGHT["normal"])[:0:-1])) for colour in pair)
        assert abs((light - dark + 180) % 360 - 180) < 30, pair


def test_colours_of_classes_come_from_the_theme_alone():
    """A list of them elsewhere would be of one theme; Python names a class by Streamlit's placeholder."""
    assert [class_colour(c) for c in (0, 9, 10)] == ["#000001", "#000010", "#000001"]
    folders = [paths.ROOT / name for name in ("aevae", "pages")]
    files = [f for folder in folders for kind in ("*.py", "*.js", "*.css") for f in folder.rglob(kind)]
    for file in files:
        if file.name != "palette.py":
            assert "CLASS_COLOURS" not in file.read_text("utf-8"), file


def test_families_stand_out_on_both_papers():
    assert set(FAMILIES) <= set(FAMILY_COLOURS)
    assert len(set(FAMILY_COLOURS.values())) == len(FAMILY_COLOURS)
    for colour, paper in itertools.product([*FAMILY_COLOURS.values(), FALLBACK], PAPERS.values()):
        assert contrast(colour, paper) >= 3, (colour, paper)


def test_each_family_has_a_title():
    assert set(FAMILY_TITLES) == set(FAMILIES)


def test_contrast_of_black_on_white_is_21():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)


def test_a_family_keeps_its_colour_and_its_second_run_gets_another_marker():
    styles = model_styles(["vae-mnist-1", "ae-mnist-2", "vae-mnist-3", "new-mnist-4"])
    assert styles["vae-mnist-1"] == (FAMILY_COLOURS["vae"], 0)
    assert styles["vae-mnist-3"] == (FAMILY_COLOURS["vae"], 1)
    assert styles["new-mnist-4"] == (FALLBACK, 0)
    assert model_styles(["my model"], {"my model": "ae"})["my model"][0] == family_colour("ae")


def test_loss_curves_draw_test_solid_and_train_dashed():
    figure = loss_curves({"vae-mnist-1": HISTORY, "ae-mnist-2": HISTORY}, "recon")
    test, train = figure.data[:2]
    assert (list(test.x), list(test.y), test.line.dash) == ([0, 1], [540.0, 120.0], "solid")
    assert (list(train.x), list(train.y), train.line.dash) == ([1], [130.0], "dash")
    assert figure.layout.yaxis.title.text == "recon (nats / image)"
    assert figure.layout.template.layout.paper_bgcolor == "rgba(0,0,0,0)"
    assert not loss_curves({"ae-mnist-2": HISTORY}, "kl").data  # a family without the term draws nothing
    assert not loss_curves({}, "recon").data


def test_bars_grey_out_what_is_not_used():
    figure = latent_bars(np.array([2.0, 0.01]), ["z1", "z2"], active=np.array([True, False]), family="vae")
    assert list(figure.data[0].marker.color) == [FAMILY_COLOURS["vae"], FALLBACK]
    assert figure.layout.yaxis.title.text == "KL (nats)"


def test_a_value_that_has_no_logarithm_is_a_gap():
    steps = np.array([0.0, 1.0, 2.0])
    ways = {"ae": {"sensitive": np.array([0.0, 0.5, 1.0]), "null": np.array([0.0, -1e-9, np.nan])}}
    sensitive, null = sensitivity.moved(steps, ways, "step", "distance").data
    assert list(sensitive.y) == [None, 0.5, 1.0] and list(null.y) == [None, None, None]


def test_error_curve_has_its_unit_and_the_mark():
    figure = error_curve(
        [0, 0.5], {"a": [1, 2], "input": [0, 9]}, "squared error / image", families={"a": "ae"}, mark=0.5
    )
    assert figure.layout.yaxis.title.text == "squared error / image"
    assert [trace.line.dash for trace in figure.data] == ["solid", "dot"]
    assert figure.layout.shapes[0].x0 == 0.5


def test_tiles_are_in_reading_order_with_gaps_of_zero():
    images = np.arange(1, 4, dtype=np.uint8)[:, None, None] * np.ones((1, 1, 2), np.uint8)  # 1 x 2 pixels each
    assert tile(images, 2).tolist() == [[1, 1, 2, 2], [3, 3, 0, 0]]
    assert tile(images, 2, gap=1).tolist() == [[1, 1, 0, 2, 2], [0] * 5, [3, 3, 0, 0, 0]]
    assert tile(images[..., None], 3, gap=1)[..., 0].tolist() == [[1, 1, 0, 2, 2, 0, 3, 3]]
