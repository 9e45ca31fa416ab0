"""Draws of the prior, judged by a small reader of digits (`classifier`).

confidence: how sure it is of what it sees; class balance: entropy of the classes it names, in parts of log 10;
Frechet distance: between Gaussians fitted to its 64 features of draws and of MNIST's test pictures. That is the formula
of the FID (Heusel et al. 2017, arXiv:1706.08500) with other features: it compares with nothing but itself.
"""

import math

from aevae.metrics.metric import HIGHER, LOWER, Metric, Sample, Values, both, generative, trained_on

DRAWS = 2000
BLOCK = 500


def frechet(mean1, covariance1, mean2, covariance2) -> float:
    """Squared Wasserstein distance of two Gaussians: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), >= 0. Tensors.

    The trace of the root is that of (R C2 R)^(1/2), R = C1^(1/2), which is symmetric.
    """
    import torch

    c1, c2 = covariance1.double(), covariance2.double()
    values, vectors = torch.linalg.eigh(c1)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ c2 @ root).clamp(min=0).sqrt().sum()
    apart = (mean1.double() - mean2.double()).square().sum()
    return max(0.0, float(apart + c1.trace() + c2.trace() - 2 * cross))


def judge(pictures) -> Values:
    """Of pictures (N, 1, 28, 28) in [0, 1], a tensor on the CPU; N at least 2."""
    import torch

    from aevae.metrics.classifier import reader

    model, mean, covariance = reader()
    with torch.inference_mode():
        features, logits = (torch.cat(part) for part in zip(*map(model, pictures.split(1000)), strict=True))
    share = torch.bincount(logits.argmax(1), minlength=10).double() / len(logits)
    return {
        "sample_confidence": float(logits.softmax(1).max(1).values.mean()),
        "class_balance": float(torch.special.entr(share).sum() / math.log(10)),
        "class_balance_shares": share.tolist(),
        "frechet_distance": frechet(features.mean(0), features.T.cov(), mean, covariance),
    }


def samples(run, data: Sample, seed: int) -> Values:
    """Of 2,000 mean pictures of codes drawn from the prior."""
    import torch

    generator, drawn = torch.Generator(data.images.device).manual_seed(seed), []
    with torch.inference_mode():
        for i in range(0, DRAWS, BLOCK):
            data.beat(i / DRAWS)
            noise = torch.randn(BLOCK, run.latent_dim, generator=generator, device=generator.device)
            drawn.append(run.model.decode(run.model.prior(noise)).cpu())
    pictures = torch.cat(drawn)
    if not bool(torch.isfinite(pictures).all()):
        return {"frechet_distance": math.nan}
    return judge(pictures)


_NEEDS = both(generative, trained_on("mnist", "mnist-5k"))
METRICS = (
    Metric(
        "sample_confidence", "confidence in samples", "probability", r"\mathbb{E}_{z \sim p(z)} \max_c p(c | g(z))",
        samples, _NEEDS, better=HIGHER,
    ),
    Metric(
        "class_balance", "class balance of samples", "share of log 10", r"-\sum_c p_c \log p_c \,/ \log 10",
        samples, _NEEDS, better=HIGHER,
    ),
    Metric(
        "frechet_distance", "Fréchet distance (64 features)", "squared feature distance",
        r"\|m - m'\|^2 + \mathrm{tr}\bigl(C + C' - 2 (C C')^{1/2}\bigr)", samples, _NEEDS, better=LOWER,
    ),
)  # fmt: skip
