"""The cards of all runs, with filters, and which view of the Models page is shown.

Names, configs and metrics of runs are untrusted: they are shown as text or JSON, never as HTML.
"""

import re
from collections.abc import Mapping, Sequence

import streamlit as st

from aevae.figures.palette import family_title
from aevae.store.checkpoints import RunInfo
from aevae.ui.frame import access
from aevae.ui.i18n import _
from aevae.ui.models.compare_view import flat
from aevae.ui.models.metrics import main_metrics, metric_text, size_text
from aevae.ui.shared import address, image_sheets, markdown, run_picker

CARDS_PER_PAGE = 12
NUM_COLUMNS = 3
VIEW, RUN, TEXT, FAMILIES, STATUS, PAGE = "view", "run", "models_text", "models_family", "models_status", "models_page"
VIEWS = ("gallery", "run", "compare", "import")
STATUSES = ("finished", "unfinished", "diverged", "damaged")


def view_titles() -> dict[str, str]:
    return {"gallery": _("Gallery"), "run": _("One run"), "compare": _("Side by side"), "import": _("Import")}


def pick_view() -> str:
    """The chosen view, which is in the URL; an address with `?run=` only shows that run."""
    if (said := address.read_new(RUN)) is not None:
        st.session_state[RUN] = said[-1] if said else None
        if said and VIEW not in st.query_params:
            st.session_state[VIEW] = "run"
    return address.pick(
        st.segmented_control, _("View"), VIEWS, default="gallery", required=True, format_func=view_titles().get,
        key=VIEW, label_visibility="collapsed",
    )  # fmt: skip


