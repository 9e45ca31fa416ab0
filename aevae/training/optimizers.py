"""What moves the parameters."""

from collections.abc import Iterable

import torch
from torch import Tensor

from aevae.config import TrainConfig

SWEPT = 100  # steps between two sweeps of moments that have faded away; 0.9^100 = 3e-5
FADED = 1e-30  # moves nothing: eps is 1e-8; 0.9^100 of it is still a normal number


class Adam(torch.optim.Adam):
    """torch's Adam, whose `advance` calls the fused kernel without the bookkeeping around it.

    The same numbers; on a small network the bookkeeping is a tenth of a step. Where torch has no such kernel, or a
    parameter got no gradient, `advance` is `step`. On a CPU, moments that have faded become 0: a unit that is dead for
    700 steps would have subnormal ones, and a hundred such units make Adam take five times as long.
    """

    def __init__(self, parameters: Iterable[Tensor], config: TrainConfig, device: torch.device, scale: float = 1.0):
        self.scale = scale  # of the learning rate
        cuda = device.type == "cuda"  # there step counter and rate live on the device, for graphs
        lr = torch.tensor(config.lr, device=device) if cuda else config.lr
        fused = device.type in ("cpu", "cuda")
        super().__init__(parameters, lr, (0.9, config.beta2), fused=fused, capturable=cuda)
        self._slots: tuple | None = None  # parameters, moments, squares, step counters, these in one piece
        self._steps = 0  # that these counters have counted
        self._sweeps = device.type == "cpu"

    def load_state_dict(self, state_dict: dict) -> None:
        super().load_state_dict(state_dict)
        self._slots = None

    def advance(self) -> None:
        """One step, after which there are no gradients."""
        (group,) = self.param_groups
        gradients = [p.grad for p in group["params"]]
        complete = all(g is not None for g in gradients)
        if self._slots is None or not complete:
            self.step()
            ready = complete and group["fused"] and hasattr(torch, "_fused_adam_")
            self._slots = self._found(group["params"]) if ready else None
        else:
            parameters, moments, squares, steps, counts = self._slots
            beta1, beta2 = group["betas"]
            counts.add_(1)
            self._steps += 1
            torch._fused_adam_(
                parameters, gradients, moments, squares, [], steps,
                lr=group["lr"], beta1=beta1, beta2=beta2, eps=group["eps"],
                weight_decay=0.0, amsgrad=False, maximize=False,
            )  # fmt: skip
        if self._sweeps and self._slots is not None and not self._steps % SWEPT:
            for moment in (*self._slots[1], *self._slots[2]):
                torch.hardshrink(moment, FADED, out=moment)
        for p in group["params"]:
            p.grad = None

    def _found(self, parameters: list[Tensor]) -> tuple:
        slots = [self.state[p] for p in parameters]
        moments, squares, steps = ([s[k] for s in slots] for k in ("exp_avg", "exp_avg_sq", "step"))
        counts = torch.stack(steps)
        for step, count in zip(steps, counts.unbind(), strict=True):
            step.set_(count)  # the counters lie in one piece: to count them one by one takes 2 % of a step
        self._steps = int(steps[0]) if self._sweeps else 0
        # detached: the same memory, of which autograd need not be told
        return [p.detach() for p in parameters], moments, squares, steps, counts


class RowAdam(torch.optim.SparseAdam):
    """torch's SparseAdam under the surface of `Adam`: rows that no picture of the batch looked up stay as they are."""

    def __init__(self, parameters: Iterable[Tensor], config: TrainConfig, scale: float):
        self.scale = scale
        super().__init__(list(parameters), config.lr * scale, (0.9, config.beta2))

    def advance(self) -> None:
        """One step, after which there are no gradients."""
        self.step()
        self.zero_grad()


def optimizers(model, config: TrainConfig, device: torch.device) -> dict[str, Adam | RowAdam]:
    """What moves the parameters of `model.parameter_groups()`: "adam", and "rows" where there are such."""
    made: dict[str, Adam | RowAdam] = {}
    for group in model.parameter_groups():
        scale = group.get("scale", 1.0)
        if group.get("rows"):
            made["rows"] = RowAdam(group["params"], config, scale)
        else:
            made["adam"] = Adam(group["params"], config, device, scale)
    return made
