"""Numbers of a run, found once and kept in its metrics.json; of shipped runs, which nobody writes to, in the cache.

metrics.json: data set -> number; beside the numbers "evaluated": request -> {schema, seconds, values}. What was asked
for with the defaults stands among the numbers too, where listings find it.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from aevae.config import brief
from aevae.metrics.metric import QUICK, SLOW, Metric, Sample, Stopped, Values, diverged
from aevae.metrics.registry import METRICS

SCHEMA = 2  # of what the numbers mean: raised when one is computed otherwise, and all are found anew
GROUPS = {"all", "quick"}
LIMITS = {"samples": 100_000, "temperatures": 100_000, "chains": 1000}  # options of metrics, each at least 1
Progress = Callable[[float, str], None]


def choose(run, names: Iterable[str]) -> list[Metric]:
    """The metrics of these names, for a Run or RunInfo; "all": every one it can be asked, "quick": those of a second.

    Raises ValueError for a name that is unknown or does not apply, with the reason.
    """
    names = list(names)
    for name in names:
        if name not in METRICS and name not in GROUPS:
            raise ValueError(f"metric must be one of all, quick, {', '.join(METRICS)}, got {brief(name)}")
    if group := GROUPS & set(names):
        return [m for m in METRICS.values() if not m.applies(run) and ("all" in group or m.cost == QUICK)]
    for name in names:
        if said := METRICS[name].applies(run):
            raise ValueError(said)
    return [METRICS[name] for name in dict.fromkeys(names)]


def evaluate(
    run,
    names: Iterable[str],
    *,
    n: int = 0,
    seed: int = 0,
    options: dict[str, Any] | None = None,
    on_progress: Progress = lambda part, text: None,
    should_stop: Callable[[], bool] = lambda: False,
    data=None,
    on_unkept: Callable[[Exception], None] | None = None,
    on_left_out: Callable[[str], None] = lambda text: None,
) -> Values:
    """Values of these metrics (names, "quick" or "all") of an opened run on the first n test pictures; 0: all of them.

    A model without an encoder is asked of 1,000 unless n says otherwise. options: of the metrics that have them, e.g.
    {"samples": 500}; data: another DataConfig than the run's. What is known is not computed again; when `should_stop`
    says so, what was found so far comes back. Of a group, a metric that needs images which are not on this machine is
    left out; `on_left_out` gets a sentence. Values that cannot be kept on disk come back all the same if somebody
    listens (`on_unkept`). Raises ValueError with one sentence for what cannot be.
    """
    from aevae import datasets
    from aevae.models import MAX_SEARCHED_IMAGES, check_input_kind
    from aevae.training.device import keep_memory, set_threads

    names, options = list(names), dict(options or {})
    # a model of black and white pictures is asked of such
    data = replace(data, binarise=run.config.data.binarise) if data else run.config.data
    groups = _groups(choose(run, names), options)
    if n < 0:
        raise ValueError(f"n must be 0 or more, got {n}")
    known = kept(run.info, data.name)
    found: Values = {}
    todo = []
    for group in groups:
        entry = known.get(_key(group[0], n, seed, options))
        if entry:
            found |= entry["values"]
            _must_have(run, group, names, found)
        else:
            todo.append(group)
    if not todo:
        return _asked(found, names)
    _must_be_finite(run)
    if any(metric.cost == SLOW for group in todo for metric in group):
        set_threads()  # two threads beside other busy processes take longer than one
        keep_memory()
    dataset = datasets.load(data)
    check_input_kind(run.config.model, dataset)
    test = dataset.test.take(slice(n or (None if run.model.has_encoder else MAX_SEARCHED_IMAGES)))
    if not len(test):
        raise ValueError(f"{data.name} has no test pictures to measure on")

    def beat(part: float) -> None:
        if should_stop():
            raise Stopped
        on_progress((done + part) / len(todo), ", ".join(metric.title for metric in todo[done][:3]))

    done = 0
    sample = Sample(test, run.device, beat)
    with contextlib.suppress(Stopped):
        for done, group in enumerate(todo):  # noqa: B007 (beat reads it)
            beat(0.0)
            try:
                entry = _compute(run, sample, group[0], seed, options)
            except datasets.DataUnavailable as error:
                if not GROUPS & set(names):
                    raise
                on_left_out(f"without {', '.join(metric.name for metric in group)}: {error}")
                continue
            found |= entry["values"]
            try:
                _keep(run.info, data.name, _key(group[0], n, seed, options), entry)
            except (OSError, ValueError) as problem:  # a read-only store; a run that is being trained
                if on_unkept is None:
                    raise
                on_unkept(problem)
            _must_have(run, group, names, found)
    return _asked(found, names)


def _must_have(run, group: list[Metric], names: list[str], values: Values) -> None:
    if absent := [metric.name for metric in group if metric.name in names and metric.name not in values]:
        raise ValueError(f"{run.name} has no {', '.join(absent)} with its options, or of so few pictures")


def _asked(values: Values, names: list[str]) -> Values:
    """Of what was found together, what was asked for, its extras (nll_se with nll) and what is shown beside it."""
    if GROUPS & set(names):
        return values
    wanted = {*names, *(other for name in names for other in (*METRICS[name].extras, *METRICS[name].beside))}
    return {key: value for key, value in values.items() if key in wanted}


def _compute(run, sample: Sample, metric: Metric, seed: int, options: dict) -> dict:
    """The entry to be kept of all metrics that are found together with this one."""
    began = time.monotonic()
    values = metric.compute(run, sample, seed, **_options(metric, options))
    if not all(math.isfinite(v) for value in values.values() for v in (value if isinstance(value, list) else [value])):
        raise ValueError(diverged(run.name))
    return {"schema": SCHEMA, "seconds": round(time.monotonic() - began, 2), "values": values}


def _must_be_finite(run) -> None:
    import torch

    if not all(bool(torch.isfinite(t).all()) for t in run.model.state_dict().values() if t.is_floating_point()):
        raise ValueError(diverged(run.name))


def _groups(metrics: list[Metric], options: dict) -> list[list[Metric]]:
    """Metrics that are found together, side by side."""
    groups: dict[str, list[Metric]] = {}
    for metric in metrics:
        groups.setdefault(metric.key, []).append(metric)
    taken = {name for metric in metrics for name in metric.options}
    for name in options:
        if name not in taken:
            raise ValueError(f"none of these metrics has an option {name!r}")
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LIMITS[name]:
            raise ValueError(f"{name} must be in 1..{LIMITS[name]}, got {value}")
    return list(groups.values())


def _options(metric: Metric, options: dict) -> dict:
    return metric.options | {name: value for name, value in options.items() if name in metric.options}


# -- what is kept ----------------------------------------------------------------------------------------------------


def _key(metric: Metric, n: int, seed: int, options: dict) -> str:
    return json.dumps([metric.key, n, seed, _options(metric, options)], sort_keys=True)


def kept(info, dataset: str = "") -> dict[str, dict]:
    """request -> entry of what was found of a run (RunInfo) on a data set; what an older program found is left out."""
    entries = info.metrics.get(dataset or info.dataset, {}).get("evaluated", {})
    if info.path.exists():  # others may have added to it since `info` was read
        from aevae.store import checkpoints

        entries = checkpoints.read_metrics(info).get(dataset or info.dataset, {}).get("evaluated", {})
    return {key: entry for key, entry in entries.items() if _is_entry(entry)} if isinstance(entries, dict) else {}


def _is_entry(entry) -> bool:
    return isinstance(entry, dict) and entry.get("schema") == SCHEMA and isinstance(entry.get("values"), dict)


def current(info, dataset: str = "") -> dict:
    """The numbers of a run (RunInfo) on a data set, without those whose meaning has changed since they were found."""
    dataset = dataset or info.dataset
    numbers = info.metrics.get(dataset, {})
    known = {name for entry in kept(info, dataset).values() for name in entry["values"]}
    found_by = numbers.get("schema", 1)
    stale = {m.name for m in METRICS.values() if m.name not in known and found_by < m.since}
    stale |= {name for m in METRICS.values() if m.name in stale for name in m.extras}
    return {name: value for name, value in numbers.items() if name not in stale}


def missing(info, names: Iterable[str], dataset: str = "") -> list[str]:
    """Those of these metrics that a run (RunInfo) can be asked and has not been, with the defaults."""
    known = kept(info, dataset)
    numbers = current(info, dataset)
    return [
        metric.name
        for metric in map(METRICS.__getitem__, names)
        if not metric.applies(info)
        and _key(metric, 0, 0, {}) not in known
        and metric.name not in numbers  # from the end of the training
    ]


def _keep(info, dataset: str, key: str, entry: dict) -> None:
    """Add an entry to what is on disk."""
    from aevae.store import checkpoints

    request = json.loads(key)
    plain = request[1] == 0 and request[2] == 0 and _is_plain(request[0], request[3])

    def add(metrics: dict) -> dict:
        numbers = metrics.setdefault(dataset, {})
        evaluated = {k: v for k, v in numbers.get("evaluated", {}).items() if _is_entry(v)}
        numbers |= entry["values"] if plain else {}
        numbers["evaluated"] = evaluated | {key: entry}
        return metrics

    checkpoints.change_metrics(info, add)


def _is_plain(key: str, options: dict) -> bool:
    return any(metric.key == key and metric.options == options for metric in METRICS.values())
