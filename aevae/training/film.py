"""A small film of a run: what a few fixed pictures looked like to the model after `TrainConfig.film_epochs`."""

import numpy as np
import torch

from aevae.models.base import Model

ROLL = 16  # pictures followed
CODES = 1000  # test pictures whose codes are kept


class Film:
    """Frames collected one after another; `arrays()` is what the run folder keeps.

    original (16, 28, 28) uint8; recon and sample (E, 16, 28, 28) uint8, mean pictures; codes (E, 1000, D) float16;
    labels (1000,) int64. Fewer than 16 test pictures are repeated. Samples decode the same 16 draws of N(0, I) in
    every frame: for a family without a prior they show what lies where no code was.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, latent_dim: int, arrays: dict | None = None):
        self.images, self.labels = images[:CODES], labels[:CODES]
        self.roll = np.resize(np.arange(len(self.images)), ROLL)  # the first ones; over again where they are too few
        self.draws = torch.randn(ROLL, latent_dim, generator=torch.Generator().manual_seed(0))
        self.frames = {k: list(arrays[k]) for k in ("recon", "sample", "codes")} if arrays else {}

    @torch.inference_mode()
    def shoot(self, model: Model, device: torch.device) -> None:
        """One more frame."""
        model.eval()
        x = torch.tensor(self.images).to(device).float().div_(255)
        z = model.encode(x)
        pictures = {"recon": model.decode(z[self.roll]), "sample": model.decode(self.draws.to(device))}
        frame = {k: v[:, 0].mul(255).round().byte().cpu().numpy() for k, v in pictures.items()}
        frame["codes"] = z.half().cpu().numpy()
        for name, value in frame.items():
            self.frames.setdefault(name, []).append(value)

    def cut(self, frames: int) -> None:
        """Keep the first `frames` frames (a resumed run continues from there)."""
        for name in self.frames:
            del self.frames[name][frames:]

    def __len__(self) -> int:
        return len(self.frames.get("recon", ()))

    def arrays(self) -> dict[str, np.ndarray]:
        stacked = {name: np.stack(values) for name, values in self.frames.items()}
        return {**stacked, "original": np.ascontiguousarray(self.images[self.roll, 0]), "labels": self.labels}
