"""What one training step does, of one model or of several side by side, and how a device takes it as one piece.

Everything that differs between devices and numbers of models is here; the loop (`aevae.training.trainer.fit`) sees a
function that takes the numbers of a batch's pictures, (M, B), and moves every trainer one step on.
"""

import contextlib
import copy
import math
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from aevae.noise import Noted, Prepared, prepare
from aevae.training.optimizers import Adam, empty_slot
from aevae.training.tape import Tape, Unforeseen

WARM_UP = 3  # steps on a side stream before a CUDA graph is captured


def sum_type(device: torch.device) -> torch.dtype:
    """Of sums over an epoch."""
    return torch.float64 if device.type in ("cpu", "cuda") else torch.float32


def stepper(trainers: Sequence) -> Callable[[Tensor], None]:
    """The step function of these trainers, the quickest that this device and these models allow."""
    steps = Alone(trainers[0]) if len(trainers) == 1 else Together(trainers)
    lead = trainers[0]
    if lead.device.type == "cuda":
        return Graphed(steps)
    if lead.device.type == "cpu" and lead.model.batched and lead.config.precision == "float32":
        steps.work = Recorded(steps)
    return steps


class Alone:
    """The step of one trainer."""

    sums: Tensor | None = None  # (T, M)
    epoch: Tensor | None = None

    def __init__(self, trainer):
        self.trainers = [trainer]
        self.optimizers = list(trainer.optimizers.values())

    def __call__(self, index: Tensor) -> None:
        """index (M, B): which pictures."""
        lead = self.trainers[0]
        if self.epoch is None:
            self.epoch = torch.zeros((), device=lead.device)
        self.run(index, self.epoch.fill_(lead.step / lead.steps_per_epoch), lead.rate)
        self.count()

    def run(self, index: Tensor, epoch: Tensor, rate: float | Tensor) -> None:
        """Gradients, the check, Adam, the sums. Numbers are tensors where a graph reads them anew each time."""
        with self.precision():
            values = self.work(index, epoch)  # (T, M)
        self.check(values)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].copy_(rate * optimizer.scale)
                else:
                    group["lr"] = rate * optimizer.scale
            optimizer.advance()
        for trainer in self.trainers:
            trainer.model.after_step()
        self.add(values, index.shape[1])

    def work(self, index: Tensor, epoch: Tensor) -> Tensor:
        """`gradients`, or what stands in for it."""
        return self.gradients(index, epoch)

    def gradients(self, index: Tensor, epoch: Tensor) -> Tensor:
        """Terms and objective (T, M) of these pictures, and their gradients, left with the parameters."""
        trainer = self.trainers[0]
        loss = trainer.loss(index[0], epoch)
        self.slope(loss.total)
        trainer.term_names = [*loss.terms, "objective"]
        return torch.stack([*loss.terms.values(), loss.total.detach()]).unsqueeze(1)

    @cached_property
    def parameters(self) -> list[Tensor]:
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        return [p for group in groups for p in group["params"] if p.requires_grad]

    def slope(self, total: Tensor) -> None:
        """`total.backward()`, which on a tape would copy every gradient. Adam's kernel wants them laid out as p."""
        parameters = self.parameters
        for p, slope in zip(parameters, torch.autograd.grad(total, parameters, allow_unused=True), strict=True):
            dense = slope is not None and slope.layout == torch.strided
            p.grad = slope.contiguous() if dense and p.is_contiguous() else slope

    def precision(self):
        """bfloat16 inside products where the config asks for it; weights, losses and Adam stay float32."""
        lead = self.trainers[0]
        if lead.config.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(lead.device.type, torch.bfloat16)

    @cached_property
    def on_cpu(self) -> bool:
        return self.trainers[0].device.type == "cpu"

    def check(self, values: Tensor) -> None:
        """Stops at the first number that is none. Off the CPU asking would stall the device: asked at a report."""
        if not self.on_cpu:
            return
        for trainer, column in zip(self.trainers, zip(*values.tolist(), strict=True), strict=True):
            if trainer.diverged is None and not all(map(math.isfinite, column)):
                self.left_out(trainer, column)

    def left_out(self, trainer, column: Sequence[float]) -> None:
        trainer.must_be_finite(column, trainer.term_names)

    def add(self, values: Tensor, pictures: int) -> None:
        if self.sums is None:
            self.sums = torch.zeros(values.shape, dtype=sum_type(values.device), device=values.device)
            for i, trainer in enumerate(self.trainers):
                if trainer.sums is not None:  # of an epoch that was interrupted
                    self.sums[:, i] = trainer.sums
                trainer.sums = self.sums[:, i]
        self.sums.add_(values, alpha=pictures)

    def count(self) -> None:
        for trainer in self.trainers:
            trainer.step += 1


