"""Four methods for two-dimensional maps of codes: two latent dimensions, PCA, t-SNE, UMAP. All are deterministic."""

import numpy as np

from aevae.embeddings import tsne, umaps
from aevae.embeddings.config import EmbedConfig, Watch, checked, pca


def embed(codes: np.ndarray, method: str, **parameters) -> np.ndarray:
    """Positions (N, 2) float32 of `codes` (N, D) in a map. Equal requests give equal maps on one machine, bit for bit.

    parameters: the other fields of EmbedConfig: seed=0, perplexity=30.0 and n_jobs=1 (t-SNE), n_neighbors=15 and
    min_dist=0.1 (UMAP), dims=(0, 1) (latent). For D = 1 the second axis of `latent` and `pca` is 0.
    Raises ValueError with one sentence for wrong codes or parameters.
    """
    codes, config = checked(codes, method, **parameters)
    return compute_map(codes, config)[0]


def compute_map(
    codes: np.ndarray, config: EmbedConfig, watch: Watch = lambda *_: None
) -> tuple[np.ndarray, float | None]:
    """(map (N, 2) float32, t-SNE's KL(P || Q) in nats or None) of the results of `checked`."""
    kl = None
    if config.method == "latent":
        xy = _latent(codes, config.dims)
    elif config.method == "pca":
        xy = pca(codes)
    elif config.method == "tsne":
        xy, kl = tsne.tsne_map(codes, config, watch)
    else:
        xy = umaps.umap_map(codes, config, watch)
    return np.ascontiguousarray(xy, np.float32), kl


def _latent(codes: np.ndarray, dims: tuple[int, int]) -> np.ndarray:
    if codes.shape[1] == 1:
        return np.concatenate([codes, np.zeros_like(codes)], axis=1)
    return np.ascontiguousarray(codes[:, dims])
