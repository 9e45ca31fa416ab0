"""What a request will cost, on the Train page: parameters at once, seconds when the tasks' worker has timed them."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from aevae import estimates, jobs
from aevae.config import RunConfig
from aevae.queuefile import QueueBroken
from aevae.ui import redraw, state
from aevae.ui.forms import duration
from aevae.ui.i18n import _
from aevae.ui.watch import beat

MAX_TIMED = 6  # models of a sweep that are timed; the others lie between them
_ASKED, _SHOWN = "costs_asked", "costs_shown"  # session: identity of a timing -> number of its job; was it known?


@dataclass(frozen=True)
class Cost:
    """parameters: of the largest model. seconds: to train all, from the start of the job; None while that is not known,
    and then `missing` are the runs to be timed."""

    parameters: int
    seconds: float | None
    missing: tuple[RunConfig, ...] = ()


def cost(configs: Sequence[RunConfig], device: str) -> Cost:
    """What these runs will cost on this machine, nothing else running and the data at hand. Raises ValueError."""
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
    except QueueBroken:  # the page says what is wrong with it elsewhere
        return Cost(max(sizes), None)
    return Cost(max(sizes), sum(parts))


def _spread(sizes: Sequence[int]) -> list[int]:
    """Numbers of at most MAX_TIMED groups, from the smallest to the largest."""
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
    """Seconds that these runs will take, as the form says; None where nobody can say."""
    try:
        return cost(configs, device).seconds
    except ValueError:
        return None


def show(configs: Sequence[RunConfig], device: str, several: bool = False) -> None:
    """Parameters, and the time, which comes when it is there. Raises ValueError."""
    found = cost(configs, device)
    with st.container(horizontal=True):
        st.metric(
            _("parameters"), f"{found.parameters:,}", width="content",
            help=_("of the largest of the models") if several else None,
        )  # fmt: skip
        problem = _ask(found.missing, device)
        waits = bool(found.missing) and not problem
        st.session_state[_SHOWN] = not waits
        redraw.fragment(_takes, run_every=beat() if waits else None)(configs, device)
    if problem:
        st.caption(_("How long it takes could not be measured: {}").format(state.literal(problem)))


def _takes(configs: Sequence[RunConfig], device: str) -> None:
    seconds = expected(configs, device)
    if seconds is None:  # another session may have cancelled the timing that both waited for
        with contextlib.suppress(ValueError):
            _ask(cost(configs, device).missing, device)
    if seconds is not None and not st.session_state.get(_SHOWN):
        st.rerun()  # which ends the looking
    st.metric(
        _("training takes"), "…" if seconds is None else duration(seconds), width="content",
        help=_("A few steps are being timed. You need not wait for it.") if seconds is None
        else _("Timed on this computer, and corrected by what earlier trainings took here."),
    )  # fmt: skip


def _ask(missing: Sequence[RunConfig], device: str) -> str:
    """Have these runs timed, and give up what this session asked for before. Returns what is wrong, or ""."""
    asked, problem = st.session_state.setdefault(_ASKED, {}), ""
    wanted = {estimates.size_of(config, device): config for config in missing}
    try:
        for key in set(asked) - set(wanted):
            jobs.cancel(asked.pop(key))
        for key, config in wanted.items():
            job = jobs.get(asked[key]) if key in asked else None
            if job and job.state == "failed":
                problem = job.error
            elif job is None or not job.active:  # somebody who no longer wanted it may have cancelled it
                asked[key] = estimates.ask(config, device).id
        if wanted and not problem:
            jobs.ensure_worker(jobs.TASKS_LANE)
    except (QueueBroken, OSError) as error:
        return str(error)
    return problem
