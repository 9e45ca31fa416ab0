"""Fixtures of the browser's tests: programs of models, and the arrays that PyTorch computes with the same weights.

Every case is two files: <name>.program (aevae.browser.program) and <name>.answers, a blob of z with decode(z), and x
with encode(x) where there is an encoder.
"""

from types import SimpleNamespace

import numpy as np
import torch
from conftest import fitting
from model_helpers import of_pictures, variants
from torch import nn
from torch.nn import functional as F

from aevae.browser.blob import pack, unpack
from aevae.browser.program import program
from aevae.latent import pixels
from aevae.models import FAMILIES, build_model, family_class
from aevae.models.base import ContinuousMean, ExpectedLevel
from aevae.models.blocks import Codebook, TopK

VARIANTS = [v for v in variants() if v[0] in of_pictures(FAMILIES)]


class Decoder(nn.Module):
    """A model that is only a decoder: `net` from a code of `latent_dim` numbers to anything."""

    has_encoder = False
    prior_scale = 0.0

    def __init__(self, latent_dim: int, net: nn.Module):
        super().__init__()
        self.config = SimpleNamespace(family="test", latent_dim=latent_dim)
        self.net = net
        self.eval().requires_grad_(False)

    def decode(self, z):
        return self.net(z)


class Function(nn.Module):
    """A forward pass given as a function of the code."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, z):
        return self.function(z)


def small(family: str, network: str = "mlp", likelihood: str = "bernoulli"):
    options = fitting(family, network=network, likelihood=likelihood, hidden=16, latent_dim=3)
    return build_model(family_class(family).Config(**options), seed=1).eval().requires_grad_(False)


def conv(kind, kernel, stride, padding, maps=(2, 3), more=()):
    """A convolution of either kind on 2 maps of 3 x 5 (30 numbers), or 1 of 5 x 6."""
    shape = (2, 3, 5) if maps[0] == 2 else (1, 5, 6)
    return 30, nn.Sequential(nn.Unflatten(1, shape), kind(*maps, kernel, stride, padding, *more))


CASES = {
    "linear": (6, nn.Linear(6, 5)),
    "linear-without-bias": (6, nn.Linear(6, 5, bias=False)),
    "linear-of-one": (1, nn.Linear(1, 1)),
    "linear-wide": (37, nn.Sequential(nn.Linear(37, 41), nn.ReLU(), nn.Linear(41, 3))),
    "layers": (6, nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(), nn.Sigmoid())),
    "exp": (6, Function(lambda z: torch.exp(z).exp())),
    "relu-function": (6, Function(lambda z: F.relu(z).relu())),
    "sigmoid-tanh": (6, Function(lambda z: torch.sigmoid(z.tanh()))),
    "clamp-both": (6, Function(lambda z: z.clamp(-0.5, 0.25))),
    "clamp-below": (6, Function(lambda z: torch.clamp(z, min=0))),
    "clamp-above": (6, Function(lambda z: z.clamp(max=0.1))),
    "add-sub-mul": (6, Function(lambda z: (z + z.exp()) * (z.tanh() - z) + torch.mul(z, z))),
    "cat": (6, Function(lambda z: torch.cat([z, z.exp(), z], 1))),
    "cat-of-maps": (6, Function(lambda z: torch.cat([z.reshape(-1, 1, 2, 3), z.exp().view(-1, 1, 2, 3)], dim=1))),
    "slice": (6, Function(lambda z: torch.cat([z[:, 2:5], z[:, :1]], 1))),
    "expected-level": (30, nn.Sequential(nn.Unflatten(1, (5, 2, 3)), ExpectedLevel())),
    "continuous-mean": (6, ContinuousMean()),
    "topk": (6, TopK(2)),
    "topk-all": (6, TopK(6)),
    "topk-of-equals": (6, nn.Sequential(nn.ReLU(), TopK(4))),
    "codebook": (6, nn.Sequential(nn.Unflatten(1, (2, 1, 3)), Codebook(7, 2, learnt=True))),
    "codebook-of-one": (6, nn.Sequential(nn.Unflatten(1, (6, 1, 1)), Codebook(1, 6, learnt=False))),
    "reshapes": (6, nn.Sequential(nn.Unflatten(1, (3, 2)), nn.Flatten(), Function(lambda z: z.reshape(-1, 2, 3)))),
    "conv-1x1": conv(nn.Conv2d, 1, 1, 0),
    "conv-3x3": conv(nn.Conv2d, 3, 1, 1),
    "conv-odd": conv(nn.Conv2d, (2, 3), (1, 2), (0, 2)),
    "conv-wide-stride": conv(nn.Conv2d, (3, 1), (3, 2), (1, 0)),
    "conv-stride-beyond-kernel": conv(nn.Conv2d, 2, 3, 0),
    "conv-one-map": conv(nn.Conv2d, 4, 2, 1, (1, 1)),
    "conv-without-bias": conv(nn.Conv2d, 3, 1, 0, more=(1, 1, False)),
    "transposed-1x1": conv(nn.ConvTranspose2d, 1, 1, 0),
    "transposed-4x4": conv(nn.ConvTranspose2d, 4, 2, 1),
    "transposed-odd": conv(nn.ConvTranspose2d, (2, 5), (1, 3), (0, 2)),
    "transposed-gaps": conv(nn.ConvTranspose2d, 1, (3, 2), 0),
    "transposed-longer": conv(nn.ConvTranspose2d, 3, 2, 1, more=((1, 0),)),
    "transposed-one-map": conv(nn.ConvTranspose2d, 3, 2, 2, (1, 1)),
    "transposed-to-one-map": conv(nn.ConvTranspose2d, 3, 2, 1, (2, 1)),
}


def export(folder, name: str, model) -> None:
    """One case: the program, and what PyTorch answers in double precision with the weights as they travel."""
    blob = program(model)
    if unpack(blob)[0]["dtype"] == "float16":
        for p in model.parameters():
            p.data = p.data.half().float()
    model = model.double()
    draw = torch.Generator().manual_seed(2)
    z = torch.randn(4, model.config.latent_dim, generator=draw).double()
    answers = {"z": z, "decode": model.decode(z).flatten(1)}
    if model.has_encoder:
        x = torch.rand(3, 1, 28, 28, generator=draw).double()
        mu, logvar = model.posterior(x)
        answers |= {"x": x.flatten(1), "mu": mu} | ({} if logvar is None else {"logvar": logvar})
    (folder / f"{name}.program").write_bytes(blob)
    (folder / f"{name}.answers").write_bytes(pack({}, {k: v.float().numpy() for k, v in answers.items()}))


@torch.inference_mode()
def export_pixels(folder) -> None:
    """For each likelihood <pixels-kind>.bin: natural parameters, a picture, noise; deviations, draws and nats."""
    uniform, normal = pixels.noise(1)
    draw = torch.Generator().manual_seed(4)
    for kind in ("bernoulli", "continuous_bernoulli", "gaussian", "categorical"):
        config = family_class("vae").Config(likelihood=kind, hidden=4, latent_dim=2, sigma=0.3**0.5, grey_levels=4)
        model = build_model(config)
        params = 3 * torch.randn(1, config.channels, 28, 28, generator=draw)
        params[..., :2, :] *= 1e-3  # where series stand in
        x = torch.rand(1, 1, 28, 28, generator=draw)
        noise = torch.tensor(uniform), torch.tensor(normal)
        answers = {"params": params, "x": x, "u": noise[0], "n": noise[1], "nll": model.nll(x, params)}
        answers |= {"stray": pixels._strays(model, params), "drawn": pixels._sampled(model, params, *noise)}
        flat = {name: value.reshape(-1).float().numpy() for name, value in answers.items()}
        (folder / f"pixels-{kind}.bin").write_bytes(pack({}, flat))


@torch.inference_mode()
def export_all(folder) -> None:
    export_pixels(folder)
    for name, (size, net) in CASES.items():
        torch.manual_seed(3)
        for layer in net.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
        export(folder, name, Decoder(size, net))
    for variant in VARIANTS:
        export(folder, "-".join(variant), small(*variant))
    steep = small("vae")
    for p in steep.parameters():
        p.data *= 40  # too steep for half precision
    export(folder, "single-precision", steep)
    bits = np.arange(2**16, dtype=np.uint16)
    (folder / "halves.bin").write_bytes(
        pack({}, {"half": bits.view(np.float16), "single": bits.view(np.float16).astype(np.float32)})
    )
    every = {name: np.array([1, 2, 3], name) for name in ("uint8", "float16", "int32", "uint16", "float32")}
    (folder / "kinds.bin").write_bytes(pack({"text": "é"}, every | {"empty": np.zeros((0, 2), np.float32)}))
