"""A model as a program for the browser: its encoder and decoder as lists of operations, with the weights.

torch.fx traces `model.posterior` and `model.decode` with a placeholder for the image or the code, so a family needs no
code here: a model that uses only the operations below runs in the page, where `aevae/ui/live/program.js` interprets
them. Registers hold one sample; shapes have no batch axis. Weights are stored in the order that the browser reads
fastest: a matrix as (in, out), a convolution as (in * kernel, out), a transposed convolution as (in, out * kernel).
"""

import copy
import math
import operator
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from aevae.browser.blob import pack
from aevae.models.base import ContinuousMean, ExpectedLevel, Model
from aevae.models.blocks import SHAPE, Codebook, FixedOffset, TopK, Transposed, UpConv

FORMAT = 1
MAX_DECODE_ERROR, MAX_ENCODE_ERROR = 0.25 / 255, 2.5e-4  # largest errors of half precision, of a pixel and a code


class Unsupported(ValueError):
    """A model uses an operation that the browser's interpreter does not have."""


def program(model: Model, params: bool = False) -> bytes:
    """The program of a model in eval mode as a blob (`aevae.browser.blob`). Raises Unsupported with one sentence.

    header: format, family, latent_dim, prior (s0 of N(0, s0^2 I); 0: none), dtype of the weights, functions (encode
    and decode, each with input, outputs, shapes, ops).
    encode: x (784 or 1, 28, 28) -> mu and, if the code is a distribution, logvar; decode: z (D) -> image.
    params: add a third function, params: z (D) -> natural parameters of the pixels.
    """
    if getattr(model, "input", "image") != "image":
        raise Unsupported(f"the family {model.config.family} needs {model.input}s, not single images")
    weights: dict[str, np.ndarray] = {}
    functions = {"decode": _function(model, _Decoder(model), (model.config.latent_dim,), weights)}
    if model.has_encoder:
        functions["encode"] = _function(model, _Encoder(model), SHAPE, weights)
    if params:
        functions["params"] = _function(model, _Params(model), (model.config.latent_dim,), weights)
    half = half_is_enough(model)
    header = {
        "format": FORMAT,
        "family": model.config.family,
        "latent_dim": model.config.latent_dim,
        "prior": model.prior_scale,
        "dtype": "float16" if half else "float32",
        "functions": functions,
    }
    return pack(header, {name: w.astype(np.float16 if half else np.float32) for name, w in weights.items()})


@torch.inference_mode()
def half_is_enough(model: Model) -> bool:
    """Whether weights in half precision change codes by at most MAX_ENCODE_ERROR and pixels by MAX_DECODE_ERROR.

    Measured on 64 images, half of them random blots and half noise, and on their codes.
    """
    if all(torch.equal(p, p.half().float()) for p in (*model.parameters(), *model.buffers())):
        return True  # shipped weights are in half precision already
    if any(isinstance(m, TopK | Codebook) for m in model.modules()):
        return False  # a rounded weight may select another unit or codebook vector
    rounded = copy.deepcopy(model)
    for p in (*rounded.parameters(), *rounded.buffers()):
        p.data = p.data.half().float()
        if not bool(p.data.isfinite().all()):
            return False
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(64, *SHAPE, generator=generator)
    x[:32] = (nn.functional.avg_pool2d(x[:32], 9, 1, 4) - 0.5).mul(12).clamp(0, 1)  # blots
    z = torch.randn(64, model.config.latent_dim, generator=generator)
    if model.has_encoder:
        z = model.encode(x)
        if not float((rounded.encode(x) - z).abs().max()) <= MAX_ENCODE_ERROR:
            return False
    return float((rounded.decode(z) - model.decode(z)).abs().max()) <= MAX_DECODE_ERROR


_trace_lock = threading.Lock()


class _Tracer(fx.Tracer):
    """A tracer that affects one thread only, although torch.fx replaces nn.Module.__call__ for the whole process."""

    def __init__(self):
        super().__init__()
        self.thread = threading.get_ident()

    def is_leaf_module(self, m, module_qualified_name) -> bool:
        return isinstance(m, tuple(_LAYERS)) or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m, forward, args, kwargs) -> Any:
        if threading.get_ident() != self.thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)


