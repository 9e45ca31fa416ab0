"""The choices of each pane of the maps page: a space, a method, its parameters. All of them are in the link."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from aevae import datasets, embeddings
from aevae.config import DataConfig
from aevae.figures.palette import family_title
from aevae.store import checkpoints
from aevae.store.checkpoints import RunInfo
from aevae.ui.i18n import _
from aevae.ui.shared import address, cached, opening, run_picker

PIXELS, RANDOM = "pixels", "random"  # spaces that are not runs
METHODS = {  # name in links -> (method, via)
    "latent": ("latent", ""),
    "pca": ("pca", ""),
    "tsne": ("tsne", ""),
    "umap": ("umap", ""),
    "pca50-tsne": ("tsne", "pca50"),
    "pca50-umap": ("umap", "pca50"),
}
MAX_PANES = 4  # panes
COUNTS = (300, 500, 1000, 2000, 5000, 10_000)
DEFAULTS = {"perplexity": 30.0, "neighbours": 15, "min_dist": 0.1, "map_seed": 0}
TSNE, UMAP = ("perplexity", "map_seed"), ("neighbours", "min_dist", "map_seed")


@dataclass(frozen=True)
class Choice:
    """The choices of one pane.

    space: a run's name, PIXELS or RANDOM. method: one of METHODS. parameters: with the engine's names. together: the
    spaces whose maps are aligned with this one, including its own.
    """

    space: str
    method: str
    parameters: tuple[tuple[str, float], ...] = ()
    together: tuple[str, ...] = ()

    @property
    def run(self) -> str:
        """Name of the run, or "" for a space without one."""
        return "" if self.space in (PIXELS, RANDOM) else self.space

    @property
    def settings(self) -> str:
        """Method and parameters in a few words."""
        names = {"perplexity": _("perplexity"), "n_neighbors": _("neighbours"), "min_dist": _("minimum distance")}
        given = [f"{names[k]} {v:g}" for k, v in self.parameters if k in names]
        seed = dict(self.parameters).get("seed")
        more = [_("seed {}").format(seed)] if seed is not None else []
        more += [_("aligned")] if self.together else []
        return ", ".join([titles()[self.method], *given, *more])


def titles() -> dict[str, str]:
    """Method -> title."""
    return {
        "latent": _("latent plane"),
        "pca": "PCA",
        "tsne": "t-SNE",
        "umap": "UMAP",
        "pca50-tsne": "PCA-50 → t-SNE",
        "pca50-umap": "PCA-50 → UMAP",
    }


def title_of(space: str) -> str:
    """Title of a space."""
    return {PIXELS: _("Raw pixels"), RANDOM: _("Random codes")}.get(space) or run_picker.label_of(space)


def short_title(space: str) -> str:
    """Family of a run, or the title of another space."""
    return family_title(space.partition("-")[0]) if space not in (PIXELS, RANDOM) else title_of(space)


def summary(choices: Sequence[Choice], colour: str) -> str:
    """What the maps show, in one line: `AE · VAE, t-SNE, coloured by class`. colour: title of the colouring."""
    spaces = dict.fromkeys(choice.space for choice in choices)
    short = dict.fromkeys(map(short_title, spaces))
    names = short if len(short) == len(spaces) else map(title_of, spaces)
    methods = dict.fromkeys(titles()[choice.method] for choice in choices)
    return ", ".join([" · ".join(names), " · ".join(methods), _("coloured by {}").format(colour)])


def runs() -> list[RunInfo]:
    """The runs whose codes can be mapped."""
    return cached.finished()


def first_two() -> list[str]:
    """Default spaces: a plain autoencoder and a VAE with the largest codes; other spaces if one is missing."""
    largest = sorted((r for r in runs() if r.latent_dim), key=lambda run: -run.latent_dim)
    found = [next((r.name for r in largest if r.family == family), None) for family in ("ae", "vae")]
    rest = [r.name for r in largest if r.name not in found]
    return ([name for name in found if name] + rest + [PIXELS, PIXELS])[:2]


# -- controls --------------------------------------------------------------------------------------------------------


def choose(notes) -> tuple[list[Choice], str, int]:
    """(panes, data set, number of images) from the widgets. notes: container for messages about runs of the link."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        count = st.segmented_control(
            _("Maps"), range(2, MAX_PANES + 1), default=2, required=True, key="panes", bind="query-params"
        )
        found = presets()
        st.selectbox(
            _("Suggested comparisons"), list(found), index=None, key="preset", width=400,
            format_func=lambda name: found[name][0], placeholder=_("Choose one …"),
            on_change=lambda: use_preset(st.session_state.preset),
        )  # fmt: skip
        places = st.container()  # filled first, because the data sets depend on the spaces
    panes = [_pane(i, column, notes) for i, column in enumerate(st.columns(count), 1)]
    sets = _sets([space for space, _method, _values in panes])
    with places:
        n = address.pick(
            st.selectbox, _("Images"), list(sets), index=list(sets).index(min(1000, max(sets))), key="count",
            format_func="{:,}".format, width=130,
            help=_(
                "Up to 1,000: test digits that no shipped model was trained on. More: the test set of MNIST, if it is "
                "on this computer."
            )
            if sets[min(sets)] == datasets.EMBEDDED else _("The first test images of the data set."),
        )  # fmt: skip
    return [Choice(space, method, fitting(values, n)) for space, method, values in panes], sets[n], n


