"""A tape: the tensor operations of a step, recorded once and then replayed, like a CUDA graph but on a CPU.

For small networks, Python, autograd bookkeeping and allocation cost as much as the arithmetic, although every step runs
the same kernels. The tape records these kernels below autograd, with the tensors that they read and write. A replay
runs the same kernels on the same tensors in the same order, so every result equals that of the eager step bit for bit.
Views are not replayed, because they share the memory of their base.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

DATA_DEPENDENT_TAGS = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
OUTPUT_OPTIONS = ("dtype", "layout", "device", "pin_memory", "memory_format")  # arguments that out= calls lack
SHAPE_ONLY_OPS = ("ones_like", "zeros_like", "full_like", "new_ones", "new_zeros", "new_full")  # read no values
LARGE_BYTES = 1 << 16  # smaller tensors stay in a core's cache anyway


class Unforeseen(RuntimeError):
    """An operation cannot be replayed, or a replay would save no time."""


@dataclass
class RecordedOp:
    """A recorded operation. `function(*args, **kwargs)` repeats it; outputs: the tensors that it created."""

    function: Callable
    args: tuple
    kwargs: dict
    outputs: list[Tensor]
    reads: set[int]  # storage keys
    writes: set[int]
    random: bool
    pointwise: bool  # its output may overwrite its input


class Tape:
    """The recorded operations of `work()`. `play()` repeats them and writes into the same tensors, `results`.

    `work` may read and write any tensors whose storage stays the same, and use torch's generators. It may depend on
    their values only through tensor operations; violations that can be detected raise Unforeseen. Operations that
    depend on no input run only once, so callers must not write to the results.
    """

    def __init__(self, work: Callable[[], tuple[Tensor, ...]]):
        ops: list[RecordedOp] = []
        with _RecordingMode(ops):
            self.results = work()
        constant = _constant_storages(ops)
        ops = [op for op in ops if not op.reads | op.writes <= constant]
        plan = _buffer_plan(ops, constant | {_storage_key(t) for t in self.results})
        self.ops = [(op.function, _relocated(op.args, plan), _relocated(op.kwargs, plan)) for op in ops]

    @torch.inference_mode()
    def play(self) -> None:
        """Repeat the recorded operations."""
        for function, args, kwargs in self.ops:
            function(*args, **kwargs)


class _RecordingMode(TorchDispatchMode):
    """Runs every operation and records in `ops` how to repeat it."""

    def __init__(self, ops: list[RecordedOp]):
        super().__init__()
        self.ops = ops

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """False. Otherwise torch wraps `__torch_dispatch__`, and its first call imports the compiler."""
        return False

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if any(tag in operation.tags for tag in DATA_DEPENDENT_TAGS):
            raise Unforeseen(f"{operation} depends on the values")
        result = operation(*args, **kwargs)
        if any(t.layout != torch.strided for t in _tensors(result)):
            raise Unforeseen(f"{operation} is not dense")
        inputs = {_storage_key(t) for t in _tensors((args, kwargs))}
        outputs = [t for t in _tensors(result) if _storage_key(t) not in inputs]
        changes = any(a.alias_info is not None and a.alias_info.is_write for a in operation._schema.arguments)
        name = operation._schema.name.partition("::")[2]
        if (outputs or changes) and "empty" not in name:
            call = _replay_call(name, operation, args, kwargs, result, outputs, changes)
            pointwise = torch.Tag.pointwise in operation.tags and call[0] is not _copy_outputs
            reads = set() if name in SHAPE_ONLY_OPS else inputs
            writes = {_storage_key(t) for t in outputs} | (inputs if changes else set())
            self.ops.append(RecordedOp(*call, outputs, reads, writes, _is_random(operation), pointwise))
        return result


def _replay_call(name: str, operation, args: tuple, kwargs: dict, result, outputs: list, changes: bool) -> tuple:
    """(function, args, kwargs) that repeats the operation and writes into the memory of its present results."""
    if not outputs:  # calling a method takes half the time
        return getattr(Tensor, name, operation) if name.endswith("_") else operation, args, kwargs
    if name == "_to_copy":
        return Tensor.copy_, (result, args[0]), {}
    if isinstance(result, Tensor) and not changes:
        options = {key: value for key, value in kwargs.items() if key not in OUTPUT_OPTIONS}
        by_name = _relu if name == "relu" else getattr(torch, name, None)  # calling torch.<name> takes half the time
        for function, out in ((by_name, "out"), *_out_overloads(operation)):
            if function is not None and (_is_random(operation) or _gives_same(function, args, options, out, result)):
                return function, args, options | {out: result}
    if sum(t.nbytes for t in outputs) > LARGE_BYTES:
        raise Unforeseen(f"{operation} has no out= version, and copying its result would take as long as is saved")
    return _copy_outputs, (operation, args, kwargs, outputs), {}


def _is_random(operation) -> bool:
    return torch.Tag.nondeterministic_seeded in operation.tags


def _relu(x: Tensor, out: Tensor) -> Tensor:
    return torch.clamp_min(x, 0, out=out)


def _out_overloads(operation) -> Iterator[tuple[Callable, str]]:
    """(overload, name of its output argument) for each overload that writes into a given tensor."""
    names, packet = _names(operation), operation.overloadpacket
    for overload in (getattr(packet, name) for name in packet.overloads()):
        outs = [a.name for a in overload._schema.arguments if a.is_out]
        if len(outs) == 1 and _names(overload) == names:
            yield overload, outs[0]


def _names(overload) -> list[str]:
    return [a.name for a in overload._schema.arguments if not a.is_out and a.name not in OUTPUT_OPTIONS]


def _gives_same(function: Callable, args: tuple, kwargs: dict, out: str, result: Tensor) -> bool:
    """Whether the function writes exactly this result into the tensor that it gets as argument `out`."""
    target = torch.empty_like(result)
    try:
        function(*args, **kwargs, **{out: target})
    except (RuntimeError, TypeError):  # a different function of that name, or one without out=
        return False
    return target.stride() == result.stride() and torch.equal(target, result)


def _copy_outputs(operation, args: tuple, kwargs: dict, targets: list[Tensor]) -> None:
    inputs = {_storage_key(t) for t in _tensors((args, kwargs))}
    outputs = (t for t in _tensors(operation(*args, **kwargs)) if _storage_key(t) not in inputs)
    for target, value in zip(targets, outputs, strict=True):
        target.copy_(value)


def _constant_storages(ops: list[RecordedOp]) -> set[int]:
    """Storages with the same values in every replay: no operation writes them from storages that may vary."""
    constant = {_storage_key(t) for op in ops for t in op.outputs}
    while varying := {p for op in ops if op.random or not op.reads <= constant for p in op.writes & constant}:
        constant -= varying
    return constant


# -- memory ----------------------------------------------------------------------------------------------------------


def _buffer_plan(ops: list[RecordedOp], kept: set[int]) -> dict[int, torch.UntypedStorage]:
    """Storage key -> buffer for large results, so that memory is reused while it is still in the CPU cache.

    A result reuses the memory of the latest tensor of its size that no later operation reads; a pointwise operation
    may reuse that of its argument. Storages in `kept` are not moved.
    """
    last = {_storage_key(t): at for at, op in enumerate(ops) for t in _tensors((op.args, op.kwargs))}
    last |= dict.fromkeys(kept, len(ops))
    plan: dict[int, torch.UntypedStorage] = {}
    free: dict[int, list[torch.UntypedStorage]] = {}
    ends: dict[int, list[Tensor]] = {}  # index of an operation -> results that it is the last to read
    for at, op in enumerate(ops):
        over = ends.pop(at, [])
        mine = [t for t in op.outputs if _owns_storage(t) and _storage_key(t) not in kept]
        if op.pointwise and len(mine) == 1:
            _release([t for t in over if _same_layout(t, mine[0], op)], plan, free)
            over = [t for t in over if not _same_layout(t, mine[0], op)]
        for t in mine:
            if free.get(t.nbytes):
                plan[_storage_key(t)] = free[t.nbytes].pop()
            ends.setdefault(last[_storage_key(t)], []).append(t)
        _release(over, plan, free)
    return plan


def _release(tensors: list[Tensor], plan: dict, free: dict) -> None:
    for t in tensors:
        free.setdefault(t.nbytes, []).append(plan.get(_storage_key(t), t.untyped_storage()))


def _owns_storage(t: Tensor) -> bool:
    return t.nbytes >= LARGE_BYTES and t.nbytes == t.untyped_storage().nbytes()


def _same_layout(t: Tensor, result: Tensor, op: RecordedOp) -> bool:
    """Whether `op` reads t's memory only with the dtype, shape and strides of `result`."""
    read = [a for a in _tensors((op.args, op.kwargs)) if _storage_key(a) == _storage_key(t)]
    return all((a.dtype, a.shape, a.stride()) == (result.dtype, result.shape, result.stride()) for a in read)


def _relocated(value, plan: dict[int, torch.UntypedStorage]) -> Any:
    """`value` with its tensors in the buffers of the plan."""
    if isinstance(value, Tensor) and _storage_key(value) in plan:
        buffer = plan[_storage_key(value)]
        with torch.no_grad():
            return torch.empty(0, dtype=value.dtype).set_(buffer, value.storage_offset(), value.shape, value.stride())
    if isinstance(value, dict):
        return {key: _relocated(each, plan) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_relocated(each, plan) for each in value)
    return value


def _storage_key(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _tensors(value) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
