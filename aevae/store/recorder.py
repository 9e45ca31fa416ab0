"""Writes the run folder while a run is trained. The folder is complete at any time."""

import hashlib
import io
import itertools
import json
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save as arrays_bytes
from safetensors.torch import save

from aevae import __version__, datasets, logs
from aevae.models.blocks import parameter_count
from aevae.run_config import RunConfig
from aevae.store import checkpoints, files
from aevae.tiles import tile
from aevae.training.diverged import Diverged
from aevae.training.film import Film, schedule
from aevae.training.trainer import Trainer, best

MIN_FRAME_SECONDS = 2.0  # shortest time between two writes of now.safetensors


class Recorder:
    """Writes history, weights, film and state of a trainer into the run folder. followed: images of the film."""

    def __init__(self, config: RunConfig, trainer: Trainer, followed: datasets.Split):
        self.config, self.trainer, self.followed = config, trainer, followed
        self.folder = checkpoints.run_folder(config.name)
        self.film, self.frame_steps = None, ()  # models of sequences or pairs have only a preview
        if trainer.model.input == "image":
            self.film = Film(followed.images, followed.labels, config.model.latent_dim)
            self.frame_steps = schedule(config.train, trainer.steps_per_epoch, config.model.latent_dim)
        self.created, self.seconds, self.resumed_at = time.time(), 0.0, time.monotonic()
        self.newest_step, self.next_newest = -1, 0.0  # step in now.safetensors; time of the next write
        self._now.unlink(missing_ok=True)  # left by a crash, like the temporary files below
        for file in self.folder.glob(".*"):
            file.unlink(missing_ok=True)

    @property
    def _now(self) -> Path:
        return self.folder / "now.safetensors"

    def resume(self) -> str:
        """Load the saved state. Returns "", or one sentence: why it cannot be used, and where its files are now.

        Raises OSError if it cannot be read now, but perhaps later.
        """
        try:
            self._load_state()
            return ""
        except FileNotFoundError:
            reason = "state.safetensors is missing"
        except ValueError as problem:
            reason = str(problem)
        except (SafetensorError, KeyError, TypeError):
            reason = "state.safetensors is damaged"
        if not (self.folder / "state.safetensors").exists() and not self._has_history():
            return ""
        kept = self._move_aside()
        logs.event("begun_anew", run=self.config.fingerprint, kept=kept.name)
        return f"{self.config.name} could not be resumed ({reason}), so it starts again; the old files are in {kept}"

    def _load_state(self) -> None:
        with safe_open(self.folder / "state.safetensors", "pt") as file:
            header = file.metadata() or {}
            tensors = {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118 (not a dict)
        # Cloned, because Windows cannot replace a file that is mapped into memory.
        if header["sha256"] != _digest(tensors, header["meta"]):
            raise ValueError("state.safetensors is damaged")
        meta = json.loads(header["meta"])
        if meta["fingerprint"] != self.config.fingerprint:
            raise ValueError("state.safetensors is of another run")
        film = self._saved_film(meta["trainer"]["step"])
        self.trainer.load_state(tensors, meta["trainer"])
        self.film, self.created, self.seconds = film, meta["created"], meta["seconds"]
        torch.set_num_threads(meta.get("threads", torch.get_num_threads()))  # rounding depends on the number of threads

    def _has_history(self) -> bool:
        try:
            return len(checkpoints.read_history(self.folder)) > 1
        except checkpoints.DamagedRun:
            return True

    def _move_aside(self) -> Path:
        """Move the files of the run into a folder inside its own, which is returned; the config is copied."""
        name = time.strftime("set-aside-%Y%m%d-%H%M%S")
        names = itertools.chain([name], (f"{name}-{i}" for i in itertools.count(2)))
        kept = next(folder for each in names if not (folder := self.folder / each).exists())
        kept.mkdir()
        for file in [file for file in self.folder.iterdir() if file.is_file()]:
            if file.name == "config.json":
                shutil.copyfile(file, kept / file.name)
            else:
                os.replace(file, kept / file.name)
        return kept

    def _saved_film(self, step: int) -> Film | None:
        """The film on disk up to `step`. Raises ValueError if a frame is missing."""
        if self.film is None:
            return None
        try:
            arrays = load_arrays(self.folder / "film.safetensors")
        except FileNotFoundError as error:
            raise ValueError("film.safetensors is missing") from error
        except SafetensorError as error:
            raise ValueError("film.safetensors is damaged") from error
        film = Film(self.followed.images, self.followed.labels, self.config.model.latent_dim, arrays)
        film.cut(step)
        if film.steps != [when for when in self.frame_steps if when <= step]:
            raise ValueError("the film has other frames than the run")
        return film

    def end_step(self) -> None:
        """Add a frame if one is due at this step of the first epoch."""
        step = self.trainer.step
        if self.film is not None and step in self.frame_steps and step not in self.film.steps[-1:]:
            self._write_frame()

    def _write_frame(self) -> None:
        assert self.film is not None
        self.film.add(self._frame())
        arrays = self.film.arrays()
        files.write_atomic(self.folder / "film.safetensors", arrays_bytes(arrays))
        files.write_atomic(self.folder / "preview.png", preview(arrays))

    def _write_preview(self) -> None:
        x = self.trainer.test[:16].float().div_(255)
        with torch.inference_mode():
            sheet = self.trainer.model.eval().preview_rows(x)
        rows = sheet.mul(255).round().byte().cpu().numpy()
        files.write_atomic(self.folder / "preview.png", image(rows))

    def _frame(self) -> dict[str, np.ndarray]:
        trainer = self.trainer
        assert self.film is not None
        return self.film.frame(trainer.model, trainer.device, trainer.step, trainer.step / trainer.steps_per_epoch)

    def write_newest(self, every: bool) -> None:
        """Write now.safetensors for pages that show it, at `every` step or in at most a tenth of the time."""
        began = time.monotonic()
        if self.film is None or self.trainer.step == self.newest_step or (not every and began < self.next_newest):
            return
        self.newest_step = self.trainer.step
        files.write_atomic(self._now, arrays_bytes(self.film.arrays(self._frame())))
        ended = time.monotonic()
        self.next_newest = ended + max(MIN_FRAME_SECONDS, 10 * (ended - began))

    def end_epoch(self) -> None:
        """Write history, weights, a frame if one is due, and the checkpoint. The state is written last."""
        if not self.trainer.step:
            files.write_json(self.folder / "config.json", self.config.to_dict())
            (self.folder / "state.json").unlink(missing_ok=True)  # left by an earlier training of the same run
        if self.film is None:
            self._write_preview()
        elif self.trainer.step in self.frame_steps:
            self._write_frame()
        files.write_history(self.folder / "history.jsonl", self.trainer.history)
        weights = save({k: v.detach().cpu().contiguous() for k, v in self.trainer.model.state_dict().items()})
        files.write_atomic(self.folder / "model.safetensors", weights)
        if self.config.train.keep_best and best(self.trainer.history)["epoch"] == len(self.trainer.history) - 1:
            files.write_atomic(self.folder / checkpoints.BEST, weights)
        self.save()

    def save(self) -> None:
        """Write everything that resuming needs."""
        now = time.monotonic()  # unlike the system clock, it is never set back
        self.seconds, self.resumed_at = self.seconds + now - self.resumed_at, now
        tensors, meta = self.trainer.state()
        meta = {
            "fingerprint": self.config.fingerprint,
            "trainer": meta,
            "created": self.created,
            "seconds": self.seconds,
            "threads": torch.get_num_threads(),
        }
        text = json.dumps(meta)
        state = save(tensors, {"meta": text, "sha256": _digest(tensors, text)})
        files.write_atomic(self.folder / "state.safetensors", state)
        self._write_state()

    def finish(self, metrics: dict) -> None:
        """Write the metrics, then the state that marks the run as finished."""
        files.write_json(self.folder / "metrics.json", metrics)
        self._write_state(
            finished=True,
            parameters=parameter_count(self.trainer.model),
            best=best(self.trainer.history),
            checksums=checksums(self.folder),
        )
        for name in ("state.safetensors", "now.safetensors"):
            (self.folder / name).unlink(missing_ok=True)

    def diverge(self, facts: Diverged) -> None:
        """Write why training diverged, beside the last good checkpoint. A finished run is not overwritten."""
        file = self.folder / "state.json"
        try:
            state = files.read_json(file)
        except checkpoints.DamagedRun:  # it diverged before the first checkpoint
            state = {}
        if not state:
            files.write_json(self.folder / "config.json", self.config.to_dict())
            self._write_state(diverged=facts.to_dict())
        elif not state.get("finished"):
            files.write_json(file, state | {"diverged": facts.to_dict()})

    def _write_state(self, **more) -> None:
        state = {
            "step": self.trainer.step,
            "steps": self.trainer.steps,
            "epoch": len(self.trainer.history) - 1,
            "epochs": self.config.train.epochs,
            "finished": False,
            "device": str(self.trainer.device),
            "threads": torch.get_num_threads(),
            "launch": self.trainer.launch,
            "traits": self.trainer.model.traits,
            "created": self.created,
            "seconds": round(self.seconds, 2),
            "versions": {"aevae": __version__, "torch": torch.__version__},
        }
        files.write_json(self.folder / "state.json", state | more)


def preview(film: dict[str, np.ndarray], columns: int = 8) -> bytes:
    """PNG with one row each of originals, reconstructions and decoded samples."""
    return image([film["original"][:columns], film["recon"][-1][:columns], film["sample"][-1][:columns]])


def image(rows: Sequence[np.ndarray]) -> bytes:
    """PNG of rows of images, each uint8 (columns, 28, 28)."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(tile(np.concatenate(list(rows)), len(rows[0]))).save(out, "PNG", optimize=True)
    return out.getvalue()


def _digest(tensors: dict[str, torch.Tensor], meta: str) -> str:
    """sha256 of the tensors and the metadata of a state."""
    found = hashlib.sha256(meta.encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """File name -> sha256 of the weights and the film of a run folder."""
    found = (folder / name for name in ("model.safetensors", checkpoints.BEST, "film.safetensors"))
    return {file.name: files.checksum(file) for file in found if file.exists()}
