"""Sensitivity of an encoder to its image: norm and singular values of df/dx.

Rifai et al. 2011, section 5.3: contractive codes have a smaller norm and a spectrum that decreases earlier; its few
large singular values belong to directions along the data manifold.
"""

from aevae.metrics.metric import Metric, Sample, Values, with_encoder, with_spread
from aevae.spread import spread

NUM_IMAGES = 100  # images over which the results are averaged
MAX_SINGULAR_VALUES = 50


def jacobian(run, data: Sample, seed: int) -> Values:
    """jacobian_norm: mean Frobenius norm, with its `aevae.spread`.

    jacobian_spectrum: mean singular values, the largest 50 first.
    """
    import torch

    from aevae.metrics.geometry import jacobians

    squares = []
    for x in data.images[:NUM_IMAGES].split(25):
        data.beat(0.0)
        j = jacobians(lambda flat: run.model.encode(flat.view(-1, 1, 28, 28)), x.flatten(1))  # (B, D, 784)
        j = j.cpu().double()
        squares.append(torch.linalg.eigvalsh(j @ j.mT if j.shape[1] < j.shape[2] else j.mT @ j).clamp(min=0))
    values = torch.cat(squares).flip(1).sqrt()  # (N, min(D, 784))
    norms = values.square().sum(1).sqrt()  # (N,)
    return {
        "jacobian_norm": float(norms.mean()),
        **spread({"jacobian_norm": norms.numpy()}),
        "jacobian_spectrum": [round(v, 6) for v in values.mean(0)[:MAX_SINGULAR_VALUES].tolist()],
    }


METRICS = (
    *with_spread(
        Metric(
            "jacobian_norm", "Jacobian norm", "code / pixel range", r"\mathbb{E}\, \|\partial f / \partial x\|_F",
            jacobian, with_encoder, help="How strongly the code reacts to small changes of the image.",
        ),
        with_encoder,
    ),
    Metric(
        "jacobian_spectrum", "Jacobian spectrum", "code / pixel range",
        r"\mathbb{E}\, \sigma_1 \ge \sigma_2 \ge \dots\ \text{of}\ \partial f / \partial x", jacobian, with_encoder,
        help="How strongly the code reacts in its most sensitive directions, in descending order.",
    ),
)  # fmt: skip
