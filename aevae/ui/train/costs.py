"""Costs of a request on the Train page: parameters at once, seconds as soon as the tasks worker has timed a step."""

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from aevae.queue import estimates, jobs
from aevae.queue.queuefile import QueueBroken
from aevae.run_config import RunConfig
from aevae.ui.frame.monitoring import beat
from aevae.ui.i18n import _
from aevae.ui.shared import markdown, redraw

MAX_TIMED = 6  # models of a sweep that are timed; times of the others are interpolated
_ASKED, _SHOWN = "costs_asked", "costs_shown"  # session: identity of a timing -> job id; whether the time was shown


@dataclass(frozen=True)
class Cost:
    """parameters: of the largest model. seconds: to train all runs; None while `missing` runs must be timed."""

    parameters: int
    seconds: float | None
    missing: tuple[RunConfig, ...] = ()


def cost(configs: Sequence[RunConfig], device: str) -> Cost:
    """The Cost of these runs on this machine, without other load and with data on disk. Raises ValueError."""
    from aevae import runs
    from aevae.training.device import pick_device

    where = pick_device(device)
    groups = runs.side_by_side(configs, where)
    sizes = [_parameters(json.dumps(group[0].to_dict()["model"], sort_keys=True), group[0]) for group in groups]
    timed = [groups[i][0] for i in _spread(sizes)]
    try:
        paces = [estimates.pace(config, device) for config in timed]
        missing = tuple(config for config, pace in zip(timed, paces, strict=True) if pace is None)
        if missing:
            return Cost(max(sizes), None, missing)
        known = sorted((pace.parameters, pace.seconds) for pace in paces)
        per_image = np.interp(sizes, *zip(*known, strict=True))
        parts = [estimates.expected(g, float(s), device, str(where)) for g, s in zip(groups, per_image, strict=True)]
    except QueueBroken:  # another part of the page shows the problem
        return Cost(max(sizes), None)
    return Cost(max(sizes), sum(parts))


def _spread(sizes: Sequence[int]) -> list[int]:
    """Indices of at most MAX_TIMED groups, evenly from the smallest to the largest."""
    order = np.argsort(sizes, kind="stable")
    return [
        int(order[i]) for i in np.unique(np.linspace(0, len(sizes) - 1, min(len(sizes), MAX_TIMED)).round().astype(int))
    ]


@st.cache_data(max_entries=500, show_spinner=False)
def _parameters(model: str, _config: RunConfig) -> int:
    from aevae.models import build_model
    from aevae.models.blocks import parameter_count

    return parameter_count(build_model(_config.model))


def expected(configs: Sequence[RunConfig], device: str) -> float | None:
    """Expected seconds of these runs, as shown in the form; None if unknown."""
    try:
        return cost(configs, device).seconds
    except ValueError:
        return None


def show(configs: Sequence[RunConfig], device: str, several: bool = False) -> None:
    """Show the number of parameters, and the time as soon as it is known. Raises ValueError."""
    found = cost(configs, device)
    with st.container(horizontal=True):
        st.metric(
            _("parameters"), f"{found.parameters:,}", width="content",
            help=_("of the largest of these models") if several else None,
        )  # fmt: skip
        problem = _ask(found.missing, device)
        waits = bool(found.missing) and not problem
        st.session_state[_SHOWN] = not waits
        redraw.fragment(_takes, run_every=beat() if waits else None)(configs, device)
    if problem:
        st.caption(_("The training time could not be measured: {}").format(markdown.escape(problem)))


def _takes(configs: Sequence[RunConfig], device: str) -> None:
    seconds = expected(configs, device)
    if seconds is None:  # another session may have cancelled the timing
        with contextlib.suppress(ValueError):
            _ask(cost(configs, device).missing, device)
    if seconds is not None and not st.session_state.get(_SHOWN):
        st.rerun()  # ends the polling
    st.metric(
        _("training time"), "…" if seconds is None else duration(seconds), width="content",
        help=_("aevae measures a few steps. You can start the training now.") if seconds is None
        else _("Measured on this computer, and corrected with the times of earlier trainings."),
    )  # fmt: skip


def _ask(missing: Sequence[RunConfig], device: str) -> str:
    """Submit timings of these runs and cancel this session's earlier ones. Returns the problem, or ""."""
    submitted, problem = st.session_state.setdefault(_ASKED, {}), ""
    wanted = {estimates.size_of(config, device): config for config in missing}
    try:
        for key in set(submitted) - set(wanted):
            jobs.cancel(submitted.pop(key))
        for key, config in wanted.items():
            job = jobs.get(submitted[key]) if key in submitted else None
            if job and job.state == "failed":
                problem = job.error
            elif job is None or not job.active:  # another session may have cancelled it
                submitted[key] = estimates.submit(config, device).id
        if wanted and not problem:
            jobs.ensure_worker(jobs.TASKS_LANE)
    except (QueueBroken, OSError) as error:
        return str(error)
    return problem


def duration(seconds: float) -> str:
    """A duration as text: `about 40 s`, `about 3 min`, `about 2 h`."""
    if seconds < 5:
        return _("a few seconds")
    scales = ((90, 1, _("about {:g} s")), (5400, 60, _("about {:g} min")), (math.inf, 3600, _("about {:g} h")))
    for limit, size, text in scales:
        if seconds < limit:
            count = seconds / size
            return text.format(round(count, -1 if count >= 20 else 0 if count >= 2 or size == 1 else 1))
    raise ValueError(f"seconds must be a finite number, got {seconds}")
