"""Several runs watched as one: their progress, the family of their curves, and where they ended.

The runs are known by their fingerprints (in the URL); whatever queue entries and folders there are belong to them,
whoever asked for them. So sweeps may share runs, be resumed in part, and be looked at long after.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from aevae import paths
from aevae.figures import rates
from aevae.queue import jobs
from aevae.queue.queuefile import Job, QueueBroken
from aevae.run_config import RunConfig
from aevae.store import checkpoints
from aevae.store.checkpoints import NAME, RunInfo
from aevae.ui.i18n import _
from aevae.ui.shared import cached
from aevae.ui.shared import run_picker as state
from aevae.ui.train import costs, form, run_panel

SIGNS = {"latent_dim": "d", "beta": "β"}  # of options; the others go by their name
MOST_COMPARED = 4
ONE, TERM = "train_sweep_one", "train_sweep_term"
_FILES = ("state.json", "history.jsonl", "config.json")  # that change while a run is trained


@dataclass(frozen=True)
class Member:
    """One run of a sweep: its config, its newest job, its folder with the lines of its history."""

    name: str
    config: dict
    job: Job | None
    info: RunInfo | None
    history: list[dict]

    @property
    def finished(self) -> bool:
        return self.info is not None and self.info.status == "finished"

    @property
    def state(self) -> str:
        """`finished`, `diverged`, a state of a job, or `unfinished`."""
        if self.finished:
            return "finished"
        if self.info is not None and self.info.status == "diverged" and not (self.job and self.job.active):
            return "diverged"
        return self.job.state if self.job else "unfinished"

    @property
    def part(self) -> float:
        """How much of it is done, 0..1."""
        if self.finished:
            return 1.0
        at = self.job.progress if self.job and self.job.progress.get("steps") else self.info.state if self.info else {}
        return min(at.get("step", 0) / at["steps"], 1.0) if at.get("steps") else 0.0


# -- what the Train page asks ----------------------------------------------------------------------------------------


def panel() -> None:
    """The runs that are watched as one, else the panel of a single run, with the way back to the others."""
    fingerprints = run_panel.together()
    if run_panel.watched() is None and fingerprints:
        run_panel.panel(lambda listing: _detail(fingerprints, listing))
        return
    if fingerprints:
        st.button(
            _("Back to all {}").format(len(fingerprints)), key="train_back", icon=":material/arrow_back:",
            on_click=run_panel.watch_together, args=(fingerprints,),
        )  # fmt: skip
    run_panel.panel()


def standing(configs: Sequence[RunConfig]) -> dict[str, list[RunConfig]]:
    """Which of these runs are `finished`, `active` (queued or running), `diverged`, or `missing`."""
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


def offer(configs: Sequence[RunConfig], device: str) -> None:
    """How many runs, how long, and the button that fits: train them, or show what is there."""
    try:
        found = standing(configs)
        missing = found["missing"]
        with st.container(horizontal=True):
            st.metric(_("runs"), len(configs), width="content")
            if missing:
                costs.show(missing, device, several=True)
    except (QueueBroken, ValueError) as problem:
        st.error(state.literal(problem))
        return
    here = len(found["finished"])
    if here and missing:
        st.caption(_("{} of them are here already and are not trained again.").format(here))
    if found["diverged"]:
        st.caption(
            _("{} of them have diverged and are not trained again; each can be resumed by itself.").format(
                len(found["diverged"])
            )
        )
    if not missing:
        known = _("These runs are all here already, so there is nothing to train.")
        if here + len(found["diverged"]) == len(configs):
            st.success(known)
        else:
            st.info(_("These runs are on the queue already."))
        st.button(
            _("Show them"), key="form_watch", on_click=run_panel.watch_together,
            args=([config.fingerprint for config in configs],),
        )  # fmt: skip
        return
    title = _("Train {} runs").format(len(missing)) if len(missing) > 1 else _("Train the one that is missing")
    run_panel.start_button(title, configs, device)


# -- who they are ----------------------------------------------------------------------------------------------------


def members(fingerprints: Sequence[str], listing: Sequence[Job]) -> list[Member]:
    """The runs of these fingerprints that a job or a folder knows, in their order."""
    newest = {job.fingerprint: job for job in sorted(listing, key=lambda job: job.id)}
    names = {fingerprint: job.run for fingerprint, job in newest.items()}
    if any(fingerprint not in names for fingerprint in fingerprints):
        names = {run.fingerprint: run.name for run in cached.runs() if NAME.fullmatch(run.name)} | names
    found = []
    for fingerprint in dict.fromkeys(fingerprints):
        if fingerprint in names:
            job, name = newest.get(fingerprint), names[fingerprint]
            info, history = _folder(name)
            config = info.config if info and info.config else job.config if job else {}
            if config:
                found.append(Member(name, config, job, info, history))
    return found


def _folder(name: str) -> tuple[RunInfo | None, list[dict]]:
    """The run's folder and history, read again only when they changed."""
    roots = (paths.pretrained_dir(), paths.runs_dir())
    return _read(name, str(roots), tuple(_changed(root / name / file) for root in roots for file in _FILES))


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_data(max_entries=1000, show_spinner=False)
def _read(name: str, roots: str, stamps: tuple) -> tuple[RunInfo | None, list[dict]]:
    info = run_panel.look(name)
    return info, run_panel.lines(info.path) if info else []


