"""The Models page: cards of all runs, one run in full, comparison, import.

What a run says of itself (names, configs, numbers) may come from anywhere: it is shown as text or JSON, never as HTML.
"""

import math
from collections.abc import Sequence

import streamlit as st

from aevae import checkpoints, comparison, datasets, exchange, metrics, worker
from aevae.checkpoints import RunInfo
from aevae.config import RunConfig
from aevae.datasets.archives import Source
from aevae.figures.curves import loss_curves, with_unit
from aevae.figures.palette import family_title
from aevae.report import command
from aevae.ui import address, forms, gate, jobpanel, loaders, pictures, state
from aevae.ui.i18n import _

PER_PAGE = 12
COLUMNS = 3
HIDDEN = ("samples", "seed", "schema")  # of a metrics table: how it was measured
KEY_NUMBERS = ("recon", "kl", "elbo", "sse")  # on a card
VIEW, RUN, TEXT, FAMILIES, STATUS, PAGE = "view", "run", "models_text", "models_family", "models_status", "models_page"
VIEWS = ("gallery", "run", "compare", "import")
STATUSES = ("finished", "unfinished", "diverged", "damaged")
_SAID = "models_said"  # session: (kind, sentence) of what was just done


def view_titles() -> dict[str, str]:
    return {"gallery": _("Gallery"), "run": _("One run"), "compare": _("Compare"), "import": _("Bring in")}


def pick_view() -> str:
    """Which part of the page is shown; in the URL, and `?run=` alone shows that run."""
    if (said := address.asked(RUN)) is not None:
        st.session_state[RUN] = said[-1] if said else None
        if said and VIEW not in st.query_params:
            st.session_state[VIEW] = "run"
    return address.pick(
        st.segmented_control, _("View"), VIEWS, default="gallery", required=True, format_func=view_titles().get,
        key=VIEW, label_visibility="collapsed",
    )  # fmt: skip


# -- cards -----------------------------------------------------------------------------------------------------------


def gallery(runs: Sequence[RunInfo]) -> None:
    """Filters, then a page of cards."""
    shown = filtered(runs, *_filters(runs))
    if not shown:
        st.info(_("No run fits.") if runs else _("There is no run yet. Train one; a small one takes a minute or two."))
        return
    pages = -(-len(shown) // PER_PAGE)
    page = 1
    if pages > 1:
        st.session_state[PAGE] = min(st.session_state.get(PAGE) or 1, pages)
        page = st.number_input(_("Page of {}").format(pages), 1, pages, key=PAGE, width=150)
    labels = state.run_labels(runs)
    for row in range((page - 1) * PER_PAGE, min(page * PER_PAGE, len(shown)), COLUMNS):
        for column, run in zip(st.columns(COLUMNS), shown[row : min(row + COLUMNS, page * PER_PAGE)], strict=False):
            with column.container(border=True, height="stretch"):
                _card(run, labels[run.name])


def _filters(runs: Sequence[RunInfo]) -> tuple[str, str | None, str | None]:
    families = list(dict.fromkeys(run.family for run in runs))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            _("Search"), key=TEXT, placeholder=_("name, data set, option"), max_chars=80, width=240,
            bind="query-params", persist_state="session",
        )  # fmt: skip
        family = st.pills(
            _("Family"), families, format_func=family_title, key=FAMILIES, persist_state="session", wrap=True
        )
        status = st.pills(_("Status"), STATUSES, format_func=_, key=STATUS, persist_state="session", wrap=True)
    return text, family, status


def filtered(runs: Sequence[RunInfo], text: str = "", family: str | None = None, status: str | None = None) -> list:
    """The runs that have every word of `text` in name, data set or an option (`beta=4`), and this family and status."""
    words = text.lower().split()
    return [
        run
        for run in runs
        if (not family or run.family == family)
        and (not status or run.status == status)
        and (not words or all(word in _words(run) for word in words))
    ]


def _words(run: RunInfo) -> str:
    options = " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in flat(run.config).items())
    return f"{run.name} {family_title(run.family)} {run.dataset} {options} {'shipped' if run.shipped else ''}".lower()


