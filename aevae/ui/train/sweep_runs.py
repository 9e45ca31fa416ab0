"""The runs of a sweep: their differing options, their progress and their results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from aevae import paths
from aevae.figures import rates
from aevae.queue import jobs
from aevae.queue.queuefile import Job
from aevae.store.checkpoints import NAME, RunInfo
from aevae.ui.i18n import _
from aevae.ui.shared import cached, markdown
from aevae.ui.shared.option_words import option_title
from aevae.ui.train import run_panel
from aevae.ui.train.jobs import read_folder

SYMBOLS = {"latent_dim": "d", "beta": "β"}  # option -> symbol; other options are shown by name
MAX_COMPARED = 4
_CHANGING_FILES = ("state.json", "history.jsonl", "config.json")  # that change while a run is trained


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
        """The finished fraction, 0..1."""
        if self.finished:
            return 1.0
        at = self.job.progress if self.job and self.job.progress.get("steps") else self.info.state if self.info else {}
        return min(at.get("step", 0) / at["steps"], 1.0) if at.get("steps") else 0.0


def members_of(fingerprints: Sequence[str], listing: Sequence[Job]) -> list[Member]:
    """The runs of these fingerprints that have a job or a folder, in this order."""
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
    """The run's folder and history, read again only after a change."""
    roots = (paths.pretrained_dir(), paths.runs_dir())
    stamps = tuple(_modified_ns(root / name / file) for root in roots for file in _CHANGING_FILES)
    return _read(name, str(roots), stamps)


def _modified_ns(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_data(max_entries=1000, show_spinner=False)
def _read(name: str, roots: str, stamps: tuple) -> tuple[RunInfo | None, list[dict]]:
    info = read_folder(name)
    return info, run_panel.read_history(info.path) if info else []


def options(config: dict) -> dict[str, object]:
    """All options of a config dict by their names, without the seed."""
    parts = [config.get(part) for part in ("model", "train", "data")]
    return {key: value for part in parts if isinstance(part, dict) for key, value in part.items()}


def varied_options(configs: Sequence[dict]) -> list[str]:
    """Options in which these configs differ, most telling first: options of the objective, then the code's size."""
    rows = [options(config) for config in configs]
    found = [key for key in dict.fromkeys(k for row in rows for k in row) if len({str(r.get(key)) for r in rows}) > 1]
    return sorted(found, key=lambda key: (key == "latent_dim", key != "beta"))


def value_label(config: dict, names: Sequence[str]) -> str:
    """`β = 4, d = 2`: the values of these options."""
    values = options(config)
    return ", ".join(f"{SYMBOLS.get(name, option_title(name))} = {_shown(values.get(name))}" for name in names)


def _shown(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:g}" if is_number else markdown.strip(str(value))


def labels_of(found: Sequence[Member]) -> dict[str, str]:
    """Run name -> the options (and seed) in which it differs from the others."""
    differ = varied_options([member.config for member in found])
    seeds = len({member.config.get("seed", 0) for member in found}) > 1
    labels = {}
    for member in found:
        parts = [value_label(member.config, differ)] if differ else []
        parts += [f"{_('seed')} {member.config.get('seed', 0)}"] if seeds or not differ else []
        labels[member.name] = " · ".join(parts)
    return labels


def curves_of(found: Sequence[Member]) -> list[rates.Curve]:
    """Histories, coloured by the first option that varies, dashed by the second."""
    differ = varied_options([member.config for member in found])
    ranks = [rank_values(found, name) for name in differ[:2]]
    out = []
    for member in found:
        colour, dash = (
            ranks[i][_shown(options(member.config).get(differ[i]))] if i < len(ranks) else 0 for i in (0, 1)
        )
        part = colour / max(len(ranks[0]) - 1, 1) if ranks else 0.0
        out.append(rates.Curve(value_label(member.config, differ), part, dash, member.history))
    return out


def rank_values(found: Sequence[Member], name: str) -> dict[str, int]:
    values = {options(member.config).get(name) for member in found}
    numeric = all(isinstance(value, int | float) for value in values)
    return {_shown(value): i for i, value in enumerate(sorted(values, key=None if numeric else str))}


def by_value(found: Sequence[Member]) -> list[Member]:
    """The runs in the order of the values in which they differ, then of their seeds."""
    ranks = {name: rank_values(found, name) for name in varied_options([member.config for member in found])}

    def key(member: Member) -> tuple:
        values = options(member.config)
        return (*(rank[_shown(values.get(name))] for name, rank in ranks.items()), member.config.get("seed", 0))

    return sorted(found, key=key)


def outcomes(found: Sequence[Member]) -> tuple[list[rates.Outcome], str]:
    """The results of finished runs, and the title of the x-axis: "" for the KL, else an option."""
    ended = [(member, numbers) for member in found if (numbers := final_numbers(member))]
    differ = varied_options([member.config for member in found])
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
    return rows, "" if rated else option_title(point)


def _is_number(member: Member, name: str) -> bool:
    value = options(member.config).get(name)
    return isinstance(value, int | float) and not isinstance(value, bool)


def final_numbers(member: Member) -> dict[str, float]:
    """recon and, if the model has it, kl of a finished run on its own test images; else {}."""
    if not member.finished:
        return {}
    found = member.info.metrics.get(member.info.dataset, {})
    kept = {k: v for k in ("recon", "kl", "elbo") if isinstance(v := found.get(k), int | float)}
    return kept if "recon" in kept else {}


def seconds_left(found: Sequence[Member]) -> float | None:
    """Seconds until all active runs are done; None while unknown. Expected times of waiting runs are scaled by measured
    /
    expected time of the running ones; without an expected time they count like running ones."""
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
    expected = max(member.job.progress.get("expected") or 0 for member in moving)
    slower = left / (1 - part) / expected if expected else 1.0
    waiting = sum(1 - member.part for member in active if member not in known)
    return left + slower * jobs.seconds_left([m.job for m in planned]) + waiting * left / (1 - part) / len(moving)


def evenly_chosen(found: Sequence[Member]) -> list[str]:
    """At most MAX_COMPARED of these runs, evenly spaced, of one seed if possible."""
    seed = min(member.config.get("seed", 0) for member in found)
    same = [member.name for member in found if member.config.get("seed", 0) == seed]
    names = same if len(same) > 1 else [member.name for member in found]
    count = min(len(names), MAX_COMPARED)
    return [names[round(i * (len(names) - 1) / max(count - 1, 1))] for i in range(count)]


def result_rows(found: Sequence[Member]) -> list[dict]:
    """A row per run: its options, its state and its results."""
    differ = varied_options([member.config for member in found])
    words = {"finished": _("finished"), "queued": _("waiting"), "running": _("running"), "failed": _("failed")}
    words |= {"done": _("done"), "cancelled": _("cancelled"), "unfinished": _("unfinished")}
    words["diverged"] = _("diverged")
    return [
        {SYMBOLS.get(name, option_title(name)): options(member.config).get(name) for name in differ}
        | {_("seed"): member.config.get("seed", 0), _("state"): words.get(member.state, member.state)}
        | {f"{name} (nats)": value for name, value in final_numbers(member).items()}
        for member in found
    ]
