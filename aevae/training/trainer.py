"""One loop for every family. It knows no screen and no file: it tells listeners, and asks whether to stop.

The data stay on the device as uint8; a batch is an index. The order of an epoch depends on (seed, epoch) alone and the
noise on one generator whose state is part of the checkpoint, so stop + resume is the same run as no stop.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from aevae.config import TrainConfig
from aevae.models.base import Model
from aevae.models.blocks import batches
from aevae.outputs import Loss
from aevae.schedules import one_cycle
from aevae.spread import Tally, spread
from aevae.training.diverged import Diverged, limit_of
from aevae.training.optimizers import optimizers
from aevae.training.steps import stepper, sum_type

TEST_SEED = 1_000_003  # the test pass draws the same noise in every epoch and every run
REPORT_SECONDS = 0.25  # a StepDone at most this often
RISE, RISE_SHARE = 1.0, 0.01  # nats per image, and share of the whole fall, above the best: that is said
ROWS = 4096  # training pictures summed at once


@dataclass(frozen=True)
class StepDone:
    """A few steps further. `terms`: means over this epoch so far."""

    step: int
    steps: int
    epoch: int
    terms: dict[str, float]
    images_per_s: float


@dataclass(frozen=True)
class EpochDone:
    """An epoch is over (0: before training). `record` is its line of the history."""

    record: dict


@dataclass(frozen=True)
class BegunAnew:
    """The run was to go on from a checkpoint, which could not be. `reason`: why, and where that is now."""

    reason: str


class TrainingDiverged(ArithmeticError):
    """A loss term is no longer a finite number, or has exploded; `facts` say which and where (a `Diverged`)."""

    def __init__(self, facts: Diverged):
        super().__init__(str(facts))
        self.facts = facts


class Trainer:
    """One run in the making: Adam on shuffled mini-batches of `train` (uint8 (N, 1, 28, 28), or sequences
    (N, T, 1, 28, 28)), a pass over `test` after each epoch; `labels`: theirs, int64, for families that want them.
    drawn: a step sees each training pixel black or white, white with the probability that its grey says. The steps
    themselves, of one model or of several side by side, are in `aevae.training.steps`."""

    def __init__(
        self, model: Model, train, test, config: TrainConfig, seed: int, device: torch.device, labels=None, drawn=False
    ):
        model.begin(len(train))
        self.model = model.to(device)
        self.config, self.seed, self.device, self.drawn = config, seed, device, drawn
        self.labels = [torch.tensor(part).to(device) for part in labels or ()]
        # copies: the data set stays as it is; what is on the device already is shared by those who train side by side
        self.train, self.test = (
            part if isinstance(part, Tensor) else torch.tensor(part).to(device) for part in (train, test)
        )
        if config.centre:
            total = sum(part.sum(0) for part in self.train.split(ROWS))  # of all at once would be eight times the data
            model.start_from(total.div(255 * len(self.train)).to(device, torch.float32))
        self.optimizers = optimizers(model, config, device)
        self.noise = torch.Generator(device).manual_seed(seed)
        self.step = 0
        self.sums: Tensor | None = None  # (T,) of the terms times the batch, over this epoch so far
        self.term_names: list[str] = []
        self.epoch_seconds = 0.0
        self.history: list[dict] = []
        self.launch = "eager"  # or recorded, or graph: how steps reach the device
        self.diverged: TrainingDiverged | None = None  # while others, trained side by side, go on

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
        """Learning rate of the coming step."""
        cycle = self.config.schedule == "one_cycle"
        return self.config.lr * (one_cycle(self.step, self.steps) if cycle else 1.0)

    def fit(self, on_event: Callable = lambda event: None, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end, or until `should_stop()` between two steps. Returns whether the end was reached."""
        return fit([self], lambda i, event: on_event(event), should_stop)

    def order(self) -> Tensor:
        """Numbers of the training pictures (N,) in the order of the present epoch."""
        draw = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step // self.steps_per_epoch)
        return torch.randperm(len(self.train), generator=draw).to(self.device)

    def news(self) -> StepDone:
        """Where it stands. At the beginning of an epoch there are no terms and no rate yet."""
        epoch, done = divmod(self.step, self.steps_per_epoch)
        if not done and self.epoch_seconds == 0:
            return StepDone(self.step, self.steps, max(epoch, 1), {}, 0.0)
        epoch = max(self.step - 1, 0) // self.steps_per_epoch
        seen = (self.step - epoch * self.steps_per_epoch) * self.config.batch_size
        return StepDone(self.step, self.steps, epoch + 1, self.means(), seen / max(self.epoch_seconds, 1e-9))

    def must_be_finite(self, values, names) -> None:
        """Raises TrainingDiverged, naming the term and the step."""
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

    def means(self) -> dict[str, float]:
        """Means of the terms over this epoch so far, in nats per image."""
        done = self.step % self.steps_per_epoch or self.steps_per_epoch
        seen = min(done * self.config.batch_size, len(self.train))
        values = [v / seen for v in self.sums.tolist()]
        self.must_be_finite(values, self.term_names)
        return dict(zip(self.term_names, values, strict=True))

    def end_epoch(self, train_terms: dict[str, float]) -> EpochDone:
        """Evaluate, write the line of the history, begin anew."""
        record = {"epoch": len(self.history), "step": self.step}
        if train_terms:
            record |= {"train": train_terms, "seconds": round(self.epoch_seconds, 3)}
            record["device"] = str(self.device)
            record["images_per_s"] = round(len(self.train) / max(self.epoch_seconds, 1e-9), 1)
        tally = self.test_pass()
        record["test"] = tally.means()
        self.must_be_finite(record["test"].values(), record["test"])
        self.must_not_explode(record["test"]["objective"])
        record["spread"] = spread(tally.per_image(), self.model.density_terms)
        self.epoch_seconds = 0.0
        if self.sums is not None:
            self.sums.zero_()
        self.history.append(record)
        return EpochDone(record)

    def evaluate(self) -> dict[str, float]:
        """Means of the terms over the test images."""
        return self.test_pass().means()

    @torch.inference_mode()
    def test_pass(self) -> Tally:
        """Losses of the test images, with one sample of all noise, the same each time."""
        self.model.eval()
        generator, tally = torch.Generator(self.device).manual_seed(TEST_SEED), Tally()
        every = torch.arange(len(self.test), device=self.device)[: self.model.test_pictures]
        for part in batches(every):
            told = {"labels": self.labels[1][part]} if "labels" in self.model.wants else {}
            tally.add(self.model.loss(self.test[part].float().div_(255), generator=generator, **told), len(part))
        return tally

    def pictures(self, index: Tensor) -> Tensor:
        """The training pictures `index` (B,) as a step sees them, float32 in [0, 1]."""
        x = self.train.index_select(0, index).float().div_(255)
        return torch.rand(x.shape, generator=self.noise, device=x.device).lt(x).float() if self.drawn else x

    def loss(self, index: Tensor, epoch: float | Tensor) -> Loss:
        """Objective of the training pictures `index` (B,)."""
        x = self.pictures(index)
        told = {"index": index} if "index" in self.model.wants else {}
        if "labels" in self.model.wants:
            told["labels"] = self.labels[0].index_select(0, index)
        return self.model.loss(x, generator=self.noise, epoch=epoch, **told)

    def state(self) -> tuple[dict[str, Tensor], dict]:
        """All that resume needs, of one step: tensors, and JSON data. `load_state` takes them back."""
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
        """Continue from what `state` returned. Raises ValueError or KeyError where it does not fit this model.

        Everything is checked before anything is changed, so a trainer that refuses a state can still begin anew.
        On another kind of device the noise goes on from a new seed: the two have different generators.
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
    """Of a history with at least one line: {"epoch", "objective", "last", "risen"}, objectives on the test images.

    `risen`: it ended more than RISE nats, and more than RISE_SHARE of what training had won, above its best.
    """
    objectives = [record["test"]["objective"] for record in history]
    lowest, last = min(objectives), objectives[-1]
    risen = last - lowest > max(RISE, RISE_SHARE * (objectives[0] - lowest))
    return {"epoch": objectives.index(lowest), "objective": lowest, "last": last, "risen": risen}


def fit(
    trainers: Sequence[Trainer],
    on_event: Callable[[int, object], None] = lambda i, event: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """The loop: train to the end, or until `should_stop()` between two steps. Returns whether the end was reached.

    Several trainers go side by side, step by step; they share data, recipe and shape, and stand at the same step.
    on_event(i, event) hears of the i-th. One that diverges alone raises TrainingDiverged; among others it is left out
    of events from then on, with the reason in `trainer.diverged`.
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
    take = stepper(trainers)
    while lead.step < lead.steps and any(trainer.diverged is None for trainer in trainers):
        if not _epoch(trainers, take, tell, should_stop):
            tell(Trainer.news)  # which says whether the state that is kept is a good one
            return False
        tell(lambda trainer: trainer.end_epoch(trainer.means()))
    return True


