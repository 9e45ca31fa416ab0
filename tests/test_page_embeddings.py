"""Embeddings: every widget changes what it says, and maps come from the queue."""

import io
import zipfile

import numpy as np
import pytest
from conftest import open_page
from page_helpers import sent_to_module, without_error
from streamlit.testing.v1 import AppTest

from aevae import embeddings
from aevae.embeddings import umaps
from aevae.embeddings.maps import NUM_NEAREST
from aevae.metrics import neighbours
from aevae.queue import jobs, map_task
from aevae.ui.embeddings import colours, details, map_state, panes, selection

pytestmark = pytest.mark.usefixtures("own_cache", "no_worker")

PAGE = "pages/explore/embeddings.py"
QUICK = {"count": 300, "map_1": "pca", "map_2": "pca"}


def opened(**values) -> AppTest:
    """The page with quick maps of 300 digits, if no other values are given."""
    return without_error(open_page(PAGE, QUICK | values))


def spec(app: AppTest) -> dict:
    return sent_to_module(app, "atlas")[0]


def states(app: AppTest) -> list[str]:
    return [pane["state"] for pane in spec(app)["panes"]]


def xy(app: AppTest, pane: int) -> np.ndarray:
    return sent_to_module(app, "atlas")[1][f"xy{pane}"]


def headings(app: AppTest) -> list[str]:
    return [h.value for h in app.header]


def brushed(app: AppTest, **state) -> AppTest:
    """As if the browser had sent it."""
    for name, value in state.items():
        setattr(app.session_state["atlas"], name, value)
    return without_error(app.run())


def test_without_models_there_are_maps_of_pixels(empty_store):
    app = opened()
    assert "no trained model" in app.info[0].value
    assert [p["title"] for p in spec(app)["panes"]] == ["Raw pixels"] * 2 and states(app) == ["ready"] * 2


def test_the_same_digits_in_all_panes_with_their_numbers(store):
    app = opened(panes=3, map_3="pca")
    header, arrays = sent_to_module(app, "atlas")
    assert states(app) == ["ready"] * 3 and [p["title"].split(" ")[0] for p in header["panes"]][2] == "Raw"
    assert all(arrays[f"xy{i}"].shape == (300, 2) for i in range(3)) and arrays["labels"].shape == (300,)
    np.testing.assert_array_equal(arrays["labels"], map_state.labels("mnist-5k", 300))
    for pane in header["panes"]:
        assert [name for name, *_ in pane["numbers"]][:2] == ["10-NN accuracy", "before mapping"]
    sheet, given = sent_to_module(app, "broadcast")
    assert header["nearest"] == NUM_NEAREST
    assert sheet["channel"] == header["images"] and given["images"].shape == (300, 784)


def test_every_control_of_a_pane(store):
    app = opened()
    before = xy(app, 0)
    app.selectbox(key="space_1").set_value(store["vae"]).run()
    assert not np.array_equal(xy(without_error(app), 0), before) and spec(app)["panes"][0]["run"] == store["vae"]
    app.selectbox(key="map_1").set_value("latent").run()
    assert spec(without_error(app))["panes"][0]["sub"] == "latent plane"
    np.testing.assert_array_equal(xy(app, 0), codes(store["vae"])[:, list(panes.strongest(store["vae"]))])
    app.selectbox(key="count").set_value(500).run()
    assert len(xy(without_error(app), 0)) == 500
    app.segmented_control(key="panes").set_value(4).run()
    assert len(spec(without_error(app))["panes"]) == 4


def codes(name: str, n: int = 300) -> np.ndarray:
    return embeddings.codes_of(embeddings.MapRequest(name, n=n))


@pytest.mark.parametrize(
    ("method", "key", "value", "words"),
    [
        ("tsne", "perplexity_1", 5.0, "t-SNE, perplexity 5, seed 0"),
        ("tsne", "map_seed_1", 3, "t-SNE, perplexity 30, seed 3"),
        ("umap", "neighbours_1", 7, "UMAP, neighbours 7, minimum distance 0.1, seed 0"),
        ("umap", "min_dist_1", 0.5, "UMAP, neighbours 15, minimum distance 0.5, seed 0"),
        ("pca50-tsne", "perplexity_1", 9.0, "PCA-50 → t-SNE, perplexity 9, seed 0"),
    ],
)
def test_parameters_reach_the_request(store, method, key, value, words):
    app = opened(map_1=method)
    app.number_input(key=key).set_value(value).run()
    assert spec(without_error(app))["panes"][0]["sub"] == words
    (asked,) = [job.config for job in jobs.jobs(lane=jobs.TASKS_LANE) if job.active]  # what nobody wants now is gone
    assert asked["via"] == ("pca50" if "pca50" in method else "") and value in asked["parameters"].values()