class _ShapeRecorder(fx.Interpreter):
    """Runs a graph and notes the shape of each tensor in its node."""

    def run_node(self, n) -> Any:
        result = super().run_node(n)
        if isinstance(result, torch.Tensor):
            n.meta["shape"] = tuple(result.shape)
        return result


class _Part(nn.Module):
    def __init__(self, model: Model):
        super().__init__()
        self.model = model


class _Decoder(_Part):
    def forward(self, z: Tensor) -> Tensor:
        return self.model.decode(z)


class _Encoder(_Part):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.model.posterior(x)


class _Params(_Part):
    def forward(self, z: Tensor) -> Tensor:
        return self.model.params(z)


def _function(model: Model, root: nn.Module, shape: tuple, weights: dict[str, np.ndarray]) -> dict:
    """One traced function; its weights are added to `weights`."""
    try:
        with _trace_lock:
            graph = _Tracer().trace(root)
    except Exception as error:  # torch.fx raises errors of many types for code that it cannot trace
        raise Unsupported(
            f"the family {model.config.family} computes something that torch.fx cannot trace for the browser"
        ) from error
    module = fx.GraphModule(root, graph)
    with torch.inference_mode():
        _ShapeRecorder(module).run(torch.zeros(1, *shape))
    registers: dict[fx.Node, int] = {}
    ops: list[dict] = []
    outputs: list[int | None] = []
    for node in graph.nodes:
        if node.op == "output":
            results = node.args[0] if isinstance(node.args[0], tuple | list) else (node.args[0],)
            outputs = [None if r is None else registers[r] for r in results]
            continue
        if node.op != "placeholder":
            ops.append(_operation(node, module, registers, weights) | {"out": len(registers)})
        registers[node] = len(registers)
    shapes = [list(_shape(node)) for node in registers]
    return {"input": 0, "outputs": outputs, "shapes": shapes, "ops": ops}


_ELEMENTWISE = ("relu", "sigmoid", "tanh", "exp")
_RESHAPES = ("flatten", "reshape", "view", "unflatten")
_PAIRWISE: dict[Any, str] = {
    f: f.__name__ for f in (operator.add, operator.mul, operator.sub, torch.add, torch.mul, torch.sub)
}


def _operation(node: fx.Node, module: fx.GraphModule, registers: dict, weights: dict) -> dict:
    """One operation of a program, without its output. Raises Unsupported if the browser has no such operation."""
    layer = module.get_submodule(str(node.target)) if node.op == "call_module" else None
    name = type(layer).__name__ if layer else getattr(node.target, "__name__", str(node.target))
    entry = _layer(str(node.target), layer, weights) if layer else _call(node, name)
    args: Any = node.args[0] if name == "cat" else node.args
    inputs = [a for a in args if isinstance(a, fx.Node)]
    if entry is None or not _sizes_fit(entry["op"], [_shape(n) for n in inputs], _shape(node)):
        raise Unsupported(f"its layer {name} is not known to the browser's interpreter")
    return entry | {"in": [registers[n] for n in inputs]}


def _shape(node: fx.Node) -> tuple[int, ...]:
    return node.meta["shape"][1:]


def _sizes_fit(op: str, inputs: list[tuple], out: tuple) -> bool:
    """Whether the interpreter computes the same on these shapes: it does not broadcast, and `cat` joins flat arrays."""
    if op in ("conv", "conv_transpose"):
        return True
    if op == "linear":
        return len(inputs[0]) == 1
    if op == "expected_level":
        return len(inputs[0]) == 3 and out == (1, *inputs[0][1:])
    if op == "slice":
        return len(inputs[0]) == len(out) == 1
    if op == "cat":
        return all(shape[1:] == out[1:] for shape in inputs) and sum(s[0] for s in inputs) == out[0]
    return all(math.prod(shape) == math.prod(out) and (op == "reshape" or shape == out) for shape in inputs)


