"""The tensor operations of a step, noted once and then played back: on a CPU what a CUDA graph is on a GPU.

A small network's step spends about as long on Python, on autograd's graph and on memory as on most of its numbers, and
yet the operations it ends up with are the same each time. So they are noted, below autograd, with the tensors that they
read and wrote; played back, the same kernels write the same tensors again in the same order, and every number is that
of the step as it is written, to the bit. Views need not be taken again: their memory is the same.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

UNFORESEEN = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)  # what follows hangs on the numbers
NO_ARGUMENTS = ("dtype", "layout", "device", "pin_memory", "memory_format")  # of an operation that is told where to
SHAPES = ("ones_like", "zeros_like", "full_like", "new_ones", "new_zeros", "new_full")  # all that they read
LARGE = 1 << 16  # bytes: what is smaller stays in a core's cache anyway


class Unforeseen(RuntimeError):
    """An operation that cannot be played back, or not with profit."""


@dataclass
class Line:
    """An operation that is done again by `function(*args, **kwargs)`; `fresh` are the tensors that it made."""

    function: Callable
    args: tuple
    kwargs: dict
    fresh: list[Tensor]
    reads: set[int]  # places
    writes: set[int]
    drawn: bool
    pointwise: bool  # it may write to where it reads


class Tape:
    """What `work()` did when it was first called; `play()` does it again, into the tensors that `results` holds.

    `work` may read and write any tensors, as long as they stay in their places, and draw from torch's generators; what
    it does may depend on them in no other way than through tensor operations. Raises Unforeseen where it shows.
    What hangs on none of them is done once, so nobody else may write to the results.
    """

    def __init__(self, work: Callable[[], tuple[Tensor, ...]]):
        lines: list[Line] = []
        with _Noting(lines):
            self.results = work()
        steady = _steady(lines)
        lines = [line for line in lines if not line.reads | line.writes <= steady]
        homes = _homes(lines, steady | {_place(t) for t in self.results})
        self.lines = [(line.function, _moved(line.args, homes), _moved(line.kwargs, homes)) for line in lines]

    @torch.inference_mode()
    def play(self) -> None:
        for function, args, kwargs in self.lines:
            function(*args, **kwargs)


class _Noting(TorchDispatchMode):
    """Does what it is asked, and notes in `lines` how to do it again."""

    def __init__(self, lines: list[Line]):
        super().__init__()
        self.lines = lines

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if any(tag in operation.tags for tag in UNFORESEEN):
            raise Unforeseen(f"{operation} depends on the numbers")
        result = operation(*args, **kwargs)
        if any(t.layout != torch.strided for t in _tensors(result)):
            raise Unforeseen(f"{operation} is not dense")
        known = {_place(t) for t in _tensors((args, kwargs))}
        fresh = [t for t in _tensors(result) if _place(t) not in known]
        changes = any(a.alias_info is not None and a.alias_info.is_write for a in operation._schema.arguments)
        name = operation._schema.name.partition("::")[2]
        if (fresh or changes) and "empty" not in name:
            again = _again(name, operation, args, kwargs, result, fresh, changes)
            pointwise = torch.Tag.pointwise in operation.tags and again[0] is not _copied
            reads = set() if name in SHAPES else known
            writes = {_place(t) for t in fresh} | (known if changes else set())
            self.lines.append(Line(*again, fresh, reads, writes, _draws(operation), pointwise))
        return result


def _again(name: str, operation, args: tuple, kwargs: dict, result, fresh: list[Tensor], changes: bool) -> tuple:
    """How to do it again, with its results where they are now: a function, its args and kwargs."""
    if not fresh:  # a method is called in half the time
        return getattr(Tensor, name, operation) if name.endswith("_") else operation, args, kwargs
    if name == "_to_copy":
        return Tensor.copy_, (result, args[0]), {}
    if isinstance(result, Tensor) and not changes:
        kept = {key: value for key, value in kwargs.items() if key not in NO_ARGUMENTS}
        # the first is called in half the time
        for function, place in ((_relu if name == "relu" else getattr(torch, name, None), "out"), *_into(operation)):
            if function is not None and (_draws(operation) or _same(function, args, kept, place, result)):
                return function, args, kept | {place: result}
    if sum(t.nbytes for t in fresh) > LARGE:
        raise Unforeseen(f"{operation} cannot be told where to write, and to copy would take as long as is won")
    return _copied, (operation, args, kwargs, fresh), {}


def _draws(operation) -> bool:
    return torch.Tag.nondeterministic_seeded in operation.tags


def _relu(x: Tensor, out: Tensor) -> Tensor:
    return torch.clamp_min(x, 0, out=out)


def _into(operation) -> Iterator[tuple[Callable, str]]:
    """The operation's own ways of writing to a place, and what they call it."""
    asked, packet = _names(operation), operation.overloadpacket
    for overload in (getattr(packet, name) for name in packet.overloads()):
        places = [a.name for a in overload._schema.arguments if a.is_out]
        if len(places) == 1 and _names(overload) == asked:
            yield overload, places[0]


