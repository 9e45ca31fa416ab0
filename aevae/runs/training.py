"""Training of runs that the store lacks: config -> data set -> model -> trainer -> run folder."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from filelock import Timeout

from aevae import datasets
from aevae.models import build_model, check_input_kind, family_class
from aevae.run_config import RunConfig
from aevae.runs.numbers import evaluate_model
from aevae.store import checkpoints
from aevae.store.recorder import Recorder
from aevae.training.device import keep_memory, pick_device, set_threads
from aevae.training.diverged import Diverged
from aevae.training.trainer import BegunAnew, EpochDone, Trainer, TrainingData, TrainingDiverged, fit

MOST_TOGETHER = 32  # runs trained side by side: their weights and moments are in memory at once


@dataclass(frozen=True)
class Result:
    """What became of a request."""

    name: str
    finished: bool
    cached: bool  # it was there already
    seconds: float = 0.0
    device: str = ""
    diverged: Diverged | None = None

    @property
    def error(self) -> str:
        """How it diverged, in a sentence; else ""."""
        return str(self.diverged or "")


def train_or_load(
    config: RunConfig,
    device: str = "auto",
    on_event: Callable = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
    force: bool = False,
    watched: Callable[[], bool] | None = None,
) -> Result:
    """Make sure this run exists. The same config is trained once, whoever asks, in however many processes.

    An interrupted run goes on from its checkpoint; one that diverged does so only after `checkpoints.reopen`, and else
    diverges without a step. `should_stop` ends it between two steps, resumable, and may wait;
    `force` trains anew. With `watched`, now.safetensors is kept new for those who look on, and while it is true
    every step is told. Raises ValueError (request), TrainingDiverged, OSError (disk).
    """
    result = sweep([config], device, lambda i, event: on_event(event), should_stop, force, watched)[0]
    if result.diverged:
        raise TrainingDiverged(result.diverged)
    return result


def sweep(
    configs: Sequence[RunConfig],
    device: str = "auto",
    on_event: Callable = lambda i, event: None,
    should_stop: Callable[[], bool] = lambda: False,
    force: bool = False,
    watched: Callable[[], bool] | None = None,
) -> list[Result]:
    """Make sure these runs exist, each an ordinary run; see `train_or_load`. on_event(i, event) hears of the i-th.

    What differs only in seed and in `knobs` of the family is trained side by side, as one batched model
    (`aevae.training.steps`). A run that diverges, or has before, leaves its reason in its result and on disk.
    """
    where = pick_device(device)
    configs = [dataclasses.replace(config, data=datasets.resolve(config.data)) for config in configs]
    numbers = {config.name: i for i, config in reversed(list(enumerate(configs)))}  # the same run twice is one
    results: dict[str, Result] = {}
    for group in side_by_side([configs[i] for i in sorted(numbers.values())], where):
        tell = [numbers[config.name] for config in group]
        results |= _ensure(
            group, where, lambda i, event, tell=tell: on_event(tell[i], event), should_stop, force, watched
        )
    return [results[config.name] for config in configs]


def side_by_side(configs: Sequence[RunConfig], device: torch.device) -> list[list[RunConfig]]:
    """Configs in groups that can be trained as one batched model, in their order.

    On a CPU convolutions of several models at once (grouped ones) take longer than one after another.
    """
    groups: dict[str, list[RunConfig]] = {}
    for config in configs:
        raw = config.to_dict()
        family = family_class(config.model.family)
        for knob in family.batchable_hparams:
            raw["model"].pop(knob, None)  # one that was added later is not there at its default
        alone = not family.batched or (device.type == "cpu" and getattr(config.model, "network", "") == "conv")
        groups.setdefault(config.name if alone else json.dumps(raw | {"seed": None}), []).append(config)
    return [group[i : i + MOST_TOGETHER] for group in groups.values() for i in range(0, len(group), MOST_TOGETHER)]


def _ensure(group, device, on_event, should_stop, force: bool, watched) -> dict[str, Result]:
    """Results by name. Locks are taken in the order of names, so that two sweeps never wait for each other."""
    results: dict[str, Result] = {}
    with contextlib.ExitStack() as held:
        for config in sorted(group, key=lambda config: config.name):
            done = not force and checkpoints.finished_run(config.name)
            if not done and not _lock(held, config.name, should_stop):
                return results | {c.name: Result(c.name, False, False) for c in group if c.name not in results}
            if done or (not force and checkpoints.finished_run(config.name)):  # the second: finished while we waited
                results[config.name] = Result(config.name, finished=True, cached=True)
            elif not force and (failed := checkpoints.diverged_run(config.name)):
                facts = Diverged.from_dict(failed.state["diverged"])
                results[config.name] = Result(config.name, finished=False, cached=True, diverged=facts)
        missing = [i for i, config in enumerate(group) if config.name not in results]
        if missing:
            tell = lambda i, event: on_event(missing[i], event)  # noqa: E731
            trained = _train([group[i] for i in missing], device, tell, should_stop, force, watched)
            results |= {result.name: result for result in trained}
    return results


def _lock(held: contextlib.ExitStack, name: str, should_stop) -> bool:
    """Wait until nobody else trains this run; False if told to stop meanwhile."""
    lock = checkpoints.run_lock(name)
    while True:
        try:
            held.enter_context(lock.acquire(timeout=0.5))
            return True
        except Timeout:
            if should_stop():
                return False


def _train(configs, device: torch.device, on_event, should_stop, force: bool, watched) -> list[Result]:
    """Train runs of one group; those that stand at the same step go side by side."""
    set_threads()
    keep_memory()
    started = time.monotonic()
    data = datasets.load(configs[0].data)
    check_input_kind(configs[0].model, data)
    train, test = (torch.tensor(split.images).to(device) for split in (data.train, data.test))
    recorders, drawn = [], configs[0].data.binarise == "stochastic"
    for config in configs:
        labels = (data.train.labels, data.test.labels)
        model = build_model(config.model, config.seed)
        trainer = Trainer(model, TrainingData(train, test, labels, drawn), config.train, config.seed, device)
        recorders.append(Recorder(config, trainer, data.test if model.has_encoder else data.train))
        if not force and (reason := recorders[-1].resume()):
            on_event(len(recorders) - 1, BegunAnew(reason))
    results: dict[int, Result] = {}
    for step in sorted({recorder.trainer.step for recorder in recorders}):
        team = [i for i, recorder in enumerate(recorders) if recorder.trainer.step == step and i not in results]
        tell = lambda i, event, team=team: on_event(team[i], event)  # noqa: E731
        ended = _fit([recorders[i] for i in team], tell, should_stop, watched)
        seconds = time.monotonic() - started
        for i in team:
            problem = recorders[i].trainer.diverged
            whole = ended and problem is None
            if problem:
                recorders[i].diverge(problem.facts)
            elif whole:
                recorders[i].finish(evaluate_model(configs[i], recorders[i].trainer.model, device))
            else:
                recorders[i].pause()
            facts = problem.facts if problem else None
            results[i] = Result(configs[i].name, whole, False, seconds, str(device), facts)
        if not ended:
            break
    return [results.get(i) or Result(config.name, False, False) for i, config in enumerate(configs)]


def _fit(recorders: list[Recorder], on_event, should_stop, watched) -> bool:
    """Train, and write down what happens. Returns whether it came to its end, which may be that it diverged."""

    def listen(i: int, event) -> None:
        if isinstance(event, EpochDone):
            recorders[i].epoch()
        on_event(i, event)

    def between() -> bool:
        every = watched() if watched else False
        for i, recorder in enumerate(recorders):
            recorder.step()
            if watched:
                recorder.newest(every)
                if every:
                    on_event(i, recorder.trainer.progress())
        began = time.monotonic()
        stop = should_stop()
        for recorder in recorders:
            recorder.since += time.monotonic() - began  # whoever is asked may wait: that is no time of training
        return stop

    try:
        return fit([recorder.trainer for recorder in recorders], listen, between)
    except TrainingDiverged as problem:  # of a single one
        recorders[0].trainer.diverged = problem
        return True
