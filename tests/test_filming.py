"""Films for the page: reading, size, and validation."""

import numpy as np
import pytest
from conftest import tiny_config
from model_helpers import of_pictures
from safetensors.numpy import load_file, save_file

from aevae.browser.blob import pack
from aevae.models import FAMILIES
from aevae.runs import train_or_load
from aevae.store import checkpoints, files
from aevae.ui.film import film_view


def film_of(name):
    return checkpoints.find_run(name)


def write(arrays, path):
    """Another film in place of the run's, with its checksum."""
    save_file(arrays, path)
    state = files.read_json(path.with_name("state.json"))
    state["checksums"][path.name] = files.checksum(path)
    files.write_json(path.with_name("state.json"), state)


@pytest.mark.parametrize("family", of_pictures(FAMILIES))
def test_a_film_of_every_family_travels(zoo, family):
    info = film_of(zoo[family])
    film = film_view.read(info)
    assert film["epoch"].tolist() == [0, 0.25, 0.75, 1]
    arrays = film_view.parcel(film, film_view.plane_of(film["codes"][-1]))
    actors = len(film["labels"])
    assert arrays["0.xy"].shape == (4, actors, 2) and arrays["0.mu"].shape == (4, 16, info.latent_dim)
    assert ("0.std" in arrays) == ("0.kl_nats" in arrays) == ("std" in film)
    assert {"objective", "recon"} <= set(film_view.terms(film)) and film_view.terms(film)[0] == "objective"
    encoder, decoder = film_view._network(info, info.latent_dim)
    if info.family in ("vq_vae", "vq_vae2") or info.config["model"].get("network") == "conv":
        assert encoder == decoder == "convolutions"
    else:
        assert encoder.startswith("784") and decoder.endswith("784")
    assert "?" not in encoder
    assert arrays["0.terms"].shape == (4, len(film_view.terms(film)))
    column = film_view.terms(film).index("recon")
    assert np.allclose(arrays["0.terms"][:, column], film["term.recon"])
    assert len(pack({}, arrays)) < 4 * (40_000 + 64 * info.latent_dim), "tens of kilobytes a frame, whatever the code"


@pytest.mark.parametrize(("family", "circles"), [("vae", 1.0), ("ae", 0.0), ("vq_vae", 0.0), ("auto_decoder", 0.0)])
def test_circles_are_drawn_of_a_gaussian_prior_alone(zoo, family, circles):
    info = film_of(zoo[family])
    spec = film_view._spec(info, film_view.read(info), False, ("#000", 0))
    assert spec["prior"] == circles


def test_circles_have_the_radius_of_the_prior(store):
    info = film_of(train_or_load(tiny_config("vae", prior_std=0.1), "cpu").name)
    spec = film_view._spec(info, film_view.read(info), False, ("#000", 0))
    assert spec["prior"] == 0.1 and "N(0, 0.1² I)" in spec["circles"]


def test_an_old_film_is_counted(store):
    path = film_of(store["vae"]).path / "film.safetensors"
    new = load_file(path)
    write({k: new[k][[0, 3]] for k in ("recon", "sample", "codes")} | {k: new[k] for k in ("original", "labels")}, path)
    film = film_view.read(film_of(store["vae"]))
    assert film["epoch"].tolist() == [0, 1] and "std" not in film and film_view.terms(film) == []
    assert film_view.parcel(film, film_view.plane_of(film["codes"][-1]))["0.terms"].shape == (2, 0)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("epoch", lambda a: a[::-1].copy()),
        ("epoch", lambda a: a[:-1]),
        ("epoch", lambda a: a * np.float32(np.nan)),
        ("recon", lambda a: a.astype(np.float32)),
        ("sample", lambda a: a[:, :3].copy()),
        ("codes", lambda a: a[:, :, 0].copy()),
        ("labels", lambda a: a[:5]),
        ("std", lambda a: a[..., :1].copy()),
        ("term.kl", lambda a: a[:1]),
        ("original", lambda a: a[:3]),
        ("codes", None),
    ],
)
def test_a_foreign_film_is_no_film(store, name, change):
    path = film_of(store["vae"]).path / "film.safetensors"
    arrays = load_file(path)
    if change is None:
        del arrays[name]
    else:
        arrays[name] = change(arrays[name])
    write(arrays, path)
    assert film_view.read(film_of(store["vae"])) is None


def test_numbers_that_are_none_do_not_travel(store):
    path = film_of(store["vae"]).path / "film.safetensors"
    arrays = load_file(path)
    arrays["codes"][0, 0] = np.inf
    arrays["recon_nats"][1, 2] = np.nan
    write(arrays, path)
    film = film_view.read(film_of(store["vae"]))
    sent = film_view.parcel(film, film_view.plane_of(film["codes"][-1]))
    assert all(np.isfinite(a).all() for a in sent.values())


def test_planes():
    draw = np.random.default_rng(0)
    codes = draw.normal(size=(500, 6)) * [1, 9, 1, 1, 4, 1] + 3
    plane = film_view.plane_of(codes)
    assert np.allclose(plane.T @ plane, np.eye(2), atol=1e-6)
    assert abs(plane[1, 0]) > 0.99 and abs(plane[4, 1]) > 0.99, "widest first"
    assert np.allclose(plane, film_view.plane_of(codes[::-1]), atol=1e-6)
    assert np.array_equal(film_view.plane_of(codes[:, :2]), np.eye(2))
    assert film_view.plane_of(codes[:, :1]).tolist() == [[1, 0]]
    assert np.isfinite(film_view.plane_of(np.zeros((20, 5)))).all()


def test_a_growing_film_travels_seldom():
    sent = [film_view.shown_frames(n) for n in range(1, 108)]
    assert all(n >= s >= 0.8 * n - 1 for n, s in enumerate(sent, 1)), "it never lags by more than a fifth"
    assert sent[:8] == [1, 2, 3, 4, 5, 6, 7, 8] and len(set(sent)) < 22
    assert sum(sorted(set(sent))) < 6 * 107, "all that travels is a few films"
