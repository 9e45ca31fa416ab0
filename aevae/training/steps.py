"""One training step of one model or of several side by side, and its fast versions for CPU and GPU.

All code that depends on the device and on the number of models is here. The loop (`aevae.training.trainer.fit`) calls
one function with the image indices (M, B) of a batch, which takes one step in all M trainers.
"""

import contextlib
import copy
import math
import os
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from aevae import logs
from aevae.noise import RecordingRng, ReplayRng, predraw
from aevae.training.optimizers import Adam, empty_state

WARM_UP_STEPS = 3  # eager steps on a side stream before a CUDA graph is captured


def sum_type(device: torch.device) -> torch.dtype:
    """The dtype of sums over an epoch: float64 if the device supports it, else float32."""
    return torch.float64 if device.type in ("cpu", "cuda") else torch.float32


def make_step_fn(trainers: Sequence) -> Callable[[Tensor], None]:
    """The fastest step function that the device and the models of these trainers allow."""
    steps = SingleStep(trainers[0]) if len(trainers) == 1 else BatchedStep(trainers)
    lead = trainers[0]
    if lead.device.type == "cuda":
        return CudaGraphStep(steps)
    if lead.device.type == "cpu" and lead.model.batched and lead.config.precision == "float32" and load_tape():
        steps.work = TapeStep(steps)
    return steps


def load_tape() -> Callable | None:
    """The class `Tape`; None if AEVAE_TAPE is 0, or if this PyTorch lacks the private interfaces that a tape needs."""
    if os.environ.get("AEVAE_TAPE") == "0":
        return None
    try:
        from aevae.training.tape import Tape
    except (ImportError, AttributeError):
        return None
    return Tape


class SingleStep:
    """The step of one trainer."""

    sums: Tensor | None = None  # (T, M)
    epoch: Tensor | None = None

    def __init__(self, trainer):
        self.trainers = [trainer]
        self.optimizers = list(trainer.optimizers.values())

    def __call__(self, index: Tensor) -> None:
        """Take one step. index: (M, B), the image indices of each model's batch."""
        lead = self.trainers[0]
        if self.epoch is None:
            self.epoch = torch.zeros((), device=lead.device)
        self.run(index, self.epoch.fill_(lead.step / lead.steps_per_epoch), lead.rate)
        self.count()

    def run(self, index: Tensor, epoch: Tensor, rate: float | Tensor) -> None:
        """Compute gradients, check for divergence, step Adam, add the terms. A CUDA graph needs tensor arguments."""
        with self.precision():
            values = self.work(index, epoch)  # (T, M)
        self.check(values)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"].copy_(rate * optimizer.scale)
                else:
                    group["lr"] = rate * optimizer.scale
            optimizer.step_fused()
        for trainer in self.trainers:
            trainer.model.after_step()
        self.add(values, index.shape[1])

    def work(self, index: Tensor, epoch: Tensor) -> Tensor:
        """The result of `gradients`. On a CPU a TapeStep replaces this method."""
        return self.gradients(index, epoch)

    def gradients(self, index: Tensor, epoch: Tensor) -> Tensor:
        """Loss terms and objective (T, M) of these images; stores the gradients in the parameters."""
        trainer = self.trainers[0]
        loss = trainer.loss(index[0], epoch)
        self.backward(loss.total)
        trainer.term_names = [*loss.terms, "objective"]
        return torch.stack([*loss.terms.values(), loss.total.detach()]).unsqueeze(1)

    @cached_property
    def parameters(self) -> list[Tensor]:
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        return [p for group in groups for p in group["params"] if p.requires_grad]

    def backward(self, total: Tensor) -> None:
        """Store the gradients of `total` in Adam's layout; `total.backward()` would copy each of them on a tape."""
        parameters = self.parameters
        for p, gradient in zip(parameters, torch.autograd.grad(total, parameters, allow_unused=True), strict=True):
            dense = gradient is not None and gradient.layout == torch.strided
            p.grad = gradient.contiguous() if dense and p.is_contiguous() else gradient

    def precision(self) -> contextlib.AbstractContextManager:
        """The autocast context: bfloat16 in matrix products if configured; weights, losses and Adam stay float32."""
        lead = self.trainers[0]
        if lead.config.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(lead.device.type, torch.bfloat16)

    @cached_property
    def on_cpu(self) -> bool:
        return self.trainers[0].device.type == "cpu"

    def check(self, values: Tensor) -> None:
        """Stop at the first value that is not finite. On a GPU, where reading values stalls, only reports check."""
        if not self.on_cpu:
            return
        for trainer, column in zip(self.trainers, zip(*values.tolist(), strict=True), strict=True):
            if trainer.diverged is None and not all(map(math.isfinite, column)):
                self.on_divergence(trainer, column)

    def on_divergence(self, trainer, column: Sequence[float]) -> None:
        """Raise TrainingDiverged. column: the terms of this trainer, at least one not finite."""
        trainer.must_be_finite(column, trainer.term_names)

    def add(self, values: Tensor, num_images: int) -> None:
        """Add the terms of a batch to the sums of the epoch."""
        if self.sums is None:
            self.sums = torch.zeros(values.shape, dtype=sum_type(values.device), device=values.device)
            for i, trainer in enumerate(self.trainers):
                if trainer.sums is not None:  # sums of an interrupted epoch
                    self.sums[:, i] = trainer.sums
                trainer.sums = self.sums[:, i]
        self.sums.add_(values, alpha=num_images)

    def count(self) -> None:
        """Count the step in every trainer."""
        for trainer in self.trainers:
            trainer.step += 1


