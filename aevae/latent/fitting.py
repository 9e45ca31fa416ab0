"""Codes found by gradient descent through a frozen decoder, instead of an encoder."""

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

NUM_STARTS = 200  # learned codes that are starting points of a search in the browser
FIT_STEPS, FIT_RATE = 100, 0.1  # steps and initial learning rate of Adam, for a search that starts at an encoder's code
RELEARN_STEPS, RELEARN_RATE = 40, 3e-3  # if the decoder is trained, too


def unpack_mask(text: str) -> np.ndarray:
    """The mask uint8 (784,): 1 for visible, 0 for covered pixels.

    text: 784 bits, least significant bit first, in base64 without padding. Any other text gives a mask of ones.
    """
    try:
        covered = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        covered = b""
    bits = np.unpackbits(np.frombuffer(covered, np.uint8), bitorder="little") if len(covered) == 98 else np.zeros(784)
    return (1 - bits).astype(np.uint8)


def pack_mask(mask: np.ndarray) -> str:
    """The inverse of `unpack_mask`."""
    return base64.urlsafe_b64encode(np.packbits(1 - mask, bitorder="little").tobytes()).decode().rstrip("=")


def layers(run) -> dict[str, np.ndarray]:
    """Weights of a two-layer auto-decoder: w1 (D, H), b1 (H,), w2 (H, 784), b2 (784,), and learned codes (n, D).

    Raises ValueError with one sentence for another decoder.
    """
    config = run.config.model
    if config.network != "mlp" or config.likelihood not in ("gaussian", "bernoulli"):
        raise ValueError(f"{run.name} has a decoder with which the browser cannot search")
    first, _relu, second, _shape, shift = run.model.decoder
    arrays = {
        "w1": first.weight.T,
        "b1": first.bias,
        "w2": second.weight.T,
        "b2": second.bias + shift.by.flatten(),
        "codes": run.model.training_codes(min(NUM_STARTS, len(run.model.codes.weight)))[0],
    }
    return {name: array.detach().cpu().numpy().astype(np.float32) for name, array in arrays.items()}


def fit(run, images: np.ndarray, mask: np.ndarray | None = None, start: np.ndarray | None = None) -> np.ndarray:
    """Codes (N, D) that an auto-decoder finds for images (N, 1, 28, 28). mask (1, 1, 28, 28): 1 for visible pixels.

    start: initial codes (N, D); None: the learned codes that fit best.
    """
    import torch

    give = [None if a is None else torch.tensor(a, device=run.device) for a in (images, mask, start)]
    return run.model.split(run.model.fit(*give))[0].cpu().numpy()


def nll_of_codes(model, x: "Tensor") -> Callable[["Tensor", int], "Tensor"]:
    """The cost of codes z (N, D) that `refine` minimises for images x (N, 1, 28, 28): -log p(x|z) in nats (N,)."""
    return lambda z, _step: model.nll(x, model.params(z))


def gap(run, images: np.ndarray, steps: int = FIT_STEPS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The amortisation gap of an autoencoder: loss with the encoder's codes and with optimised codes.

    Returns nats per image (N,) with the encoder's codes, (N,) after optimisation from there (never more), and the
    images decoded from the optimised codes (N, 1, 28, 28). Cremer et al. 2018, arXiv:1801.03558.
    """
    import torch

    from aevae.models.auto_decoder import refine

    model, x = run.model, torch.tensor(images, device=run.device)
    cost, start = nll_of_codes(model, x), model.encode(x)
    size = start.std(0).mean().clamp(min=1e-3)  # codes without a prior have any scale
    found = refine(cost, start, steps, FIT_RATE * float(size))
    with torch.no_grad():
        return cost(start, -1).cpu().numpy(), cost(found, -1).cpu().numpy(), model.decode(found).cpu().numpy()


def learn(run, new: np.ndarray, old: np.ndarray, everything: bool) -> tuple[np.ndarray, np.ndarray]:
    """Reconstructions of `new` (N, 1, 28, 28) and `old` (M, 1, 28, 28) after an auto-decoder learned `new`.

    The codes of `new` are found with a frozen decoder. everything: then train decoder and codes on `new` only. The
    codes of `old` are not updated. The run itself does not change.
    """
    import copy

    import torch

    x, was = (torch.tensor(a, device=run.device) for a in (new, old))
    model = copy.deepcopy(run.model)
    codes, known = (model.split(model.fit(part))[0].clone() for part in (x, was))
    if everything:
        free = [codes.requires_grad_(), *model.decoder.requires_grad_(True).parameters()]
        moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in free]
        for step in range(1, RELEARN_STEPS + 1):
            gradients = torch.autograd.grad(model.nll(x, model.params(codes)).mean(), free)
            with torch.no_grad():  # Adam, Kingma & Ba 2015
                for p, gradient, (mean, square) in zip(free, gradients, moments, strict=True):
                    mean.lerp_(gradient, 0.1)
                    square.lerp_(gradient**2, 0.001)
                    p -= RELEARN_RATE * mean / (1 - 0.9**step) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
    with torch.no_grad():
        return model.decode(codes).cpu().numpy(), model.decode(known).cpu().numpy()
