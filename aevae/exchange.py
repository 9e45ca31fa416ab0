"""Runs that travel: a zip out, a checked zip in, a decoder as ONNX."""

import io
import lzma
import os
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from aevae import checkpoints, paths
from aevae.checkpoints import NAME, DamagedRun, RunInfo

FILES = (
    "config.json",
    "state.json",
    "model.safetensors",
    "history.jsonl",
    "film.safetensors",
    "metrics.json",
    "preview.png",
)
NEEDED = ("config.json", "state.json", "model.safetensors", "history.jsonl")
MAX_BYTES = 300_000_000  # of all files of a run, unpacked


def pack(run: RunInfo) -> bytes:
    """A finished run as a zip with one folder, its name."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            if (run.path / name).exists():
                archive.write(run.path / name, f"{run.name}/{name}")
    return out.getvalue()


def unpack(data: bytes) -> str:
    """Take the run in a zip into the store; returns its name. Nothing is written unless all of it is sound.

    Raises ValueError with one sentence: no zip, too large, files that are no part of a run, damaged, already here.
    """
    name, files = _read(data)
    if checkpoints.finished_run(name):
        raise ValueError(f"{name} is already here")
    root = paths.runs_dir()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".import-") as hidden:
        folder = Path(hidden) / name
        folder.mkdir()
        for file, content in files.items():
            checkpoints.write_atomic(folder / file, content)
        _inspect(folder)
        with checkpoints.run_lock(name):
            if (root / name).exists():  # an unfinished or damaged run gives way to the finished one
                shutil.move(root / name, Path(hidden) / "old")
            os.replace(folder, root / name)
    return name


def _read(data: bytes) -> tuple[str, dict[str, bytes]]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = [m for m in archive.infolist() if not m.is_dir()]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise ValueError("this is not a zip file") from error
    if sum(m.file_size for m in members) > MAX_BYTES:
        raise ValueError(f"the zip unpacks to more than {MAX_BYTES // 1_000_000} MB")
    folders = {PurePosixPath(m.filename).parts[0] for m in members if "/" in m.filename}
    if len(folders) != 1 or not NAME.fullmatch(name := folders.pop()):
        raise ValueError("the zip must hold one run folder, named as `export` names it")
    files = {}
    for member in members:
        file = member.filename.removeprefix(f"{name}/")
        if file not in FILES or member.external_attr >> 28 == 0xA or file in files:  # 0xA: a symbolic link
            raise ValueError(f"{member.filename!r} is no part of a run")
        try:
            with archive.open(member) as source:
                files[file] = source.read(member.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, OSError, ValueError) as error:
            raise ValueError(f"{member.filename} in the zip is damaged") from error
        if len(files[file]) != member.file_size:
            raise ValueError(f"{member.filename} in the zip is not as long as it says")
    missing = [f for f in NEEDED if f not in files]
    if missing:
        raise ValueError(f"the run in the zip lacks {', '.join(missing)}")
    return name, files


def _inspect(folder: Path) -> None:
    """Open the run as a page would. Raises ValueError where anything is wrong."""
    from aevae import runs

    info = checkpoints.read_run(folder)
    if info.status != "finished":
        raise ValueError(f"the run in the zip is {info.status}" + (f": {info.reason}" if info.reason else ""))
    run = runs.Run(info)
    if run.config.name != run.name:
        raise DamagedRun(f"config.json is of the run {run.config.name}")
    if run.model.input == "image":
        _inspect_film(run)
    preview = folder / "preview.png"
    if preview.exists():
        from PIL import Image

        try:
            with Image.open(preview, formats=("PNG",)) as picture:
                if max(picture.size) > 4096:
                    raise DamagedRun("preview.png is too large")
                picture.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DamagedRun("preview.png is not a picture") from error


def _inspect_film(run) -> None:
    """Has the film the frames that pages read? Raises DamagedRun."""
    from safetensors import SafetensorError

    checkpoints.check_safetensors(run.path / "film.safetensors")
    try:
        film = run.film
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DamagedRun("film.safetensors cannot be read") from error
    times, pictures = film.get("epoch", np.array(run.config.train.film_epochs, np.float32)), (16, 28, 28)
    frames = len(times) if times.ndim == 1 else 0
    if not frames or times[0] != 0 or times[-1] != run.config.train.epochs or not (np.diff(times) > 0).all():
        raise DamagedRun("film.safetensors has other times than its run")
    expected = {"original": pictures, "recon": (frames, *pictures), "sample": (frames, *pictures)}
    if any(n not in film or film[n].shape != s or film[n].dtype != "uint8" for n, s in expected.items()):
        raise DamagedRun("film.safetensors has other pictures than a film")


def export_onnx(info: RunInfo, out: Path) -> None:
    """Write the decoder, z (N, D) -> x_hat (N, 1, 28, 28), as ONNX. ValueError without the package `onnxscript`."""
    import torch

    from aevae import runs

    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise ValueError("ONNX export needs one more package: pip install onnxscript") from None
    run = runs.Run(info)

    class Decoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = run.model

        def forward(self, z):
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
        program.save(str(Path(folder) / "decoder.onnx"), external_data=False)
        checkpoints.write_atomic(out, (Path(folder) / "decoder.onnx").read_bytes())