def _layer(name: str, layer: nn.Module, weights: dict) -> dict | None:
    build = _LAYERS.get(type(layer))
    if build is None:
        return None
    entry, tensors = build(layer)
    for kind, tensor in tensors.items():
        entry[kind] = f"{name}.{kind}"
        weights[entry[kind]] = tensor.detach().numpy()
    return entry


def _call(node: fx.Node, name: str) -> dict | None:
    """The operation for a function or method call; None if the browser has no such operation."""
    rest = (*node.args[1:], *node.kwargs.values())
    if node.op == "get_attr":
        return None
    if name in _RESHAPES:
        return {"op": "reshape"}
    if name in _ELEMENTWISE and rest in ((), (False,)):  # relu(x, inplace=False)
        return {"op": name}
    if name in ("clamp", "clip", "hardtanh"):  # hardtanh calls its bounds min_val and max_val
        named = {key.removesuffix("_val"): value for key, value in node.kwargs.items() if key != "inplace"}
        bounds = dict(zip(("min", "max"), node.args[1:], strict=False)) | named
        return {"op": "clamp", **bounds} if all(isinstance(b, int | float | None) for b in rest) else None
    if node.target in _PAIRWISE and not node.kwargs and all(isinstance(a, fx.Node) for a in node.args):
        return {"op": _PAIRWISE[node.target]}
    if node.target is operator.getitem and isinstance(node.args[1], tuple) and len(node.args[1]) == 2:
        every, part = node.args[1]  # z[:, a:b]
        plain = every == slice(None) and isinstance(part, slice) and part.step in (None, 1) and (part.start or 0) >= 0
        return {"op": "slice", "start": part.start or 0} if plain else None
    if node.target is torch.cat and rest in ((1,), (-1,)):
        return {"op": "cat"}
    return None


def _linear(layer: nn.Linear) -> tuple[dict, dict[str, Tensor]]:
    return {"op": "linear"}, {"w": layer.weight.T, "b": _bias(layer, layer.out_features)}


def _conv(layer: nn.Conv2d) -> tuple[dict, dict[str, Tensor]]:
    return _kernel(layer, "conv"), {"w": layer.weight.flatten(1).T, "b": _bias(layer, layer.out_channels)}


def _conv_transpose(layer: nn.ConvTranspose2d) -> tuple[dict, dict[str, Tensor]]:
    return _kernel(layer, "conv_transpose"), {"w": layer.weight.flatten(1), "b": _bias(layer, layer.out_channels)}


def _kernel(layer, name: str) -> dict:
    plain = layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"
    if not plain or isinstance(layer.padding, str):
        raise Unsupported("its convolutions have groups, dilation, or another padding than a number of zeros")
    return {
        "op": name,
        "kernel": list(layer.kernel_size),
        "stride": list(layer.stride),
        "padding": list(layer.padding),
    }


def _bias(layer, size: int) -> torch.Tensor:
    return torch.zeros(size) if layer.bias is None else layer.bias


_LAYERS: dict[type[nn.Module], Callable[[Any], tuple[dict, dict[str, Tensor]]]] = {
    nn.Linear: _linear,
    Transposed: lambda layer: ({"op": "linear"}, {"w": layer.weight.T, "b": layer.bias}),
    nn.Conv2d: _conv,
    nn.ConvTranspose2d: _conv_transpose,
    UpConv: _conv_transpose,
    FixedOffset: lambda layer: ({"op": "shift"}, {"b": layer.by.flatten()}),
    TopK: lambda layer: ({"op": "topk", "k": layer.k}, {}),
    ExpectedLevel: lambda layer: ({"op": "expected_level"}, {}),
    ContinuousMean: lambda layer: ({"op": "continuous_mean"}, {}),
    Codebook: lambda layer: ({"op": "codebook"}, {"w": layer.vectors}),
    nn.ReLU: lambda layer: ({"op": "relu"}, {}),
    nn.Sigmoid: lambda layer: ({"op": "sigmoid"}, {}),
    nn.Tanh: lambda layer: ({"op": "tanh"}, {}),
    nn.Flatten: lambda layer: ({"op": "reshape"}, {}),
    nn.Unflatten: lambda layer: ({"op": "reshape"}, {}),
}
