"""Runs side by side: pairing of dimensions, the trade-off, KL from the film, figures as SVG and CSV."""

import csv
import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from aevae.figures import compare, latent_bars, layout, loss_curves, tradeoff
from aevae.figures.static import safe, to_csv, to_svg
from aevae.latent import alignment
from aevae.metrics import METRICS
from aevae.reporting import comparison, report
from aevae.reporting.comparison import describe
from aevae.runs import load_run
from aevae.store import checkpoints
from aevae.ui.compare import table
from aevae.ui.models.metrics import unit_of

SVG = "{http://www.w3.org/2000/svg}"


def draws(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


# -- pairing ---------------------------------------------------------------------------------------------------------


def test_correlations_are_numpys():
    a, b = draws(200, 4), draws(200, 3, seed=1)
    b[:, 0] += a[:, 2]
    assert alignment.correlations(a, b) == pytest.approx(np.corrcoef(a.T, b.T)[:4, 4:], abs=1e-12)


def test_a_shuffled_turned_and_stretched_copy_is_found():
    a, order = draws(300, 7), np.array([3, 0, 6, 1, 5, 2, 4])
    signs = np.array([1, -1, -1, 1, 1, -1, 1])
    partners, r = alignment.match(a, 5 * a[:, order] * signs + 2)
    assert (order[partners] == np.arange(7)).all()
    assert r == pytest.approx(signs[partners], abs=1e-9)


def test_the_pairing_is_the_best_of_all_not_the_best_of_each():
    """Both dimensions of a are most like the first of b; one has to give way, the one that loses less by it."""
    z = draws(4000, 3)
    a = np.stack([z[:, 0], z[:, 0] + 0.2 * z[:, 1]], 1)
    partners, r = alignment.match(a, np.stack([z[:, 0], z[:, 1]], 1))
    assert partners.tolist() == [0, 1]
    assert r[0] == pytest.approx(1) and 0.1 < r[1] < 0.3


def test_fewer_dimensions_leave_some_without_a_partner():
    a = draws(100, 4)
    partners, r = alignment.match(a, a[:, [2]])
    assert partners.tolist() == [-1, -1, 0, -1]
    assert r.tolist() == pytest.approx([0, 0, 1, 0])
    assert np.abs(alignment.match(a, np.ones((100, 2)))[1]).max() == 0  # a code that never changes


@pytest.mark.parametrize(("a", "b"), [((3, 2), (4, 2)), ((1, 2), (1, 2)), ((3,), (3, 2))])
def test_codes_of_other_images_are_refused(a, b):
    with pytest.raises(ValueError, match="same two or more images"):
        alignment.match(np.zeros(a), np.zeros(b))


class Doubler:
    """Decodes a code to pictures that tell it: pixel j is number j of the code."""

    def __init__(self, size: int):
        self.latent_dim = size

    def decode(self, z):
        images = np.zeros((len(z), 1, 28, 28), np.float32)
        images[:, 0, 0, : self.latent_dim] = z
        return images


def test_aligned_walks_go_the_same_way():
    a = draws(50, 3).astype(np.float32)
    b = np.stack([-a[:, 2], a[:, 0]], 1)
    first, second = comparison.aligned([Doubler(3), Doubler(2)], [a, b], 4, [2, 0, 1], steps=5)
    assert [strip.dim for strip in first] == [2, 0, 1]
    assert [strip.dim for strip in second if strip] == [0, 1] and second[2] is None
    assert second[0].r == pytest.approx(-1) and second[1].r == pytest.approx(1)
    walk, partner = first[0].images[:, 0, 0, :3], second[0].images[:, 0, 0, :2]
    assert walk[:, 2] == pytest.approx(-partner[:, 0], abs=1e-5)  # r is negative: walked backwards
    ends = a[:, 2].mean() + 2.5 * a[:, 2].std() * np.array([-1, 1])
    assert walk[[0, -1], 2] == pytest.approx(ends, abs=1e-5)
    assert (walk[:, :2] == a[4, :2]).all()  # the others stay


# -- trade-off -------------------------------------------------------------------------------------------------------


def test_water_filling_of_one_direction_is_shannons():
    rate, error = tradeoff.water_filling(np.array([4.0]))
    assert error == pytest.approx(4 * np.exp(-2 * rate))
    assert rate[0] == 0 and error[0] == pytest.approx(4)


def test_water_filling_of_many():
    variances = np.array([3.0, 1.0, 0.2, 0.0])
    rate, error = tradeoff.water_filling(variances, 2001)
    assert (np.diff(rate) > 0).all() and (np.diff(error) < 0).all()
    slope = -np.diff(error) / np.diff(rate)  # twice the water level; all alike once all are under water
    levels = np.geomspace(3, 3e-3, 2001)
    assert slope == pytest.approx(2 * np.sqrt(levels[1:] * levels[:-1]), rel=1e-2)
    with pytest.raises(ValueError, match="positive variance"):
        tradeoff.water_filling(np.zeros(3))


def test_gaussian_bound_of_images_begins_at_their_variance():
    images = draws(40, 1, 6, 6)
    rate, error = tradeoff.gaussian_bound(images)
    assert (rate[0], error[0]) == (0, pytest.approx(images.reshape(40, -1).var(0).sum()))


def test_the_hull_is_the_lower_left_of_scipys():
    points = draws(60, 2, seed=3)
    found = tradeoff.lower_hull(points[:, 0], points[:, 1]).tolist()
    assert set(found) <= set(ConvexHull(points).vertices)
    x, y = points[found].T
    assert (np.diff(x) > 0).all() and (np.diff(y) < 0).all() and (np.diff(np.diff(y) / np.diff(x)) > 0).all()
    at = np.interp(points[:, 0], x, y, left=np.inf)
    inside = points[:, 0] >= x[0]
    assert (points[inside, 1] >= at[inside] - 1e-9).all()  # nobody is below it
    assert tradeoff.lower_hull(np.array([1.0, np.nan, 2.0]), np.array([1.0, 0.0, 2.0])).tolist() == [0]


def test_the_trade_off_shows_each_run_once():
    points = [
        compare.Point("a", "vae", 5, 100, 1.0, "s"),
        compare.Point("b", "vae", 10, 80, 0.5, "s"),
        compare.Point("c", "ae", 7, 95, 1.0, "", False),
        compare.Point("d", "ae", np.nan, 95),
    ]
    figure = compare.trade_off(points, "recon")
    drawn = {trace.name: list(zip(trace.x, trace.y, strict=True)) for trace in figure.data if trace.name}
    assert drawn.pop("best of these runs") == [(5, 100), (10, 80)]
    assert drawn == {"other runs": [(7, 95)], "a": [(5, 100)], "b": [(10, 80)]}
    slopes = next(t for t in figure.data if t.hovertemplate and "per extra nat" in t.hovertemplate)
    assert list(slopes.customdata) == [4.0]
    assert compare.trade_off([], "recon").data == ()


# -- numbers ---------------------------------------------------------------------------------------------------------


def test_better_has_a_direction():
    assert comparison.gain(describe("sse"), 3, 4) == 1 and comparison.gain(describe("sse"), 4, 3) == -1
    assert comparison.gain(describe("elbo"), -100, -110) == 1
    assert comparison.gain(describe("kl"), 3, 4) == 0 and comparison.gain(describe("sse"), 3, 3) == 0


def test_heads_have_units():
    assert comparison.column_head(describe("recon")) == "recon ↓ (nats / image)"
    assert comparison.column_head(describe("sse")) == "squared error / image ↓"
    assert comparison.column_head(describe("warp_sse")).startswith("warp squared error (")  # known to one family alone
    assert comparison.column_head(describe("no_such")) == "no such"
    titles = [comparison.title(name) for name in ("objective_worst10", "kl_style_median", "nll_se_pictures")]
    assert titles == ["objective: ten worst", "KL style: median", "± NLL, standard error over images"]


def test_the_sign_of_a_number_stands_in_the_head(store):
    """ELBO and L_K have the sign of log p(x), other numbers in nats that of -log p(x): each head says which."""
    assert comparison.column_head(describe("elbo")) == "ELBO ↑ (nats / image, larger is better)"
    gains = {"elbo", "elbo_median", "iwae", "iwae_median"}
    for name, metric in METRICS.items():
        if metric.unit.startswith("nats"):
            said = (comparison.column_head(metric), comparison.units_of([name])[name], unit_of(name))
            assert [text.count("larger is better") for text in said] == [name in gains] * 3, name
    info = checkpoints.find_run(store["vae"])
    page = report.report([info])
    assert "<td>ELBO</td><td>-" in page.replace("−", "-")
    rows = page.split("<tr>")
    assert all("larger is better" in row for row in rows if row.startswith(("<td>ELBO</td>", "<td>ELBO: median</td>")))


def test_only_numbers_are_numbers(store):
    info = checkpoints.find_run(store["vae"])
    found = comparison.numbers_of(info, "mnist-5k")
    assert {"recon", "kl", "elbo", "sse"} <= set(found) and not {"seed", "images", "kl_per_dim"} & set(found)
    info.metrics["mnist-5k"] |= {"recon": float("nan"), "sse": "1", "psnr": True}
    assert not {"recon", "sse", "psnr"} & set(comparison.numbers_of(info, "mnist-5k"))
    assert comparison.numbers_of(info, "elsewhere") == {}


def test_titles_are_unique(store):
    infos = [checkpoints.find_run(name) for name in store.values()]
    assert comparison.titles(infos)[store["vae"]] == "VAE, 3 numbers"
    double = checkpoints.RunInfo("vae-x-0123456789ab", infos[0].path, "finished", "", infos[2].config, infos[2].state)
    named = comparison.titles([infos[2], double])
    assert len(set(named.values())) == 2 and named["vae-x-0123456789ab"].endswith(" 012345")


def test_kin_differ_in_beta_and_seed_alone(store):
    info = checkpoints.find_run(store["beta_vae"])
    other = {**info.config, "seed": 9, "model": {**info.config["model"], "beta": 0.5}}
    wider = {**info.config, "model": {**info.config["model"], "hidden": 99}}
    kin, stranger = (checkpoints.RunInfo("x", info.path, "finished", config=config) for config in (other, wider))
    assert comparison.curve_key(kin) == comparison.curve_key(info) != comparison.curve_key(stranger)
    assert (comparison.beta(kin), comparison.likelihood(kin)) == (0.5, "bernoulli")


def test_black_and_white_pixels_do_not_compare_with_grey_ones(store):
    """Their NLL is another number, though both are Bernoulli; a squared error is one."""
    grey = checkpoints.find_run(store["vae"])
    config = {**grey.config, "data": {**grey.config["data"], "binarise": "threshold"}}
    binary = checkpoints.RunInfo("x", grey.path, "finished", config=config)
    assert comparison.likelihood(grey) == "bernoulli" != comparison.likelihood(binary)
    alike = comparison.likelihood(grey) == comparison.likelihood(binary)
    assert [table.verdict(name, -5.0, alike) for name in ("recon", "nll", "sse")] == [0, 0, 1]


# -- film and pictures -----------------------------------------------------------------------------------------------


def test_kl_of_the_film_sums_to_its_own(store):
    film = load_run(store["vae"]).film
    kl = comparison.film_kl(film)
    assert kl.shape == (len(film["epoch"]), 3)
    assert kl.sum(1) == pytest.approx(film["kl_nats"].mean(1), rel=1e-2, abs=1e-2)
    assert comparison.film_kl(load_run(store["ae"]).film) is None
    assert comparison.film_kl(film | {"kl_nats": film["kl_nats"] + 3}) is None  # of another prior


def test_the_frame_of_an_epoch():
    times = np.array([0, 0.5, 1, 4], np.float32)
    assert [comparison.frame_at(times, t) for t in (-1, 0, 0.7, 1, 3.9, 4, 9)] == [0, 0, 1, 2, 2, 3, 3]


def test_best_and_worst():
    best, worst = comparison.extremes(np.array([3.0, 1.0, np.nan, 2.0]), 2)
    assert (best.tolist(), worst.tolist()) == ([1, 3], [2, 0])
    assert [len(part) for part in comparison.extremes(np.array([1.0]), 5)] == [1, 1]
    images = np.ones((2, 1, 28, 28), np.float32)
    assert comparison.squared_errors(images, images * np.float32([[[[1]]], [[[0.5]]]])).tolist() == [0, 196]


def test_samples_are_draws_of_the_prior(store):
    from aevae.latent import sampling

    vae = load_run(store["vae"])
    assert np.array_equal(comparison.samples(vae, 5, 7), vae.decode(sampling.prior(5, 3, 7)))
    assert not np.array_equal(comparison.samples(vae, 5, 7), comparison.samples(vae, 5, 8))
    with pytest.raises(ValueError, match="no prior"):
        comparison.samples(load_run(store["ae"]), 5, 7)


# -- figures as files ------------------------------------------------------------------------------------------------


def test_svg_puts_points_where_the_axes_say():
    figure = layout.figure("a & b", "y (nats)", 300)
    figure.add_scatter(x=[0, 5, 10], y=[1, 2, 3], mode="lines+markers", name="<script>", line={"color": "#123456"})
    figure.update_xaxes(range=[0, 10]).update_yaxes(range=[1, 3])
    root = ET.fromstring(to_svg(figure, 500))
    (line,) = root.iter(f"{SVG}polyline")
    points = [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]
    assert points[1] == pytest.approx(((points[0][0] + points[2][0]) / 2, (points[0][1] + points[2][1]) / 2))
    assert points[0] == pytest.approx((62, 300 - 48)) and points[2][0] == pytest.approx(500 - 14)
    ticks = {t.text: float(t.get("x")) for t in root.iter(f"{SVG}text") if t.get("text-anchor") == "middle"}
    assert ticks["4"] == pytest.approx(points[0][0] + 0.4 * (points[2][0] - points[0][0]), abs=0.1)
    assert "a & b" in ticks and len(list(root.iter(f"{SVG}circle"))) == 3


def test_svg_bars_grow_from_zero():
    root = ET.fromstring(to_svg(latent_bars(np.array([2.0, 1.0, 0.0]), ["z0", "z1", "z2"], family="vae")))
    bars = [rect for rect in root.iter(f"{SVG}rect") if rect.get("fill")]
    heights = [float(bar.get("height")) for bar in bars]
    assert heights == pytest.approx([heights[0], heights[0] / 2, 0], abs=0.1)
    feet = [float(bar.get("y")) + height for bar, height in zip(bars, heights, strict=True)]
    assert feet == pytest.approx([260 - 48] * 3, abs=0.2)


def test_every_figure_of_ours_is_drawn():
    history = [{"epoch": e, "train": {"recon": 9 - e}, "test": {"recon": 10 - e}} for e in range(3)]
    for figure in (
        loss_curves({"vae-x": history}, "recon"),
        compare.trade_off([compare.Point("a", "vae", 1, 2), compare.Point("b", "vae", 2, 1)], "y"),
        layout.figure("x", "y"),
    ):
        root = ET.fromstring(to_svg(figure))
        assert not any("nan" in value for element in root.iter() for value in element.attrib.values())
    figure = layout.figure("x", "y").add_heatmap(z=[[1]])
    with pytest.raises(ValueError, match="lines, points and bars"):
        to_svg(figure)


def test_csv_has_the_named_points_with_all_digits():
    figure = layout.figure("kl (nats)", "recon (nats)")
    figure.add_scatter(x=[0.1 + 0.2], y=[1 / 3], name="=cmd()")
    figure.add_scatter(x=[1], y=[1])  # a line that only guides the eye
    rows = list(csv.reader(io.StringIO(to_csv(figure))))
    assert rows == [["series", "kl (nats)", "recon (nats)"], ["'=cmd()", repr(0.1 + 0.2), repr(1 / 3)]]
    assert [safe(c) for c in ("+1", "@x", "-", "a=b", -1.5)] == ["'+1", "'@x", "'-", "a=b", -1.5]
