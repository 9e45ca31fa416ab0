"""t-SNE (van der Maaten & Hinton 2008) by openTSNE, with own gradients: interpolated on a CPU, exact on a GPU.

KL(P || Q) with p_ij from Gaussians of one perplexity over the exact 3 x perplexity nearest neighbours, and q_ij ~ 1 /
(1 + |y_i - y_j|^2). Early exaggeration is 12; the learning rate is N / exaggeration (Belkina et al. 2019). On 10,000
codes 500 iterations preserve neighbourhoods as well as 1,000 slower iterations of scikit-learn.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from aevae.embeddings.config import EmbedConfig, Watch, initial_positions, nearest_others

if TYPE_CHECKING:
    from openTSNE.affinity import PerplexityBasedNN

MAX_FEW_POINTS = 5000  # with more points fewer iterations are made
SCHEDULE = {
    True: (250, 500),
    False: (125, 375),
}  # iterations with exaggerated attraction, and without: few points, more
EXAGGERATION = 12.0
MAX_EXACT_POINTS = 20_000  # with more points neighbours are approximate (Annoy), and the exact gradient is not used
THETA = 0.7  # Barnes-Hut parameter, for few points
SPACING = 0.5  # of grid nodes; the force between two points is largest at a distance of 0.58
NODES = (32, 1024)  # smallest and largest number of grid nodes per side
PLACING_PERPLEXITY = 5  # perplexity of the affinities of new points
NUM_MEDIAN_CODES = 25  # a new point starts at the median of this many nearest codes
TILE_PAIRS = 1 << 24  # pairs of points per tile of the exact gradient


def tsne_map(codes: np.ndarray, config: EmbedConfig, watch: Watch) -> tuple[np.ndarray, float]:
    """(map (N, 2), its KL divergence in nats)."""
    from openTSNE import TSNEEmbedding

    early, late = SCHEDULE[len(codes) <= MAX_FEW_POINTS]

    def report(done: int) -> Callable[[int, float, np.ndarray], None]:
        return lambda iteration, _, xy: watch(done + iteration, early + late, np.asarray(xy))

    known = affinities(codes, config, watch)
    xy = TSNEEmbedding(
        initial_positions(codes, config.seed),
        known,
        random_state=config.seed,
        n_jobs=config.n_jobs,
        callbacks_every_iters=10 if len(codes) <= MAX_EXACT_POINTS else 2,
        **_gradient(known.P),
    )
    xy = xy.optimize(early, exaggeration=EXAGGERATION, momentum=0.5, callbacks=report(0))
    xy = xy.optimize(late, momentum=0.8, callbacks=report(early))
    return np.asarray(xy), float(xy.kl_divergence)


def affinities(codes: np.ndarray, config: EmbedConfig, watch: Watch) -> "PerplexityBasedNN":
    """The symmetric affinities P as an object of openTSNE."""
    from openTSNE import affinity, nearest_neighbors

    options = {"perplexity": config.perplexity, "n_jobs": config.n_jobs, "random_state": config.seed}
    if len(codes) > MAX_EXACT_POINTS:
        return affinity.PerplexityBasedNN(codes.astype(np.float64), method="annoy", **options)
    k = min(len(codes) - 1, int(3 * config.perplexity))
    known = nearest_neighbors.PrecomputedNeighbors(*nearest_others(codes, k, watch))
    return affinity.PerplexityBasedNN(knn_index=known, **options)


def _gradient(P) -> dict:
    """Options of openTSNE that select the gradient for this number of points and this device."""
    from aevae.training.device import pick_device

    device = pick_device()
    if device.type == "cuda" and P.shape[0] <= MAX_EXACT_POINTS:
        return {"negative_gradient_method": Exact(P, device)}
    if P.shape[0] <= MAX_FEW_POINTS:
        return {"negative_gradient_method": "bh", "theta": THETA}
    return {"negative_gradient_method": Interpolated()}


def transform(xy: np.ndarray, codes: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Positions (M, 2) of new codes (M, D) in the finished map xy (N, 2) of codes (N, D).

    The method of openTSNE (Poličar, Stražar & Zupan 2019): each point starts at the median of its nearest neighbours
    and is optimised independently.
    """
    from openTSNE import PartialTSNEEmbedding, TSNEEmbedding, affinity
    from scipy.sparse import csr_matrix

    from aevae.metrics import neighbours

    distance, index = neighbours.nearest(new, codes, min(NUM_MEDIAN_CODES, len(codes)))
    k = min(3 * PLACING_PERPLEXITY, len(codes))
    attraction = affinity.joint_probabilities_nn(
        index[:, :k],
        distance[:, :k],
        [min(PLACING_PERPLEXITY, k / 3)],
        symmetrize=False,
        normalization="point-wise",
        n_reference_samples=len(codes),
    )
    none = affinity.PrecomputedAffinities(csr_matrix((len(xy), len(xy))), normalize=False)  # the map is fixed
    fixed = TSNEEmbedding(xy.astype(np.float64), none, negative_gradient_method="bh")
    moved = PartialTSNEEmbedding(
        np.median(fixed[index], axis=1), fixed, attraction, negative_gradient_method="bh", n_jobs=1
    )
    return np.asarray(moved.optimize(250, learning_rate=0.1, exaggeration=1.5, momentum=0.8, max_grad_norm=0.25))


