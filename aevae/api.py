"""The interface for notebooks: images, runs, codes and maps. Arguments and results are numpy arrays."""

import warnings
from collections.abc import Callable

import numpy as np
from PIL import Image

from aevae import datasets, embeddings, runs
from aevae.config import DataConfig
from aevae.run_config import RunConfig, build_config
from aevae.runs import Run
from aevae.tiles import tile


def load_images(dataset: str = datasets.EMBEDDED, part: str = "test") -> tuple[np.ndarray, np.ndarray]:
    """(images, labels): float32 (N, 1, 28, 28) in 0..1, and int64 (N,). part: "train" or "test".

    dataset: a name that `python -m aevae datasets` lists, or `images:<folder or zip>`. Raises ValueError for another
    name, or if the images cannot be read.
    """
    if part not in ("train", "test"):
        raise ValueError(f"part must be train or test, got {part!r}")
    split = getattr(datasets.load(DataConfig(dataset)), part)
    return split.images.astype(np.float32) / 255, split.labels


def load_run(reference: str, device: str = "cpu") -> Run:
    """The run with this name, unique prefix of its fingerprint, or path; `NAME@best`: weights of its best epoch.

    A Run has `name`, `config`, `history` (a dict per epoch; epoch 0: before training), `metrics`, `latent_dim`, `model`
    (a torch module in eval mode), `encode`, `decode` and `reconstruct`. device: auto, cpu, cuda, cuda:1, mps.
    Raises ValueError if no run or several runs fit, or if the run is damaged.
    """
    return runs.load_run(reference, device)


def train_or_load(
    request: str | RunConfig,
    *,
    seed: int = 0,
    preset: str = "fast",
    device: str = "auto",
    on_event: Callable = lambda event: None,
    **options,
) -> Run:
    """The run of this request: loaded from the store, or else trained, stored and opened.

    request: a family with `options` such as `dataset="mnist-5k", latent_dim=2, epochs=5` (`python -m aevae families`
    lists all), or a complete RunConfig. preset: "fast" or "classic", supplies the other training options.
    on_event(event) is called during training; after each epoch, `event.record` is the record of the history.
    A warning says if the test objective ended far above its best. Raises ValueError for a wrong request,
    ArithmeticError if the training diverges.
    """
    if isinstance(request, str):
        config = build_config(request, {name: str(value) for name, value in options.items()}, seed, preset)
    elif options:
        raise ValueError(f"a RunConfig is complete; it takes no options, got {', '.join(options)}")
    else:
        config = request
    run = load_run(runs.train_or_load(config, device, on_event).name, "cpu" if device == "auto" else device)
    if run.info.warning:
        warnings.warn(f"{run.name}: {run.info.warning}", stacklevel=2)
    return run


def encode(run: Run | str, images: np.ndarray) -> np.ndarray:
    """Latent codes (N, latent_dim), float32, of images (N, 1, 28, 28) in 0..1.

    The codes of a variational model are the means of q(z|x). A model without an encoder searches for its codes, which
    takes seconds. run: a Run, or what `load_run` takes. Raises ValueError for another shape or a number that is not
    finite.
    """
    return _opened(run).encode(images)


def decode(run: Run | str, codes: np.ndarray) -> np.ndarray:
    """Mean images (N, 1, 28, 28), float32 in 0..1, of latent codes (N, latent_dim).

    run: a Run, or what `load_run` takes. Raises ValueError for another shape or a number that is not finite.
    """
    return _opened(run).decode(codes)


def embed(codes: np.ndarray, method: str = "tsne", **parameters) -> np.ndarray:
    """Positions (N, 2), float32, of codes (N, D) in a two-dimensional map. Maps are cached on disk.

    method: latent (two dimensions of the code), pca, tsne or umap. parameters: seed, perplexity (t-SNE), n_neighbors
    and min_dist (UMAP), dims (latent). Raises ValueError for wrong codes or parameters.
    """
    return embeddings.cached_embed(codes, method, **parameters).xy


def image_grid(images: np.ndarray, columns: int = 10, scale: int = 2) -> Image.Image:
    """Images (N, 1, height, width) in 0..1 as one grey PIL image, enlarged by `scale`, for notebooks."""
    if images.ndim != 4 or images.shape[1] != 1 or not len(images):
        raise ValueError(f"images must have shape (N, 1, height, width), got {images.shape}")
    grid = tile(np.rint(255 * np.clip(images[:, 0], 0, 1)).astype(np.uint8), columns)
    return Image.fromarray(grid.repeat(scale, 0).repeat(scale, 1))


def _opened(run: Run | str) -> Run:
    return load_run(run) if isinstance(run, str) else run
