"""The road of the data: config -> data set -> model -> trainer -> run folder -> the same run, opened.

`train_or_load(config)` asks the store first; only what is missing is trained. `load_run(name)` opens what is there.
"""

import contextlib
import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from filelock import Timeout
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save as arrays_bytes
from safetensors.torch import load_file, save

from aevae import checkpoints, datasets, spread
from aevae.checkpoints import DamagedRun, RunInfo
from aevae.config import DataConfig, ModelConfig, RunConfig
from aevae.diverged import Diverged
from aevae.metrics import SCHEMA, basics, evidence, linear, units
from aevae.models import build_model, family_class
from aevae.models.blocks import batches, parameter_count
from aevae.recorder import Recorder, checksums
from aevae.training.device import keep_memory, pick_device, set_threads
from aevae.training.film import thinned
from aevae.training.trainer import BegunAnew, EpochDone, Trainer, TrainingDiverged, fit

SMALL_RATE = 1e-6  # of the steps that are timed: they take as long, and do not diverge
SHIPPED_FRAMES = 8  # of a film: enough to watch, and small
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


# -- training --------------------------------------------------------------------------------------------------------


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
        for knob in family.knobs:
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
    must_fit(configs[0].model, data)
    train, test = (torch.tensor(split.images).to(device) for split in (data.train, data.test))
    recorders, drawn = [], configs[0].data.binarise == "stochastic"
    for config in configs:
        labels = (data.train.labels, data.test.labels)
        model = build_model(config.model, config.seed)
        trainer = Trainer(model, train, test, config.train, config.seed, device, labels, drawn)
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


def must_fit(model: ModelConfig, data: datasets.Dataset) -> None:
    """Raises ValueError where a family of sequences is given single images, or the other way round."""
    sequences = family_class(model.family).input == "sequence"
    if sequences and data.train.images.ndim != 5:
        raise ValueError(
            f"{model.family} takes sequences, {data.name} has single images; take the data set {model.dataset}"
        )
    if not sequences and data.train.images.ndim == 5:
        raise ValueError(f"{data.name} has sequences, and {model.family} takes single images")


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
                    on_event(i, recorder.trainer.news())
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


# -- opening ---------------------------------------------------------------------------------------------------------