def _names(overload) -> list[str]:
    return [a.name for a in overload._schema.arguments if not a.is_out and a.name not in NO_ARGUMENTS]


def _same(function: Callable, args: tuple, kwargs: dict, place: str, result: Tensor) -> bool:
    """Whether it gives this result when told to write to a place of that shape."""
    there = torch.empty_like(result)
    try:
        function(*args, **kwargs, **{place: there})
    except (RuntimeError, TypeError):  # it is not what it sounds like, or takes no place
        return False
    return there.stride() == result.stride() and torch.equal(there, result)


def _copied(operation, args: tuple, kwargs: dict, places: list[Tensor]) -> None:
    known = {_place(t) for t in _tensors((args, kwargs))}
    new = (t for t in _tensors(operation(*args, **kwargs)) if _place(t) not in known)
    for place, value in zip(places, new, strict=True):
        place.copy_(value)


def _steady(lines: list[Line]) -> set[int]:
    """Places where the same numbers lie each time: of those that no line makes from others that may change."""
    steady = {_place(t) for line in lines for t in line.fresh}
    while fickle := {p for line in lines if line.drawn or not line.reads <= steady for p in line.writes & steady}:
        steady -= fickle
    return steady


# -- memory ----------------------------------------------------------------------------------------------------------


def _homes(lines: list[Line], kept: set[int]) -> dict[int, torch.UntypedStorage]:
    """Where large results are to lie instead, so that memory is used again while it is still in the cache.

    A result takes over the memory of one of its size that nobody reads any more, the latest; a pointwise operation
    that of its own argument. Places in `kept` stay as they are.
    """
    last = {_place(t): at for at, line in enumerate(lines) for t in _tensors((line.args, line.kwargs))}
    last |= dict.fromkeys(kept, len(lines))
    homes: dict[int, torch.UntypedStorage] = {}
    free: dict[int, list[torch.UntypedStorage]] = {}
    ends: dict[int, list[Tensor]] = {}  # line -> results that are read there for the last time
    for at, line in enumerate(lines):
        over = ends.pop(at, [])
        mine = [t for t in line.fresh if _whole(t) and _place(t) not in kept]
        if line.pointwise and len(mine) == 1:
            _release([t for t in over if _alike(t, mine[0], line)], homes, free)
            over = [t for t in over if not _alike(t, mine[0], line)]
        for t in mine:
            if free.get(t.nbytes):
                homes[_place(t)] = free[t.nbytes].pop()
            ends.setdefault(last[_place(t)], []).append(t)
        _release(over, homes, free)
    return homes


def _release(tensors: list[Tensor], homes: dict, free: dict) -> None:
    for t in tensors:
        free.setdefault(t.nbytes, []).append(homes.get(_place(t), t.untyped_storage()))


def _whole(t: Tensor) -> bool:
    return t.nbytes >= LARGE and t.nbytes == t.untyped_storage().nbytes()


def _alike(t: Tensor, result: Tensor, line: Line) -> bool:
    """Whether everything that `line` reads of t's memory lies there as `result` will."""
    read = [a for a in _tensors((line.args, line.kwargs)) if _place(a) == _place(t)]
    return all((a.dtype, a.shape, a.stride()) == (result.dtype, result.shape, result.stride()) for a in read)


def _moved(value, homes: dict[int, torch.UntypedStorage]):
    """`value` with its tensors at their new homes."""
    if isinstance(value, Tensor) and _place(value) in homes:
        home = homes[_place(value)]
        with torch.no_grad():
            return torch.empty(0, dtype=value.dtype).set_(home, value.storage_offset(), value.shape, value.stride())
    if isinstance(value, dict):
        return {key: _moved(each, homes) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_moved(each, homes) for each in value)
    return value


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _tensors(value) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
