"""Warping an image by a flow. Source: Yeh et al. 2016."""

import math
from typing import Any

import torch

from aevae import losses
from aevae.checks import check, digits, randn, rng
from aevae.models import build_model, family_class
from aevae.models.flow_vae import CHANGES, affine_flow, partners, roughness, warp


def images() -> torch.Tensor:
    """Images (8, 1, 28, 28) in float64 with a black border of six pixels, like digits."""
    x = torch.zeros(8, 1, 28, 28, dtype=torch.float64)
    x[:, :, 6:22, 6:22] = digits()[:, :, 6:22, 6:22]
    return x


def still(right: float = 0.0, down: float = 0.0) -> torch.Tensor:
    """A constant flow (8, 2, 28, 28)."""
    return torch.tensor([right, down], dtype=torch.float64).view(1, 2, 1, 1).expand(8, 2, 28, 28)


def turned(kind: str, amount: float) -> torch.Tensor:
    """The flow (8, 2, 28, 28) of one change, in its own unit."""
    amounts = torch.zeros(8, len(CHANGES), dtype=torch.float64)
    amounts[:, list(CHANGES).index(kind)] = amount / CHANGES[kind]
    return affine_flow(amounts)


@check("a flow of 0 leaves an image as it is", 1e-12)
def zero_flow():
    x = torch.rand(8, 1, 28, 28, generator=rng(), dtype=torch.float64)  # without a black border
    return (warp(x, still()) - x).abs().max()


@check("a flow of 0 leaves an image as it is, in single precision", 5e-6)
def zero_flow_single():
    return (warp(digits(), still().float()) - digits()).abs().max()


@check("a constant flow of whole pixels is a shifted image, black where nothing was", 1e-12)
def shifted():
    x = torch.rand(8, 1, 28, 28, generator=rng(), dtype=torch.float64)
    expected = torch.zeros_like(x)
    expected[:, :, 2:, :-3] = x[:, :, :-2, 3:]
    return (warp(x, still(right=3, down=-2)) - expected).abs().max()


@check("half a pixel is the mean of two", 1e-12)
def half_a_pixel():
    x = images()
    return (warp(x, still(right=0.5))[..., :-1] - (x[..., :-1] + x[..., 1:]) / 2).abs().max()


@check("a shift and its inverse leave an image as it was", 1e-12)
def inverse_shifts():
    x = images()
    return (warp(warp(x, still(3, -2)), still(-3, 2)) - x).abs().max()


@check("a constant flow is not rough", 0)
def constant_is_smooth():
    return roughness(still(3.7, -1.2)).abs().max()


@check("a flow that grows by a from column to column has roughness a^2 H (W - 1)", 1e-9)
def ramp():
    flow = torch.zeros(1, 2, 28, 28, dtype=torch.float64)
    flow[:, 0] = 0.3 * torch.arange(28, dtype=torch.float64)
    return (roughness(flow) - 0.09 * 28 * 27).abs().max()


@check("a quarter of a turn is torch.rot90", 1e-9)
def quarter_turn():
    x = images()
    return (warp(x, turned("rotation", math.pi / 2)) - torch.rot90(x, -1, (2, 3))).abs().max()


@check("a slant of 2 moves row y by 2 (13.5 - y) pixels to the right", 1e-9)
def slant():
    x = torch.zeros(8, 1, 28, 28, dtype=torch.float64)
    x[:, :, :, 14] = randn(8, 28).abs().unsqueeze(1)
    leaning = warp(x, turned("slant", 2.0))
    return max(
        (leaning[:, 0, y, 14 + 27 - 2 * y] - x[:, 0, y, 14]).abs().max() for y in range(28) if 0 <= 41 - 2 * y < 28
    )


@check("scaled by three: every third pixel is an old pixel", 1e-9)
def scale():
    x = images()
    large = warp(x, turned("scale", math.log(3.0)))  # p looks at (p - 13.5) / 3 + 13.5 = p / 3 + 9
    return (large[:, :, 0::3, 0::3][:, :, :9, :9] - x[:, :, 9:18, 9:18]).abs().max()


@check("a flow creates no ink: black stays black, and no pixel becomes brighter than the brightest pixel", 1e-9)
def no_ink():
    flow = 5 * randn(8, 2, 28, 28)
    black = warp(torch.zeros(8, 1, 28, 28, dtype=torch.float64), flow).abs().max()
    x = images()
    return max(black, (warp(x, flow).amax((1, 2, 3)) - x.amax((1, 2, 3))).max())


@check("partners have the same class and are another image if there is one", 0)
def partners_fit():
    labels = torch.tensor([0, 1, 0, 2, 1, 0, 0])
    wrong = 0
    for seed in range(50):
        chosen = partners(labels, torch.rand(7, 7, generator=rng(seed)))
        same = chosen == torch.arange(7)
        wrong += int((labels[chosen] != labels).sum() + (same != (labels == 2)).sum())
    return wrong


@check("if the decoder's flow is 0, the image has the cost of the unchanged source", 1e-9)
def no_flow_is_identity():
    config = family_class("flow_vae").Config(latent_dim=3, hidden=8)
    model: Any = build_model(config, seed=1).double()
    with torch.no_grad():
        for p in model.decoder.parameters():
            p.zero_()
        x = images()
        loss = model.loss(x, generator=rng())
        pair = model.pair(x, rng())
    expected = losses.gaussian_nll(pair[:, 1:], x, math.log(0.5)).mean()
    return (loss.terms["recon"] - expected).abs() + loss.terms["roughness"]
