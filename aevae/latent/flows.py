"""Edits of an image: as flows of a model that warps, and as steps in the code of a model that generates pixels."""

import numpy as np

KINDS = ("slant", "rotation", "scale", "right", "down")
MAX_AMOUNT = 2.0  # relative to the largest change in training
NUM_STEPS = 17  # amounts from -MAX_AMOUNT to MAX_AMOUNT


def amounts() -> np.ndarray:
    return np.linspace(-MAX_AMOUNT, MAX_AMOUNT, NUM_STEPS)


def directions(run, images: np.ndarray) -> dict[str, np.ndarray]:
    """Kind of change -> mean change of the code (D,), over images (N, 1, 28, 28)."""
    import torch

    x = torch.tensor(images, device=run.device)
    with torch.inference_mode():
        return {kind: run.model.direction(x, kind).cpu().numpy() for kind in KINDS}


def painted(run, images: np.ndarray, kind: str) -> np.ndarray:
    """For a model that generates pixels: mean code of changed images minus mean code of the images, (D,)."""
    return (run.encode(changed(images, kind)) - run.encode(images)).mean(axis=0)


def changed(images: np.ndarray, kind: str, amount: float = 1.0) -> np.ndarray:
    """Images (N, 1, 28, 28) after exactly `amount` times the largest change `kind` of training."""
    import torch

    from aevae.models import flow_vae

    return flow_vae.changed(torch.tensor(images), kind, amount).numpy()


def edits(run, image: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Flows (NUM_STEPS, 2, 28, 28) that change an image (1, 28, 28) by `amounts()` times a direction (D,) of codes."""
    import torch

    with torch.inference_mode():
        x = torch.tensor(image, device=run.device).unsqueeze(0)
        changes = torch.tensor(np.outer(amounts(), direction), dtype=x.dtype, device=run.device)
        z = run.model.encode(x.expand(-1, 2, -1, -1)) + changes
        return run.model.flow(z).cpu().numpy()


def exact(kind: str) -> np.ndarray:
    """Exact flows (NUM_STEPS, 2, 28, 28) of `amounts()` times the change `kind`."""
    import torch

    from aevae.models import flow_vae

    parts = torch.zeros(NUM_STEPS, len(flow_vae.CHANGES))
    parts[:, list(flow_vae.CHANGES).index(kind)] = torch.tensor(amounts(), dtype=torch.float32)
    return flow_vae.affine_flow(parts).numpy()


def onto(run, image: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """An image (1, 28, 28) warped by the model towards each of targets (N, 1, 28, 28); of the targets' shape."""
    import torch

    with torch.inference_mode():
        source = torch.tensor(np.repeat(image[None], len(targets), axis=0), device=run.device)
        pair = torch.cat([source, torch.tensor(targets, device=run.device)], dim=1)
        return run.model.decode(run.model.encode(pair), source).cpu().numpy()