@pytest.mark.slow
def test_a_missing_map_is_queued_once_and_shown_when_it_is_there(store):
    app = opened(map_2="tsne")
    assert states(app) == ["ready", "making"] and spec(app)["panes"][1]["note"] == "Next in the queue"
    without_error(app.run())
    (job,) = jobs.jobs(lane=jobs.TASKS_LANE)
    assert map_task.work(job.config, lambda news: None, lambda: False)
    assert states(without_error(app.run())) == ["ready", "ready"] and xy(app, 1).shape == (300, 2)


def test_a_map_on_its_way_is_shown_as_far_as_it_is(store, monkeypatch):
    half = embeddings.Frame(np.ones((300, 2), np.float32), 200, 800)
    monkeypatch.setattr(embeddings, "newest_frame", lambda request: half)
    monkeypatch.setattr(jobs.Job, "state", property(lambda job: "running", lambda job, value: None), raising=False)
    choice = panes.Choice(store["vae"], "tsne", (("perplexity", 30.0), ("seed", 0)))
    look = map_state._on_its_way(choice, panes.request_of(choice, "mnist-5k", 300))
    assert (look.state, look.part, look.note) == ("making", 0.25, "Step 200 of 800") and look.xy is half.xy


def test_cancelled_and_failed_maps_show_a_message_and_can_be_requested_again(store):
    app = opened(map_1="tsne")
    (key,) = app.session_state["atlas_jobs"]
    jobs.cancel(app.session_state["atlas_jobs"][key])
    assert states(without_error(app.run())) == ["making", "ready"], "cancelled by another session: asked for again"
    app.session_state["atlas_stopped"] = {key}
    jobs.cancel(app.session_state["atlas_jobs"][key])
    assert states(without_error(app.run())) == ["stopped", "ready"]
    assert spec(app)["panes"][0]["note"] == "Cancelled." and spec(app)["panes"][0]["again"]
    assert not any(job.active for job in jobs.jobs(lane=jobs.TASKS_LANE)), "looking does not ask for it again"


def test_what_has_no_map_is_a_sentence_and_the_rest_goes_on(store):
    app = opened(space_2=panes.PIXELS, map_2="latent")
    assert states(app) == ["ready", "stopped"] and "no latent code" in spec(app)["panes"][1]["note"]


def test_comparisons_set_all_panes(store):
    app = opened()
    app.selectbox(key="preset").set_value("perplexity").run()
    assert [p["sub"] for p in spec(without_error(app))["panes"]] == [
        f"t-SNE, perplexity {p}, seed 0" for p in (2, 30, 100)
    ]
    app.selectbox(key="preset").set_value("road").run()
    assert [p["sub"].split(",")[0] for p in spec(without_error(app))["panes"]] == ["t-SNE", "t-SNE", "PCA-50 → t-SNE"]
    assert app.selectbox(key="space_2").value == panes.PIXELS
    app.button(key="try_1").click().run()
    assert spec(without_error(app))["panes"][2]["sub"] == "t-SNE, perplexity 100, seed 0"


def test_colours(store):
    app = opened(space_1=store["ae"], space_2=store["vae"])
    assert spec(app)["shade"] is None
    names = app.selectbox(key="colour").options
    assert len(names) == 5, "class, changed, two errors, one KL: a plain autoencoder has none"
    x = map_state.images("mnist-5k", 300).astype(np.float32) / 255
    for name, wanted in (("changed-1-2", None), (f"error-{store['ae']}", x), (f"kl-{store['vae']}", None)):
        app.selectbox(key="colour").set_value(name).run()
        shade = spec(without_error(app))["shade"]
        assert shade["low"] < shade["high"] and sent_to_module(app, "atlas")[1]["shade"].shape == (300,)
        assert shade["unit"] == ("out of 10 neighbours" if wanted is None and "changed" in name else "nats")


def test_neighbours_in_the_plane_are_found_by_a_tree():
    points = np.random.default_rng(0).normal(size=(400, 2))
    true = neighbours.nearest(points, points, 10, own=np.arange(400))[1]
    assert np.array_equal(np.sort(colours.nearest_in_plane(points, 10)), np.sort(true))
    same = colours.nearest_in_plane(np.zeros((50, 2)), 10)
    assert same.shape == (50, 10) and not (same == np.arange(50)[:, None]).any(), "no point is its own neighbour"
    with pytest.raises(ValueError, match="more than 10 images"):
        colours.nearest_in_plane(points[:10], 10)