def _card(run: RunInfo, label: str) -> None:
    picture = preview(run)
    if picture:
        st.image(picture, width="stretch", alt=_("Digits, their reconstructions and samples of {}").format(label))
    st.markdown(f"**{state.plain(label)}**")
    st.markdown(badge(run))
    numbers = main_numbers(run)
    if run.reason:
        st.caption(state.literal(run.reason))
    elif numbers:
        st.caption(" · ".join(f"{name} {_said(value)}" for name, value in numbers.items()))
    if run.warning:
        st.caption(f":material/warning: {state.literal(run.warning)}")
    total = run.config.get("train", {}).get("epochs", "?")
    st.caption(_("{} of {} epochs · {}").format(run.epochs, total, size(run.size)))
    with st.container(horizontal=True, gap="small"):
        st.button(_("Show"), key=f"card_{run.name}", on_click=choose, args=(run.name,), icon=":material/open_in_full:")
        if run.status == "finished":
            inside = run.name in (st.session_state.get(state.MODELS) or [])
            st.button(
                _("Compared") if inside else _("Compare"), key=f"card_compare_{run.name}", on_click=_toggle_compare,
                args=(run.name,), type="tertiary", icon=":material/check:" if inside else ":material/add:",
            )  # fmt: skip


def badge(run: RunInfo) -> str:
    """The status of a run as a small coloured sign."""
    colour = {"finished": "green", "unfinished": "orange", "diverged": "red", "damaged": "red"}[run.status]
    signs = f":{colour}-badge[{_(run.status)}]"
    return f"{signs} :blue-badge[{_('shipped')}]" if run.shipped else signs


def preview(run: RunInfo, scale: int = 3) -> bytes | None:
    """The preview of a run as PNG with sharp pixels; None where there is none or it is no picture."""
    path = run.path / "preview.png"
    try:
        return _preview(str(path), path.stat().st_mtime_ns, scale)
    except OSError:
        return None


@st.cache_data(max_entries=400, show_spinner=False)
def _preview(path: str, stamp: int, scale: int) -> bytes | None:
    with open(path, "rb") as file:
        return pictures.enlarge(file.read(1_000_000), scale)


def choose(name: str) -> None:
    """Show this run in full (a callback)."""
    st.session_state[VIEW] = "run"
    st.session_state[RUN] = name


def _toggle_compare(name: str) -> None:
    chosen = list(st.session_state.get(state.MODELS) or [])
    st.session_state[state.MODELS] = [n for n in chosen if n != name] if name in chosen else [*chosen, name][-4:]


def chosen(runs: Sequence[RunInfo]) -> RunInfo | None:
    """The run that the address asked for, else the last one of this session. A wrong name gets a sentence."""
    asked = st.session_state.get(RUN)
    if not asked:
        return None
    hits = [run for run in runs if run.name == asked or (len(asked) >= 6 and run.fingerprint.startswith(asked))]
    if len(hits) != 1:
        st.warning(_("There is no run {} here.").format(state.plain(asked[:80])))
        st.session_state.pop(RUN, None)
        return None
    st.session_state[RUN] = hits[0].name
    address.tell(RUN, hits[0].name)
    return hits[0]


# -- one run ---------------------------------------------------------------------------------------------------------


def one_run(runs: Sequence[RunInfo]) -> None:
    """Everything there is to know and do about the chosen run."""
    run = chosen(runs)
    if run is None:
        st.info(_("Choose a run in the gallery."))
        return
    st.header(state.plain(state.run_labels(runs)[run.name]), anchor=False)
    st.markdown(f"{badge(run)} `{state.plain(run.name)}` · {size(run.size)}")
    if run.status == "damaged":
        st.error(_("This run cannot be opened: {}.").format(state.literal(run.reason)))
    if run.status == "diverged":
        st.warning(_("Training diverged: {}.").format(state.literal(run.reason)) + " " + jobpanel.resumes_at(run))
    _actions(run)
    jobpanel.film(run, key="models")
    left, right = st.columns([3, 2], gap="large")
    with left:
        history = jobpanel.lines(run.path)
        if history:
            title = family_title(run.family)
            jobpanel.curves({title: history}, {title: run.family}, "models_curve")
    with right:
        _numbers(run)
        _command(run)
    with st.expander(_("Full config"), expanded=run.status == "damaged", key="models_config"):
        st.json(run.config)
        st.json(run.state, expanded=False)


