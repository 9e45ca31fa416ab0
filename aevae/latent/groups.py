"""Codes with two parts: content, which a group of images shares, and style, of each image."""

import numpy as np


def evidence(run, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, variance) (n, content) of a group's content given its first 1, 2, ..., n images (n, 1, 28, 28)."""
    import torch

    with torch.inference_mode():
        mu, logvar = run.model.accumulate(torch.tensor(images, device=run.device))
    return mu.cpu().numpy(), logvar.exp().cpu().numpy()


def styles(run, images: np.ndarray) -> np.ndarray:
    """Mean styles (N, style) of images (N, 1, 28, 28)."""
    return run.encode(images)[:, run.config.model.content_dim :]


def crossed(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Codes (C, S, D) that combine each content (C, content) with each style (S, style)."""
    shape = (len(content), len(style))
    parts = (
        np.broadcast_to(content[:, None], (*shape, content.shape[1])),
        np.broadcast_to(style, (*shape, style.shape[1])),
    )
    return np.concatenate(parts, axis=2).astype(np.float32)


def group_of(labels: np.ndarray, wanted: int, count: int) -> np.ndarray:
    """Indices of the first `count` images of class `wanted`."""
    return np.flatnonzero(labels == wanted)[:count]