def _epoch(trainers: Sequence[Trainer], take: Callable[[Tensor], None], tell, should_stop) -> bool:
    lead = trainers[0]
    orders = torch.stack([trainer.order() for trainer in trainers])  # (M, N)
    parts = orders.split(lead.config.batch_size, dim=1)
    for trainer in trainers:
        trainer.model.train()
    told = 0.0
    for i in range(lead.step % lead.steps_per_epoch, lead.steps_per_epoch):
        if should_stop():
            return False
        began = time.perf_counter()  # whoever is asked may wait: that is no time of training
        take(parts[i])
        if lead.device.type == "cuda" and i + 1 == lead.steps_per_epoch:
            torch.cuda.synchronize(lead.device)  # the launches were quick; the epoch is over when they are done
        now = time.perf_counter()
        for trainer in trainers:
            trainer.epoch_seconds += now - began
        if now - told > REPORT_SECONDS:
            told = now
            tell(Trainer.news)
    return True


def _slots(tensors: dict[str, Tensor], optimizer: str) -> dict[int, dict]:
    """An optimizer's slots by the number of the parameter, out of what `Trainer.state` returned."""
    slots: dict[int, dict] = {}
    for key, value in tensors.items():
        if key.startswith(f"{optimizer}."):
            _, i, name = key.split(".")
            # copies: the optimizer writes into them; SparseAdam counts its steps in a plain number
            plain = optimizer.startswith("rows") and name == "step"
            slots.setdefault(int(i), {})[name] = int(value) if plain else value.clone()
    return slots


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