def options(config: dict) -> dict[str, object]:
    """All options of a config dict by their names, without the seed."""
    parts = [config.get(part) for part in ("model", "train", "data")]
    return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}


def varied(configs: Sequence[dict]) -> list[str]:
    """Options in which these configs differ, most telling first: options of the objective, then the code's size."""
    rows = [options(config) for config in configs]
    found = [key for key in dict.fromkeys(k for row in rows for k in row) if len({str(r.get(key)) for r in rows}) > 1]
    return sorted(found, key=lambda key: (key == "latent_dim", key != "beta"))


def value_label(config: dict, names: Sequence[str]) -> str:
    """`β = 4, d = 2`: the values of these options."""
    values = options(config)
    return ", ".join(f"{SIGNS.get(name, form.pretty(name))} = {_shown(values.get(name))}" for name in names)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else state.plain(str(value))


def names_of(found: Sequence[Member]) -> dict[str, str]:
    """Run name -> what sets it apart from the others."""
    differ = varied([member.config for member in found])
    seeds = len({member.config.get("seed", 0) for member in found}) > 1
    labels = {}
    for member in found:
        parts = [value_label(member.config, differ)] if differ else []
        parts += [f"{_('seed')} {member.config.get('seed', 0)}"] if seeds or not differ else []
        labels[member.name] = " · ".join(parts)
    return labels


# -- figures ---------------------------------------------------------------------------------------------------------


def curves(found: Sequence[Member]) -> list[rates.Curve]:
    """Histories, coloured by the first option that varies, dashed by the second."""
    differ = varied([member.config for member in found])
    ranks = [_ranks(found, name) for name in differ[:2]]
    out = []
    for member in found:
        colour, dash = (
            ranks[i][_shown(options(member.config).get(differ[i]))] if i < len(ranks) else 0 for i in (0, 1)
        )
        part = colour / max(len(ranks[0]) - 1, 1) if ranks else 0.0
        out.append(rates.Curve(value_label(member.config, differ), part, dash, member.history))
    return out


def _ranks(found: Sequence[Member], name: str) -> dict[str, int]:
    values = {options(member.config).get(name) for member in found}
    numeric = all(isinstance(value, int | float) for value in values)
    return {_shown(value): i for i, value in enumerate(sorted(values, key=None if numeric else str))}


def outcomes(found: Sequence[Member]) -> tuple[list[rates.Outcome], str]:
    """Where finished runs ended, and the title of the x-axis: "" for the KL, else the option it shows."""
    ended = [(member, numbers) for member in found if (numbers := _numbers(member))]
    differ = varied([member.config for member in found])
    rated = bool(ended) and all("kl" in numbers for _member, numbers in ended)
    others = [name for name in differ if name != "latent_dim"]
    if rated:
        point = others[0] if others else "latent_dim"
    else:
        numeric = [name for name in others if all(_is_number(member, name) for member in found)]
        point = "latent_dim" if "latent_dim" in differ or not numeric else numeric[0]
    lines = sorted((name for name in differ if name != point), key=lambda name: name != "latent_dim")
    rows = [
        rates.Outcome(
            value_label(member.config, lines),
            value_label(member.config, [point]),
            numbers["kl"] if rated else float(options(member.config).get(point, 0)),
            numbers["recon"],
        )
        for member, numbers in ended
    ]
    return rows, "" if rated else form.pretty(point)


