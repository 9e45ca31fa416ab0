"""Codes of two parts, one that a group of images shares (content) and one of each image (style)."""

import numpy as np


def evidence(run, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (n, content) of a group's content after its first 1, 2 .. n images (n, 1, 28, 28)."""
    import torch

    with torch.inference_mode():
        mu, logvar = run.model.accumulate(torch.tensor(images, device=run.device))
    return mu.cpu().numpy(), logvar.exp().cpu().numpy()


def styles(run, images: np.ndarray) -> np.ndarray:
    """Styles (N, style) of images (N, 1, 28, 28): their means."""
    return run.encode(images)[:, run.config.model.content_dim :]


def crossed(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Codes (C, S, D) of every content (C, content) in every style (S, style)."""
    shape = (len(content), len(style))
    parts = (
        np.broadcast_to(content[:, None], (*shape, content.shape[1])),
        np.broadcast_to(style, (*shape, style.shape[1])),
    )
    return np.concatenate(parts, axis=2).astype(np.float32)


def group_of(labels: np.ndarray, wanted: int, count: int) -> np.ndarray:
    """Numbers of the first `count` images of class `wanted`."""
    return np.flatnonzero(labels == wanted)[:count]
