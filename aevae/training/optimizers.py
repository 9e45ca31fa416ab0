"""Optimizers: Adam with damping, and a sparse Adam for tables of codes."""

import inspect
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aevae.config import TrainConfig

FLUSH_EVERY = 100  # steps; tiny moments are set to 0 this often. 0.9^100 = 3e-5
FLUSH_BELOW = 1e-30  # changes no weight, as eps is 1e-8; 0.9^100 of it is still a normal number


def foreach(name: str, tensors: Sequence[Tensor], *others, **options) -> Sequence[Tensor]:
    """`Tensor.<name>` of each tensor, with the i-th item of each list in `others`; one call if this PyTorch has it."""
    if at_once := getattr(torch, f"_foreach_{name}", None):
        return at_once(tensors, *others, **options)
    lists = (o if isinstance(o, list | tuple) else [o] * len(tensors) for o in others)
    return [getattr(t, name)(*own, **options) for t, *own in zip(tensors, *lists, strict=True)]


def fused_adam(group: dict, parameters, gradients, moments, squares, steps, eps: float) -> None:
    """One step of Adam by torch's fused kernel; `steps` are counted already. Its place in torch is private."""
    beta1, beta2 = group["betas"]
    torch._fused_adam_(
        parameters, gradients, moments, squares, [], steps,
        lr=group["lr"], beta1=beta1, beta2=beta2, eps=eps, weight_decay=0.0, amsgrad=False, maximize=False,
    )  # fmt: skip


@torch.no_grad()
def has_fused_kernel(device: torch.device) -> bool:
    """Whether the fused kernel takes the first step of Adam as the formula says: from 0 to -lr if the gradient is 1."""
    p, g, m, v, step, lr = (torch.full((1,), value, device=device) for value in (0.0, 1.0, 0.0, 0.0, 1.0, 0.25))
    group = {"betas": (0.9, 0.99), "lr": lr[0] if device.type == "cuda" else 0.25}
    try:
        fused_adam(group, [p], [g], [m], [v], [step[0]], 1e-8)
    except (AttributeError, TypeError, RuntimeError):  # it is gone, or takes other arguments
        return False
    return torch.allclose(torch.cat([p, m, v]), p.new_tensor([-0.25, 0.1, 0.01]), rtol=1e-3)


class EagerMethods:
    """Methods of torch's optimizers without the wrapper that hides them from `torch.compile`.

    The first call of a wrapper imports the compiler, which takes about as long as `import torch`. Nothing here is
    compiled.
    """

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)


