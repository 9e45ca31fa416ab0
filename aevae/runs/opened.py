"""An opened run: its model in eval mode, numpy arrays in and out."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file

from aevae import datasets
from aevae.config import DataConfig
from aevae.metrics import evidence, units
from aevae.models import build_model
from aevae.models.base import Model
from aevae.models.blocks import batches
from aevae.run_config import RunConfig
from aevae.store import checkpoints, files
from aevae.store.checkpoints import DamagedRun, RunInfo
from aevae.training.device import pick_device


class Run:
    """A trained model with its metrics. Arrays are numpy; the model is in eval mode and must not be changed."""

    def __init__(self, info: RunInfo, device: str = "cpu"):
        self.info, self.name, self.path = info, info.name, info.path
        if info.status == "damaged":
            raise DamagedRun(f"{info.name} is damaged: {info.reason}")
        self.config = RunConfig.from_dict(info.config)
        self.metrics = info.metrics
        self.history = checkpoints.read_history(info.path)
        self.device = pick_device(device)
        self.model = self._open().to(self.device).eval().requires_grad_(False)

    def _open(self) -> Model:
        path = self.path / self.info.weights
        files.check_safetensors(path)
        self._check_sum(path)
        model = build_model(self.config.model)
        try:
            model.load_state_dict({k: v.float() for k, v in load_file(path).items()})
        except (RuntimeError, SafetensorError) as error:
            raise DamagedRun(f"{self.name} is damaged: the weights do not fit its config") from error
        return model

    def _check_sum(self, path: Path) -> None:
        if self.info.status == "finished" and self.info.checksum(path.name) != files.checksum(path):
            raise DamagedRun(f"{self.name} is damaged: the checksum of {path.name} does not match")

    @property
    def latent_dim(self) -> int:
        return self.config.model.latent_dim

    @property
    def shown(self) -> DataConfig:
        """The config of the data set whose test images pages show for this run."""
        return datasets.shown_for(self.config.data)

    @cached_property
    def film(self) -> dict[str, np.ndarray]:
        """The arrays of `aevae.training.film.Film`. Raises DamagedRun."""
        path = self.path / "film.safetensors"
        files.check_safetensors(path)
        self._check_sum(path)
        return load_arrays(path)

    def _tensor(self, array: np.ndarray, shape: tuple) -> torch.Tensor:
        with np.errstate(over="ignore"):  # values beyond float32 become infinite and are refused below
            array = np.array(array, np.float32)  # a copy: caches are read-only
        if array.shape[1:] != shape:
            raise ValueError(f"{self.name} takes arrays (N, {', '.join(map(str, shape))}), got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError("the array has numbers that are not finite")
        return torch.from_numpy(array).to(self.device)

    def _apply(self, function, array: np.ndarray, shape: tuple, out: tuple) -> np.ndarray:
        if self.model.input != "image":
            raise ValueError(f"{self.name} takes {self.model.input}s: a single image has no code")
        x = self._tensor(array, shape)
        with torch.inference_mode():
            parts = [function(part).cpu().numpy() for part in batches(x)]
        return np.concatenate(parts) if parts else np.zeros((0, *out), np.float32)

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Codes mu (N, D) of images (N, 1, 28, 28) in [0, 1]. A model without an encoder optimizes them, in seconds."""
        return self._apply(self.model.encode, images, (1, 28, 28), (self.latent_dim,))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Mean images (N, 1, 28, 28) in [0, 1] of codes (N, D)."""
        return self._apply(self.model.decode, z, (self.latent_dim,), (1, 28, 28))

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """decode(encode(images))."""
        return self.decode(self.encode(images))

    @cached_property
    def codes(self) -> np.ndarray:
        """Codes mu (N, D) of the shown test images (at most 1,000)."""
        return self.encode(shown_images(self.shown))

    def latent_summary(self) -> dict:
        """How much each latent dimension is used on the shown test images, as a dict.

        order (D,): dimensions, the most used first; score (D,) with score_name: KL in nats, or variance for a code
        without a prior; active (D,) bool; mean, std (D,) of the codes.
        """
        x = self._tensor(shown_images(self.shown), (1, 28, 28))
        mu, kl = evidence.posterior(self.model, x)
        mu, kl = mu.numpy(), None if kl is None else kl.numpy()
        score = mu.var(axis=0) if kl is None else kl.mean(axis=0)
        return {
            "order": np.argsort(-score, kind="stable"),
            "score": score,
            "score_name": "variance" if kl is None else "KL (nats)",
            "active": units.used_directions(mu) if kl is None else units.active_units(mu),
            "mean": mu.mean(axis=0),
            "std": mu.std(axis=0),
        }


def shown_images(data: DataConfig, count: int = 1000) -> np.ndarray:
    """The first test images of a data set as float32 (N, 1, 28, 28) in [0, 1]."""
    return datasets.load(data).test.images[:count].astype(np.float32) / 255


def trained_on(trained: DataConfig, tested: DataConfig, count: int) -> np.ndarray:
    """Which of the first `count` test images of `tested` are training images of `trained`; bool (N,).

    Images are compared byte by byte. If the training set is not on this machine, the only known overlap decides: all
    of mnist-5k is in the training set of mnist.
    """
    images = datasets.load(tested).test.images[:count]
    if datasets.is_available(trained):
        seen = {image.tobytes() for image in datasets.load(trained).train.images}
        return np.array([image.tobytes() in seen for image in images])
    return np.full(len(images), datasets.relation(trained, tested.name) == datasets.shown.SEEN)


def load_run(reference: str, device: str = "cpu") -> Run:
    """The opened run of a name, unique fingerprint prefix, or path. Raises ValueError (DamagedRun) with the reason."""
    return Run(checkpoints.find_run(reference), device)