def add_attraction(P, y: np.ndarray, gradient: np.ndarray, n_jobs: int, should_eval_error: bool) -> tuple[float, float]:
    """Add sum_j p_ij w_ij (y_i - y_j), w = 1 / (1 + d^2), to gradient (N, 2). Returns sum p and sum p log(p / w).

    The second is 0 unless asked for. openTSNE's compiled loop has no public name; without it numpy does the same.
    """
    try:
        from openTSNE import _tsne  # ty: ignore[missing-module-member]

        loop = _tsne.estimate_positive_gradient_nn
        return loop(P.indices, P.indptr, P.data, y, y, gradient, 1, n_jobs, should_eval_error)
    except (ImportError, AttributeError, TypeError):  # it is gone, or takes other arguments
        rows = np.repeat(np.arange(len(y)), np.diff(P.indptr))
        w = 1 / (1 + np.square(y[rows] - y[P.indices]).sum(1))
        pull = type(P)((P.data * w, P.indices, P.indptr), shape=P.shape)
        gradient += np.asarray(pull.sum(1)).reshape(-1, 1) * y - pull @ y
        kept = P.data > 0
        error = float((P.data[kept] * np.log(P.data[kept] / w[kept])).sum()) if should_eval_error else 0.0
        return float(P.data.sum()), error


def _spacing(extent: float) -> float:
    """Spacing of grid nodes for a map of this width: SPACING times a power of two, so that spectra can be cached."""
    few, many = (math.log2(max(extent, 1e-9) / SPACING / nodes) for nodes in NODES)
    return SPACING * 2.0 ** (min(0, math.floor(few)) + max(0, math.ceil(many)))


