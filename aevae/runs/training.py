"""Trains runs that are not in the store: config -> data set -> model -> trainer -> run folder."""

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
from aevae.store import checkpoints, files
from aevae.store.recorder import Recorder
from aevae.training.device import keep_memory, pick_device, set_threads
from aevae.training.diverged import Diverged
from aevae.training.trainer import BegunAnew, EpochDone, Trainer, TrainingData, TrainingDiverged, fit

MAX_SIDE_BY_SIDE = 32  # runs trained side by side; the weights and moments of all are in memory


@dataclass(frozen=True)
class Result:
    """The outcome of the request for one run."""

    name: str
    finished: bool
    cached: bool  # True: the run was already in the store
    seconds: float = 0.0
    device: str = ""
    diverged: Diverged | None = None

    @property
    def error(self) -> str:
        """One sentence if the run diverged, else ""."""
        return str(self.diverged or "")


def train_or_load(
    config: RunConfig,
    device: str = "auto",
    on_event: Callable = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
    force: bool = False,
    is_watched: Callable[[], bool] | None = None,
) -> Result:
    """The result of this run, which is trained if the store lacks it. Several processes train the same config once.

    An interrupted run resumes from its checkpoint. A diverged run raises TrainingDiverged at once, until
    `checkpoints.reopen` allows it to resume. should_stop() is called between two steps: it may wait, and ends the
    training if it returns True; the run can be resumed. force: train again. is_watched: if given, now.safetensors is
    kept up to date; while it returns True, every step is reported. Raises ValueError for a wrong request,
    TrainingDiverged, and OSError.
    """
    result = sweep([config], device, lambda i, event: on_event(event), should_stop, force, is_watched)[0]
    if result.diverged:
        raise TrainingDiverged(result.diverged)
    return result


def sweep(
    configs: Sequence[RunConfig],
    device: str = "auto",
    on_event: Callable = lambda i, event: None,
    should_stop: Callable[[], bool] = lambda: False,
    force: bool = False,
    is_watched: Callable[[], bool] | None = None,
) -> list[Result]:
    """The results of these runs, in order; parameters as in `train_or_load`. on_event(i, event): an event of run i.

    Runs that differ only in the seed and in `batchable_hparams` of their family are trained side by side, as one
    batched model (`aevae.training.steps`). Divergence raises nothing: the result of the run says why.
    """
    where = pick_device(device)
    configs = [dataclasses.replace(config, data=datasets.resolve(config.data)) for config in configs]
    # A run that is listed twice is trained once.
    numbers = {config.name: i for i, config in reversed(list(enumerate(configs)))}
    results: dict[str, Result] = {}
    for group in side_by_side([configs[i] for i in sorted(numbers.values())], where):
        tell = [numbers[config.name] for config in group]
        results |= _train_group(
            group, where, lambda i, event, tell=tell: on_event(tell[i], event), should_stop, force, is_watched
        )
    return [results[config.name] for config in configs]


def side_by_side(configs: Sequence[RunConfig], device: torch.device) -> list[list[RunConfig]]:
    """The configs in groups, each of which can be trained as one batched model; order is kept.

    Convolutional models are not batched on a CPU, where grouped convolutions are slower than one after another.
    """
    groups: dict[str, list[RunConfig]] = {}
    for config in configs:
        raw = config.to_dict()
        family = family_class(config.model.family)
        for hparam in family.batchable_hparams:
            raw["model"].pop(hparam, None)  # newer options are absent at their default
        alone = not family.batched or (device.type == "cpu" and getattr(config.model, "network", "") == "conv")
        groups.setdefault(config.name if alone else json.dumps(raw | {"seed": None}), []).append(config)
    return [
        group[i : i + MAX_SIDE_BY_SIDE] for group in groups.values() for i in range(0, len(group), MAX_SIDE_BY_SIDE)
    ]


