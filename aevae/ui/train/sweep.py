"""A sweep: several runs watched together, with their progress, their curves and their results.

The URL holds the fingerprints of the runs. All jobs and folders with these fingerprints belong to the sweep, no matter
who submitted them. So sweeps may share runs, be resumed in part, and be opened long after the training.
"""

from collections.abc import Sequence

import streamlit as st

from aevae.figures import rates
from aevae.queue import jobs
from aevae.queue.queuefile import Job, QueueBroken
from aevae.run_config import RunConfig
from aevae.store import checkpoints
from aevae.ui.i18n import _
from aevae.ui.shared import cached, markdown, run_picker
from aevae.ui.shared.option_words import option_title
from aevae.ui.train import costs, run_panel
from aevae.ui.train.jobs import (
    PROBLEM,
    cancel_button,
    counts,
    start_button,
    submit,
    sweep_label,
    together,
    watch,
    watch_together,
    watched,
)
from aevae.ui.train.sweep_runs import (
    MAX_COMPARED,
    SYMBOLS,
    Member,
    by_value,
    curves_of,
    evenly_chosen,
    labels_of,
    members_of,
    outcomes,
    rank_values,
    result_rows,
    seconds_left,
    varied_options,
)
from aevae.ui.train.sweep_strips import strips

CHOSEN_RUN, TERM = "train_sweep_one", "train_sweep_term"


def panel() -> None:
    """The runs watched together, else the panel of a single run with a button back to the others."""
    fingerprints = together()
    if watched() is None and fingerprints:
        run_panel.panel(lambda listing: _detail(fingerprints, listing))
        return
    if fingerprints:
        st.button(
            _("Back to all {}").format(len(fingerprints)), key="train_back", icon=":material/arrow_back:",
            on_click=watch_together, args=(fingerprints,),
        )  # fmt: skip
    run_panel.panel()


def runs_by_state(configs: Sequence[RunConfig]) -> dict[str, list[RunConfig]]:
    """The runs by state: `finished`, `active` (queued or running), `diverged`, `missing`."""
    active = {job.fingerprint for job in jobs.jobs(jobs.MAX_ACTIVE_JOBS) if job.active}
    found: dict[str, list[RunConfig]] = {"finished": [], "active": [], "diverged": [], "missing": []}
    for config in configs:
        if checkpoints.finished_run(config.name):
            found["finished"].append(config)
        elif config.fingerprint in active:
            found["active"].append(config)
        else:
            found["diverged" if checkpoints.diverged_run(config.name) else "missing"].append(config)
    return found


def offer_training(configs: Sequence[RunConfig], device: str) -> None:
    """The number of runs, the time, and the button that fits: train them, or show the existing ones."""
    try:
        found = runs_by_state(configs)
        missing = found["missing"]
        with st.container(horizontal=True):
            st.metric(_("runs"), len(configs), width="content")
            if missing:
                costs.show(missing, device, several=True)
    except (QueueBroken, ValueError) as problem:
        st.error(markdown.escape(problem))
        return
    here = len(found["finished"])
    if here and missing:
        st.caption(_("{} of them are finished and will not be trained again.").format(here))
    if found["diverged"]:
        st.caption(
            _("{} of them have diverged and will not be trained again. You can resume each of them.").format(
                len(found["diverged"])
            )
        )
    if not missing:
        known = _("All these runs are finished, so there is nothing to train.")
        if here + len(found["diverged"]) == len(configs):
            st.success(known)
        else:
            st.info(_("These runs are already in the queue."))
        st.button(
            _("Show the runs"), key="form_watch", on_click=watch_together,
            args=([config.fingerprint for config in configs],),
        )  # fmt: skip
        return
    title = _("Train {} runs").format(len(missing)) if len(missing) > 1 else _("Train the missing run")
    start_button(title, configs, device)


def _detail(fingerprints: Sequence[str], listing: list[Job]) -> set[str]:
    found = by_value(members_of(fingerprints, listing))
    if not found:
        st.info(
            _("None of the runs in this link is on this computer. Train them here, or import them on the page Models.")
        )
        return set()
    st.header(sweep_label([member.config for member in found]), anchor=False)
    differ = {name: list(rank_values(found, name)) for name in varied_options([member.config for member in found])}
    words = [f"{SYMBOLS.get(name, option_title(name))} = {', '.join(values)}" for name, values in differ.items()]
    seeds = len({member.config.get("seed", 0) for member in found})
    st.caption(" · ".join([*words, _("{} seeds").format(seeds)] if seeds > 1 else words))
    if len(found) < len(set(fingerprints)):
        st.caption(
            _("{} of the runs in this link are not on this computer.").format(len(set(fingerprints)) - len(found))
        )
    _progress(found)
    strips(found)
    _outcome(found)
    labels = labels_of(found)
    run_picker.say_rises({labels[member.name]: member.info for member in found if member.info})
    _curves(found)
    _single_run(found)
    return {member.name for member in found}


