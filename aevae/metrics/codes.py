"""What codes tell of the class: a linear reader, and the ten nearest neighbours."""

import numpy as np

from aevae.metrics.metric import HIGHER, Metric, Sample, Values, of_pictures

SHARE = "share of test pictures"


def _classes(data: Sample) -> None:
    if len(np.unique(data.labels)) < 2:
        raise ValueError("a reader of classes needs pictures of two classes or more")


def probe(run, data: Sample, seed: int) -> Values:
    """linear_probe: share of half of the codes whose class a logistic regression, taught by the others, gets right."""
    import torch

    from aevae.models.ml_vae import readable

    _classes(data)
    if len(data) < 20:
        raise ValueError(f"a linear reader needs at least 20 pictures, got {len(data)}")
    data.beat(0.0)
    return {"linear_probe": readable(data.posterior(run)[0], torch.tensor(data.labels))}


def neighbours(run, data: Sample, seed: int) -> Values:
    """knn_accuracy: share of the codes whose class the 10 nearest others vote for."""
    from aevae.metrics.neighbours import knn_accuracy

    _classes(data)
    codes = data.codes(run)
    data.beat(0.0)
    return {"knn_accuracy": knn_accuracy(codes, data.labels, min(10, len(data) - 1))}


METRICS = (
    Metric(
        "linear_probe", "linear probe", SHARE, r"\mathrm{softmax}(W z + b)\ \text{on one half, asked of the other}",
        probe, of_pictures, better=HIGHER,
    ),
    Metric(
        "knn_accuracy", "10-NN accuracy", SHARE, r"\text{majority of the 10 nearest codes, leave one out}",
        neighbours, of_pictures, better=HIGHER,
    ),
)  # fmt: skip
