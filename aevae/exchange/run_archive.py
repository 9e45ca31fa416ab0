"""Export and import of runs: as a zip (checked on import), the decoder as ONNX, the history for TensorBoard."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aevae import paths
from aevae.config import brief, is_number
from aevae.datasets import archives
from aevae.datasets.archives import Source, quote
from aevae.exchange import events
from aevae.exchange.packing import zip_of
from aevae.run_config import RunConfig
from aevae.store import checkpoints, files, titles
from aevae.store.checkpoints import NAME, DamagedRun, RunInfo
from aevae.units import TERM_UNITS

FILES = (
    "config.json",
    "state.json",
    "model.safetensors",
    checkpoints.BEST,
    "history.jsonl",
    "film.safetensors",
    "metrics.json",
    "preview.png",
    titles.FILE,
)
NEEDED = ("config.json", "state.json", "model.safetensors", "history.jsonl")
LIMITS = archives.Limits(files=160, file_bytes=300_000_000, total_bytes=300_000_000)  # includes skipped files


def pack(run: RunInfo) -> bytes:
    """The zip of a finished run; its files are in one folder with the run's name."""
    files = [run.path / name for name in FILES if (run.path / name).exists()]
    return zip_of({f"{run.name}/{file.name}": file.read_bytes() for file in files})


class AlreadyHere(ValueError):
    """The run `name` is in the store already."""

    def __init__(self, name: str):
        super().__init__(f"{name} is already here")
        self.name = name


def unpack(
    source: Source, refused: Callable[[str], str] = lambda dataset: "", limits: archives.Limits | None = None
) -> str:
    """Import the run in a zip or folder into the store; returns its name. Writes nothing unless all files are valid.

    The files may be in folders of any name, because the run's name follows from its config. Files that operating
    systems leave in folders (.DS_Store) are skipped. refused(data set name) returns why runs of this data set are not
    accepted, or "". limits: None for those of uploads. Raises AlreadyHere, or ValueError with one sentence: no zip, too
    large, unexpected files, damaged.
    """
    name, contents = _read(source, limits or LIMITS)
    if checkpoints.finished_run(name):
        raise AlreadyHere(name)
    root = paths.runs_dir()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".import-") as hidden:
        folder = Path(hidden) / name
        folder.mkdir()
        for file, content in contents.items():
            files.write_atomic(folder / file, content)
        _inspect(folder, refused)
        with files.named_lock(name):
            if (root / name).exists():  # replace an unfinished or damaged run by the finished one
                shutil.move(root / name, Path(hidden) / "old")
            os.replace(folder, root / name)
    return name


def _read(source: Source, limits: archives.Limits) -> tuple[str, dict[str, bytes]]:
    with archives.open_source(source, limits=limits) as incoming:
        names = [file.name for file in incoming.files]
        shared = archives.shared_folders(names) if names else 0
        found = {"/".join(name.split("/")[shared:]): file for name, file in zip(names, incoming.files, strict=True)}
        for name, file in found.items():
            if name not in FILES:
                raise ValueError(
                    f"{quote(file.name)} is not part of a run; a zip or folder must contain exactly one run"
                )
        if missing := [name for name in NEEDED if name not in found]:
            raise ValueError(f"it has no complete run: {', '.join(missing)} is missing")
        files = {name: file.read() for name, file in found.items()}
        folders = names[0].split("/")[:shared]
    name = _name(files["config.json"])
    for folder in folders:
        if NAME.fullmatch(folder) and folder != name:
            raise ValueError(f"config.json is of the run {name} and does not match its folder {quote(folder)}")
    return name, files


def _name(config: bytes) -> str:
    """The name of the run that has this config.json. Raises ValueError."""
    try:
        return RunConfig.from_dict(json.loads(config)).name
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"config.json cannot be read ({brief(str(error))})") from None


def _inspect(folder: Path, refused: Callable[[str], str]) -> None:
    """Open the run as a page would. Raises ValueError if anything is wrong."""
    from aevae import runs

    info = checkpoints.read_run(folder)
    if info.status != "finished":
        raise ValueError(f"the run in the zip is {info.status}" + (f": {info.reason}" if info.reason else ""))
    run = runs.Run(info)
    if run.config.name != run.name:
        raise DamagedRun(f"config.json is of the run {run.config.name}")
    if problem := refused(run.config.data.name):
        raise ValueError(problem)
    if run.model.input == "image":
        _inspect_film(run)
    preview = folder / "preview.png"
    if preview.exists():
        from PIL import Image

        try:
            with Image.open(preview, formats=("PNG",)) as image:
                if max(image.size) > 4096:
                    raise DamagedRun("preview.png is too large")
                image.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DamagedRun("preview.png is not an image") from error


