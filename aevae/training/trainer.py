"""The training loop of every family. It knows no screen and no file: listeners get events and can stop it.

The images stay on the device as uint8; a batch is a list of indices. The order of an epoch depends only on (seed,
epoch). The noise comes from one generator whose state is part of the checkpoint. So a run that is stopped and resumed
equals a run without a stop, bit for bit.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aevae.config import MAX_RISE, TrainConfig
from aevae.models.base import Model
from aevae.models.tally import TEST_SEED, tally_losses
from aevae.outputs import Loss
from aevae.schedules import one_cycle
from aevae.spread import Tally, spread
from aevae.training.diverged import Diverged, limit_of
from aevae.training.optimizers import optimizers
from aevae.training.steps import make_step_fn, sum_type

ORDER_STRIDE = 1_000_003  # from the orders of one seed to those of the next; more than the epochs of a run
REPORT_SECONDS = 0.25  # shortest time between two StepDone events
# A run has risen if its objective ends above its best by this share of the total decrease, within these limits in nats
# per image: the recipe is made to end within 1 nat of its best, and no decrease is so large that 2 nats do not matter.
RISE_SHARE, MIN_RISE = 0.01, 1.0
SUM_ROWS = 4096  # training images summed at once


@dataclass(frozen=True)
class StepDone:
    """Progress within an epoch. terms: mean loss terms over this epoch so far."""

    step: int
    steps: int
    epoch: int
    terms: dict[str, float]
    images_per_s: float


@dataclass(frozen=True)
class EpochDone:
    """The end of an epoch (epoch 0: before training). record: its line of the history."""

    record: dict


@dataclass(frozen=True)
class BegunAnew:
    """The run starts from the beginning, because its checkpoint cannot be used. reason: why, and where it is now."""

    reason: str


class TrainingDiverged(ArithmeticError):
    """A loss term is not finite or has exploded. facts: which one and where (a `Diverged`)."""

    def __init__(self, facts: Diverged):
        super().__init__(str(facts))
        self.facts = facts


@dataclass(frozen=True)
class TrainingData:
    """Images that a model is trained and tested on, as numpy arrays or tensors.

    train, test: uint8 (N, 1, 28, 28), or sequences (N, T, 1, 28, 28). Tensors on the device are shared by the trainers
    that use them; arrays are copied. labels: int64 (N,) of train and test, for families that use them. resample:
    binarize each batch of training images at random; a pixel is white with probability equal to its grey level.
    """

    train: np.ndarray | Tensor
    test: np.ndarray | Tensor
    labels: Sequence[np.ndarray] = ()
    resample: bool = False


class Trainer:
    """The training of one run: Adam on shuffled mini-batches, and a test pass after each epoch.

    The steps, of one model or of several side by side, are in `aevae.training.steps`.
    """

    def __init__(self, model: Model, data: TrainingData, config: TrainConfig, seed: int, device: torch.device):
        model.setup(len(data.train))
        self.model = model.to(device)
        self.config, self.seed, self.device, self.resample = config, seed, device, data.resample
        self.labels = [torch.tensor(part).to(device) for part in data.labels]
        self.train, self.test = (
            part if isinstance(part, Tensor) else torch.tensor(part).to(device) for part in (data.train, data.test)
        )
        if config.centre:
            total = sum(part.sum(0) for part in self.train.split(SUM_ROWS))  # int64 needs 8 times the memory
            model.init_from_mean(total.div(255 * len(self.train)).to(device, torch.float32))
        self.optimizers = optimizers(model, config, device)
        self.noise = torch.Generator(device).manual_seed(seed)
        self.step = 0
        self.sums: Tensor | None = None  # (T,) terms times batch size, over this epoch so far
        self.term_names: list[str] = []
        self.epoch_seconds = 0.0
        self.history: list[dict] = []
        self.launch = "eager"  # how steps are launched: eager, recorded or graph
        self.diverged: TrainingDiverged | None = None  # set if trained side by side, where the others continue

    @cached_property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.train) / self.config.batch_size)

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.config.epochs

    @property
    def finished(self) -> bool:
        return len(self.history) == self.config.epochs + 1

    @property
    def rate(self) -> float:
        """Learning rate of the next step."""
        cycle = self.config.schedule == "one_cycle"
        return self.config.lr * (one_cycle(self.step, self.steps) if cycle else 1.0)

    def fit(self, on_event: Callable = lambda event: None, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Train. True if the end was reached, False if `should_stop()` returned True between two steps."""
        return fit([self], lambda i, event: on_event(event), should_stop)

    def order(self) -> Tensor:
        """Indices of the training images (N,) in the order of the current epoch."""
        generator = torch.Generator().manual_seed(self.seed * ORDER_STRIDE + self.step // self.steps_per_epoch)
        return torch.randperm(len(self.train), generator=generator).to(self.device)

    def progress(self) -> StepDone:
        """The current step with terms and speed, which are empty at the beginning of an epoch."""
        epoch, done = divmod(self.step, self.steps_per_epoch)
        if not done and self.epoch_seconds == 0:
            return StepDone(self.step, self.steps, max(epoch, 1), {}, 0.0)
        epoch = max(self.step - 1, 0) // self.steps_per_epoch
        seen = (self.step - epoch * self.steps_per_epoch) * self.config.batch_size
        return StepDone(self.step, self.steps, epoch + 1, self.means(), seen / max(self.epoch_seconds, 1e-9))

    def must_be_finite(self, values, names) -> None:
        """Raise TrainingDiverged with the first of `names` whose value is not finite."""
        for name, value in zip(names, values, strict=True):
            if not math.isfinite(value):
                epoch = self.step // self.steps_per_epoch + 1
                raise TrainingDiverged(Diverged(self.step + 1, epoch, name, value))

    def must_not_explode(self, objective: float) -> None:
        """Raises TrainingDiverged if this test objective is beyond `diverged.limit_of`."""
        if self.history:
            limit = limit_of(self.history[0]["test"]["objective"], math.prod(self.train.shape[1:]))
            if objective > limit:
                raise TrainingDiverged(Diverged(self.step, len(self.history), "objective", objective, limit))

    def must_not_overflow(self) -> None:
        """Raises TrainingDiverged if Adam's mean of squared gradients is infinite: such weights never move again."""
        slots = [slot for optimizer in self.optimizers.values() for slot in optimizer.state.values()]
        if not all(bool(slot["exp_avg_sq"].isfinite().all()) for slot in slots):
            raise TrainingDiverged(Diverged(self.step, len(self.history), "squared gradient", math.inf))

    def means(self) -> dict[str, float]:
        """Means of the terms over this epoch so far, in nats per image."""
        done = self.step % self.steps_per_epoch or self.steps_per_epoch
        seen = min(done * self.config.batch_size, len(self.train))
        assert self.sums is not None
        values = [v / seen for v in self.sums.tolist()]
        self.must_be_finite(values, self.term_names)
        return dict(zip(self.term_names, values, strict=True))

    def end_epoch(self, train_terms: dict[str, float]) -> EpochDone:
        """Run the test pass, add the epoch's record to the history, reset the sums. Returns the event."""
        record = {"epoch": len(self.history), "step": self.step}
        if train_terms:
            record |= {"train": train_terms, "seconds": round(self.epoch_seconds, 3)}
            record["device"] = str(self.device)
            record["images_per_s"] = round(len(self.train) / max(self.epoch_seconds, 1e-9), 1)
        tally = self.test_pass()
        record["test"] = tally.means()
        self.must_be_finite(record["test"].values(), record["test"])
        self.must_not_explode(record["test"]["objective"])
        self.must_not_overflow()
        record["spread"] = spread(tally.per_image(), self.model.density_terms)
        self.epoch_seconds = 0.0
        if self.sums is not None:
            self.sums.zero_()
        self.history.append(record)
        return EpochDone(record)

    def evaluate(self) -> dict[str, float]:
        """Means of the terms over the test images."""
        return self.test_pass().means()

    def test_pass(self) -> Tally:
        """Losses of the test images, with the same noise every time."""
        generator = torch.Generator(self.device).manual_seed(TEST_SEED)
        labels = self.labels[1] if "labels" in self.model.extra_inputs else None
        return tally_losses(self.model, self.test[: self.model.max_test_images], generator, labels=labels)

    def images(self, index: Tensor) -> Tensor:
        """The training images `index` (B,) as model input: float32 (B, ...) in [0, 1]."""
        x = self.train.index_select(0, index).float().div_(255)
        return torch.rand(x.shape, generator=self.noise, device=x.device).lt(x).float() if self.resample else x

    def loss(self, index: Tensor, epoch: float | Tensor) -> Loss:
        """The Loss of the training images `index` (B,)."""
        x = self.images(index)
        extra: dict[str, Any] = {"epoch": epoch} | ({"index": index} if "index" in self.model.extra_inputs else {})
        if "labels" in self.model.extra_inputs:
            extra["labels"] = self.labels[0].index_select(0, index)
        return self.model.loss(x, generator=self.noise, **extra)

    def state(self) -> tuple[dict[str, Tensor], dict]:
        """(tensors, JSON data): the state that resuming needs. `load_state` restores it."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for i, slots in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}.{i}.{k}": torch.as_tensor(v) for k, v in slots.items()}
        tensors["noise"] = self.noise.get_state()
        if self.sums is not None:
            tensors["sums"] = self.sums
        meta = {
            "step": self.step,
            "history": self.history,
            "term_names": self.term_names,
            "epoch_seconds": self.epoch_seconds,
            "device": self.device.type,
        }
        return {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}, meta

    def load_state(self, tensors: dict[str, Tensor], meta: dict) -> None:
        """Restore what `state` returned. Raises ValueError or KeyError if it does not fit this model.

        All checks precede all changes, so after an error the trainer can still start from the beginning. On another
        kind of device the noise gets a new seed, because the generators differ.
        """
        named = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
        if _shapes(named) != _shapes(self.model.state_dict()):
            raise ValueError("the saved state does not fit this model")
        slots = {name: _slots(tensors, name) for name in self.optimizers}
        for name, optimizer in self.optimizers.items():
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            if meta["step"] and any(slots[name][i]["exp_avg"].shape != p.shape for i, p in enumerate(parameters)):
                raise ValueError("the saved state of Adam does not fit this model")
        noise = torch.Generator(self.device).manual_seed(self.seed + meta["step"])
        if meta.get("device", self.device.type) == self.device.type:
            try:
                noise.set_state(tensors["noise"])
            except RuntimeError as error:
                raise ValueError("the saved state has no noise generator of this device") from error
        sums = tensors["sums"].to(self.device, sum_type(self.device)) if "sums" in tensors else None
        step, history, names, seconds = (meta[k] for k in ("step", "history", "term_names", "epoch_seconds"))

        self.model.load_state_dict(named)
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict({**optimizer.state_dict(), "state": slots[name]})
        self.noise, self.sums, self.step = noise, sums, step
        self.history, self.term_names, self.epoch_seconds = list(history), list(names), seconds


def best(history: Sequence[dict]) -> dict:
    """The best epoch of a history: {"epoch", "objective", "last", "risen"}, with objectives on the test images.

    risen: True if the last objective is above the best by more than RISE_SHARE of the total decrease, but at least
    MIN_RISE and at most MAX_RISE nats.
    """
    objectives = [record["test"]["objective"] for record in history]
    lowest, last = min(objectives), objectives[-1]
    allowed = min(max(MIN_RISE, RISE_SHARE * (objectives[0] - lowest)), MAX_RISE)
    return {"epoch": objectives.index(lowest), "objective": lowest, "last": last, "risen": last - lowest > allowed}


def fit(
    trainers: Sequence[Trainer],
    on_event: Callable[[int, object], None] = lambda i, event: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Train. True if the end was reached, False if `should_stop()` returned True between two steps.

    Several trainers are trained side by side; they share data, recipe and shape, and are at the same step.
    on_event(i, event): an event of trainer i. If a single trainer diverges, TrainingDiverged is raised. If one of
    several diverges, its events end, and `trainer.diverged` has the reason.
    """
    lead = trainers[0]

    def tell(event: Callable[[Trainer], object]) -> None:
        for i, trainer in enumerate(trainers):
            if trainer.diverged is None:
                try:
                    on_event(i, event(trainer))
                except TrainingDiverged as problem:
                    if len(trainers) == 1:
                        raise
                    trainer.diverged = problem

    if not lead.history:
        tell(lambda trainer: trainer.end_epoch({}))
    step_fn = make_step_fn(trainers)
    while lead.step < lead.steps and any(trainer.diverged is None for trainer in trainers):
        if not _epoch(trainers, step_fn, tell, should_stop):
            tell(Trainer.progress)  # raises TrainingDiverged before a diverged state is saved
            return False
        tell(lambda trainer: trainer.end_epoch(trainer.means()))
    return True


def _epoch(trainers: Sequence[Trainer], step_fn: Callable[[Tensor], None], tell, should_stop) -> bool:
    lead = trainers[0]
    orders = torch.stack([trainer.order() for trainer in trainers])  # (M, N)
    parts = orders.split(lead.config.batch_size, dim=1)
    for trainer in trainers:
        trainer.model.train()
    reported = 0.0
    for i in range(lead.step % lead.steps_per_epoch, lead.steps_per_epoch):
        if should_stop():
            return False
        began = time.perf_counter()  # after `should_stop`, which may wait
        step_fn(parts[i])
        if lead.device.type == "cuda" and i + 1 == lead.steps_per_epoch:
            torch.cuda.synchronize(lead.device)  # kernels run asynchronously; wait for them before reading the clock
        now = time.perf_counter()
        for trainer in trainers:
            trainer.epoch_seconds += now - began
        if now - reported > REPORT_SECONDS:
            reported = now
            tell(Trainer.progress)
    return True


def _slots(tensors: dict[str, Tensor], optimizer: str) -> dict[int, dict]:
    """Parameter index -> state of an optimizer, from the tensors of `Trainer.state`."""
    slots: dict[int, dict] = {}
    for key, value in tensors.items():
        if key.startswith(f"{optimizer}."):
            _, i, name = key.split(".")
            # Copied, because the optimizer writes into them. SparseAdam's step count is an int.
            plain = optimizer.startswith("rows") and name == "step"
            slots.setdefault(int(i), {})[name] = int(value) if plain else value.clone()
    return slots


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