class Run:
    """A trained model with its numbers. Arrays in and out are numpy; the model is in eval mode and never changed."""

    def __init__(self, info: RunInfo, device: str = "cpu"):
        self.info, self.name, self.path = info, info.name, info.path
        if info.status == "damaged":
            raise DamagedRun(f"{info.name} is damaged: {info.reason}")
        self.config = RunConfig.from_dict(info.config)
        self.metrics = info.metrics
        self.history = checkpoints.read_history(info.path)
        self.device = pick_device(device)
        self.model = self._open().to(self.device).eval().requires_grad_(False)

    def _open(self) -> torch.nn.Module:
        path = self.path / self.info.weights
        checkpoints.check_safetensors(path)
        self._check_sum(path)
        model = build_model(self.config.model)
        try:
            model.load_state_dict({k: v.float() for k, v in load_file(path).items()})
        except (RuntimeError, SafetensorError) as error:
            raise DamagedRun(f"{self.name} is damaged: the weights do not fit its config") from error
        return model

    def _check_sum(self, path: Path) -> None:
        expected = self.info.state.get("checksums", {}).get(path.name)
        if self.info.status == "finished" and expected != checkpoints.checksum(path):
            raise DamagedRun(f"{self.name} is damaged: the checksum of {path.name} does not match")

    @property
    def latent_dim(self) -> int:
        return self.config.model.latent_dim

    @property
    def shown(self) -> DataConfig:
        """The data set whose test pictures a page shows for this run."""
        return datasets.shown_for(self.config.data)

    @cached_property
    def film(self) -> dict[str, np.ndarray]:
        """The frames of `aevae.training.film`. Raises DamagedRun."""
        path = self.path / "film.safetensors"
        checkpoints.check_safetensors(path)
        self._check_sum(path)
        return load_arrays(path)

    def _tensor(self, array: np.ndarray, shape: tuple) -> torch.Tensor:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused below
            array = np.array(array, np.float32)  # a copy: caches are read-only
        if array.shape[1:] != shape:
            raise ValueError(f"{self.name} takes arrays (N, {', '.join(map(str, shape))}), got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError("the array has numbers that are not finite")
        return torch.from_numpy(array).to(self.device)

    def _apply(self, function, array: np.ndarray, shape: tuple, out: tuple) -> np.ndarray:
        if self.model.input != "image":
            raise ValueError(f"{self.name} takes {self.model.input}s: no single picture has a code in it")
        x = self._tensor(array, shape)
        with torch.inference_mode():
            parts = [function(part).cpu().numpy() for part in batches(x)]
        return np.concatenate(parts) if parts else np.zeros((0, *out), np.float32)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """mu (N, D) of images (N, 1, 28, 28) in [0, 1]. A model without an encoder searches for them: seconds."""
        return self._apply(self.model.encode, images, (1, 28, 28), (self.latent_dim,))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Mean pictures (N, 1, 28, 28) in [0, 1] of codes (N, D)."""
        return self._apply(self.model.decode, z, (self.latent_dim,), (1, 28, 28))

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """decode(encode(images))."""
        return self.decode(self.encode(images))

    @cached_property
    def codes(self) -> np.ndarray:
        """mu (N, D) of the shown test pictures (at most 1,000)."""
        return self.encode(shown_images(self.shown))

    def latent_summary(self) -> dict:
        """What each latent dimension carries on the shown test pictures.

        order (D,): most first; score (D,), score_name: KL in nats, or the variance of a code without a prior;
        active (D,) bool; mean, std (D,) of the codes.
        """
        x = self._tensor(shown_images(self.shown), (1, 28, 28))
        mu, kl = (None if t is None else t.numpy() for t in evidence.posterior(self.model, x))
        score = mu.var(axis=0) if kl is None else kl.mean(axis=0)
        return {
            "order": np.argsort(-score, kind="stable"),
            "score": score,
            "score_name": "variance" if kl is None else "KL (nats)",
            "active": units.used_directions(mu) if kl is None else units.active_units(mu),
            "mean": mu.mean(axis=0),
            "std": mu.std(axis=0),
        }


def shown_images(data: DataConfig, count: int = 1000) -> np.ndarray:
    """The first test pictures of a data set as float32 (N, 1, 28, 28) in [0, 1]."""
    return datasets.load(data).test.images[:count].astype(np.float32) / 255


def trained_on(trained: DataConfig, tested: DataConfig, count: int) -> np.ndarray:
    """Which of the first `count` test images of `tested` a run trained on `trained` has seen in training; (N,) bool.

    Compared byte by byte. Without the training set at hand the only overlap between data sets decides: all of
    mnist-5k lies in the training set of mnist.
    """
    images = datasets.load(tested).test.images[:count]
    if datasets.is_available(trained):
        seen = {image.tobytes() for image in datasets.load(trained).train.images}
        return np.array([image.tobytes() in seen for image in images])
    return np.full(len(images), datasets.relation(trained, tested.name) == datasets.shown.SEEN)


def load_run(reference: str, device: str = "cpu") -> Run:
    """Open a run by name, unique prefix of its fingerprint, or path. Raises ValueError (DamagedRun) with the reason."""
    return Run(checkpoints.find_run(reference), device)


# -- numbers ---------------------------------------------------------------------------------------------------------

FITTED = 1000  # test pictures that a model without an encoder is asked of: it has to fit each code
UNITS = {
    "images": "images",
    "samples": "samples of z / image",
    "seed": "seed",
    "schema": "version",
}  # of how numbers were measured


def units_of(run: Run) -> dict[str, str]:
    """Name -> unit of every number of this run: terms of its loss are in nats unless the family says otherwise.

    Where more nats are better (ELBO, L_K), the unit says so: they have the sign of log p(x), the others of -log p(x).
    """
    from aevae.metrics import EXTRAS, METRICS

    terms = dict.fromkeys(run.history[-1]["test"], "nats / image") if run.history else {}
    terms |= UNITS
    known = {name: extra.unit for name, extra in EXTRAS.items()}
    known |= {name: metric.signed_unit for name, metric in METRICS.items()}
    return spread.units(terms) | terms | run.model.units | known | UNITS


def evaluate(
    model,
    data: DataConfig,
    device: torch.device,
    samples: int = 1,
    limit: int = 0,
    seed: int = 0,
    trained_on: DataConfig | None = None,
) -> dict:
    """The numbers of `metrics.basics` on the test images of `data`.

    trained_on: the run's own data set; with it also the numbers that need its training images.
    """
    test = datasets.load(data).test.take(slice(limit or FITTED if not model.has_encoder else limit or None))
    x = torch.tensor(test.images).to(device).float().div_(255)
    labels = torch.tensor(test.labels).to(device)
    values = basics.measure(model, x, labels, samples, seed)
    if trained_on and "above_pca" in model.units:
        values |= linear.against_pca(model, x, datasets.load(trained_on).train.images)
    return values | {"images": len(x), "samples": samples, "seed": seed, "schema": SCHEMA}


def evaluate_model(config: RunConfig, model, device: torch.device) -> dict[str, dict]:
    """The numbers of metrics.json: on the run's own test set, and on the shown one where that is another."""
    sets = {d.name: d for d in (config.data, datasets.shown_for(config.data))}
    return {name: evaluate(model, data, device, trained_on=config.data) for name, data in sets.items()}


# -- before training -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """What a request will cost on this machine."""

    parameters: int
    seconds: float


def estimate(config: RunConfig, device: str = "auto", pictures: int = 0) -> Estimate:
    """Parameters, and seconds by timing a few real steps on noise. `pictures`: training pictures of the data set."""
    where = pick_device(device)
    model = build_model(config.model, config.seed)
    draw, steps, size = np.random.default_rng(0), 4, config.train.batch_size
    noise = draw.integers(0, 256, (size, *model.shape), dtype=np.uint8)
    labels = draw.integers(0, 10, size)
    recipe = dataclasses.replace(config.train, epochs=steps, lr=SMALL_RATE)
    trainer = Trainer(model, noise, noise[:1], recipe, 0, where, (labels, labels[:1]))
    marks: list[float] = []
    trainer.fit(lambda event: marks.append(time.perf_counter()) if isinstance(event, EpochDone) else None)
    per_step = min(b - a for a, b in itertools.pairwise(marks))
    total = -(-pictures // config.train.batch_size) * config.train.epochs
    return Estimate(parameter_count(model), per_step * total)


def data_size(data: DataConfig) -> int:
    """Training pictures of a data set, by loading it."""
    return len(datasets.load(data).train.images)


def export_weights(info: RunInfo, target: Path, half: bool) -> list[str]:
    """Copy a finished run into `target`/<name>; its numbers are made anew.

    half: weights in half precision, and a film of fewer frames: for runs that are shipped.
    Returns a sentence for each data set that is not on this machine, so that its numbers could not be made anew.
    """
    run = Run(info)
    folder = target / info.name
    if folder.resolve() == info.path.resolve():
        raise ValueError(f"{folder} is the run itself; export it into another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "history.jsonl", "preview.png"):
        checkpoints.write_atomic(folder / name, (info.path / name).read_bytes())
    if (info.path / "film.safetensors").exists():
        film = thinned(run.film, SHIPPED_FRAMES) if half else run.film
        checkpoints.write_atomic(folder / "film.safetensors", arrays_bytes(film))
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    if half:
        run.model.half().float()
    unchanged = all(torch.equal(v, before[k]) for k, v in run.model.state_dict().items())
    weights = {k: (v.half() if half else v).contiguous() for k, v in run.model.state_dict().items()}
    checkpoints.write_atomic(folder / "model.safetensors", save(weights))
    numbers, notes = _numbers_anew(run, info.metrics if unchanged else {})
    checkpoints.write_json(folder / "metrics.json", numbers)
    state = info.state | {"checksums": checksums(folder), "traits": run.model.traits}
    checkpoints.write_json(folder / "state.json", state)
    return notes


def _numbers_anew(run: Run, known: dict[str, dict]) -> tuple[dict[str, dict], list[str]]:
    """What `evaluate_model` finds; of a data set that is not on this machine the `known` numbers, with a sentence."""
    numbers, notes = {}, []
    for data in {data.name: data for data in (run.config.data, run.shown)}.values():
        try:
            numbers[data.name] = evaluate(run.model, data, run.device, trained_on=run.config.data)
        except datasets.DataUnavailable as error:
            kept = {name: value for name, value in known.get(data.name, {}).items() if name != "evaluated"}
            numbers |= {data.name: kept} if kept else {}
            what = "are those that the run had" if kept else "are left out: the weights have changed"
            notes.append(f"{error}; the numbers on {data.name} {what}")
    return numbers, notes
