"""A simulated Apple GPU for tests: a device whose tensors are computed on the CPU.

It rejects everything that a version of MPS rejects: float64, sparse tensors, `torch.linalg`, operands on two devices,
generators of another device, and conversion to numpy.
"""

import contextlib
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("lazy")  # a device type without kernels
MOVES = {"_to_copy", "to", "copy_", "_local_scalar_dense"}  # operations that move data between devices
BY_INDEX = {"index", "index_put_", "index_put", "_index_put_impl_", "_unsafe_index"}  # indices may be on the CPU
DOUBLE = torch.float64, torch.complex128
REFUSED = "linalg_", "_linalg_", "cholesky"  # only some versions support some of them
SUPPORTED = {"linalg_vector_norm"}  # by all versions
NO_FLOAT64 = "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64"
CPU = torch.device("cpu")
LISTS = (list, tuple)  # an operation takes and returns tensors and lists of tensors
CpuGenerator = torch.Generator


class AwayTensor(torch.Tensor):
    """A tensor on DEVICE that wraps a CPU tensor."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=DEVICE
        )

    def __init__(self, inner: torch.Tensor):
        self.inner = inner

    @property
    def data(self):
        return self.detach()

    @data.setter
    def data(self, value):
        self.inner = value.inner

    def tolist(self):
        return self.inner.tolist()

    def __repr__(self):
        return f"AwayTensor({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class AwayGenerator(CpuGenerator):
    """A generator on DEVICE."""

    device = DEVICE


class _Generator(CpuGenerator):
    """`torch.Generator` that supports DEVICE."""

    def __new__(cls, device="cpu"):
        away = torch.device(device).type == DEVICE.type
        return AwayGenerator() if away else CpuGenerator(device)


class _Calls(TorchFunctionMode):
    """Checks that the dispatcher cannot make: devices of generators, and the device of `torch.tensor`."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        to_away = _is_away(kwargs.get("device"))
        generator = kwargs.get("generator")
        if generator is not None and isinstance(generator, AwayGenerator) != to_away:
            raise RuntimeError(f"{func.__name__}: the generator is of another device")
        if func in (torch.tensor, torch.as_tensor) and to_away:
            return func(*args, **kwargs | {"device": None}).to(DEVICE)
        return func(*args, **kwargs)


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _is_away(device) -> bool:
    return device is not None and torch.device(device).type == DEVICE.type


class _Autocast(torch.autocast):
    """`torch.autocast` that does nothing on DEVICE."""

    def __init__(self, device_type, *args, **kwargs):
        super().__init__("cpu" if device_type == DEVICE.type else device_type, *args, **kwargs)


@contextlib.contextmanager
def device():
    """Context manager in which DEVICE can be used."""
    patches = mock.patch.multiple(torch, Generator=_Generator, autocast=_Autocast)
    with patches, _Operations(), _Calls():
        yield DEVICE


def _run(func, args, kwargs):
    """Run an operation with operands or a result on DEVICE on the CPU, if an Apple GPU supports it."""
    flat = [leaf for value in (*args, *kwargs.values()) for leaf in (value if isinstance(value, LISTS) else (value,))]
    away = [t for t in flat if isinstance(t, AwayTensor)]
    target = next((d for d in flat if isinstance(d, torch.device)), None)
    to_away = bool(away) if target is None else _is_away(target)
    if not away and not to_away:
        return func(*args, **kwargs)
    name = func.overloadpacket.__name__
    if name.startswith(REFUSED) and name not in SUPPORTED:
        raise NotImplementedError(f"{name} is not implemented on this device")
    here = [t for t in flat if isinstance(t, torch.Tensor) and not isinstance(t, AwayTensor) and t.ndim]
    if here and away and name not in MOVES | BY_INDEX:
        raise RuntimeError(f"{name}: all tensors must be on one device, got cpu and {DEVICE}")
    if away and any(kind in DOUBLE for kind in flat if isinstance(kind, torch.dtype)):
        raise TypeError(NO_FLOAT64)
    inside = [_on_cpu(value) for value in args], {key: _on_cpu(value) for key, value in kwargs.items()}
    with torch.inference_mode(False), torch.no_grad():
        out = func(*inside[0], **inside[1])
        if func._schema.is_mutable:  # in-place operations return their argument
            given = {id(t.inner): t for t in away}
            return _each(lambda t: given.get(id(t), t), out)
        return _each(lambda t: _wrap(t) if isinstance(t, torch.Tensor) else t, out) if to_away else out


def _each(function, value):
    """The results of the function for a value, or for each element of a list."""
    return type(value)(map(function, value)) if isinstance(value, LISTS) else function(value)


def _on_cpu(value):
    """The same argument for an operation on the CPU."""
    if isinstance(value, LISTS):
        return type(value)(map(_on_cpu, value))
    if isinstance(value, AwayTensor):
        return value.inner
    return CPU if isinstance(value, torch.device) and _is_away(value) else value


def _wrap(t: torch.Tensor) -> torch.Tensor:
    if t.dtype in DOUBLE:
        raise TypeError(NO_FLOAT64)
    if t.layout != torch.strided:
        raise NotImplementedError("this device has no sparse tensors")
    return AwayTensor(t)
