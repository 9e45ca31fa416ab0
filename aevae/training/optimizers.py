"""Optimizers."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from aevae.config import TrainConfig

SWEPT = 100  # steps between two sweeps of moments that have faded away; 0.9^100 = 3e-5
FADED = 1e-30  # moves nothing: eps is 1e-8; 0.9^100 of it is still a normal number


class Adam(torch.optim.Adam):
    """Adam whose epsilon is a share of the typical gradient of each parameter tensor.

    theta <- theta - lr m / (sqrt(v) + damping rms + 1e-8), rms = sqrt(mean of v over the tensor); m and v: the running
    means of the gradient and of its square, corrected for their start (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1).
    With damping = 0 it is Adam, which gives every weight steps of the same size: the weights of a pixel that is almost
    never lit, whose gradient is a thousandth of its neighbours', grow as fast as theirs. With damping near 1 such
    weights move in proportion to their gradient. A factor on the loss changes nothing while gradients stay far above
    1e-8, so one value serves every likelihood. Measured in `benchmarks/first_layer.py` and `benchmarks/recipe.py`.

    `models`: number of models stacked in the first dimension of each parameter; each has its own rms. `advance` calls
    torch's fused kernel without the bookkeeping around it, which takes a tenth of a step of a small network. On a CPU,
    moments that have faded become 0: a unit that is dead for 700 steps would have subnormal ones, and a hundred such
    units make Adam take five times as long.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        config: TrainConfig,
        device: torch.device,
        scale: float = 1.0,
        models: int | None = None,
    ):
        self.scale, self.damping, self.models = scale, config.damping, models  # scale: of the learning rate
        cuda = device.type == "cuda"  # there step counter and rate live on the device, for graphs
        lr = torch.tensor(config.lr, device=device) if cuda else config.lr
        self._kernel = device.type in ("cpu", "cuda")
        super().__init__(parameters, lr, (0.9, config.beta2), fused=self._kernel, capturable=cuda)
        self._kernel &= hasattr(torch, "_fused_adam_") and (device.type == "cpu" or not self.damping)
        self._slots: Slots | None = None
        self._on_cpu = device.type == "cpu"

    def load_state_dict(self, state_dict: dict) -> None:
        super().load_state_dict(state_dict)
        for slot in self.state.values():
            slot.setdefault("sum_sq", slot["exp_avg_sq"].sum())  # states that were saved before have none
        self._slots = None

    @torch.no_grad()
    def advance(self) -> None:
        """One step, after which there are no gradients."""
        (group,) = self.param_groups
        moving = [p for p in group["params"] if p.grad is not None]
        if self._slots is None or not len(moving) == len(self._slots.counts) == len(group["params"]):
            self._slots = self._found(moving)
        slots, gradients = self._slots, [p.grad for p in moving]
        slots.counts.add_(1)
        slots.taken += 1
        if not self._kernel:
            self._written_out(group, slots, gradients)
        elif not self.damping:
            self._fused(group, slots.parameters, gradients, slots.moments, slots.squares, slots.steps, group["eps"])
        else:
            floors, pieces = self._floors(group["betas"][1], slots, gradients), self._apart(gradients)
            for i, floor in enumerate(floors):
                one = slice(i, i + 1)
                self._fused(
                    group, slots.parameters[one], pieces[one], slots.moments[one], slots.squares[one],
                    slots.steps[one], group["eps"] + floor,
                )  # fmt: skip
        if self._on_cpu and not (slots.starts[0] + slots.taken) % SWEPT:
            for moment in (*slots.moments, *slots.squares):
                torch.hardshrink(moment, FADED, out=moment)
        for p in group["params"]:
            p.grad = None

    @staticmethod
    def _fused(group: dict, parameters, gradients, moments, squares, steps, eps: float) -> None:
        beta1, beta2 = group["betas"]
        torch._fused_adam_(
            parameters, gradients, moments, squares, [], steps,
            lr=group["lr"], beta1=beta1, beta2=beta2, eps=eps, weight_decay=0.0, amsgrad=False, maximize=False,
        )  # fmt: skip

    def _floors(self, beta2: float, slots: "Slots", gradients: list[Tensor]) -> list[float]:
        """damping rms of each tensor after this step, model by model."""
        self._follow(beta2, slots, gradients)
        totals = torch.stack(slots.totals).flatten().tolist()
        return [
            self.damping * math.sqrt(total / (v.numel() * (1 - beta2 ** (start + slots.taken))))
            for total, v, start in zip(totals, slots.squares, slots.starts, strict=True)
        ]

    def _follow(self, beta2: float, slots: "Slots", gradients: list[Tensor]) -> None:
        """The sum of v over each tensor, which needs no look at v: it is the running mean of the sum of g^2."""
        if self.models is None:
            new = [torch.dot(flat, flat) for flat in (g.reshape(-1) for g in gradients)]
        else:
            new = [torch.linalg.vecdot(flat, flat) for flat in (g.reshape(self.models, -1) for g in gradients)]
        torch._foreach_lerp_(slots.totals, new, 1 - beta2)

    def _written_out(self, group: dict, slots: "Slots", gradients: list[Tensor]) -> None:
        """The same step in operations that every device has, and that a CUDA graph can hold."""
        beta1, beta2 = group["betas"]
        first, second = (1 - beta1**slots.counts).unbind(), (1 - beta2**slots.counts).sqrt().unbind()
        torch._foreach_lerp_(slots.moments, gradients, 1 - beta1)
        torch._foreach_mul_(slots.squares, beta2)
        torch._foreach_addcmul_(slots.squares, gradients, gradients, 1 - beta2)
        self._follow(beta2, slots, gradients)
        roots = torch._foreach_sqrt(slots.squares)
        floors = torch._foreach_sqrt(
            torch._foreach_div(slots.totals, [p.numel() / (self.models or 1) for p in gradients])
        )
        for i, (p, m) in enumerate(zip(slots.parameters, slots.moments, strict=True)):
            floor = floors[i].reshape(-1, *[1] * (p.ndim - 1)) if self.models else floors[i]
            root = roots[i].add_(floor, alpha=self.damping).div_(second[i]).add_(group["eps"])
            p.sub_(m / root * (group["lr"] / first[i]))

    def _apart(self, tensors: list[Tensor]) -> list[Tensor]:
        """Stacked tensors (M, ...) model by model; of a single model, the tensors."""
        return tensors if self.models is None else [part for tensor in tensors for part in tensor.unbind()]

    def _found(self, moving: list[Tensor]) -> "Slots":
        for p in moving:
            if not self.state[p]:
                self.state[p] = empty_slot(p, self.models)
        states = [self.state[p] for p in moving]
        counts = torch.stack([state["step"] for state in states])
        for state, count in zip(states, counts.unbind(), strict=True):
            state["step"].set_(count)  # the counters lie in one piece: to count them one by one takes 2 % of a step
        parameters = [p.detach() for p in moving]  # the same memory, of which autograd need not be told
        moments, squares, steps = ([state[key] for state in states] for key in ("exp_avg", "exp_avg_sq", "step"))
        if self._kernel and self.damping and self.models is not None:
            parameters, moments, squares = map(self._apart, (parameters, moments, squares))
            steps = [step for step in steps for _ in range(self.models)]
        starts = [int(step) for step in steps] if self._on_cpu else []
        return Slots(parameters, moments, squares, steps, [state["sum_sq"] for state in states], counts, starts)