def _train_group(group, device, on_event, should_stop, force: bool, is_watched) -> dict[str, Result]:
    """Run name -> result of a group. Locks are taken in the order of names: two sweeps cannot deadlock."""
    results: dict[str, Result] = {}
    with contextlib.ExitStack() as held:
        for config in sorted(group, key=lambda config: config.name):
            done = not force and checkpoints.finished_run(config.name)
            if not done and not _acquire_lock(held, config.name, should_stop):
                return results | {c.name: Result(c.name, False, False) for c in group if c.name not in results}
            if done or (
                not force and checkpoints.finished_run(config.name)
            ):  # another process may have finished it during the wait
                results[config.name] = Result(config.name, finished=True, cached=True)
            elif not force and (failed := checkpoints.diverged_run(config.name)):
                facts = Diverged.from_dict(failed.state["diverged"])
                results[config.name] = Result(config.name, finished=False, cached=True, diverged=facts)
        missing = [i for i, config in enumerate(group) if config.name not in results]
        if missing:
            tell = lambda i, event: on_event(missing[i], event)  # noqa: E731
            trained = _train([group[i] for i in missing], device, tell, should_stop, force, is_watched)
            results |= {result.name: result for result in trained}
    return results


def _acquire_lock(held: contextlib.ExitStack, name: str, should_stop) -> bool:
    """Whether the lock of this run was acquired; False if `should_stop` ended the wait."""
    lock = files.named_lock(name)
    while True:
        try:
            held.enter_context(lock.acquire(timeout=0.5))
            return True
        except Timeout:
            if should_stop():
                return False


def _train(configs, device: torch.device, on_event, should_stop, force: bool, is_watched) -> list[Result]:
    """The results of one group; runs that are at the same step are trained side by side."""
    set_threads()
    keep_memory()
    started = time.monotonic()
    data = datasets.load(configs[0].data)
    check_input_kind(configs[0].model, data)
    train, test = (torch.tensor(split.images).to(device) for split in (data.train, data.test))
    recorders, resample = [], configs[0].data.binarise == "stochastic"
    for config in configs:
        labels = (data.train.labels, data.test.labels)
        model = build_model(config.model, config.seed)
        trainer = Trainer(model, TrainingData(train, test, labels, resample), config.train, config.seed, device)
        recorders.append(Recorder(config, trainer, data.test if model.has_encoder else data.train))
        if not force and (reason := recorders[-1].resume()):
            on_event(len(recorders) - 1, BegunAnew(reason))
    results: dict[int, Result] = {}
    for step in sorted({recorder.trainer.step for recorder in recorders}):
        team = [i for i, recorder in enumerate(recorders) if recorder.trainer.step == step and i not in results]
        tell = lambda i, event, team=team: on_event(team[i], event)  # noqa: E731
        ended = _fit([recorders[i] for i in team], tell, should_stop, is_watched)
        seconds = time.monotonic() - started
        for i in team:
            problem = recorders[i].trainer.diverged
            whole = ended and problem is None
            if problem:
                recorders[i].diverge(problem.facts)
            elif whole:
                recorders[i].finish(evaluate_model(configs[i], recorders[i].trainer.model, device))
            else:
                recorders[i].save()
            facts = problem.facts if problem else None
            results[i] = Result(configs[i].name, whole, False, seconds, str(device), facts)
        if not ended:
            break
    return [results.get(i) or Result(config.name, False, False) for i, config in enumerate(configs)]


def _fit(recorders: list[Recorder], on_event, should_stop, is_watched) -> bool:
    """True if the training reached its end or diverged, False if it was stopped. The recorders write the folders."""

    def handle(i: int, event) -> None:
        if isinstance(event, EpochDone):
            recorders[i].end_epoch()
        on_event(i, event)

    def between_steps() -> bool:
        every = is_watched() if is_watched else False
        for i, recorder in enumerate(recorders):
            recorder.end_step()
            if is_watched:
                recorder.write_newest(every)
                if every:
                    on_event(i, recorder.trainer.progress())
        began = time.monotonic()
        stop = should_stop()
        for recorder in recorders:
            recorder.resumed_at += time.monotonic() - began  # waiting is not training time
        return stop

    try:
        return fit([recorder.trainer for recorder in recorders], handle, between_steps)
    except TrainingDiverged as problem:  # raised only for a single run
        recorders[0].trainer.diverged = problem
        return True
