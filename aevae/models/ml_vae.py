"""Multi-level VAE: z = (c, s); images of a group share the content c, each image has its own style s.

For each group G: min sum_{i in G} (E[-log p(x_i | c_G, s_i)] + KL(q(s_i|x_i) || p(s))) + KL(q(c_G|x_G) || p(c)), with
the product of Gaussians q(c_G|x_G) ~ prod_{i in G} N(c; mu_i, sigma_i^2): precisions add up, so evidence accumulates.
Bouchacourt et al. 2018 (AAAI), arXiv:1705.08841, eq. 4 and 7. With an average instead of the product it is GVAE (Hosoya
2019, arXiv:1809.02383). A group contains the images of one class in a batch; terms are means over images. Differs from
the VAE in the posterior of the content; with groups of one image it is the VAE.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Generator, Tensor

from aevae.config import option
from aevae.models.blocks import batches
from aevae.models.vae import VAE, VAEConfig
from aevae.noise import uniform
from aevae.outputs import Loss

MIN_READER_IMAGES = 100  # with fewer test images no linear classifier is fitted
READER_STEPS = 2000  # maximum of iterations of the logistic regression


@dataclass(frozen=True)
class MLVAEConfig(VAEConfig):
    """Multi-level VAE (Bouchacourt et al. 2018)."""

    family: ClassVar[str] = "ml_vae"
    recipe_large: ClassVar[dict] = {"batch_size": 256}  # for larger groups
    latent_dim: ClassVar[int]
    content_dim: int = option(10, "numbers in the content, which is common to a group", min=1, max=256)
    style_dim: int = option(
        10, "numbers in the style of each image; if there are many, the class leaks into the style", min=1, max=256
    )
    style_weight: float = option(
        1.5, "weight of the KL of the style; above 1: less of the class leaks into the style", min=0.0, max=1000.0
    )
    grouping: str = option(
        "label",
        "which images of a batch form a group: those of one class (label), or random ones (then the content means "
        "nothing)",
        choices=("label", "random"),
    )
    pooling: str = option(
        "product",
        "posterior of a group's content: the product of the Gaussians of its images, or their average (GVAE)",
        choices=("product", "average"),
    )

    @property
    def latent_dim(self) -> int:
        """Size of z = (content, style)."""
        return self.content_dim + self.style_dim


class MLVAE(VAE):
    """A VAE with a part of the code that images of one group share."""

    Config = MLVAEConfig
    config: MLVAEConfig
    objective = "-log p(x|c, s) + KL(q(s|x) || N(0, I)) + KL(q(c|group) || N(0, I)) / |group|"
    paper = "Bouchacourt et al. 2018"
    extra_inputs = ("labels",)
    batched = False
    units: ClassVar[dict[str, str]] = VAE.units | {
        "class_from_content": "fraction of test images",
        "class_from_style": "fraction of test images",
    }

    def parts(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(content (..., content_dim), style (..., style_dim)) of codes (..., D)."""
        return z.split([self.config.content_dim, self.config.style_dim], -1)

    def swap(self, content: Tensor, style: Tensor) -> Tensor:
        """Codes (C, S, D) that combine each content of `content` (C, D) with each style of `style` (S, D)."""
        c, s = self.parts(content)[0], self.parts(style)[1]
        shape = (len(c), len(s), -1)
        return torch.cat([c.unsqueeze(1).expand(shape), s.unsqueeze(0).expand(shape)], -1)

    def accumulate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, log variance) (n, content_dim): the posterior of the content given the first 1, 2, ... n images x."""
        mu, logvar = (self.parts(part)[0] for part in self.posterior(x))
        return pooled(mu, logvar, torch.ones(len(x), len(x)).tril().to(mu), self.config.pooling)

    def groups(self, labels: Tensor, generator: Generator | None) -> Tensor:
        """Group membership (B, B): 1 if two images are in one group, else 0."""
        if self.config.grouping == "random":  # random groups of the same sizes
            generator = generator or torch.Generator(labels.device).manual_seed(0)
            chance = uniform(labels.shape, generator, self.mu.weight)
            labels = labels[chance.argsort()]
        return (labels.unsqueeze(1) == labels).to(self.mu.weight)

    def loss(
        self,
        x: Tensor,
        *,
        generator: Generator | None = None,
        epoch: float = math.inf,
        labels: Tensor | None = None,
    ) -> Loss:
        """The Loss of x (B, 1, 28, 28), grouped by labels (B,); without labels each image is a group of its own."""
        mu, logvar = self.posterior(x)
        size, first = torch.ones_like(mu[:, :1]), torch.arange(len(x), device=x.device)
        if labels is not None:
            same = self.groups(labels, generator)
            size, first = same.sum(1, keepdim=True), same.argmax(1)  # (B, 1), (B,)
            (c_mu, s_mu), (c_logvar, s_logvar) = self.parts(mu), self.parts(logvar)
            c_mu, c_logvar = pooled(c_mu, c_logvar, same, self.config.pooling)
            mu, logvar = torch.cat([c_mu, s_mu], 1), torch.cat([c_logvar, s_logvar], 1)
        content, style = self.parts(self.reparameterize(mu, logvar, generator))  # (R, B, ...)
        z = torch.cat([content[:, first], style], -1)  # a group uses the content sample of its first image
        nll = self.nll_of(x, z)  # (R, B)
        recon = nll.mean()
        content, style = self.parts(self.kl_per_dim(mu, logvar))
        content = content / size  # so that the mean over images is the sum over groups / B
        each = {} if self.training else self.parts_per_image(nll.mean(0), content.sum(1), style.sum(1), epoch)
        content, style = content.mean(0), style.mean(0)
        kl, kl_style = content.sum() + style.sum(), style.sum()
        weighted = self.charged(torch.cat([content, style])) + (self.config.style_weight - 1) * kl_style
        cost, more = self.code_cost(weighted, z[0], mu, logvar, epoch)
        terms = {"recon": recon, "kl": kl, "elbo": -(recon + kl), "kl_content": kl - kl_style, "kl_style": kl_style}
        return Loss(recon + cost, {name: term.detach() for name, term in (terms | more).items()}, each)

    def parts_per_image(self, recon: Tensor, content: Tensor, style: Tensor, epoch: float) -> dict[str, Tensor]:
        """`Loss.per_image` of NLL, KL of the content (each image has a share of its group's KL) and KL of the style."""
        each = self.elbo_per_image(recon, content + style, epoch) | self.per_image(kl_content=content, kl_style=style)
        if self.has_objective_per_image:
            weighted = content + self.config.style_weight * style
            each |= self.per_image(objective=recon + self.annealed(epoch) * weighted)
        return each

    @torch.no_grad()
    def metrics(self, x: Tensor, labels: Tensor, generator: Generator) -> dict[str, float]:
        values = super().metrics(x, labels, generator)
        if len(x) < MIN_READER_IMAGES or len(labels.unique()) < 2:
            return values
        content, style = self.parts(torch.cat([self.encode(part) for part in batches(x)]))
        return values | {
            "class_from_content": readable(content, labels),
            "class_from_style": readable(style, labels),
        }


def pooled(mu: Tensor, logvar: Tensor, members: Tensor, pooling: str = "product") -> tuple[Tensor, Tensor]:
    """(mean, log variance) (G, D) of the pooled Gaussian of each group.

    mu, logvar: (N, D); members (G, N): 1 if a Gaussian belongs to a group, else 0. pooling "product": normalised
    prod_i N(mu_i, s_i^2), whose precision is the sum of precisions (Bouchacourt et al. 2018, eq. 7); "average": mean of
    means and of variances (Hosoya 2019).
    """
    if pooling == "average":
        share = members / members.sum(1, keepdim=True)
        return share @ mu, (share @ logvar.exp()).log()
    precision = (-logvar).exp()
    total = members @ precision
    return (members @ (precision * mu)) / total, -total.log()


def readable(codes: Tensor, labels: Tensor) -> float:
    """Accuracy of a linear classifier of the labels (N,), fitted on half of the codes (N, D), on the other half.

    labels: at least two classes. The split is deterministic.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    codes, labels = codes.cpu().double().numpy(), labels.cpu().numpy()
    rare = np.unique(labels, return_counts=True)[1].min() < 2  # a class with one image cannot be in both halves
    halves = train_test_split(codes, labels, test_size=0.5, random_state=0, stratify=None if rare else labels)
    reader = make_pipeline(StandardScaler(), LogisticRegression(max_iter=READER_STEPS))
    reader.fit(halves[0], halves[2])
    return float(reader.score(halves[1], halves[3]))