def test_changed_neighbours_are_counted():
    map_ = lambda points: type("Map", (), {"xy": points})  # noqa: E731
    points = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    look = lambda key, xy: map_state.Look(None, type("R", (), {"key": key}), map=map_(xy))  # noqa: E731
    same, _unit = colours.shade("changed-1-2", [look("a", points), look("b", 3 * points + 1)], "", 60)
    assert not same.any()
    other, _unit = colours.shade("changed-1-2", [look("a", points), look("c", points[::-1])], "", 60)
    assert 0 < other.mean() <= 10
    assert colours.shade("changed-1-2", [look("a", points), map_state.Look(None)], "", 60) is None


def test_aligning_turns_the_second_map_onto_the_first(store):
    app = opened(space_1=store["vae"], map_1="pca", space_2=store["vae"], map_2="latent")
    before = [xy(app, i) for i in (0, 1)]
    app.segmented_control(key="align").set_value("first").run()
    after = [xy(without_error(app), i) for i in (0, 1)]
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_allclose(after[1], embeddings.procrustes(before[1], before[0]), atol=1e-5)
    assert len({tuple(p["frame"]) for p in spec(app)["panes"]}) == 1, "one frame for both"


def test_umaps_are_drawn_together_by_one_job(store, monkeypatch):
    app = opened(align="umap")
    assert any("all made with UMAP" in c.value for c in app.caption) and states(app) == ["ready", "ready"]
    app = opened(align="umap", panes=3, space_1=store["ae"], map_1="umap", space_2=store["vae"], map_2="umap",
                 map_3="pca", neighbours_1=9, neighbours_2=20)  # fmt: skip
    assert states(app) == ["making", "making", "ready"]
    assert {p["sub"] for p in spec(app)["panes"][:2]} == {"UMAP, neighbours 9, minimum distance 0.1, seed 0, aligned"}
    (job,) = jobs.jobs(lane=jobs.TASKS_LANE)
    assert [space for space, _checksum in job.config["together"]] == [store["ae"], store["vae"]]
    monkeypatch.setattr(map_task, "warm", lambda: None)
    drawn = lambda points, config, watch: [z[:, :2] + i for i, z in enumerate(points)]  # noqa: E731
    monkeypatch.setattr(umaps, "aligned_maps", drawn)
    assert map_task.work(job.config, lambda news: None, lambda: False)
    assert states(without_error(app.run())) == ["ready"] * 3, "one drawing made both"
    for i, family in enumerate(("ae", "vae")):
        np.testing.assert_array_equal(xy(app, i), codes(store[family])[:, :2] + i)
    assert len({tuple(p["frame"]) for p in spec(app)["panes"]}) == 1, "one frame for all"
    looks = [map_state.look_at(panes.Choice(store["ae"], "umap", (("n_neighbors", 9),), (store["ae"], store["vae"])),
                           "mnist-5k", 300)]  # fmt: skip
    assert details.places(looks, map_state.images("mnist-5k", 300)[3] / np.float32(255))[0].shape == (2,)


def test_maps_that_are_drawn_together_are_given_up_together(store):
    app = opened(align="umap", space_1=store["ae"], map_1="umap", space_2=store["vae"], map_2="umap")
    (key,) = app.session_state["atlas_jobs"]
    looks = [map_state.Look(None, request) for request in together_of(store)]
    assert {look.errand.key for look in looks} == {key}
    app.session_state["atlas_stopped"] = {key}
    jobs.cancel(app.session_state["atlas_jobs"][key])
    assert states(without_error(app.run())) == ["stopped"] * 2 and all(p["again"] for p in spec(app)["panes"])


def together_of(store) -> tuple[embeddings.MapRequest, ...]:
    parameters, spaces = (("n_neighbors", 15), ("min_dist", 0.1), ("seed", 0)), (store["ae"], store["vae"])
    return panes.request_of(panes.Choice(store["vae"], "umap", parameters, spaces), "mnist-5k", 300).group


def test_planes_decode_exactly_also_when_they_are_turned(store):
    app = opened(space_1=store["vae"], map_1="pca", space_2=store["vae"], map_2="latent", align="first")
    z, dims = codes(store["vae"]), list(panes.strongest(store["vae"]))
    for pane in (0, 1):
        origin, u, v = sent_to_module(app, "atlas")[1][f"lift{pane}"]
        x, y = xy(app, pane)[7]
        lifted = origin + x * u + y * v
        if pane:
            wanted = z.mean(0)
            wanted[dims] = z[7, dims]
        else:
            centred = z - z.mean(0)
            axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
            wanted = z.mean(0) + (centred[7] @ axes.T) @ axes
        np.testing.assert_allclose(lifted, wanted, atol=1e-4)


