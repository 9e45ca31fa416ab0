"""Denoising autoencoder: min E_x E_{x~ ~ C(.|x)}[-log p(x | g(f(x~)))]; corrupted input, clean target.

Vincent et al. 2008 (ICML) and 2010 (JMLR 11:3371). Differs from the plain autoencoder in what the encoder sees.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor

from aevae.config import falling, option
from aevae.corruption import KINDS, corrupt
from aevae.models.ae import AEConfig, Autoencoder


@dataclass(frozen=True)
class DenoisingConfig(AEConfig):
    """Denoising autoencoder (Vincent et al. 2008)."""

    family: ClassVar[str] = "denoising"
    overfits: ClassVar[float] = 0.0  # noise prevents it
    rate_factor: ClassVar[float] = 0.5  # at higher rates the codes of clean images drift from those seen in training
    # Training contains no clean images: clipped noise of 0.5 raises a black pixel by 0.2 on average, so the codes of
    # clean images are extrapolated, farther with a higher learning rate. After five epochs of MNIST with peak rates of
    # 0.019 (this factor), 0.038 and 0.076 their mean norm is 27, 41 and 61 (codes of noisy images: 13, 15 and 17), and
    # their squared error is 10.3, 10.7 and 19.0.
    network: str = option(
        "mlp",
        "mlp: one hidden layer in encoder and decoder; conv: two strided convolutions; shallow: one sigmoid layer, "
        "which is the code",
        choices=("mlp", "conv", "shallow"),
    )
    noise: str = option(
        "gaussian",
        "what corrupts the input: gaussian, masking, salt_and_pepper, or one covered block",
        choices=tuple(KINDS),
    )
    noise_level: float = option(
        0.5, "gaussian: standard deviation; the others: fraction of the pixels that change", min=0.0, max=1.0
    )
    clip: bool = option(
        True,
        "clip noisy pixels to 0..1; off: the denoiser's output gives the score exactly (Tweedie)",
        when=("noise", ("gaussian",)),
    )

    @property
    def long_run_exponent(self) -> float:
        """That of the autoencoder without noise; 0 from a noise level of 0.1."""
        return max(super().long_run_exponent, AEConfig.overfits * falling(self.noise_level, 0.0, 0.1))

    def __post_init__(self):
        super().__post_init__()
        if self.network == "shallow" and self.likelihood == "categorical":
            raise ValueError("likelihood must be of one number a pixel with network=shallow, got categorical")


class DenoisingAutoencoder(Autoencoder):
    """An autoencoder trained to reconstruct clean images from corrupted ones."""

    Config = DenoisingConfig
    config: DenoisingConfig
    objective = "-log p(x | g(f(x + noise)))"
    paper = "Vincent et al. 2008"

    def corrupt(self, x: Tensor, generator: Generator | None) -> Tensor:
        if generator is None:
            return x
        return corrupt(x, self.config.noise, self.config.noise_level, generator, self.config.clip)