def _is_number(member: Member, name: str) -> bool:
    value = options(member.config).get(name)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(member: Member) -> dict[str, float]:
    """recon and, of a model that has it, kl of a finished run on its own test pictures; {} without them."""
    if not member.finished:
        return {}
    found = member.info.metrics.get(member.config.get("data", {}).get("name"), {})
    kept = {k: v for k in ("recon", "kl", "elbo") if isinstance(v := found.get(k), int | float)}
    return kept if "recon" in kept else {}


# -- on the page -----------------------------------------------------------------------------------------------------


def _detail(fingerprints: Sequence[str], listing: list[Job]) -> set[str]:
    found = members(fingerprints, listing)
    if not found:
        st.info(_("None of the runs of this link is here."))
        return set()
    st.header(run_panel.set_label([member.config for member in found]), anchor=False)
    differ = {name: list(_ranks(found, name)) for name in varied([member.config for member in found])}
    words = [f"{SIGNS.get(name, form.pretty(name))} = {', '.join(values)}" for name, values in differ.items()]
    seeds = len({member.config.get("seed", 0) for member in found})
    st.caption(" · ".join([*words, _("{} seeds").format(seeds)] if seeds > 1 else words))
    if len(found) < len(set(fingerprints)):
        st.caption(_("{} of the runs of this link are not here.").format(len(set(fingerprints)) - len(found)))
    _progress(found)
    _outcome(found)
    _curves(found)
    _one_of(found)
    return {member.name for member in found}


def _progress(found: Sequence[Member]) -> None:
    active = [member.job for member in found if not member.finished and member.job and member.job.active]
    left = [member for member in found if not member.finished and not (member.job and member.job.active)]
    if active:
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width="stretch"):
                st.progress(sum(member.part for member in found) / len(found), _progress_text(found, active))
            stopping = all(job.cancel for job in active)
            run_panel.cancel_button([job.id for job in active], "train_cancel", stopping, _("Cancel all"))
        for note in dict.fromkeys(str(job.progress["note"]) for job in active if job.progress.get("note")):
            st.caption(state.literal(note))
    elif not left:
        st.success(_("Finished: {} runs.").format(len(found)))
    for error in dict.fromkeys(m.job.error for m in left if m.job and m.job.error):
        some = [names_of(found)[m.name] for m in left if m.job and m.job.error == error]
        st.error(
            _("Failed: {} ({})").format(state.literal(error), "; ".join(some[:4]) + (" ..." if len(some) > 4 else ""))
        )
    if left:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(_("{} of {} runs were stopped; what they learnt is kept.").format(len(left), len(found)))
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
        parts.append(_("{} left").format(form.duration(seconds)))
    elif not pace:
        parts.append(run_panel.counts(active))
    return " · ".join([*parts, _("is being stopped")] if any(job.cancel for job in active) else parts)


def seconds_left(found: Sequence[Member]) -> float | None:
    """Until all active runs are done: those that wait are as much slower than expected as those that move now; where
    nothing was expected of them, they go as those. None before that is known."""
    active = [member for member in found if member.job and member.job.active and not member.finished]
    running = [member for member in active if member.job.state == "running" and member.part < 1]
    known = [member for member in running if member.job.progress.get("seconds_left") is not None]
    if not known or any(member.job.pace != "go" for member in known):
        return None
    moving = [member for member in known if member.part > 0]
    if not moving:
        return jobs.seconds_left([member.job for member in known])
    left, part = jobs.seconds_left([member.job for member in moving]), min(member.part for member in moving)
    planned = [member for member in known if member not in moving]
    told = max(member.job.progress.get("expected") or 0 for member in moving)
    slower = left / (1 - part) / told if told else 1.0
    waiting = sum(1 - member.part for member in active if member not in known)
    return left + slower * jobs.seconds_left([m.job for m in planned]) + waiting * left / (1 - part) / len(moving)


def _resume(left: Sequence[Member], found: Sequence[Member]) -> None:
    """Queue again what was stopped or diverged, as one sweep (a callback)."""
    try:
        configs = [RunConfig.from_dict(member.config) for member in left]
    except ValueError as problem:
        st.session_state["train_problem"] = str(problem)
        return
    run_panel.submit(configs, left[0].job.device if left[0].job else "auto", resume=True)
    run_panel.watch_together([member.name.rpartition("-")[2] for member in found])