class Adam(EagerMethods, torch.optim.Adam):
    """Adam whose epsilon is proportional to the RMS gradient of each parameter tensor.

    theta <- theta - lr m / (sqrt(v) + damping rms + 1e-8), rms = sqrt(mean of v over the tensor); m and v: the
    bias-corrected running means of the gradient and its square (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1).
    damping = 0 is plain Adam, whose steps have the same size for all weights: weights of a pixel that is almost always
    black grow as fast as the others, although their gradient is a thousandth. With damping near 1 such weights move in
    proportion to their gradient. The step does not depend on the scale of the loss while gradients are far above 1e-8,
    so one damping suits every likelihood. Measured in `benchmarks/first_layer.py` and `benchmarks/recipe.py`.

    models: number of models stacked in the first dimension of each parameter; each has its own rms.
    `step_fused` calls torch's fused kernel without the bookkeeping around it, which takes a tenth of a step of a small
    network; without that kernel it computes the step in parts. On a CPU tiny moments are set to 0: after 700 steps a
    dead unit would have subnormal ones, and a hundred such units make Adam five times slower.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        config: TrainConfig,
        device: torch.device,
        scale: float = 1.0,
        models: int | None = None,
    ):
        self.scale, self.damping, self.models = scale, config.damping, models  # scale: factor of the learning rate
        cuda = device.type == "cuda"  # for CUDA graphs, step counter and learning rate are tensors on the device
        lr = torch.tensor(config.lr, device=device) if cuda else config.lr
        self._kernel = device.type in ("cpu", "cuda")
        super().__init__(parameters, lr, (0.9, config.beta2), fused=self._kernel, capturable=cuda)
        self._kernel &= (device.type == "cpu" or not self.damping) and has_fused_kernel(device)
        self._fused_state: FusedState | None = None
        self._on_cpu = device.type == "cpu"

    def load_state_dict(self, state_dict: dict) -> None:
        super().load_state_dict(state_dict)
        for slot in self.state.values():
            slot.setdefault("sum_sq", slot["exp_avg_sq"].sum())  # older saved states lack it
        self._fused_state = None

    @torch.no_grad()
    def step_fused(self) -> None:
        """Take one step and clear the gradients."""
        (group,) = self.param_groups
        updated = [p for p in group["params"] if p.grad is not None]
        if self._fused_state is None or not len(updated) == len(self._fused_state.counts) == len(group["params"]):
            self._fused_state = self._build_state(updated)
        state, gradients = self._fused_state, [p.grad for p in updated]
        state.counts.add_(1)
        state.steps_taken += 1
        if not self._kernel:
            self._step_foreach(group, state, gradients)
        elif not self.damping:
            fused_adam(group, state.parameters, gradients, state.moments, state.squares, state.steps, group["eps"])
        else:
            floors, pieces = self._damping_terms(group["betas"][1], state, gradients), self._per_model(gradients)
            for i, floor in enumerate(floors):
                one = slice(i, i + 1)
                fused_adam(
                    group, state.parameters[one], pieces[one], state.moments[one], state.squares[one],
                    state.steps[one], group["eps"] + floor,
                )  # fmt: skip
        if self._on_cpu and not (state.starts[0] + state.steps_taken) % FLUSH_EVERY:
            for moment in (*state.moments, *state.squares):
                torch.hardshrink(moment, FLUSH_BELOW, out=moment)
        for p in group["params"]:
            p.grad = None

    def _damping_terms(self, beta2: float, state: "FusedState", gradients: list[Tensor]) -> list[float]:
        """damping * rms of each tensor after this step, one value per model."""
        self._update_totals(beta2, state, gradients)
        totals = torch.stack(state.totals).flatten().tolist()
        return [
            self.damping * math.sqrt(total / (v.numel() * (1 - beta2 ** (start + state.steps_taken))))
            for total, v, start in zip(totals, state.squares, state.starts, strict=True)
        ]

    def _update_totals(self, beta2: float, state: "FusedState", gradients: list[Tensor]) -> None:
        """Update the sum of v over each tensor as the running mean of the sum of g^2, without reading v."""
        if self.models is None:
            new = [torch.dot(flat, flat) for flat in (g.reshape(-1) for g in gradients)]
        else:
            new = [torch.linalg.vector_norm(g.reshape(self.models, -1), dim=1).square() for g in gradients]
        foreach("lerp_", state.totals, new, 1 - beta2)

    def _step_foreach(self, group: dict, state: "FusedState", gradients: list[Tensor]) -> None:
        """The same step with operations that work on every device and in CUDA graphs."""
        beta1, beta2 = group["betas"]
        first, second = (1 - beta1**state.counts).unbind(), (1 - beta2**state.counts).sqrt().unbind()
        foreach("lerp_", state.moments, gradients, 1 - beta1)
        foreach("mul_", state.squares, beta2)
        foreach("addcmul_", state.squares, gradients, gradients, value=1 - beta2)
        self._update_totals(beta2, state, gradients)
        roots = foreach("sqrt", state.squares)
        floors = foreach("sqrt", foreach("div", state.totals, [p.numel() / (self.models or 1) for p in gradients]))
        for i, (p, m) in enumerate(zip(state.parameters, state.moments, strict=True)):
            floor = floors[i].reshape(-1, *[1] * (p.ndim - 1)) if self.models else floors[i]
            root = roots[i].add_(floor, alpha=self.damping).div_(second[i]).add_(group["eps"])
            p.sub_(m / root * (group["lr"] / first[i]))

    def _per_model(self, tensors: list[Tensor]) -> list[Tensor]:
        """Stacked tensors (M, ...) split by model; the same tensors for a single model."""
        return tensors if self.models is None else [part for tensor in tensors for part in tensor.unbind()]

    def _build_state(self, updated: list[Tensor]) -> "FusedState":
        for p in updated:
            if not self.state[p]:
                self.state[p] = empty_state(p, self.models)
        states = [self.state[p] for p in updated]
        counts = torch.stack([state["step"] for state in states])
        for state, count in zip(states, counts.unbind(), strict=True):
            state["step"].set_(count)  # a view of one tensor: separate counters take 2 % of a step
        parameters = [p.detach() for p in updated]  # shares memory, without autograd
        moments, squares, steps = ([state[key] for state in states] for key in ("exp_avg", "exp_avg_sq", "step"))
        if self._kernel and self.damping and self.models is not None:
            parameters, moments, squares = map(self._per_model, (parameters, moments, squares))
            steps = [step for step in steps for _ in range(self.models)]
        starts = [int(step) for step in steps] if self._on_cpu else []
        return FusedState(parameters, moments, squares, steps, [state["sum_sq"] for state in states], counts, starts)


@dataclass
class FusedState:
    """Tensors that the fused step reads and writes: parameters, m, v, number of steps, and sum of v of each tensor."""

    parameters: list[Tensor]
    moments: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]  # views of `counts`
    totals: list[Tensor]  # (), or (M,) for stacked models
    counts: Tensor
    starts: list[int]  # step counts when this state was built (CPU only); + steps_taken avoids reading `counts`
    steps_taken: int = 0  # steps since this state was built


def empty_state(p: Tensor, models: int | None = None) -> dict[str, Tensor]:
    """Adam's state of parameter p before the first step; `sum_sq`: sum of `exp_avg_sq`, per model if stacked."""
    where = p.device if p.device.type == "cuda" else None
    return {
        "step": torch.zeros((), dtype=torch.float32, device=where),
        "exp_avg": torch.zeros_like(p),
        "exp_avg_sq": torch.zeros_like(p),
        "sum_sq": p.new_zeros(() if models is None else models),
    }