def test_a_selection_is_shown_with_the_mean_codes(store):
    app = opened(space_1=store["ae"], space_2=store["vae"])
    assert headings(app) == []
    brushed(app, selected=np.array([3, 5, 8], np.int32))
    assert "3 selected" in headings(app)
    captions = [caption for image in app.get("image") for caption in image.captions if caption]
    assert captions[0] == "Mean image" and [c.startswith("Decoded mean code of ") for c in captions[1:]] == [True] * 2
    app.selectbox(key="count").set_value(500).run()
    assert headings(without_error(app)) == [], "of other points nothing is selected"


def test_neighbours_in_pixels_spaces_and_maps(store):
    app = opened(space_1=store["ae"], space_2=store["vae"], map_2="latent")
    brushed(app, point=12)
    assert headings(app)[0].startswith("The 10 nearest neighbours of ") and headings(app)[0].endswith("number 12")
    assert app.query_params["point"] in ("12", ["12"])
    looks = [
        map_state.look_at(panes.Choice(store[f], m), "mnist-5k", 300) for f, m in (("ae", "pca"), ("vae", "latent"))
    ]
    rows = details.neighbour_rows(looks, "mnist-5k", 300, 12, None, [None, None])
    assert [r.title.split(":")[0] for r in rows][3:] == ["Map 1", "Map 2"] and len(rows) == 5
    x = map_state.images("mnist-5k", 300).reshape(300, -1).astype(float)
    true = np.argsort(((x - x[12]) ** 2).sum(1))
    assert rows[0].near.tolist() == true[1:11].tolist() and rows[0].pixels is None
    for row in rows[1:]:
        assert 12 not in row.near and row.pixels == details.share(row.near, rows[0].near)
    assert rows[4].space == details.share(rows[4].near, rows[2].near)


def test_jaccard():
    a = np.arange(10)
    assert details.share(a, a[::-1]) == 1 and details.share(a, a + 10) == 0
    assert details.share(a, a + 5) == pytest.approx(5 / 15)


def test_what_the_link_says_is_brushed(store):
    rows = np.array([3, 5, 8], np.int32)
    app = without_error(open_page(PAGE, QUICK, point="7", selected=selection.pack(rows, 300), view="0.5_-0.25_3~0_0_1"))
    header, arrays = sent_to_module(app, "atlas")
    assert header["point"] == 7 and header["views"] == [[0.5, -0.25, 3], [0, 0, 1]]
    np.testing.assert_array_equal(arrays["selected"], rows)
    assert headings(app)[0] == "3 selected" and headings(app)[1].endswith("number 7")


def test_a_digit_of_ones_own_lands_in_every_map(store):
    mine = map_state.images("mnist-5k", 300)[42].astype(np.float32) / 255
    app = opened(space_1=store["vae"], space_2=panes.PIXELS, guest_own=mine)
    for i, pane in enumerate(spec(app)["panes"]):
        np.testing.assert_allclose(pane["own"], xy(app, i)[42], atol=1e-3)
    assert headings(app) == ["The 10 nearest neighbours of your digit"]
    assert sent_to_module(app, "atlas")[1]["own"].shape == (784,)
    looks = [map_state.look_at(panes.Choice(panes.RANDOM, "pca"), "mnist-5k", 300)]
    assert details.places(looks, mine) == [None], "random codes know no digit"


def test_files_to_take_along(store):
    looks = [map_state.look_at(panes.Choice(store["vae"], "pca"), "mnist-5k", 300)]
    rows = details.csv(looks, map_state.labels("mnist-5k", 300)).splitlines()
    assert len(rows) == 301 and float(rows[1].split(",")[2]) == pytest.approx(looks[0].xy[0, 0], abs=1e-4)
    with zipfile.ZipFile(io.BytesIO(details.projector(looks[0], "mnist-5k", 300))) as archive:
        names = archive.namelist()
        assert {"vectors.tsv", "metadata.tsv"} <= set(names) and any(n.endswith(".png") for n in names)
        assert len(archive.read("vectors.tsv").splitlines()) == 300


def test_messages_cancel_maps_and_request_them_again(monkeypatch):
    state, cancelled = {"atlas_jobs": {"k": 17}}, []
    monkeypatch.setattr(map_state.st, "session_state", state)
    monkeypatch.setattr(jobs, "cancel", cancelled.append)
    request = type("R", (), {"key": "k"})
    request.group = (request,)
    looks = [map_state.Look(None), map_state.Look(None, request)]
    for payload in ({"cancel": 9}, {"make": "0"}, {"cancel": True}, {"cancel": 0}, {"cancel": -1}, {}):
        map_state.answer(payload, looks)
    assert not cancelled and state["atlas_jobs"] == {"k": 17}
    map_state.answer({"cancel": 1}, looks)
    assert cancelled == [17] and state["atlas_stopped"] == {"k"}
    map_state.answer({"make": 1}, looks)
    assert state["atlas_jobs"] == {} and not state["atlas_stopped"]
