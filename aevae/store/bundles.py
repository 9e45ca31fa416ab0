"""Small trained models for the labs, several in one file: `checkpoints/labs/<name>.safetensors`.

A bundle contains the models of one lab, which differ in one option. Weights are int8 with one scale per row, so ten
models need as much space as one shipped run; metrics are measured on the rounded models. `scripts/make_labs.py` writes
the files.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aevae import paths
from aevae.run_config import RunConfig

if TYPE_CHECKING:
    from aevae.models.base import Model

MIN_ROUNDED_SIZE = 1000  # elements; smaller arrays are stored as float16


class Missing(ValueError):
    """A file that ships with a lab is missing or damaged."""


class Stored(NamedTuple):
    """A model of a bundle as the file contains it. config: a RunConfig as a dict. Reading it needs no torch."""

    name: str
    config: dict
    numbers: dict
    history: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]


@dataclass(frozen=True)
class Member:
    """A model of a bundle. numbers: its metrics; history: arrays (E, ...) by name, one row per epoch."""

    name: str
    config: RunConfig
    numbers: dict
    history: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]

    def model(self) -> "Model":
        """The torch model in eval mode, not to be changed. Raises Missing if weights do not fit the config."""
        import torch

        from aevae.models import build_model

        model = build_model(self.config.model)
        try:
            model.load_state_dict({k: torch.tensor(v) for k, v in self.weights.items()})
        except RuntimeError as error:
            raise Missing(f"the lab's model {self.name} does not fit its description") from error
        return model.eval().requires_grad_(False)

    def posterior_and_prior(self, x: np.ndarray, eps: np.ndarray) -> np.ndarray:
        """Images (2 N, 1, 28, 28), decoded from samples mu + std eps of q(z|x), x (1, 28, 28), then from eps (N, D)."""
        import torch

        model, noise = self.model(), torch.tensor(eps)
        with torch.inference_mode():
            mu, logvar = model.posterior(torch.tensor(x[None]))
            assert logvar is not None
            return model.decode(torch.cat([mu + (0.5 * logvar).exp() * noise, noise])).numpy()


def folder() -> Path:
    return paths.ROOT / "checkpoints" / "labs"


def _file(name: str) -> Path:
    return folder() / f"{name}.safetensors"


def names() -> list[str]:
    return sorted(file.stem for file in folder().glob("*.safetensors"))


def checksum(name: str) -> str:
    """16 hexadecimal digits of the checksum of a bundle's file. Raises Missing."""
    try:
        status = _file(name).stat()
        return _checksum(_file(name), status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise _missing(_file(name)) from error


@lru_cache(maxsize=64)
def _checksum(path: Path, changed_ns: int, size: int) -> str:
    """The checksum, computed once; a page asks for it at each run."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def load(name: str) -> dict[str, Member]:
    """Name -> member of a bundle, in stored order. Raises Missing with one sentence."""
    found = stored(name)
    try:
        return {m.name: Member(m.name, RunConfig.from_dict(m.config), *m[2:]) for m in found.values()}
    except (LookupError, TypeError, ValueError) as error:
        raise _missing(_file(name)) from error


def stored(name: str) -> dict[str, Stored]:
    """`load` without torch: configs are dicts. Raises Missing."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(_file(name), "numpy") as file:
            header = json.loads(file.metadata()["members"])
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        return {m["name"]: _stored(m, arrays) for m in header}
    except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
        raise _missing(_file(name)) from error


def read_bundle(path: Path) -> dict[str, np.ndarray]:
    """Name -> array of a file that ships with a lab. Raises Missing."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _missing(path) from error


def _missing(path: Path) -> Missing:
    return Missing(f"{path.name}, which belongs to aevae, is missing or damaged; install aevae again")


def _stored(entry: dict, arrays: dict[str, np.ndarray]) -> Stored:
    name = entry["name"]
    mine = {key[len(name) + 1 :]: value for key, value in arrays.items() if key.startswith(f"{name}/")}
    weights = {key[2:]: unrounded(value, mine.get(f"s:{key[2:]}")) for key, value in mine.items() if key[:2] == "w:"}
    history = {key[2:]: value for key, value in mine.items() if key[:2] == "h:"}
    return Stored(name, entry["config"], entry["numbers"], history, weights)


def save(name: str, members: list[Member]) -> Path:
    """Write a bundle; returns its path."""
    from safetensors.numpy import save_file

    arrays: dict[str, np.ndarray] = {}
    for m in members:
        for key, value in m.weights.items():
            values, scale = rounded(value)
            arrays[f"{m.name}/w:{key}"] = values
            if scale is not None:
                arrays[f"{m.name}/s:{key}"] = scale
        arrays |= {f"{m.name}/h:{key}": np.ascontiguousarray(value) for key, value in m.history.items()}
    header = [{"name": m.name, "config": m.config.to_dict(), "numbers": m.numbers} for m in members]
    path = _file(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, path, {"members": json.dumps(header)})
    return path


def rounded(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """(int8 values, float32 scale per row (R, 1)) of a large array (R, ...); (float16 values, None) of a small one."""
    weight = np.asarray(weight, np.float32)
    if weight.ndim < 2 or weight.size < MIN_ROUNDED_SIZE:
        return np.ascontiguousarray(weight.astype(np.float16)), None
    rows = weight.reshape(len(weight), -1)
    scale = np.maximum(np.abs(rows).max(1, keepdims=True), 1e-12) / 127
    return np.rint(rows / scale).astype(np.int8).reshape(weight.shape), scale.astype(np.float32)


def unrounded(values: np.ndarray, scale: np.ndarray | None) -> np.ndarray:
    """The float32 array of what `rounded` returned."""
    if scale is None:
        return values.astype(np.float32)
    return (values.reshape(len(values), -1).astype(np.float32) * scale).reshape(values.shape)