class BatchedStep(SingleStep):
    """The step of M trainers with the same shapes and recipe, as one batched model.

    Parameters and Adam's moments are stacked, (M, ...). Each trainer has views of its own slice, so it evaluates,
    saves and ends as if it were alone. The results equal those of M single runs up to rounding.
    """

    def __init__(self, trainers: Sequence):
        self.trainers = list(trainers)
        lead = trainers[0]
        self.template = _Loss(copy.deepcopy(lead.model).to("meta")).train()
        self.template.model.varying_hparams = frozenset(
            knob for knob in lead.model.batchable_hparams if len({getattr(t.model.config, knob) for t in trainers}) > 1
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
            updated = {id(p) for p in own.param_groups[0]["params"]}
            names = [name for name, p in lead.model.named_parameters() if id(p) in updated]
            parameters = [self.stacked[name] for name in names]
            self.optimizers.append(Adam(parameters, lead.config, lead.device, own.scale, len(trainers)))
            for name in names:
                self._share(name, key, self.stacked[name])
        self.rng_requests: dict[int, list] = {}  # batch size -> random tensors that a step needs

    def _share(self, name: str, optimizer: str, stacked: nn.Parameter) -> None:
        """Turn the trainers' parameter `name` and its moments in this optimizer into views of the stack."""
        own = [t.model.get_parameter(name) for t in self.trainers]
        slots = [
            t.optimizers[optimizer].state.get(p) or empty_state(p) for t, p in zip(self.trainers, own, strict=True)
        ]
        state = {key: torch.stack([slot[key] for slot in slots]) for key in ("exp_avg", "exp_avg_sq", "sum_sq")}
        state["step"] = slots[0]["step"].clone()
        self.optimizers[-1].state[stacked] = state
        for i, (trainer, p) in enumerate(zip(self.trainers, own, strict=True)):
            p.data = stacked.data[i]
            trainer.optimizers[optimizer].state[p] = {
                key: value if key == "step" else value[i] for key, value in state.items()
            }

    def gradients(self, index: Tensor, epoch: float | Tensor) -> Tensor:
        x = torch.stack([t.images(each) for t, each in zip(self.trainers, index, strict=True)])  # (M, B, ...)
        draws = predraw(self._rng_requests(x[0]), [t.noise for t in self.trainers], x)

        def one(parameters, buffers, x, draws) -> tuple[Tensor, dict[str, Tensor]]:
            named = {f"model.{k}": v for k, v in (parameters | buffers).items()}
            return functional_call(self.template, named, (x, ReplayRng(draws), epoch))

        totals, terms = vmap(one)(self.stacked, self.buffers, x, draws)
        self.backward(totals.sum())
        for trainer in self.trainers:
            trainer.term_names = [*terms, "objective"]
        return torch.stack([*terms.values(), totals.detach()])

    def _rng_requests(self, x: Tensor) -> list:
        """The random tensors that the loss of a batch like x (B, 1, 28, 28) needs."""
        if len(x) not in self.rng_requests:
            recording = RecordingRng(torch.Generator(x.device).manual_seed(0))
            with torch.no_grad():
                self.trainers[0].model.loss(x, generator=recording)
            self.rng_requests[len(x)] = recording.requests
        return self.rng_requests[len(x)]

    def on_divergence(self, trainer, column: Sequence[float]) -> None:
        try:
            trainer.must_be_finite(column, trainer.term_names)
        except ArithmeticError as problem:
            trainer.diverged = problem


class _Loss(nn.Module):
    """A model's loss as a forward pass, for `functional_call`."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, generator, epoch) -> tuple[Tensor, dict[str, Tensor]]:
        loss = self.model.loss(x, generator=generator, epoch=epoch)
        return loss.total, loss.terms


class TapeStep:
    """Gradients of full batches on a CPU, replayed from a tape (`aevae.training.tape`).

    The second batch is recorded. The third, and then the first of each epoch, is replayed and also computed eagerly. If
    one bit differs, or if an operation cannot be recorded, all steps are eager from then on, and `launch` of the
    trainers says why.
    """

    def __init__(self, steps: SingleStep):
        lead = steps.trainers[0]
        self.steps = weakref.proxy(steps)  # a reference cycle would keep the tape's memory after training
        self.tape: Any = None
        self.is_first, self.reason = True, ""
        self.verified_epoch: int | None = None
        self.index = torch.zeros(len(steps.trainers), lead.config.batch_size, dtype=torch.int64)

    def __call__(self, index: Tensor, epoch: Tensor) -> Tensor:
        if index.shape != self.index.shape or self.reason:
            return self.steps.gradients(index, epoch)
        if self.is_first:
            self.is_first = False
            return self.steps.gradients(index, epoch)
        self.index.copy_(index)
        lead = self.steps.trainers[0]
        if self.tape is None or self.verified_epoch != lead.step // lead.steps_per_epoch:
            return self._record_or_verify()
        return self._play()

    def _play(self) -> Tensor:
        self.tape.play()
        values, *gradients = self.tape.results
        for p, gradient in zip(self.steps.parameters, gradients, strict=True):
            p.grad = gradient
        return values

    def _record_or_verify(self) -> Tensor:
        trainers = self.steps.trainers
        before = [trainer.noise.get_state() for trainer in trainers]
        try:
            if self.tape is None:
                tape_class = load_tape()
                assert tape_class is not None
                self.tape = tape_class(self._recordable)
                return self.tape.results[0]
            self._play()
        except Exception as error:  # private interfaces of torch may raise anything; the eager step decides
            self.reason = (str(error) or type(error).__name__).splitlines()[0]
        for trainer, state in zip(trainers, before, strict=True):
            trainer.noise.set_state(state)  # the step is taken once
        eager = self._eager()
        if not self.reason and not all(map(_same, self.tape.results, eager)):
            self.reason = "a replayed step gives other numbers"
            logs.event("tape_left", step=trainers[0].step, reason="replayed_step_differs")
        self.verified_epoch = trainers[0].step // trainers[0].steps_per_epoch
        for trainer in trainers:
            trainer.launch = f"eager: {self.reason}" if self.reason else "recorded"
        if self.reason:
            self.tape = None  # its memory is free
        return eager[0]

    def _eager(self) -> tuple[Tensor, ...]:
        values = self.steps.gradients(self.index, self.steps.epoch)
        return values, *(p.grad for p in self.steps.parameters)

    def _recordable(self) -> tuple[Tensor, ...]:
        results = self._eager()
        if any(result is None for result in results):
            raise RuntimeError("a parameter has no gradient")
        return results


def _same(replayed: Tensor, eager: Tensor | None) -> bool:
    """Whether two results are equal bit for bit; NaN, as of a model that diverged, equals NaN."""
    return eager is not None and (
        torch.equal(replayed, eager) or torch.allclose(replayed, eager, rtol=0.0, atol=0.0, equal_nan=True)
    )


class CudaGraphStep:
    """Steps of full batches as one CUDA graph, so that Python overhead does not limit small networks.

    The first steps run eagerly on a side stream, as graph capture requires. Other batch sizes, and models that read a
    value from the device, stay eager; `reason` says why.
    """

    def __init__(self, steps: SingleStep):
        self.steps, self.graph, self.reason = steps, None, ""
        device = steps.trainers[0].device
        self.warm_up = WARM_UP_STEPS
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
        elif self.warm_up:
            self._warm_up(index)
        else:
            self.index.copy_(index)
            if self.graph is None:
                self._capture()
            if self.graph is None:
                self.steps.run(index, self.epoch, self.rate)
            else:
                self.graph.replay()
        self.steps.count()

    def _warm_up(self, index: Tensor) -> None:
        self.warm_up -= 1
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