def _sets(spaces: list[str | None]) -> dict[int, str]:
    """Possible number of images -> data set whose first test images are used."""
    chosen = [run for run in runs() if run.name in spaces] or [run for run in runs() if run.name in first_two()]
    common = opening.common_set(chosen)
    size = len(cached.dataset(common).test.images)
    found = {n: common for n in COUNTS if n <= size} or {size: common}
    more = datasets.larger(common)
    if more and datasets.is_available(DataConfig(more)):
        found |= {n: more for n in COUNTS if n > size}
    return found


def _pane(i: int, column, notes) -> tuple[str, str, tuple[tuple[str, float], ...]]:
    """(space, method, parameters) of pane i from its widgets."""
    spaces = [*(run.name for run in runs()), PIXELS, RANDOM]
    first = [*first_two(), PIXELS, RANDOM][i - 1]
    with column:
        space = run_picker.pick_run(
            st.selectbox, _("Map {}: space").format(i), spaces, index=spaces.index(first), format_func=title_of,
            key=f"space_{i}", notes=notes,
        )  # fmt: skip
        method = address.pick(
            st.selectbox, _("Method"), list(METHODS), index=list(METHODS).index("tsne"), format_func=titles().get,
            key=f"map_{i}",
        )  # fmt: skip
        return space, method, _parameters(i, METHODS[method][0])


def _parameters(i: int, method: str) -> tuple[tuple[str, float], ...]:
    """The method's own parameters."""
    if method not in ("tsne", "umap"):
        return ()
    chosen = {}
    if method == "tsne":
        chosen["perplexity"] = st.number_input(
            _("Perplexity"), 1.0, 1000.0, DEFAULTS["perplexity"], 5.0, format="%g", key=f"perplexity_{i}",
            help=_(
                "About how many neighbours t-SNE considers for each point; at most a third of the images."
            ), bind="query-params",
        )  # fmt: skip
    else:
        chosen["n_neighbors"] = st.number_input(
            _("Neighbours"), 2, 1000, DEFAULTS["neighbours"], key=f"neighbours_{i}", bind="query-params",
            help=_("Few neighbours show fine detail, many show the large shape. The point itself counts as a "
                   "neighbour."),
        )  # fmt: skip
        chosen["min_dist"] = st.number_input(
            _("Minimum distance"), 0.0, 1.0, DEFAULTS["min_dist"], 0.05, key=f"min_dist_{i}", bind="query-params",
            help=_("How close two points of the map may be."),
        )  # fmt: skip
    chosen["seed"] = st.number_input(
        _("Seed"), 0, 2**31 - 1, DEFAULTS["map_seed"], key=f"map_seed_{i}", bind="query-params"
    )
    return tuple(chosen.items())