class Together(Alone):
    """The step of M trainers of one shape and recipe, as one batched model.

    Their parameters and Adam's moments are laid one upon the other, (M, ...), and the trainers keep views of their
    own: each evaluates, saves and ends as if it were alone. Every result is that of the solo run up to rounding.
    """

    def __init__(self, trainers: Sequence):
        self.trainers = list(trainers)
        lead = trainers[0]
        self.shape = _Loss(copy.deepcopy(lead.model).to("meta")).train()
        self.shape.model.varied = frozenset(
            knob for knob in lead.model.knobs if len({getattr(t.model.config, knob) for t in trainers}) > 1
        )
        self.stacked = {
            name: nn.Parameter(torch.stack([t.model.get_parameter(name).detach() for t in trainers]))
            for name, _ in lead.model.named_parameters()
        }
        self.buffers = {
            name: torch.stack([t.model.get_buffer(name) for t in trainers]) for name, _ in lead.model.named_buffers()
        }
        self.optimizers = []
        for key, own in lead.optimizers.items():  # one for each group of parameters
            moved = {id(p) for p in own.param_groups[0]["params"]}
            names = [name for name, p in lead.model.named_parameters() if id(p) in moved]
            parameters = [self.stacked[name] for name in names]
            self.optimizers.append(Adam(parameters, lead.config, lead.device, own.scale, len(trainers)))
            for name in names:
                self._share(name, key, self.stacked[name])
        self.asked: dict[int, list] = {}  # batch size -> what a step draws

    def _share(self, name: str, optimizer: str, stacked: nn.Parameter) -> None:
        """Trainers' parameter `name` and its moments in this optimizer become views of the stack's."""
        own = [t.model.get_parameter(name) for t in self.trainers]
        slots = [t.optimizers[optimizer].state.get(p) or empty_slot(p) for t, p in zip(self.trainers, own, strict=True)]
        state = {key: torch.stack([slot[key] for slot in slots]) for key in ("exp_avg", "exp_avg_sq", "sum_sq")}
        state["step"] = slots[0]["step"].clone()
        self.optimizers[-1].state[stacked] = state
        for i, (trainer, p) in enumerate(zip(self.trainers, own, strict=True)):
            p.data = stacked.data[i]
            trainer.optimizers[optimizer].state[p] = {
                key: value if key == "step" else value[i] for key, value in state.items()
            }

    def gradients(self, index: Tensor, epoch: float | Tensor) -> Tensor:
        x = torch.stack([t.pictures(each) for t, each in zip(self.trainers, index, strict=True)])  # (M, B, ...)
        draws = prepare(self._draws(x[0]), [t.noise for t in self.trainers], x)

        def one(parameters, buffers, x, draws):
            named = {f"model.{k}": v for k, v in (parameters | buffers).items()}
            return functional_call(self.shape, named, (x, Prepared(draws), epoch))

        totals, terms = vmap(one)(self.stacked, self.buffers, x, draws)
        self.slope(totals.sum())
        for trainer in self.trainers:
            trainer.term_names = [*terms, "objective"]
        return torch.stack([*terms.values(), totals.detach()])

    def _draws(self, x: Tensor) -> list:
        """What the loss of a batch like x (B, 1, 28, 28) draws."""
        if len(x) not in self.asked:
            noted = Noted(torch.Generator(x.device).manual_seed(0))
            with torch.no_grad():
                self.trainers[0].model.loss(x, generator=noted)
            self.asked[len(x)] = noted.asked
        return self.asked[len(x)]

    def left_out(self, trainer, column: Sequence[float]) -> None:
        try:
            trainer.must_be_finite(column, trainer.term_names)
        except ArithmeticError as problem:
            trainer.diverged = problem