def gallery(runs: Sequence[RunInfo]) -> None:
    """Show filters and a page of cards."""
    labels = run_picker.run_labels(runs)
    controls = st.container(horizontal=True, vertical_alignment="bottom")
    with controls:
        shown = filtered(runs, *_filters(runs), labels)
    if not shown:
        st.info(
            _("No run matches the filters. Remove a filter to see more runs.")
            if runs
            else _("There is no run yet. Open the page Train and train one; a small model takes a minute or two.")
        )
        return
    pages = -(-len(shown) // CARDS_PER_PAGE)
    page = 1
    if pages > 1:
        st.session_state[PAGE] = min(st.session_state.get(PAGE) or 1, pages)
        page = controls.number_input(_("Page of {}").format(pages), 1, pages, key=PAGE, width=130)
    for row in range((page - 1) * CARDS_PER_PAGE, min(page * CARDS_PER_PAGE, len(shown)), NUM_COLUMNS):
        for column, run in zip(
            st.columns(NUM_COLUMNS), shown[row : min(row + NUM_COLUMNS, page * CARDS_PER_PAGE)], strict=False
        ):
            with column.container(border=True, height="stretch"):
                _card(run, labels[run.name])


def _filters(runs: Sequence[RunInfo]) -> tuple[str, str | None, str | None]:
    families = list(dict.fromkeys(run.family for run in runs))
    text = st.text_input(
        _("Search"), key=TEXT, placeholder=_("name, data set, option"), max_chars=80, width=240,
        bind="query-params", persist_state="session",
    )  # fmt: skip
    family = st.selectbox(
        _("Family"), families, index=None, format_func=family_title, key=FAMILIES, persist_state="session",
        placeholder=_("all"), width=190,
    )  # fmt: skip
    status = st.selectbox(
        _("Status"), STATUSES, index=None, format_func=_, key=STATUS, persist_state="session",
        placeholder=_("all"), width=150,
    )  # fmt: skip
    return text, family, status


def filtered(
    runs: Sequence[RunInfo],
    text: str = "",
    family: str | None = None,
    status: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> list[RunInfo]:
    """Runs of this family and status that a search finds.

    labels: run name -> shown label. A search finds the runs whose label contains `text`; if there are none, the runs in
    which each word of `text` occurs in name, label or data set, or is an option with its value (`beta=4`, `d=8`).
    """
    labels = run_picker.run_labels(runs) if labels is None else labels
    found = [run for run in runs if family in (None, run.family) and status in (None, run.status)]
    phrase = _folded(text)
    titled = [run for run in found if phrase in _folded(labels[run.name])]
    words = [word for word in re.split(r"[\s·,]+", phrase) if word]
    return titled or [run for run in found if all(_has(word, run, labels[run.name]) for word in words)]


def _folded(text: str) -> str:
    return re.sub(r"\s*=\s*", "=", " ".join(text.casefold().split()))


def _has(word: str, run: RunInfo, label: str) -> bool:
    name, equals, value = word.partition("=")
    if equals and value:
        return _value_text(value) == _values(run).get(name)
    text = f"{run.name} {run_picker.former_label(run)} {label} {run_picker.about(run)}"
    return word in _folded(f"{text} {' '.join(_values(run))}")


def _values(run: RunInfo) -> dict[str, str]:
    """Option -> value in lower case, with the symbols of labels (`β`, `d`) as further names."""
    found = {key.rpartition(".")[2]: _value_text(value) for key, value in flat(run.config).items()}
    return found | {"d": str(run.latent_dim)} | ({"β": found["beta"]} if "beta" in found else {})


def _value_text(value: object) -> str:
    """`4.0`, `4` and 4.0 become `4`."""
    try:
        return f"{float(str(value)):g}"
    except ValueError:
        return str(value).casefold()


def _card(run: RunInfo, label: str) -> None:
    png = preview(run)
    if png:
        st.image(png, width="stretch", alt=_("Images, their reconstructions and samples of {}").format(label))
    owner = _("yours") + " · " if access.owns(run.name) else ""
    st.markdown(f"**{markdown.strip(label)}**")
    st.caption(owner + run_picker.about(run))
    found = main_metrics(run)
    if run.status != "finished":
        st.markdown(badge(run))
    if run.reason:
        st.caption(markdown.escape(run.reason))
    elif found:
        st.caption(" · ".join(f"{name} {metric_text(value)}" for name, value in found.items()))
    if run.warning:
        st.caption(f":material/warning: {markdown.escape(run.warning)}")
    total = run.option("epochs") or "?"
    st.caption(_("{} of {} epochs · {}").format(run.epochs, total, size_text(run.size)))
    with st.container(horizontal=True, gap="small"):
        st.button(_("Show"), key=f"card_{run.name}", on_click=choose, args=(run.name,), icon=":material/open_in_full:")
        if run.status == "finished":
            inside = run.name in (st.session_state.get(run_picker.MODELS) or [])
            st.button(
                _("Side by side"), key=f"card_compare_{run.name}", on_click=_toggle_compare, args=(run.name,),
                type="tertiary", icon=":material/check:" if inside else ":material/add:",
                help=_("Remove the run from the view Side by side") if inside
                else _("Add the run to the view Side by side"),
            )  # fmt: skip


def badge(run: RunInfo) -> str:
    """The status of a run as a Markdown badge."""
    colour = {"finished": "green", "unfinished": "orange", "diverged": "red", "damaged": "red"}[run.status]
    return f":{colour}-badge[{_(run.status)}]"


def preview(run: RunInfo, scale: int = 3) -> bytes | None:
    """The preview of a run as PNG with sharp pixels; None without a valid preview."""
    path = run.path / "preview.png"
    try:
        return _preview(str(path), path.stat().st_mtime_ns, scale)
    except OSError:
        return None


@st.cache_data(max_entries=400, show_spinner=False)
def _preview(path: str, stamp: int, scale: int) -> bytes | None:
    with open(path, "rb") as file:
        return image_sheets.enlarge(file.read(1_000_000), scale)


def choose(name: str) -> None:
    """Show this run in full (a callback)."""
    st.session_state[VIEW] = "run"
    st.session_state[RUN] = name


def _toggle_compare(name: str) -> None:
    chosen = list(st.session_state.get(run_picker.MODELS) or [])
    st.session_state[run_picker.MODELS] = [n for n in chosen if n != name] if name in chosen else [*chosen, name][-4:]
