"""The view of one run: film, curves, metrics, config and actions."""

from collections.abc import Sequence

import streamlit as st

from aevae import datasets, metrics
from aevae.exchange import run_archive
from aevae.queue import errors
from aevae.reporting import comparison
from aevae.reporting.report import command
from aevae.run_config import RunConfig
from aevae.store import checkpoints
from aevae.store.checkpoints import RunInfo
from aevae.ui.frame import access
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.models.gallery import RUN, VIEW, badge
from aevae.ui.models.metrics import finite_metrics, size_text, unit_of
from aevae.ui.shared import address, cached, markdown, run_picker
from aevae.ui.train import form, jobs, naming, run_panel

_LAST_ACTION = "models_said"  # session: (kind of message, sentence) about the last action


def _chosen_run(runs: Sequence[RunInfo]) -> RunInfo | None:
    """The run in the address, else the last one of this session; a wrong name gives a message."""
    wanted = st.session_state.get(RUN)
    if not wanted:
        return None
    hits = [run for run in runs if run.name == wanted or (len(wanted) >= 6 and run.fingerprint.startswith(wanted))]
    if len(hits) != 1:
        st.warning(
            _("There is no run {} on this computer. Choose a run in the gallery.").format(markdown.strip(wanted[:80]))
        )
        st.session_state.pop(RUN, None)
        return None
    st.session_state[RUN] = hits[0].name
    address.write(RUN, hits[0].name)
    return hits[0]


def one_run(runs: Sequence[RunInfo]) -> None:
    """Show the chosen run."""
    run = _chosen_run(runs)
    if run is None:
        st.info(_("Choose a run in the gallery."))
        return
    component.mount("top", "models_top", {"key": run.name})
    st.header(markdown.strip(run_picker.run_labels(runs)[run.name]), anchor=False)
    st.caption(f"{run_picker.about(run)} · {size_text(run.size)}")
    st.markdown(f"{badge(run)} `{markdown.strip(run.name)}`")
    if run.status == "damaged":
        st.error(_("This run cannot be opened: {}.").format(markdown.escape(run.reason)))
    if run.status == "diverged":
        st.warning(_("Training diverged: {}.").format(markdown.escape(run.reason)) + " " + jobs.resumes_at(run))
    if run.warning:
        st.warning(_("Warning: {}").format(markdown.escape(run.warning)))
    _actions(run)
    run_panel.film(run, key="models")
    left, right = st.columns([3, 2], gap="large")
    with left:
        run_panel.curves(run, "models_curve")
    with right:
        _metrics(run)
        _command(run)
    with st.expander(_("Full config"), expanded=run.status == "damaged", key="models_config"):
        st.json(run.config)
        st.json(run.state, expanded=False)


def _metrics(run: RunInfo) -> None:
    for name in run.metrics:
        rows = [
            {_("metric"): comparison.title(key), _("value"): f"{value:,.6g}", _("unit"): unit_of(key), _("key"): key}
            for key, value in finite_metrics(metrics.current(run, name)).items()
        ]
        st.caption(_("On the test images of {}").format(markdown.strip(datasets.title_of(name))))
        st.dataframe(rows, hide_index=True, key=f"models_metrics_{name}")


def _actions(run: RunInfo) -> None:
    config = config_of(run)
    with st.container(horizontal=True, gap="small"):
        if run.status == "finished":
            run_panel.open_buttons(run, "models_open")
            st.download_button(
                _("Export"), lambda: run_archive.pack(run), f"{run.name}.zip", "application/zip", key="models_export",
                icon=":material/download:", on_click="ignore", help=_(
                    "Downloads a zip. **Import** reads it, on this or another computer."
                ),
            )  # fmt: skip
        if (
            run.status in ("unfinished", "diverged")
            and config is not None
            and st.button(_("Resume"), key="models_resume", icon=":material/resume:")
        ):
            _go_to_train(config, start=True)
        if config is not None and st.button(
            _("Train a variation"), key="models_variation", icon=":material/edit:",
            help=_("Opens the Train page with the options of this run."),
        ):  # fmt: skip
            _go_to_train(config, start=False)
        naming.name_form(run, "models_name")
        if not run.shipped:
            with st.popover(_("Delete"), icon=":material/delete:", key="models_delete_popover"):
                st.markdown(_("This deletes the run and all its files. You cannot undo this."))
                closed = not access.is_teacher()
                st.button(
                    _("Delete the run"), key="models_delete", type="primary", on_click=_delete, args=(run,),
                    disabled=closed, help=access.refusal() if closed else None,
                )  # fmt: skip


def _command(run: RunInfo) -> None:
    config = config_of(run)
    if config is not None:
        st.caption(_("The command that trains this run"))
        st.code(command(config), language="bash", wrap_lines=True)


def _go_to_train(config: RunConfig, *, start: bool) -> None:
    form.fill(config)
    if start:
        jobs.submit(config, "auto")
    st.switch_page("pages/lab/train.py", query_params={jobs.JOB: config.name} if start else {})


def _delete(run: RunInfo) -> None:
    try:
        if not access.is_teacher():
            raise ValueError(access.refusal())
        checkpoints.delete_run(run)
        st.session_state[_LAST_ACTION] = ("success", _("{} is deleted.").format(markdown.strip(run.name)))
        st.session_state.pop(RUN, None)
        st.session_state[VIEW] = "gallery"
    except (ValueError, OSError) as problem:
        st.session_state[_LAST_ACTION] = ("error", errors.user_message(problem))
    cached.runs.clear()


def config_of(run: RunInfo) -> RunConfig | None:
    """The RunConfig of a run; None if this version cannot read it."""
    try:
        return RunConfig.from_dict(run.config)
    except (ValueError, TypeError, AttributeError):
        return None


def report_last_action() -> None:
    """Show the sentence about the last action."""
    kind, text = st.session_state.pop(_LAST_ACTION, (None, ""))
    if kind:
        {"success": st.success, "error": st.error}[kind](markdown.escape(text))