class Interpolated:
    """KL(P || Q) and its gradient for openTSNE's optimiser, with the repulsive forces interpolated on a grid.

    The repulsion of a point y is a convolution, sum_j k(y - y_j), k(d) = d / (1 + |d|^2)^2. Each point is spread over
    the 4 x 4 nodes around it by a cubic B-spline, the grid is convolved by FFT, and forces are interpolated by the same
    splines; the spectrum of k is divided twice by that of the sampled spline (as in smooth particle mesh Ewald, Essmann
    et al. 1995, eq. 4.7; grids for t-SNE: Linderman et al. 2019). So the forces of two points are equal and opposite,
    and a point exerts no force on itself. The normalisation sum_ij 1 / (1 + d_ij^2) is another convolution. openTSNE
    computes the attraction.
    """

    def __init__(self):
        self.grid, self.kernels = (0, 0.0), np.empty(0)
        self.near = np.empty(0)  # the grid's 1 / (1 + d^2) for offsets up to three nodes, times their multiplicities

    def __call__(self, embedding, P, should_eval_error=False, n_jobs=1, **_) -> tuple[float, np.ndarray]:
        """KL in nats (0 unless asked for) and a quarter of its gradient (N, 2), the scale that openTSNE uses."""
        from scipy import fft, sparse

        y = np.asarray(embedding)
        spacing = _spacing(float(np.ptp(y, axis=0).max()))
        node, t = np.divmod((y - y.min(0)) / spacing, 1)
        node = node.astype(np.int64)  # the first of four nodes in each direction
        side = int(node.max()) + 4
        w = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], -1) / 6
        four = np.arange(4)
        weights = (w[:, 0, :, None] * w[:, 1, None, :]).reshape(-1)
        nodes = ((node[:, :1, None] + four[:, None]) * side + node[:, 1:, None] + four).reshape(-1)

        size = fft.next_fast_len(2 * side, real=True)  # padded to twice the width, against cyclic wrap-around
        mass = np.zeros((size, size))
        mass[:side, :side] = np.bincount(nodes, weights, side * side).reshape(side, side)
        spectrum = fft.rfft2(mass, workers=n_jobs) * self._spectra(size, spacing)
        field = fft.irfft2(spectrum, s=mass.shape, workers=n_jobs)[:, :side, :side].reshape(3, -1)
        spread = sparse.csr_matrix((weights, nodes, np.arange(0, len(nodes) + 1, 16)), shape=(len(y), side * side))
        total, *push = (spread @ np.ascontiguousarray(part) for part in field)
        total = total.sum() - self._alone(w)
        gradient = np.stack(push, 1) / -total
        weight, error = add_attraction(P, y, gradient, n_jobs, should_eval_error)
        return error + weight * np.log(total) if should_eval_error else 0.0, gradient

    def _alone(self, w: np.ndarray) -> float:
        """Contribution of the points themselves to the normalisation on the grid, about N. w: (N, 2, 4)."""
        a, b, c, d = np.ascontiguousarray(np.moveaxis(w, -1, 0))  # (N, 2) each
        pairs = np.stack([a * a + b * b + c * c + d * d, a * b + b * c + c * d, a * c + b * d, a * d])  # 0 to 3 apart
        return float((pairs[..., 0] * (self.near @ pairs[..., 1])).sum())

    def _spectra(self, size: int, spacing: float) -> np.ndarray:
        """Spectra (3, size, size // 2 + 1) of 1 / (1 + d^2) and of both components of k."""
        from scipy import fft

        if self.grid != (size, spacing):
            d = fft.fftfreq(size, 1 / size) * spacing
            w = 1 / (1 + d[:, None] ** 2 + d**2)
            spline = ((2 + np.cos(2 * np.pi * np.arange(size) / size)) / 3) ** 2
            kernels = fft.rfft2(np.stack([w, d[:, None] * w**2, d * w**2]))
            self.grid, self.kernels = (size, spacing), kernels / (spline[:, None] * spline[: size // 2 + 1])
            near = fft.irfft2(self.kernels[0], s=(size, size))[:4, :4]
            self.near = near * np.outer([1, 2, 2, 2], [1, 2, 2, 2])
        return self.kernels


class Exact:
    """KL(P || Q) and its exact gradient for openTSNE's optimiser, on a CUDA GPU or the CPU.

    P: scipy CSR (N, N); calls may only change its values (exaggeration). Pairs are computed in tiles of rows.
    """

    def __init__(self, P, device):
        import torch

        self.device = torch.device(device)
        self.kind = torch.float32 if self.device.type == "cuda" else torch.float64
        self.offsets = torch.tensor(P.indptr, dtype=torch.int64, device=self.device)
        self.columns = torch.tensor(P.indices, dtype=torch.int64, device=self.device)
        self.rows = torch.repeat_interleave(torch.arange(P.shape[0], device=self.device), self.offsets.diff())

    def __call__(self, embedding: np.ndarray, P, should_eval_error: bool = False, **_) -> tuple[float, np.ndarray]:
        """KL in nats (0 unless `should_eval_error`) and a quarter of its gradient (N, 2), as openTSNE scales it."""
        import torch

        y = torch.tensor(np.asarray(embedding), dtype=self.kind, device=self.device)
        p = torch.tensor(P.data, dtype=self.kind, device=self.device)
        push, total = torch.empty_like(y), torch.zeros((), dtype=torch.float64, device=self.device)
        step = max(1, TILE_PAIRS // len(y))
        for first in range(0, len(y), step):
            block = y[first : first + step]
            w = 1 / (1 + (block[:, :1] - y[:, 0]) ** 2 + (block[:, 1:] - y[:, 1]) ** 2)  # (tile, N)
            total += w.sum(dtype=torch.float64) - len(block)  # without the pairs of a point with itself
            w *= w
            push[first : first + step] = w.sum(1, keepdim=True) * block - w @ y
        apart = y[self.rows] - y[self.columns]
        w = 1 / (1 + (apart**2).sum(1))
        pull = torch.segment_reduce((p * w)[:, None] * apart, "sum", offsets=self.offsets, axis=0)  # ty: ignore[missing-attribute]
        error = 0.0
        if should_eval_error:
            ratio = torch.where(p > 0, p / w, 1.0)  # an affinity of 0 adds 0
            error = float((p * ratio.log()).sum(dtype=torch.float64) + p.sum(dtype=torch.float64) * total.log())
        return error, (pull - push / total).cpu().double().numpy()
