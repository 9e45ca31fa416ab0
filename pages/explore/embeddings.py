"""Embeddings: the same digits, in several spaces, mapped onto the plane side by side."""

import streamlit as st

from aevae.figures import map_figure
from aevae.ui import chrome, loaders, maps, opening, state
from aevae.ui.i18n import _

METHODS = ("latent", "pca", "tsne", "umap")
TITLES = {"latent": "latent", "pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
COUNTS = (300, 500, 1000)
ACROSS = 3  # panes in a row


def choices() -> tuple[list[str], list[str], int, dict]:
    """Names of models, methods, number of digits, parameters."""
    models = state.pick_models(max_selections=5, default=maps.first_two())
    with st.container(horizontal=True, vertical_alignment="bottom"):
        methods = st.pills(
            _("Maps"), METHODS, selection_mode="multi", default=["pca"], format_func=TITLES.get, key="maps",
            bind="query-params",
        )  # fmt: skip
        n = st.segmented_control(
            _("Digits"), COUNTS, default=500, required=True, format_func="{:,}".format, key="count", bind="query-params"
        )
        seed = st.number_input(_("Seed"), 0, 2**31 - 1, 0, key=state.SEED, width=130, bind="query-params")
        chosen = {"tsne": {"seed": seed}, "umap": {"seed": seed}}
        if "tsne" in methods:
            chosen["tsne"]["perplexity"] = st.number_input(
                _("Perplexity (t-SNE)"), 1.0, 1000.0, 30.0, 5.0, format="%g", key="perplexity", width=150,
                help=_("About how many neighbours a point heeds; at most a third of the digits."), bind="query-params",
            )  # fmt: skip
        if "umap" in methods:
            chosen["umap"]["n_neighbors"] = st.number_input(
                _("Neighbours (UMAP)"), 2, 1000, 15, key="neighbours", width=150,
                help=_("Few: fine detail. Many: the large shape. The point itself counts."), bind="query-params",
            )  # fmt: skip
            chosen["umap"]["min_dist"] = st.number_input(
                _("Least distance (UMAP)"), 0.0, 1.0, 0.1, 0.05, key="min_dist", width=170,
                help=_("How close points may lie in the map."), bind="query-params",
            )  # fmt: skip
    return models, [m for m in METHODS if m in methods], n, chosen


def show_pane(space: str, method: str, n: int, dataset: str, parameters: dict) -> None:
    """One map with its numbers, or the sentence that says why there is none."""
    title = _("Raw pixels") if space == maps.PIXELS else state.label_of(space)
    st.markdown(f"**{title}**")
    try:
        with st.spinner(_("{} of {:,} digits …").format(TITLES[method], n), show_time=True):
            pane = maps.pane(space, method, n, dataset, **parameters)
            labels = loaders.test_digits(dataset)[1][:n]
    except ValueError as problem:
        st.warning(str(problem))
        return
    axes = tuple(f"z{d}" for d in pane.dims) if method == "latent" else ("", "")
    figure = map_figure(pane.xy, labels, axes=axes, height=320)
    figure.update_layout(
        showlegend=False, margin={"l": 40 if axes[0] else 8, "r": 8, "t": 8, "b": 40 if axes[0] else 8}
    )
    st.plotly_chart(figure, key=f"map-{method}-{space}", config={"displaylogo": False, "scrollZoom": True})
    st.caption(maps.quality_note(pane))
    if space != maps.PIXELS:
        state.caption_seen(loaders.run(space), dataset)


chrome.page(_("Embeddings"), _("Do digits of one class live together in the latent space?"))
models, methods, n, parameters = choices()
runs = opening.open_runs(models)
dataset = opening.common_set(runs)
n = min(n, len(loaders.test_digits(dataset)[0]))
spaces = [maps.PIXELS, *(run.name for run in runs)]
if not methods:
    st.info(_("Choose at least one kind of map."))
for method in methods:
    if len(methods) > 1:
        st.subheader(TITLES[method], anchor=False)
    slots = [slot for start in range(0, len(spaces), ACROSS) for slot in st.columns(ACROSS)]
    for space, slot in zip(spaces, slots, strict=False):  # one after another: the first is there while others are drawn
        with slot:
            show_pane(space, method, n, dataset, parameters.get(method, {}))
st.caption(
    _(
        "The same {:,} test digits everywhere, in the colours of their classes. **10-NN accuracy**: how often the ten "
        "nearest points in the map vote for the right class; behind it, the same in the space that was mapped. "
        "**Trustworthiness** (10 neighbours): 1 if every neighbour in the map is one in the space that was mapped (the "
        "pixels, or that model's code), so it compares a map with its own space, not one model with another."
    ).format(n)
)
chrome.explain(
    _("What a map of t-SNE or UMAP does not tell"),
    _(
        "**latent** shows two numbers of the code as they are, the two strongest; with a code of two numbers that is "
        "everything. **PCA** turns and projects: its distances are never larger than the true ones. **t-SNE** and "
        "**UMAP** bend: they keep *who is near whom* and give up the rest.\n\n"
        "- The **distance between two clusters** says little; another seed or perplexity moves them.\n"
        "- The **size of a cluster** says nothing: dense ones are blown up, thin ones drawn together.\n"
        "- **Clusters can be made of nothing**: a small perplexity breaks an even cloud into clumps.\n"
        "- Axes have no meaning and no unit, so none are drawn.\n\n"
        "Trust what stays when seed and perplexity change. Colours come from the labels; neither the models nor the "
        "maps have seen a label."
    ),
)
chrome.try_this(
    [
        _("Choose **t-SNE** and set the perplexity to 3, then to 90. Which groups stay, which fall apart?"),
        _("Which two classes lie mixed in every map? Look at these digits on **Denoise** by their number."),
        _("Compare the 10-NN accuracy of the raw pixels with that of the codes: what did the encoder sort?"),
    ],
    _("Three things to try"),
)
