"""Belief states of a sequence model after each frame, and sampled futures."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Futures:
    """Futures of one sequence after s = 1..S frames: F futures of K jumps of `jump` frames each.

    believed uint8 (S, 28, 28): decoded mean state after s frames. drawn uint8 (S, F, K, 28, 28): frames s + jump,
    s + 2 jump, ... of each future. place (S, F, K) int64 in -14..13: shift to the right, in pixels, of the first frame
    that is most similar to them. true (T,): the shifts of the true frames.
    """

    jump: int
    believed: np.ndarray
    drawn: np.ndarray
    place: np.ndarray
    true: np.ndarray

    def near(self, seen: int) -> np.ndarray:
        """Share of the futures after `seen` frames that are within a pixel of the true position, per jump: (K',).

        K': number of jumps for which there is a true frame.
        """
        at = seen - 1 + self.jump * np.arange(1, self.place.shape[2] + 1)
        at = at[at < len(self.true)]
        away = (self.place[seen - 1, :, : len(at)] - self.true[at] + 14) % 28 - 14
        return (np.abs(away) <= 1).mean(axis=0)


def futures(run, frames: np.ndarray, most: int, count: int, steps: int, jump: int, seed: int = 0) -> Futures:
    """Futures of a sequence uint8 (T, 1, 28, 28) after its first 1..`most` frames. Deterministic for a seed.

    Raises ValueError for a jump that was not trained.
    """
    import torch

    from aevae.models.td_vae import circular_shift

    model, chance = run.model, torch.Generator(run.device).manual_seed(seed)
    x = torch.tensor(frames, device=run.device).float().div_(255).unsqueeze(0)  # (1, T, 1, 28, 28)
    with torch.inference_mode():
        belief = model.beliefs(x)[0]
        believed = model.decode(model.believe(belief[:most])[0])
        seen = (x[:, :t].expand(count, -1, -1, -1, -1) for t in range(1, most + 1))
        drawn = [model.roll_out(part, steps, chance, jump) for part in seen]
        images = torch.stack(drawn)  # (S, F, K, 1, 28, 28)
        place = circular_shift(images.flatten(0, 2), x[0, :1].expand(images[..., 0, 0, 0].numel(), -1, -1, -1))
        true = circular_shift(x[0], x[0, :1].expand(x.shape[1], -1, -1, -1))
    return Futures(
        jump,
        as_bytes(believed[:, 0]),
        as_bytes(images[:, :, :, 0]),
        place.unflatten(0, images.shape[:3]).cpu().numpy(),
        true.cpu().numpy(),
    )


def as_bytes(images) -> np.ndarray:
    """uint8 array of a tensor of images in [0, 1]."""
    return images.mul(255).round().byte().cpu().numpy()