def _inspect_film(run) -> None:
    """Raise DamagedRun if the film lacks arrays that pages read."""
    from safetensors import SafetensorError

    files.check_safetensors(run.path / "film.safetensors")
    try:
        film = run.film
    except DamagedRun:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DamagedRun("film.safetensors cannot be read") from error
    times, images = film.get("epoch", np.array(run.config.train.film_epochs, np.float32)), (16, 28, 28)
    frames = len(times) if times.ndim == 1 else 0
    if not frames or times[0] != 0 or times[-1] != run.config.train.epochs or not (np.diff(times) > 0).all():
        raise DamagedRun("the times in film.safetensors do not match the run")
    expected = {"original": images, "recon": (frames, *images), "sample": (frames, *images)}
    if any(n not in film or film[n].shape != s or film[n].dtype != "uint8" for n, s in expected.items()):
        raise DamagedRun("the images in film.safetensors do not have the shape of a film")


MAX_ONNX_DIFFERENCE = 1e-4  # per pixel in [0, 1]; a decoder that differs more from PyTorch's is not written


def export_onnx(info: RunInfo, out: Path) -> float | None:
    """Write the decoder, z (N, D) -> x_hat (N, 1, 28, 28), as ONNX with a dynamic axis N.

    Returns the largest difference of a pixel from PyTorch, or None if `onnxruntime` is not installed. Raises ValueError
    and writes nothing if `onnxscript` is not installed, if the decoder does not map one code to one image, or if the
    difference exceeds MAX_ONNX_DIFFERENCE.
    """
    import torch

    from aevae import runs

    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise ValueError("ONNX export needs one more package: pip install onnxscript") from None
    run = runs.Run(info)
    if run.model.input != "image":
        raise ValueError(f"{info.name} takes {run.model.input}s: its decoder makes no image of one code alone")

    class Decoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model: Any = run.model

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return self.model.decode(z)

    z = torch.zeros(2, run.latent_dim)
    program = torch.onnx.export(
        Decoder().eval(),
        (z,),
        input_names=["z"],
        output_names=["x_hat"],
        dynamic_shapes=({0: torch.export.Dim("n")},),
        dynamo=True,
        verbose=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        assert program is not None
        program.save(str(Path(folder) / "decoder.onnx"), external_data=False)
        written = (Path(folder) / "decoder.onnx").read_bytes()
    worst = _difference(written, run)
    if worst is not None and not worst <= MAX_ONNX_DIFFERENCE:
        raise ValueError(f"the exported decoder of {info.name} differs from PyTorch's by {worst:.2g} a pixel")
    files.write_atomic(out, written)
    return worst


def _difference(onnx: bytes, run) -> float | None:
    """Largest pixel difference of the ONNX and the PyTorch decoder over N(0, I) codes; None without onnxruntime."""
    try:
        import onnxruntime
    except ImportError:
        return None
    z = np.random.default_rng(0).standard_normal((7, run.latent_dim), dtype=np.float32)
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    return float(np.abs(session.run(None, {"z": z})[0] - run.decode(z)).max())


def export_tensorboard(info: RunInfo, folder: Path) -> list[Path]:
    """Write the run's history as event files in `folder`/<run>/train and /test; returns their paths.

    `tensorboard --logdir folder` shows them. Step is the optimizer step, wall time the end of the epoch. Repeated
    exports write equal files.
    """
    parts: dict[str, list[events.Scalar]] = {"train": [], "test": []}
    now, units = info.created, TERM_UNITS | {"images_per_s": "images / s"}
    for line in checkpoints.read_history(info.path):
        plain = _numbers(line)
        now += plain.get("seconds", 0.0)
        pace = {name: plain[name] for name in ("images_per_s",) if name in plain}
        for part, values in (("train", _numbers(line.get("train")) | pace), ("test", _numbers(line["test"]))):
            for name, value in values.items():
                parts[part].append(events.Scalar(name, int(plain.get("step", 0)), now, value, units.get(name, "")))
    if not parts["test"]:
        raise ValueError(f"{info.name} has no history yet")
    written = []
    for part, scalars in parts.items():
        path = folder / info.name / part / f"events.out.tfevents.{int(info.created):010d}.aevae"
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(path, events.event_file(scalars, info.created))
        written.append(path)
    return written


def _numbers(values) -> dict[str, float]:
    """Name -> number of a part of an untrusted history record; other values are dropped."""
    found = values.items() if isinstance(values, dict) else ()
    return {k: v for k, v in found if is_number(v)}