def unit_of(key: str) -> str:
    return "test images" if key == "images" else comparison.describe(key).unit


def _numbers(run: RunInfo) -> None:
    for name in run.metrics:
        rows = [
            {_("number"): key, _("value"): f"{value:,.6g}", _("unit"): unit_of(key)}
            for key, value in plain_numbers(metrics.current(run, name)).items()
        ]
        st.caption(_("On the test pictures of {}").format(state.plain(datasets.title_of(name))))
        st.dataframe(rows, hide_index=True, key=f"models_numbers_{name}")


def _actions(run: RunInfo) -> None:
    config = config_of(run)
    with st.container(horizontal=True, gap="small"):
        if run.status == "finished":
            jobpanel.open_buttons(run.name, "models_open")
            st.download_button(
                _("Export"), lambda: exchange.pack(run), f"{run.name}.zip", "application/zip", key="models_export",
                icon=":material/download:", on_click="ignore", help=_("A zip that Bring in takes, here or elsewhere."),
            )  # fmt: skip
        if (
            run.status in ("unfinished", "diverged")
            and config is not None
            and st.button(_("Resume"), key="models_resume", icon=":material/resume:")
        ):
            _go_to_train(config, start=True)
        if config is not None and st.button(
            _("Train a variation"), key="models_variation", icon=":material/edit:",
            help=_("Opens the Train page with the form filled in like this run."),
        ):  # fmt: skip
            _go_to_train(config, start=False)
        if not run.shipped:
            with st.popover(_("Delete"), icon=":material/delete:", key="models_delete_popover"):
                st.markdown(_("The run and all its files go for good."))
                closed = not gate.is_teacher()
                st.button(
                    _("Delete for good"), key="models_delete", type="primary", on_click=_delete, args=(run,),
                    disabled=closed, help=gate.refusal() if closed else None,
                )  # fmt: skip


def _command(run: RunInfo) -> None:
    config = config_of(run)
    if config is not None:
        st.caption(_("The command that makes this run"))
        st.code(command(config), language="bash", wrap_lines=True)


def _go_to_train(config: RunConfig, *, start: bool) -> None:
    forms.fill(config)
    if start:
        jobpanel.submit(config, "auto")
    st.switch_page("pages/lab/train.py", query_params={jobpanel.JOB: config.name} if start else {})


def _delete(run: RunInfo) -> None:
    try:
        if not gate.is_teacher():
            raise ValueError(gate.refusal())
        checkpoints.delete_run(run)
        st.session_state[_SAID] = ("success", _("{} is deleted.").format(state.plain(run.name)))
        st.session_state.pop(RUN, None)
        st.session_state[VIEW] = "gallery"
    except (ValueError, OSError) as problem:
        st.session_state[_SAID] = ("error", worker.sentence(problem))
    loaders.runs.clear()


def config_of(run: RunInfo) -> RunConfig | None:
    """The config as this program understands it; None where it does not."""
    try:
        return RunConfig.from_dict(run.config)
    except (ValueError, TypeError, AttributeError):
        return None


# -- several runs ----------------------------------------------------------------------------------------------------


def compare() -> None:
    """Differing fields first, then numbers, then curves of the chosen runs."""
    names = state.pick_models(label=_("Runs to compare"))
    runs = sorted((run for run in loaders.finished() if run.name in names), key=lambda run: names.index(run.name))
    labels = {run.name: state.label_of(run.name) for run in runs}
    differ, same = differences({labels[run.name]: run.config for run in runs})
    st.markdown(f"**{_('What differs')}**")
    if differ:
        st.dataframe(differ, hide_index=True, key="models_differ")
    else:
        st.caption(_("Nothing: choose two runs at least."))
    st.markdown(f"**{_('Numbers on the test pictures')}**")
    st.dataframe(number_table(runs, labels), hide_index=True, key="models_compare_numbers")
    st.markdown(f"**{_('Curves')}**")
    histories = {labels[run.name]: jobpanel.lines(run.path) for run in runs}
    terms = jobpanel.terms(histories)
    if terms:
        term = st.segmented_control(
            _("Term"), terms, default=terms[0], required=True, key="models_term", label_visibility="collapsed",
            persist_state="session", wrap=True,
        )  # fmt: skip
        families = {labels[run.name]: run.family for run in runs}
        chart = loss_curves(histories, term, families=families, height=480)
        st.plotly_chart(chart, key="models_compare_curve", config={"displayModeBar": False})
    if len(runs) > 1:
        st.markdown(f"**{_('How they learnt, the first two in step')}**")
        jobpanel.play(runs[:2], "models_pair")
    with st.expander(_("What is the same"), key="models_same"):
        st.dataframe(same, hide_index=True, key="models_same_table")


