"""How much noise a model removes: error against noise level, and the effect of repeated application.

Images are float32 (N, 1, 28, 28) in [0, 1]; `reconstruct` is any function from images to images of that shape.
The noise is that of training (`aevae.corruption`), drawn from a seed.
"""

from collections.abc import Callable, Sequence

import numpy as np

from aevae.metrics.metric import HIGHER, Metric, Sample, Values, of_images
from aevae.metrics.reconstruction import psnr, sse

Reconstruct = Callable[[np.ndarray], np.ndarray]


def corrupt_images(images: np.ndarray, kind: str, level: float, seed: int) -> np.ndarray:
    """Corrupted copies of images (N, 1, 28, 28), float32 in [0, 1], as in the training of a denoising autoencoder.

    The same seed, kind and images give the same noise; with Gaussian noise the level scales the same noise.
    Raises ValueError for an unknown kind or a level outside 0..1.
    """
    import torch

    from aevae.corruption import corrupt

    x = torch.tensor(np.asarray(images, np.float32))
    return corrupt(x, kind, level, torch.Generator().manual_seed(seed)).numpy()


def draws(seed: int) -> dict[str, np.ndarray]:
    """Kind -> the noise with which `corrupt_images` corrupts a single image: float32 (784,), or (2,) for a block.

    `aevae.corruption.apply` applies it at a level; the page does the same in the browser.
    """
    import torch

    from aevae.corruption import KINDS, sample_noise

    one = torch.zeros(1, 1, 28, 28)
    return {kind: sample_noise(one, kind, torch.Generator().manual_seed(seed)).numpy().reshape(-1) for kind in KINDS}


def lay_over(images: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Images (N, 1, 28, 28) in [0, 1] under a painted layer, uint8 (2, 28, 28): opacity ("cover") and ink, 0..255.

    Ink is premultiplied: out = image (1 - cover) + ink, so black (cover without ink) erases. Float32 in [0, 1].
    """
    cover, ink = layer.astype(np.float32) / 255
    return np.clip(images * (1 - cover) + ink, 0, 1).astype(np.float32)


def error_by_level(
    reconstruct: Reconstruct, images: np.ndarray, kind: str, levels: Sequence[float], seed: int
) -> np.ndarray:
    """Mean squared error per image (L,) between clean images and the reconstructions of their corrupted copies.

    Summed over pixels, averaged over images. Every level has the same noise, so that the curve is smooth. If
    `reconstruct` is the identity, this is the error of the noise itself.
    """
    return np.array([sse(images, reconstruct(corrupt_images(images, kind, level, seed))).mean() for level in levels])


def apply_again(reconstruct: Reconstruct, images: np.ndarray, times: int) -> np.ndarray:
    """images, reconstruct(images), reconstruct(reconstruct(images)), ...: (times + 1, N, 1, 28, 28).

    For a denoising autoencoder r, r(x) - x points along the gradient of the log density (Alain & Bengio 2014, JMLR
    15:3743), so the steps lead towards the data. Raises ValueError for a negative number of times.
    """
    if times < 0:
        raise ValueError(f"times must be 0 or more, got {times}")
    seen = [np.asarray(images, np.float32)]
    for _ in range(times):
        seen.append(reconstruct(seen[-1]))
    return np.stack(seen)


# -- of a run --------------------------------------------------------------------------------------------------------

NUM_IMAGES = 1000
TESTS = (
    ("gaussian", 0.1),
    ("gaussian", 0.25),
    ("gaussian", 0.5),
    ("masking", 0.25),
    ("masking", 0.5),
    ("masking", 0.75),
    ("salt_and_pepper", 0.1),
    ("salt_and_pepper", 0.25),
    ("salt_and_pepper", 0.5),
    ("block", 0.1),
    ("block", 0.25),
)


def denoising(run, data: Sample, seed: int) -> Values:
    """denoising_psnr: mean over TESTS; denoising_psnr_by_noise: one value per test.

    Measured on the first 1,000 images (100 for a model without an encoder, which optimises each code).
    """
    clean = data.images[: NUM_IMAGES if run.model.has_encoder else NUM_IMAGES // 10].cpu().numpy()
    row = []
    for i, (kind, level) in enumerate(TESTS):
        data.beat(i / len(TESTS))
        row.append(float(psnr(clean, run.reconstruct(corrupt_images(clean, kind, level, seed))).mean()))
    return {"denoising_psnr": float(np.mean(row)), "denoising_psnr_by_noise": row}


_FORMULA = r"\mathrm{PSNR}\bigl(x, g(f(\tilde x))\bigr),\ \tilde x \sim C(\tilde x | x)"
METRICS = (
    Metric(
        "denoising_psnr", "denoising PSNR", "dB", _FORMULA, denoising, of_images, better=HIGHER,
        help="How near the reconstruction of a corrupted image is to the clean image.",
    ),
    Metric(
        "denoising_psnr_by_noise", "denoising PSNR by noise", "dB", _FORMULA, denoising, of_images, better=HIGHER,
        help="The denoising PSNR for each kind and level of noise.",
    ),
)  # fmt: skip