class SparseRowAdam(EagerMethods, torch.optim.SparseAdam):
    """torch's SparseAdam with the interface of `Adam`, without damping. Only rows that the batch looked up change.

    On a device without sparse tensors gradients are dense, and only rows with a nonzero gradient change.
    """

    def __init__(self, parameters: Iterable[Tensor], config: TrainConfig, scale: float):
        self.scale = scale
        super().__init__(list(parameters), config.lr * scale, (0.9, config.beta2))

    def step_fused(self) -> None:
        """Take one step and clear the gradients."""
        (group,) = self.param_groups
        for p in group["params"]:
            if p.grad is not None and not p.grad.is_sparse:
                self._step_dense(p, p.grad, self.state[p], group)
                p.grad = None
        self.step()
        for p in group["params"]:
            p.grad = None

    @staticmethod
    @torch.no_grad()
    def _step_dense(p: Tensor, gradient: Tensor, slot: dict, group: dict) -> None:
        """SparseAdam's step for the rows of p (N, width) whose gradient is not 0."""
        beta1, beta2 = group["betas"]
        if not slot:
            slot |= {"step": 0, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
        slot["step"] += 1
        moves = (gradient != 0).any(1, keepdim=True).to(p)  # (N, 1)
        slot["exp_avg"].lerp_(gradient, (1 - beta1) * moves)
        slot["exp_avg_sq"].lerp_(gradient.square(), (1 - beta2) * moves)
        size = group["lr"] * math.sqrt(1 - beta2 ** slot["step"]) / (1 - beta1 ** slot["step"])
        p.sub_(size * moves * slot["exp_avg"] / (slot["exp_avg_sq"].sqrt() + group["eps"]))


def optimizers(model, config: TrainConfig, device: torch.device) -> dict[str, Adam | SparseRowAdam]:
    """Name -> optimizer of each group of `model.parameter_groups()`, with its own learning-rate `scale`.

    The names are "adam", and "rows" for tables with sparse gradients; several of a kind are numbered ("adam2").
    Raises ValueError unless each trainable parameter is in exactly one group.
    """
    groups = model.parameter_groups()
    _check_groups(model, groups)
    made: dict[str, Adam | SparseRowAdam] = {}
    for group in groups:
        kind, scale = "rows" if group.get("rows") else "adam", group.get("scale", 1.0)
        count = sum(name.startswith(kind) for name in made)
        made[f"{kind}{count + 1}" if count else kind] = (
            SparseRowAdam(group["params"], config, scale)
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
