"""The film of a run: snapshots ("frames") of reconstructions, samples and codes of fixed test images during training.

A frame measures the current weights. It uses its own generators and does not change the model, so a filmed run equals
the same run without film bit for bit.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from aevae.config import TrainConfig
from aevae.models.base import Model
from aevae.models.blocks import batches
from aevae.models.tally import TEST_SEED

NUM_FOLLOWED = 16  # images whose reconstructions are in every frame
MAX_CODES = 1000  # test images whose codes are in every frame
FIRST_STEPS = (1, 3, 10, 30, 100, 300)  # steps of the first epoch with a frame of their own
MAX_FILM_BYTES = 16_000_000  # films of wide codes have fewer frames, to stay below
MIN_FRAMES = 12  # but at least this many
NUM_FRAMES = 24  # evenly spaced frames of a run with few, long epochs
LONG_EPOCH_STEPS = 50  # an epoch with at least as many steps has frames within it
WIDE_CODE = 64  # latent dimension above which a frame has fewer codes,
MAX_CODE_NUMBERS = 20_000  # namely this many numbers in total
SHARED_ARRAYS = ("original", "labels")  # arrays that every frame shares


def schedule(config: TrainConfig, steps_per_epoch: int, latent_dim: int) -> tuple[int, ...]:
    """Steps after which a frame is taken, ascending: 0, some of the first epoch, ends of epochs, the last step."""
    first = [step for step in FIRST_STEPS if step < steps_per_epoch]
    frame = 2 * _codes(latent_dim) * latent_dim + 2 * NUM_FOLLOWED * 28 * 28
    room = max(MAX_FILM_BYTES // frame - len(first) - 1, MIN_FRAMES)
    ends = config.film_epochs
    kept = (*ends[: -1 : -(-len(ends) // room)], ends[-1])
    steps, parts = steps_per_epoch * config.epochs, min(NUM_FRAMES, room)
    look = config.epochs < NUM_FRAMES and steps_per_epoch >= LONG_EPOCH_STEPS
    within = (round(i * steps / parts) for i in range(parts)) if look else ()
    return tuple(sorted({*first, *within, *(epoch * steps_per_epoch for epoch in kept)}))


def _codes(latent_dim: int) -> int:
    """Number of codes in a frame; fewer if they are wide."""
    return MAX_CODES if latent_dim <= WIDE_CODE else max(NUM_FOLLOWED, MAX_CODE_NUMBERS // latent_dim)


def thinned(arrays: dict[str, np.ndarray], most: int) -> dict[str, np.ndarray]:
    """At most `most` frames of a film (`Film.arrays`), evenly spaced, with the first and the last."""
    frames = len(arrays["step"])
    kept = np.unique(np.linspace(0, frames - 1, min(most, frames)).round().astype(int))
    return {k: v if k in SHARED_ARRAYS else np.ascontiguousarray(v[kept]) for k, v in arrays.items()}


@torch.inference_mode()
def shoot(model: Model, device: torch.device, images: np.ndarray, draws: Tensor) -> dict[str, np.ndarray]:
    """One frame: the arrays of `Film` without the axis E.

    images: uint8 (N, 1, 28, 28), of which the first 16 are followed. draws: samples of the prior to decode.
    """
    training = model.training
    model.eval()
    x = torch.tensor(images).to(device).float().div_(255)
    mu, logvar = _posterior(model, x)
    followed = x[:NUM_FOLLOWED]
    params = model.params(mu[:NUM_FOLLOWED])
    decoded = {"recon": model.mean(params), "sample": model.decode(model.sample_prior(draws.to(device)))}
    frame = {k: v[:, 0].mul(255).round().byte() for k, v in decoded.items()}
    frame |= {"codes": mu.half(), "recon_nats": model.nll(followed, params)}
    if logvar is not None:
        mu, logvar = mu[:NUM_FOLLOWED], logvar[:NUM_FOLLOWED]
        frame |= {"std": torch.exp(0.5 * logvar).half(), "kl_nats": model.kl_per_dim(mu, logvar).sum(1)}
    frame |= {f"term.{name}": value for name, value in _terms(model, x).items()}
    model.train(training)
    return {k: v.cpu().numpy() for k, v in frame.items()}


def _posterior(model: Model, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """(mu, logvar or None) of x (N, 1, 28, 28); without an encoder the learned codes of the first training images."""
    if not model.has_encoder:
        return model.training_codes(len(x))
    mu, logvar = zip(*(model.posterior(part) for part in batches(x)), strict=True)
    return torch.cat(mu), None if logvar[0] is None else torch.cat(logvar)


def _terms(model: Model, x: Tensor) -> dict[str, Tensor]:
    """Mean terms of the model's own loss over x, one batch of at most MAX_CODES images, with one noise sample."""
    generator = torch.Generator(x.device).manual_seed(TEST_SEED)
    x = x[: model.max_test_images]
    extra: dict[str, Any] = {} if model.has_encoder else {"index": torch.arange(len(x), device=x.device)}
    loss = model.loss(x, generator=generator, **extra)
    return {**loss.terms, "objective": loss.total}


class Film:
    """E frames in the order of training. The run folder stores `arrays()`:

    step (E,) int64 and epoch (E,) float32 of the frames; original (16, 28, 28) uint8; recon and sample
    (E, 16, 28, 28) uint8, mean images; recon_nats, kl_nats (E, 16) float32 of these images at z = mu; std (E, 16, D)
    float16 of q(z|x); codes (E, N, D) float16 of the first N <= 1000 test images, beginning with the 16 (images repeat
    if a data set has fewer than 16); labels (N,) int64; term.<name> (E,) float32, loss terms averaged over the N.
    Point codes have no std and kl_nats. All frames decode the same 16 samples of the prior (`Model.sample_prior`). For
    a model without an encoder the images are the first training images, whose codes it learns.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, latent_dim: int, arrays: dict | None = None):
        index = np.arange(max(min(len(images), _codes(latent_dim)), NUM_FOLLOWED)) % len(images)
        self.images, self.labels = images[index], labels[index]
        self.draws = torch.randn(NUM_FOLLOWED, latent_dim, generator=torch.Generator().manual_seed(0))
        self.frames = {k: list(v) for k, v in arrays.items() if k not in SHARED_ARRAYS} if arrays else {}

    @property
    def steps(self) -> list[int]:
        """Steps with a frame."""
        return [int(step) for step in self.frames.get("step", ())]

    def frame(self, model: Model, device: torch.device, step: int, epoch: float) -> dict[str, np.ndarray]:
        """A frame of the current model."""
        when = {"step": np.array(step, np.int64), "epoch": np.array(epoch, np.float32)}
        return when | shoot(model, device, self.images, self.draws)

    def add(self, frame: dict[str, np.ndarray]) -> None:
        """Append a frame."""
        for name, value in frame.items():
            self.frames.setdefault(name, []).append(value)

    def cut(self, step: int) -> None:
        """Remove the frames after `step`, at which a resumed run continues."""
        kept = sum(when <= step for when in self.steps)
        for name in self.frames:
            del self.frames[name][kept:]

    def __len__(self) -> int:
        return len(self.steps)

    def arrays(self, frame: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """The film so far, or a film of the given frame alone."""
        frames = self.frames if frame is None else {name: [value] for name, value in frame.items()}
        stacked = {name: np.stack(values) for name, values in frames.items()}
        return {**stacked, "original": np.ascontiguousarray(self.images[:NUM_FOLLOWED, 0]), "labels": self.labels}