def fitting(parameters: tuple[tuple[str, float], ...], n: int) -> tuple[tuple[str, float], ...]:
    """The parameters with defaults reduced to what n points allow; values set by the user are unchanged."""
    most = {"perplexity": embeddings.largest_perplexity(n), "n_neighbors": n - 1}
    begun = {"perplexity": DEFAULTS["perplexity"], "n_neighbors": DEFAULTS["neighbours"]}
    return tuple((k, min(v, max(most[k], 1)) if v == begun.get(k) else v) for k, v in parameters)


# -- comparisons -----------------------------------------------------------------------------------------------------


def presets() -> dict[str, tuple[str, list[dict]]]:
    """Name -> (title, values of each pane's widgets) of the presets whose models exist."""
    largest = sorted((r for r in runs() if r.latent_dim), key=lambda run: -run.latent_dim)
    of = lambda family, dim=None: next(  # noqa: E731
        (r.name for r in largest if r.family == family and dim in (None, r.latent_dim)), None
    )
    ae, vae, flat, ball = of("ae"), of("vae"), of("ae", 2), of("vae", 2)
    one = vae or ae
    size = next((r.latent_dim for r in largest if r.name == ae), 0)
    pane = lambda space, method, **more: {"space": space, "map": method, **more}  # noqa: E731
    found = {
        "two-tsne": (_("AE and VAE, with t-SNE"), [pane(ae, "tsne"), pane(vae, "tsne")]),
        "road": (
            _("t-SNE of AE code ({}-D), raw pixels, PCA-50").format(size),
            [pane(ae, "tsne"), pane(PIXELS, "tsne"), pane(PIXELS, "pca50-tsne")],
        ),
        "two-umap": (_("AE and VAE, with UMAP"), [pane(ae, "umap"), pane(vae, "umap")]),
        "planes": (_("AE and VAE with 2-dimensional codes"), [pane(flat, "latent"), pane(ball, "latent")]),
        "methods": (_("One model: PCA, t-SNE, UMAP"), [pane(one, m) for m in ("pca", "tsne", "umap")]),
        "perplexity": (
            _("One model: t-SNE at perplexity 2, 30, 100"),
            [pane(one, "tsne", perplexity=p) for p in (2.0, 30.0, 100.0)],
        ),
        "seeds": (_("One model: t-SNE with two seeds"), [pane(one, "tsne", map_seed=s) for s in (0, 1)]),
        "control": (_("Control: real codes and random codes"), [pane(one, "tsne"), pane(RANDOM, "tsne")]),
    }
    return {name: entry for name, entry in found.items() if all(p["space"] for p in entry[1])}


def state_of(name: str) -> dict[str, object]:
    """Session key -> value of the panes' widgets for a preset; {} if its models do not exist."""
    _title, panes = presets().get(name, ("", []))
    state = {f"{key}_{i}": value for i, pane in enumerate(panes, 1) for key, value in {**DEFAULTS, **pane}.items()}
    return {"panes": len(panes), **state} if panes else {}


def use_preset(name: str | None) -> None:
    """Set the panes' widgets to a preset (a callback)."""
    st.session_state.update(state_of(name or ""))


# -- requests --------------------------------------------------------------------------------------------------------


def request_of(choice: Choice, dataset: str, n: int) -> embeddings.MapRequest:
    """The request of a pane's map. Raises ValueError with one sentence if there is no such map."""
    method, via = METHODS[choice.method]
    parameters = dict(choice.parameters)
    if choice.run and method == "latent":
        parameters["dims"] = strongest(choice.run)
    return embeddings.MapRequest(
        space=choice.space, checksum=_checksum(choice.space), dataset=dataset, n=n, method=method,
        parameters=parameters, via=via, together=tuple((space, _checksum(space)) for space in choice.together),
    )  # fmt: skip


def _checksum(space: str) -> str:
    """Checksum of the present weights of a run. Raises ValueError if there is no such run."""
    if space in (PIXELS, RANDOM):
        return ""
    return checkpoints.find_run(space).weights_checksum


def strongest(name: str) -> tuple[int, int]:
    """The two most used latent dimensions of a run."""
    order = cached.latent_summary(name)["order"]
    return (int(order[0]), int(order[1])) if len(order) > 1 else (0, 1)
