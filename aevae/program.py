"""A model as a program for the browser: its encoder and decoder as lists of operations, with the weights.

torch.fx follows `model.posterior` and `model.decode` with a placeholder for the picture or the code, so a family needs
no line of its own here: whatever it computes with the operations below runs in the page (`aevae/ui/web/core.js` knows
the same ones). Registers hold one sample; shapes are without the batch. Weights lie as the browser reads them fastest:
linear (in, out), convolutions (kernel y, kernel x, in, out).
"""

import copy
import operator

import numpy as np
import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from aevae.blob import pack
from aevae.models.base import Model
from aevae.models.blocks import SHAPE

FORMAT = 1
DECODE_PARITY, ENCODE_PARITY = 0.25 / 255, 2.5e-4  # half precision is taken where it changes no more than this


class Unsupported(ValueError):
    """A model computes something the browser's core does not know."""


def program(model: Model) -> bytes:
    """The blob (`aevae.blob`) of a model in eval mode. Raises Unsupported, in one sentence.

    header: format, family, latent_dim, dtype of the weights, functions {encode, decode}: {input, outputs, shapes, ops}.
    encode: x (784 or 1, 28, 28) -> mu and, where the code is a distribution, logvar; decode: z (D) -> picture.
    """
    weights: dict[str, np.ndarray] = {}
    functions = {"decode": _function(model, _Decoder(model), (model.config.latent_dim,), weights)}
    if model.has_encoder:
        functions["encode"] = _function(model, _Encoder(model), SHAPE, weights)
    half = half_is_enough(model)
    header = {
        "format": FORMAT,
        "family": model.config.family,
        "latent_dim": model.config.latent_dim,
        "dtype": "float16" if half else "float32",
        "functions": functions,
    }
    return pack(header, {name: w.astype(np.float16 if half else np.float32) for name, w in weights.items()})


@torch.inference_mode()
def half_is_enough(model: Model) -> bool:
    """Whether weights rounded to half precision leave codes and pictures as they are, to a quarter of what is promised.

    Asked of 64 pictures, half of them strokes drawn at random and half noise, and of their codes.
    """
    rounded = copy.deepcopy(model)
    for p in rounded.parameters():
        p.data = p.data.half().float()
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(64, *SHAPE, generator=draw)
    x[:32] = (nn.functional.avg_pool2d(x[:32], 9, 1, 4) - 0.5).mul(12).clamp(0, 1)  # blots
    z = torch.randn(64, model.config.latent_dim, generator=draw)
    if model.has_encoder:
        z = model.encode(x)
        if not float((rounded.encode(x) - z).abs().max()) <= ENCODE_PARITY:
            return False
    return float((rounded.decode(z) - model.decode(z)).abs().max()) <= DECODE_PARITY


class _Decoder(nn.Module):
    def __init__(self, model: Model):
        super().__init__()
        self.model = model

    def forward(self, z):
        return self.model.decode(z)


class _Encoder(_Decoder):
    def forward(self, x):
        return self.model.posterior(x)


def _function(model: Model, root: nn.Module, shape: tuple, weights: dict[str, np.ndarray]) -> dict:
    """One traced function; its weights are added to `weights`."""
    try:
        graph = fx.Tracer().trace(root)
    except Exception as error:  # what a tracer cannot follow raises whatever it likes
        raise Unsupported(f"the family {model.config.family} computes what cannot be followed for the browser") from error
    module = fx.GraphModule(root, graph)
    with torch.inference_mode():
        ShapeProp(module).propagate(torch.zeros(1, *shape))
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
    shapes = [list(node.meta["tensor_meta"].shape[1:]) for node in registers]
    return {"input": 0, "outputs": outputs, "shapes": shapes, "ops": ops}


def _operation(node: fx.Node, module: fx.GraphModule, registers: dict, weights: dict) -> dict:
    inputs = [registers[n] for n in node.all_input_nodes]
    if node.op == "call_module":
        layer = module.get_submodule(node.target)
        build = _LAYERS.get(type(layer))
        if build:
            entry, tensors = build(layer)
            for kind, tensor in tensors.items():
                weights[f"{node.target}.{kind}"] = tensor.detach().numpy()
                entry[kind] = f"{node.target}.{kind}"
            return entry | {"in": inputs}
        name = type(layer).__name__
    else:
        name = node.target if isinstance(node.target, str) else node.target.__name__
        if name in ("flatten", "reshape", "view", "unflatten"):
            return {"op": "reshape", "in": inputs}
        if name in ("relu", "sigmoid", "tanh", "exp"):
            return {"op": name, "in": inputs}
        if name in ("clamp", "clip"):
            low, high = (*node.args[1:], None, None)[:2]
            low, high = node.kwargs.get("min", low), node.kwargs.get("max", high)
            return {"op": "clamp", "in": inputs, "min": low, "max": high}
        if node.target in (operator.add, operator.mul, operator.sub, torch.add, torch.mul, torch.sub):
            numbers = [a for a in node.args if isinstance(a, int | float)]
            if node.op == "call_function" and not numbers and len(inputs) == 2:
                return {"op": name, "in": inputs}
        if node.target is torch.cat:
            return {"op": "cat", "in": [registers[n] for n in node.args[0]]}
    raise Unsupported(f"its layer {name} is not known to the browser's core")


def _linear(layer: nn.Linear):
    return {"op": "linear"}, {"w": layer.weight.T, "b": _bias(layer, layer.out_features)}


def _conv(layer: nn.Conv2d):
    _plain(layer)
    return _kernel(layer, "conv"), {"w": layer.weight.permute(2, 3, 1, 0), "b": _bias(layer, layer.out_channels)}


def _conv_transpose(layer: nn.ConvTranspose2d):
    _plain(layer)
    return _kernel(layer, "conv_transpose"), {
        "w": layer.weight.permute(2, 3, 0, 1),
        "b": _bias(layer, layer.out_channels),
    }


def _kernel(layer, name: str) -> dict:
    return {"op": name, "stride": list(layer.stride), "padding": list(layer.padding)}


def _plain(layer) -> None:
    if layer.groups != 1 or set(layer.dilation) != {1} or layer.padding_mode != "zeros":
        raise Unsupported("its convolutions have groups, dilation or another padding than zeros")


def _bias(layer, size: int) -> torch.Tensor:
    return torch.zeros(size) if layer.bias is None else layer.bias


_LAYERS = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.ConvTranspose2d: _conv_transpose,
    nn.ReLU: lambda layer: ({"op": "relu"}, {}),
    nn.Sigmoid: lambda layer: ({"op": "sigmoid"}, {}),
    nn.Tanh: lambda layer: ({"op": "tanh"}, {}),
    nn.Flatten: lambda layer: ({"op": "reshape"}, {}),
    nn.Unflatten: lambda layer: ({"op": "reshape"}, {}),
}