class _Loss(nn.Module):
    """A model's loss as a forward pass, for `functional_call`."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, generator, epoch):
        loss = self.model.loss(x, generator=generator, epoch=epoch)
        return loss.total, loss.terms


class Recorded:
    """Gradients of full batches on a CPU, played back from a tape (`aevae.training.tape`).

    The second batch is noted down; the third is played, and done as it is written, too. If one bit differs then, or if
    something shows that a tape cannot hold, all goes on as it is written, and `launch` of the trainers says why.
    """

    def __init__(self, steps: Alone):
        lead = steps.trainers[0]
        self.steps = weakref.proxy(steps)  # which holds this: a circle would keep the tape's memory after the end
        self.tape, self.seen, self.reason = None, 0, ""
        self.index = torch.zeros(len(steps.trainers), lead.config.batch_size, dtype=torch.int64)

    def __call__(self, index: Tensor, epoch: Tensor) -> Tensor:
        if index.shape != self.index.shape or self.reason:
            return self.steps.gradients(index, epoch)
        self.seen += 1
        if self.seen == 1:
            return self.steps.gradients(index, epoch)
        self.index.copy_(index)
        return self._begin() if self.seen <= 3 else self._play()

    def _play(self) -> Tensor:
        self.tape.play()
        values, *slopes = self.tape.results
        for p, slope in zip(self.steps.parameters, slopes, strict=True):
            p.grad = slope
        return values

    def _begin(self) -> Tensor:
        noises = [trainer.noise for trainer in self.steps.trainers]
        before = [noise.get_state() for noise in noises]
        try:
            if self.tape is None:
                self.tape = Tape(self._written)
                return self.tape.results[0]
            self._play()
        except (RuntimeError, TypeError) as error:  # Unforeseen is one; the step as it is written has the last word
            self.reason = str(error).splitlines()[0]
        for noise, state in zip(noises, before, strict=True):
            noise.set_state(state)
        written = self._written()
        if not self.reason and not all(map(torch.equal, self.tape.results, written)):
            self.reason = "played back, a step gives other numbers"
        for trainer in self.steps.trainers:
            trainer.launch = f"eager: {self.reason}" if self.reason else "recorded"
        return written[0]

    def _written(self) -> tuple[Tensor, ...]:
        values = self.steps.gradients(self.index, self.steps.epoch)
        slopes = [p.grad for p in self.steps.parameters]
        if self.tape is None and any(slope is None for slope in slopes):
            raise Unforeseen("a parameter has no gradient")
        return values, *slopes


class Graphed:
    """Steps of full batches as one CUDA graph: launched as a whole, so that a small network is not bound by Python.

    The first steps run as they are, on a side stream, as capture demands; what a graph cannot hold (another batch
    size, a model that asks the device for a number) runs as it is too, and `reason` says so.
    """

    def __init__(self, steps: Alone):
        self.steps, self.graph, self.reason = steps, None, ""
        device = steps.trainers[0].device
        self.warm = WARM_UP
        self.stream = torch.cuda.Stream(device)
        lead = steps.trainers[0]
        self.index = torch.zeros(len(steps.trainers), lead.config.batch_size, dtype=torch.int64, device=device)
        self.epoch = torch.zeros((), device=device)
        self.rate = torch.zeros((), device=device)

    def __call__(self, index: Tensor) -> None:
        lead = self.steps.trainers[0]
        self.epoch.fill_(lead.step / lead.steps_per_epoch)
        self.rate.fill_(lead.rate)
        if index.shape != self.index.shape or self.reason:
            self.steps.run(index, self.epoch, self.rate)
        elif self.warm:
            self._on_the_side(index)
        else:
            self.index.copy_(index)
            if self.graph is None:
                self._capture()
            if self.graph is None:
                self.steps.run(index, self.epoch, self.rate)
            else:
                self.graph.replay()
        self.steps.count()

    def _on_the_side(self, index: Tensor) -> None:
        self.warm -= 1
        here = torch.cuda.current_stream()
        self.stream.wait_stream(here)
        with torch.cuda.stream(self.stream):
            self.steps.run(index, self.epoch, self.rate)
        here.wait_stream(self.stream)

    def _capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        noises = [trainer.noise for trainer in self.steps.trainers]
        states = [noise.get_state() for noise in noises]
        try:
            for noise in noises:
                graph.register_generator_state(noise)
            with torch.cuda.graph(graph):
                self.steps.run(self.index, self.epoch, self.rate)
        except RuntimeError as error:
            self.reason = str(error).splitlines()[0]
            launch = f"eager: {self.reason}"
            for noise, state in zip(noises, states, strict=True):
                noise.set_state(state)
        else:
            self.graph, launch = graph, "graph"
        for trainer in self.steps.trainers:
            trainer.launch = launch