@dataclass
class Slots:
    """What a step of Adam reads and writes, of each tensor: parameters, m, v, number of steps, sum of v."""

    parameters: list[Tensor]
    moments: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]  # views of `counts`
    totals: list[Tensor]  # () or, of stacked models, (M,)
    counts: Tensor
    starts: list[int]  # steps when this was laid out, on a CPU; with `taken` the counts without asking a tensor
    taken: int = 0  # steps since then


def empty_slot(p: Tensor, models: int | None = None) -> dict[str, Tensor]:
    """Adam's state of a parameter before the first step; `sum_sq`: sum of `exp_avg_sq`."""
    where = p.device if p.device.type == "cuda" else None
    return {
        "step": torch.zeros((), dtype=torch.float32, device=where),
        "exp_avg": torch.zeros_like(p),
        "exp_avg_sq": torch.zeros_like(p),
        "sum_sq": p.new_zeros(() if models is None else models),
    }


class RowAdam(torch.optim.SparseAdam):
    """torch's SparseAdam with the interface of `Adam`, without damping: rows that no image of the batch looked up stay
    as they are. On a device without sparse tensors gradients are dense, and a row whose gradient is 0 stays."""

    def __init__(self, parameters: Iterable[Tensor], config: TrainConfig, scale: float):
        self.scale = scale
        super().__init__(list(parameters), config.lr * scale, (0.9, config.beta2))

    def advance(self) -> None:
        """One step, after which there are no gradients."""
        (group,) = self.param_groups
        for p in group["params"]:
            if p.grad is not None and not p.grad.is_sparse:
                self._step_dense(p, p.grad, self.state[p], group)
                p.grad = None
        self.step()
        self.zero_grad()

    @staticmethod
    @torch.no_grad()
    def _step_dense(p: Tensor, gradient: Tensor, slot: dict, group: dict) -> None:
        """SparseAdam's step of the rows of p (N, width) whose gradient is not 0."""
        beta1, beta2 = group["betas"]
        if not slot:
            slot |= {"step": 0, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
        slot["step"] += 1
        moves = (gradient != 0).any(1, keepdim=True).to(p)  # (N, 1)
        slot["exp_avg"].lerp_(gradient, (1 - beta1) * moves)
        slot["exp_avg_sq"].lerp_(gradient.square(), (1 - beta2) * moves)
        size = group["lr"] * math.sqrt(1 - beta2 ** slot["step"]) / (1 - beta1 ** slot["step"])
        p.sub_(size * moves * slot["exp_avg"] / (slot["exp_avg_sq"].sqrt() + group["eps"]))


def optimizers(model, config: TrainConfig, device: torch.device) -> dict[str, Adam | RowAdam]:
    """What moves the parameters of `model.parameter_groups()`, each group with its own `scale`.

    One name each: "adam", and "rows" of what is looked up row by row; of several of a kind, the later ones are
    numbered ("adam2"). Raises ValueError unless each trainable parameter is in exactly one group.
    """
    groups = model.parameter_groups()
    _check_groups(model, groups)
    made: dict[str, Adam | RowAdam] = {}
    for group in groups:
        kind, scale = "rows" if group.get("rows") else "adam", group.get("scale", 1.0)
        count = sum(name.startswith(kind) for name in made)
        made[f"{kind}{count + 1}" if count else kind] = (
            RowAdam(group["params"], config, scale)
            if group.get("rows")
            else Adam(group["params"], config, device, scale)
        )
    return made


def _check_groups(model, groups: list[dict]) -> None:
    names = {p: name for name, p in model.named_parameters() if p.requires_grad}
    counts = Counter(p for group in groups for p in group["params"])
    wrong = [f"{name} is in {counts[p] or 'none'}" for p, name in names.items() if counts[p] != 1]
    if wrong:
        raise ValueError(f"each parameter must be in one of the parameter groups, but {', '.join(wrong[:3])}")