def flat(config: dict, before: str = "") -> dict[str, object]:
    """{"model": {"beta": 4}} -> {"model.beta": 4}."""
    out: dict[str, object] = {}
    for key, value in config.items():
        out |= flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return out


def differences(configs: dict[str, dict]) -> tuple[list[dict], list[dict]]:
    """Rows of a table with one column per config: the fields in which they differ, and those in which they agree."""
    plain = {label: flat(config) for label, config in configs.items()}
    differ, same = [], []
    for key in dict.fromkeys(key for config in plain.values() for key in config):
        values = {label: str(config.get(key, "—")) for label, config in plain.items()}
        (differ if len(set(values.values())) > 1 else same).append({_("option"): key, **values})
    return differ, same


def number_table(runs: Sequence[RunInfo], labels: dict[str, str]) -> list[dict]:
    """A row per data set and number, a column per run."""
    found = {run.name: {d: plain_numbers(values) for d, values in run.metrics.items()} for run in runs}
    keys = dict.fromkeys((d, key) for sets in found.values() for d, values in sets.items() for key in values)
    rows = []
    for dataset, key in keys:
        cells = {labels[n]: sets.get(dataset, {}).get(key) for n, sets in found.items()}
        rows.append({_("test pictures of"): dataset, _("number"): with_unit(key), **cells})
    return rows


# -- import ----------------------------------------------------------------------------------------------------------


def bring_in() -> None:
    """A zip or folder of an exported run, checked wholly before anything is kept."""
    if not gate.is_teacher():
        st.info(gate.refusal())
        return
    st.markdown(_("A zip or folder that **Export** made, here or elsewhere. It is checked before anything is kept."))
    file = st.file_uploader(_("A run as zip"), type=["zip"], key="models_zip")
    files = st.file_uploader(_("or as a folder"), key="models_folder", accept_multiple_files="directory")
    if (file or files) and st.button(_("Bring it in"), key="models_import", type="primary"):
        with st.spinner(_("Checking ...")):
            _unpack(file.getvalue() if file else {each.name: each.getvalue() for each in files})


def _unpack(source: Source) -> None:
    try:
        name = exchange.unpack(source, gate.may_read)
        loaders.runs.clear()
        st.success(_("{} is here now.").format(name))
    except exchange.AlreadyHere as problem:
        name = problem.name
        st.info(_("{} is here already.").format(name))
    except (ValueError, OSError) as problem:
        st.error(_("Refused: {}.").format(state.literal(worker.sentence(problem))))
        return
    st.button(_("Show"), key="models_import_show", on_click=choose, args=(name,))


def said() -> None:
    """The sentence about what was just done."""
    kind, text = st.session_state.pop(_SAID, (None, ""))
    if kind:
        {"success": st.success, "error": st.error}[kind](state.literal(text))


# -- numbers and texts -----------------------------------------------------------------------------------------------


def plain_numbers(values) -> dict[str, float]:
    """The finite single numbers of a metrics table; lists and foreign things are left out."""
    if not isinstance(values, dict):
        return {}
    return {
        k: v
        for k, v in values.items()
        if k not in HIDDEN and isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)
    }


def main_numbers(run: RunInfo) -> dict[str, tuple[float, str]]:
    """The few numbers of a card, with units, on the run's own test set."""
    values = plain_numbers(run.metrics.get(run.dataset, {}))
    return {key: (values[key], unit_of(key)) for key in KEY_NUMBERS if key in values}


def _said(value: tuple[float, str]) -> str:
    number, unit = value
    return f"{number:.1f} {unit}"


def size(count: int) -> str:
    """Bytes as one says them."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"
