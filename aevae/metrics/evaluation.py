"""Evaluation of a run: each metric is computed once and saved in the run's metrics.json.

Metrics of shipped runs, whose folders are read-only, are saved in the cache. metrics.json maps data set -> metric ->
value; beside the metrics "evaluated" maps request -> {schema, seconds, values}. Values that were computed with the
default options are saved in both places, so that listings find them.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from aevae.config import brief
from aevae.metrics.metric import QUICK, SLOW, Metric, Sample, Stopped, TooFew, Values, diverged
from aevae.metrics.registry import METRICS
from aevae.spread import MEDIAN, WORST

SCHEMA = 3  # raised when the computation of a metric changes, so that older values are computed again
GROUPS = {"all", "quick"}
MAX_OPTIONS = {"samples": 100_000, "temperatures": 100_000, "chains": 1000}  # largest values; the smallest is 1
Progress = Callable[[float, str], None]


def choose(run, names: Iterable[str]) -> list[Metric]:
    """The metrics of these names for a Run or RunInfo; "all": every one that applies, "quick": those of about a second.

    Raises ValueError with the reason for a name that is unknown or does not apply.
    """
    names = list(names)
    for name in names:
        if name not in METRICS and name not in GROUPS:
            raise ValueError(f"metric must be one of all, quick, {', '.join(METRICS)}, got {brief(name)}")
    if group := GROUPS & set(names):
        return [m for m in METRICS.values() if not m.applies(run) and ("all" in group or m.cost == QUICK)]
    for name in names:
        if reason := METRICS[name].applies(run):
            raise ValueError(reason)
    return [METRICS[name] for name in dict.fromkeys(names)]


@dataclass(frozen=True)
class Listener:
    """Callbacks of `evaluate`.

    on_progress(fraction, text) gets the finished fraction 0..1; should_stop() ends the evaluation between two steps.
    on_unsaved(error) gets the reason why values could not be saved; without it the error is raised.
    on_left_out(sentence) says which metrics of a group were skipped because their images are not on this machine, or
    are too few.
    """

    on_progress: Progress = lambda fraction, text: None
    should_stop: Callable[[], bool] = lambda: False
    on_unsaved: Callable[[Exception], None] | None = None
    on_left_out: Callable[[str], None] = lambda text: None


def evaluate(
    run,
    names: Iterable[str],
    *,
    n: int = 0,
    seed: int = 0,
    options: dict[str, Any] | None = None,
    data=None,
    listener: Listener | None = None,
) -> Values:
    """Name -> value of these metrics (names, "quick" or "all") of an opened run on the first n test images; 0: all.

    A model without an encoder is measured on 1,000 images if n is 0. options: of metrics that have options, for example
    {"samples": 500}. data: a DataConfig other than the run's own. Saved values are not computed again. If
    `listener.should_stop` returns True, the values computed so far are returned.
    Raises ValueError with one sentence for a request that cannot be fulfilled.
    """
    names, options = list(names), dict(options or {})
    # a model of binarised images is measured on binarised images
    data = replace(data, binarise=run.config.data.binarise) if data else run.config.data
    groups = _groups(choose(run, names), options)
    if n < 0:
        raise ValueError(f"n must be 0 or more, got {n}")
    request = _Request(names, n, seed, options, data)
    known = saved_entries(run.info, data.name)
    values: Values = {}
    missing_groups = []
    for group in groups:
        if entry := known.get(request.key(group[0])):
            values |= entry["values"]
            _check_complete(run, group, names, values)
        else:
            missing_groups.append(group)
    if missing_groups:
        _measure(run, missing_groups, request, listener or Listener(), values)
    return _requested(values, names)


@dataclass(frozen=True)
class _Request:
    """The arguments of `evaluate` that say what to measure."""

    names: list[str]
    n: int
    seed: int
    options: dict[str, Any]
    data: Any  # DataConfig

    def key(self, metric: Metric) -> str:
        return _key(metric, self.n, self.seed, self.options)


def _measure(run, groups: list[list[Metric]], request: _Request, listener: Listener, values: Values) -> None:
    """Compute these groups of metrics, save each and add it to `values`."""
    from aevae import datasets

    _check_finite(run)
    _claim_processor(groups)
    sample = _sample(run, request)

    def report(fraction: float) -> None:
        if listener.should_stop():
            raise Stopped
        titles = ", ".join(metric.title for metric in groups[done][:3])
        listener.on_progress((done + fraction) / len(groups), titles)

    done, sample.beat = 0, report
    with contextlib.suppress(Stopped):
        for done, group in enumerate(groups):  # noqa: B007 (report reads it)
            report(0.0)
            try:
                entry = _compute(run, sample, group[0], request.seed, request.options)
            except (datasets.DataUnavailable, TooFew) as error:
                if not GROUPS & set(request.names):
                    raise
                means = [metric.name for metric in group if not metric.name.endswith((MEDIAN, WORST))]
                listener.on_left_out(f"without {', '.join(means)}: {error}")
                continue
            values |= entry["values"]
            try:
                _save(run.info, request.data.name, request.key(group[0]), entry)
            except (OSError, ValueError) as problem:  # a read-only store; a run that is being trained
                if listener.on_unsaved is None:
                    raise
                listener.on_unsaved(problem)
            _check_complete(run, group, request.names, values)


def _sample(run, request: _Request) -> Sample:
    """The test images of a request. Raises ValueError if there are none."""
    from aevae import datasets
    from aevae.models import MAX_SEARCHED_IMAGES, check_input_kind

    dataset = datasets.load(request.data)
    check_input_kind(run.config.model, dataset)
    limit = request.n or (None if run.model.has_encoder else MAX_SEARCHED_IMAGES)
    test = dataset.test.take(slice(limit))
    if not len(test):
        raise ValueError(f"{request.data.name} has no test images to measure on")
    return Sample(test, run.device)


def _claim_processor(groups: list[list[Metric]]) -> None:
    """Set threads and memory for slow metrics: two threads beside other busy processes take longer than one."""
    from aevae.training.device import keep_memory, set_threads

    if any(metric.cost == SLOW for group in groups for metric in group):
        set_threads()
        keep_memory()


def _check_complete(run, group: list[Metric], names: list[str], values: Values) -> None:
    """Raises ValueError if a metric that was requested by name has no value."""
    if absent := [metric.name for metric in group if metric.name in names and metric.name not in values]:
        raise ValueError(f"{run.name} has no {', '.join(absent)} with its options or with so few images")


def _requested(values: Values, names: list[str]) -> Values:
    """The values of these names, their extras (nll_se with nll) and the metrics that are shown beside them."""
    if GROUPS & set(names):
        return values
    wanted = {*names, *(other for name in names for other in (*METRICS[name].extras, *METRICS[name].beside))}
    return {key: value for key, value in values.items() if key in wanted}


def _compute(run, sample: Sample, metric: Metric, seed: int, options: dict) -> dict:
    """The entry to be saved: values of all metrics that are computed together with this one."""
    began = time.monotonic()
    values = metric.compute(run, sample, seed, **_options(metric, options))
    if not all(math.isfinite(v) for value in values.values() for v in (value if isinstance(value, list) else [value])):
        raise ValueError(diverged(run.name))
    return {"schema": SCHEMA, "seconds": round(time.monotonic() - began, 2), "values": values}


def _check_finite(run) -> None:
    """Raises ValueError if a weight is not a finite number."""
    import torch

    if not all(bool(torch.isfinite(t).all()) for t in run.model.state_dict().values() if t.is_floating_point()):
        raise ValueError(diverged(run.name))


def _groups(metrics: list[Metric], options: dict) -> list[list[Metric]]:
    """The metrics in groups that are computed together. Raises ValueError for a wrong option."""
    groups: dict[str, list[Metric]] = {}
    for metric in metrics:
        groups.setdefault(metric.key, []).append(metric)
    taken = {name for metric in metrics for name in metric.options}
    for name in options:
        if name not in taken:
            raise ValueError(f"none of these metrics has an option {name!r}")
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_OPTIONS[name]:
            raise ValueError(f"{name} must be in 1..{MAX_OPTIONS[name]}, got {value}")
    return list(groups.values())


def _options(metric: Metric, options: dict) -> dict:
    return metric.options | {name: value for name, value in options.items() if name in metric.options}


# -- saved values ---------------------------------------------------------------------------------------------------


def _key(metric: Metric, n: int, seed: int, options: dict) -> str:
    return json.dumps([metric.key, n, seed, _options(metric, options)], sort_keys=True)


def saved_entries(info, dataset: str = "") -> dict[str, dict]:
    """Request -> entry of the values saved for a run (RunInfo) on a data set, without those of older schemas."""
    entries = info.metrics.get(dataset or info.dataset, {}).get("evaluated", {})
    if info.path.exists():  # others may have added to it since `info` was read
        from aevae.store import checkpoints

        entries = checkpoints.read_metrics(info).get(dataset or info.dataset, {}).get("evaluated", {})
    return {key: entry for key, entry in entries.items() if _is_entry(entry)} if isinstance(entries, dict) else {}


def _is_entry(entry) -> bool:
    return isinstance(entry, dict) and entry.get("schema") == SCHEMA and isinstance(entry.get("values"), dict)


def current(info, dataset: str = "") -> dict:
    """Metrics of a run (RunInfo) on a data set, without those whose definition has changed since they were computed."""
    dataset = dataset or info.dataset
    numbers = info.metrics.get(dataset, {})
    known = {name for entry in saved_entries(info, dataset).values() for name in entry["values"]}
    found_by = numbers.get("schema", 1)
    stale = {m.name for m in METRICS.values() if m.name not in known and found_by < m.since}
    stale |= {name for m in METRICS.values() if m.name in stale for name in m.extras}
    return {name: value for name, value in numbers.items() if name not in stale}


def missing(info, names: Iterable[str], dataset: str = "") -> list[str]:
    """Those of these metrics that apply to a run (RunInfo) and have not been computed with the default options."""
    known = saved_entries(info, dataset)
    numbers = current(info, dataset)

    def is_whole(metric: Metric) -> bool:  # an older program stored a mean without its median
        median = METRICS.get(f"{metric.name}{MEDIAN}")
        return metric.name in numbers and (median is None or bool(median.applies(info)) or median.name in numbers)

    return [
        metric.name
        for metric in map(METRICS.__getitem__, names)
        if not metric.applies(info)
        and _key(metric, 0, 0, {}) not in known
        and not is_whole(metric)  # at the end of the training
    ]


def _save(info, dataset: str, key: str, entry: dict) -> None:
    """Add an entry to the metrics on disk."""
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