def _progress(found: Sequence[Member]) -> None:
    active = [member.job for member in found if not member.finished and member.job and member.job.active]
    left = [member for member in found if not member.finished and not (member.job and member.job.active)]
    if active:
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width="stretch"):
                st.progress(sum(member.part for member in found) / len(found), _progress_text(found, active))
            stopping = all(job.cancel for job in active)
            cancel_button([job.id for job in active], "train_cancel", stopping, _("Cancel all"))
        for note in dict.fromkeys(str(job.progress["note"]) for job in active if job.progress.get("note")):
            st.caption(markdown.escape(note))
    elif not left:
        st.success(_("Finished: {} runs.").format(len(found)))
    for error in dict.fromkeys(m.job.error for m in left if m.job and m.job.error):
        some = [labels_of(found)[m.name] for m in left if m.job and m.job.error == error]
        st.error(
            _("Failed: {} ({})").format(markdown.escape(error), "; ".join(some[:4]) + (" ..." if len(some) > 4 else ""))
        )
    if left:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(_("{} of {} runs were stopped. Their progress is saved.").format(len(left), len(found)))
            st.button(_("Resume"), key="train_resume", icon=":material/resume:", on_click=_resume, args=(left, found))


def _progress_text(found: Sequence[Member], active: Sequence[Job]) -> str:
    done = sum(member.finished for member in found)
    parts = [_("{} of {} finished").format(done, len(found))]
    loading = next((job.progress["loading"] for job in active if job.progress.get("loading")), None)
    if loading:
        return str(loading)
    pace = sum(job.progress.get("images_per_s") or 0 for job in active if job.state == "running")
    if pace:
        parts.append(_("{:,.0f} images / s together").format(pace))
    seconds = seconds_left(found)
    if seconds is not None:
        parts.append(_("{} left").format(costs.duration(seconds)))
    elif not pace:
        parts.append(counts(active))
    return " · ".join([*parts, _("stopping")] if any(job.cancel for job in active) else parts)


def _resume(left: Sequence[Member], found: Sequence[Member]) -> None:
    """Queue stopped and diverged runs again, as one sweep (a callback)."""
    try:
        configs = [RunConfig.from_dict(member.config) for member in left]
    except ValueError as problem:
        st.session_state[PROBLEM] = str(problem)
        return
    submit(configs, left[0].job.device if left[0].job else "auto", resume=True)
    watch_together([member.name.rpartition("-")[2] for member in found])


def _curves(found: Sequence[Member]) -> None:
    terms = run_panel.terms({member.name: member.history for member in found})
    if not terms:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{_('Curves on the test images')}**", width="content")
        term = st.segmented_control(
            _("Loss term"), terms, default=terms[0], required=True, key=TERM, label_visibility="collapsed",
            persist_state="session", wrap=True,
        )  # fmt: skip
    chart = rates.curve_family(curves_of(found), term)
    st.plotly_chart(chart, key="train_sweep_curves", config={"displayModeBar": False})
    if len({member.config.get("seed", 0) for member in found}) > 1:
        st.caption(_("Thin lines: each seed. Thick line: their mean."))


def _outcome(found: Sequence[Member]) -> None:
    rows, title = outcomes(found)
    if len(rows) < 2:
        return
    st.markdown(f"**{_('recon and {}').format(title) if title else _('Rate and distortion')}**")
    chart = rates.rate_distortion(rows, title)
    st.plotly_chart(chart, key="train_sweep_rates", config={"displayModeBar": False})
    if title:
        st.caption(
            _("The reconstruction cost of a test image, in nats, for each value of the option. Lower is better.")
        )
    else:
        st.caption(
            _(
                "To the right: the nats that the code costs (rate). Upwards: the nats that the image costs when its "
                "code is known (distortion). The ELBO is the same along a dotted line; lower left is better."
            )
        )


def _single_run(found: Sequence[Member]) -> None:
    """A table of all runs, and one of them to watch, cancel or open."""
    labels = labels_of(found)
    with st.expander(_("Each run in a table"), key="train_sweep_each"):
        st.dataframe(result_rows(found), hide_index=True, key="train_sweep_table")
    names = [member.name for member in found]
    if st.session_state.get(CHOSEN_RUN) not in names:
        st.session_state.pop(CHOSEN_RUN, None)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox(
            _("Run of this sweep"), names, format_func=labels.get, key=CHOSEN_RUN, persist_state="session", width=280
        )
        member = next(member for member in found if member.name == name)
        if member.info or member.job:
            st.button(
                _("Watch this run"), key="train_sweep_watch", on_click=watch, args=(name,), icon=":material/movie:"
            )
        if member.job and member.job.active:
            cancel_button([member.job.id], "train_sweep_cancel", member.job.cancel, _("Cancel this run"))
    if member.info and member.finished:
        run_panel.open_buttons(member.info, "train_sweep_open")
    ended = [member.name for member in found if member.finished]
    if len(ended) > 1:
        chosen = evenly_chosen([member for member in found if member.finished])
        title = _("Show them side by side") if len(ended) <= MAX_COMPARED else _("Show {} of them side by side")
        if st.button(title.format(len(chosen)), key="train_sweep_compare", icon=":material/compare:"):
            compare(chosen)


def compare(names: Sequence[str]) -> None:
    """Go to the Models page with these runs side by side."""
    cached.runs.clear()
    st.session_state[run_picker.MODELS], st.session_state["view"] = list(names), "compare"
    st.switch_page("pages/lab/models.py", query_params={"view": "compare", run_picker.MODELS: list(names)})
