"""A small film of a run: what fixed test images are to the model, at the end of epochs and more often in the first.

A frame is a measurement of the weights as they are: it draws from its own generators and leaves the model as it was,
so a filmed run is bit for bit the run that nobody filmed.
"""

import numpy as np
import torch
from torch import Tensor

from aevae.config import TrainConfig
from aevae.models.base import Model
from aevae.models.blocks import batches

ROLL = 16  # images followed
CODES = 1000  # test images whose codes are kept
FIRST = (1, 3, 10, 30, 100, 300)  # steps of the first epoch with a frame of their own
ROOM = 16_000_000  # bytes a film should stay under: wide codes are filmed less often ...
LEAST = 12  # ... but so often at least
USUAL = 24  # frames that a run of few, long epochs gets, evenly within them
LONG = 50  # steps of an epoch that is worth looking into
WIDE = 64  # numbers in a code of which fewer are kept ...
ENOUGH = 20_000  # ... so many numbers in all
SEED = 1_000_003  # of the noise in the mean terms; the same in every frame and run
FIXED = ("original", "labels")  # arrays that every frame shares


def schedule(config: TrainConfig, steps_per_epoch: int, latent_dim: int) -> tuple[int, ...]:
    """The steps that are filmed, ascending: 0, some of the first epoch, ends of epochs, the last."""
    first = [step for step in FIRST if step < steps_per_epoch]
    frame = 2 * _codes(latent_dim) * latent_dim + 2 * ROLL * 28 * 28
    room = max(ROOM // frame - len(first) - 1, LEAST)
    ends = config.film_epochs
    kept = (*ends[: -1 : -(-len(ends) // room)], ends[-1])
    steps, parts = steps_per_epoch * config.epochs, min(USUAL, room)
    look = config.epochs < USUAL and steps_per_epoch >= LONG
    within = (round(i * steps / parts) for i in range(parts)) if look else ()
    return tuple(sorted({*first, *within, *(epoch * steps_per_epoch for epoch in kept)}))


def _codes(latent_dim: int) -> int:
    """How many codes a frame keeps: fewer of wide ones."""
    return CODES if latent_dim <= WIDE else max(ROLL, ENOUGH // latent_dim)


def thinned(arrays: dict[str, np.ndarray], most: int) -> dict[str, np.ndarray]:
    """At most `most` frames of a film (`Film.arrays`), evenly by number, the first and the last among them."""
    frames = len(arrays["step"])
    kept = np.unique(np.linspace(0, frames - 1, min(most, frames)).round().astype(int))
    return {k: v if k in FIXED else np.ascontiguousarray(v[kept]) for k, v in arrays.items()}


@torch.inference_mode()
def shoot(model: Model, device: torch.device, images: np.ndarray, draws: Tensor) -> dict[str, np.ndarray]:
    """One frame of uint8 `images` (N, 1, 28, 28), the first 16 of them followed; arrays as in `Film`, without E."""
    training = model.training
    model.eval()
    x = torch.tensor(images).to(device).float().div_(255)
    mu, logvar = _posterior(model, x)
    roll = x[:ROLL]
    params = model.params(mu[:ROLL])
    decoded = {"recon": model.mean(params), "sample": model.decode(model.sample_prior(draws.to(device)))}
    frame = {k: v[:, 0].mul(255).round().byte() for k, v in decoded.items()}
    frame |= {"codes": mu.half(), "recon_nats": model.nll(roll, params)}
    if logvar is not None:
        std, kl = torch.exp(0.5 * logvar[:ROLL]).half(), model.kl_per_dim(mu[:ROLL], logvar[:ROLL])
        frame |= {"std": std, "kl_nats": kl.sum(1)}
    frame |= {f"term.{name}": value for name, value in _terms(model, x).items()}
    model.train(training)
    return {k: v.cpu().numpy() for k, v in frame.items()}


def _posterior(model: Model, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """The codes of x (N, 1, 28, 28); of a model without an encoder: those it has learnt, x being the first images."""
    if not model.has_encoder:
        return model.training_codes(len(x))
    mu, logvar = zip(*(model.posterior(part) for part in batches(x)), strict=True)
    return torch.cat(mu), None if logvar[0] is None else torch.cat(logvar)


def _terms(model: Model, x: Tensor) -> dict[str, Tensor]:
    """Mean terms of the model's own loss over x, one draw of its noise."""
    generator = torch.Generator(x.device).manual_seed(SEED)
    x = x[: model.max_test_images]
    sums: dict[str, Tensor] = {}
    for rows in batches(torch.arange(len(x), device=x.device)):
        part = x[rows]
        told = {} if model.has_encoder else {"index": rows}  # the first training images: their codes are learnt
        loss = model.loss(part, generator=generator, **told)
        for name, term in {**loss.terms, "objective": loss.total}.items():
            sums[name] = sums.get(name, 0.0) + term * len(part)
    return {name: total / len(x) for name, total in sums.items()}


class Film:
    """Frames collected one after another; `arrays()` is what the run folder keeps.

    step (E,) int64 and epoch (E,) float32, when it was; original (16, 28, 28) uint8; recon and sample (E, 16, 28, 28)
    uint8, mean images; recon_nats, kl_nats (E, 16) float32, of these images at z = mu; std (E, 16, D) float16 of
    q(z|x); codes (E, N, D) float16 of the first N <= 1000 test images (at least 16: fewer are repeated), the 16
    first; labels (N,) int64; term.<name> (E,) float32, mean terms over the N. A code that is a point has no std and
    kl_nats. Samples decode the same 16 draws of the prior (`Model.sample_prior`) in every frame. A model without an
    encoder is followed on the first images of the training set, whose codes it learns.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, latent_dim: int, arrays: dict | None = None):
        roll = np.arange(max(min(len(images), _codes(latent_dim)), ROLL)) % len(images)
        self.images, self.labels = images[roll], labels[roll]
        self.draws = torch.randn(ROLL, latent_dim, generator=torch.Generator().manual_seed(0))
        self.frames = {k: list(v) for k, v in arrays.items() if k not in FIXED} if arrays else {}

    @property
    def steps(self) -> list[int]:
        """When there was a frame."""
        return [int(step) for step in self.frames.get("step", ())]

    def frame(self, model: Model, device: torch.device, step: int, epoch: float) -> dict[str, np.ndarray]:
        """The model as it is now."""
        when = {"step": np.array(step, np.int64), "epoch": np.array(epoch, np.float32)}
        return when | shoot(model, device, self.images, self.draws)

    def add(self, frame: dict[str, np.ndarray]) -> None:
        for name, value in frame.items():
            self.frames.setdefault(name, []).append(value)

    def cut(self, step: int) -> None:
        """Forget what was filmed after `step` (a resumed run continues from there)."""
        kept = sum(when <= step for when in self.steps)
        for name in self.frames:
            del self.frames[name][kept:]

    def __len__(self) -> int:
        return len(self.steps)

    def arrays(self, frame: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """The film so far; or a film of this one `frame`."""
        frames = self.frames if frame is None else {name: [value] for name, value in frame.items()}
        stacked = {name: np.stack(values) for name, values in frames.items()}
        return {**stacked, "original": np.ascontiguousarray(self.images[:ROLL, 0]), "labels": self.labels}