def _curves(found: Sequence[Member]) -> None:
    terms = run_panel.terms({member.name: member.history for member in found})
    if not terms:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{_('Curves on the test pictures')}**", width="content")
        term = st.segmented_control(
            _("Term"), terms, default=terms[0], required=True, key=TERM, label_visibility="collapsed",
            persist_state="session", wrap=True,
        )  # fmt: skip
    chart = rates.curve_family(curves(found), term)
    st.plotly_chart(chart, key="train_sweep_curves", config={"displayModeBar": False})
    if len({member.config.get("seed", 0) for member in found}) > 1:
        st.caption(_("Thin: each seed. Strong: their mean."))


def _outcome(found: Sequence[Member]) -> None:
    rows, title = outcomes(found)
    if len(rows) < 2:
        return
    st.markdown(f"**{_('recon against {}').format(title) if title else _('Rate and distortion')}**")
    chart = rates.rate_distortion(rows, title)
    st.plotly_chart(chart, key="train_sweep_rates", config={"displayModeBar": False})
    if title:
        st.caption(_("What is left to say about a test picture, in nats, against the option: lower is better."))
    else:
        st.caption(
            _(
                "To the right: nats that the code costs. Upwards: nats still to be said once the code is known. "
                "On a dotted line the ELBO is the same; the further down on the left, the better."
            )
        )


def _one_of(found: Sequence[Member]) -> None:
    """All numbers, and one of them to be watched, stopped or opened."""
    labels = names_of(found)
    with st.expander(_("Each run in numbers"), key="train_sweep_each"):
        st.dataframe(table(found), hide_index=True, key="train_sweep_table")
    names = [member.name for member in found]
    if st.session_state.get(ONE) not in names:
        st.session_state.pop(ONE, None)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox(
            _("One of them"), names, format_func=labels.get, key=ONE, persist_state="session", width=280
        )
        member = next(member for member in found if member.name == name)
        if member.info or member.job:
            st.button(
                _("Watch it"), key="train_sweep_watch", on_click=run_panel.watch, args=(name,), icon=":material/movie:"
            )
        if member.job and member.job.active:
            run_panel.cancel_button([member.job.id], "train_sweep_cancel", member.job.cancel, _("Cancel it"))
    if member.finished:
        run_panel.open_buttons(name, "train_sweep_open")
    ended = [member.name for member in found if member.finished]
    if len(ended) > 1:
        chosen = spread([member for member in found if member.finished])
        title = _("Compare them in Models") if len(ended) <= MOST_COMPARED else _("Compare {} of them in Models")
        if st.button(title.format(len(chosen)), key="train_sweep_compare", icon=":material/compare:"):
            compare(chosen)


def spread(found: Sequence[Member]) -> list[str]:
    """At most four of these runs, of one seed where there are several, evenly from the first to the last."""
    seed = min(member.config.get("seed", 0) for member in found)
    same = [member.name for member in found if member.config.get("seed", 0) == seed]
    names = same if len(same) > 1 else [member.name for member in found]
    count = min(len(names), MOST_COMPARED)
    return [names[round(i * (len(names) - 1) / max(count - 1, 1))] for i in range(count)]


def compare(names: Sequence[str]) -> None:
    """Go to the Models page with these runs side by side."""
    cached.runs.clear()
    st.session_state[state.MODELS], st.session_state["view"] = list(names), "compare"
    st.switch_page("pages/lab/models.py", query_params={"view": "compare", state.MODELS: list(names)})


def table(found: Sequence[Member]) -> list[dict]:
    """A row per run: what sets it apart, where it is, how it ended."""
    differ = varied([member.config for member in found])
    words = {"finished": _("finished"), "queued": _("waits"), "running": _("running"), "failed": _("failed")}
    words |= {"done": _("done"), "cancelled": _("cancelled"), "unfinished": _("unfinished")}
    words["diverged"] = _("diverged")
    return [
        {SIGNS.get(name, form.pretty(name)): options(member.config).get(name) for name in differ}
        | {_("seed"): member.config.get("seed", 0), _("state"): words.get(member.state, member.state)}
        | {f"{name} (nats)": value for name, value in _numbers(member).items()}
        for member in found
    ]
