"""What training leaves on disk: a run folder, made while it goes on and whole at any time."""

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
from aevae.training.diverged import Diverged
from aevae.training.film import Film, schedule
from aevae.training.trainer import Trainer, best

LOOK = 2.0  # seconds between two looks at a run in training


class Recorder:
    """Writes what the trainer tells into the run folder."""

    def __init__(self, config: RunConfig, trainer: Trainer, actors: datasets.Split):
        self.config, self.trainer, self.actors = config, trainer, actors
        self.folder = checkpoints.run_folder(config.name)
        self.film, self.filmed = None, ()  # a model of sequences or pairs keeps only a sheet
        if trainer.model.input == "image":
            self.film = Film(actors.images, actors.labels, config.model.latent_dim)
            self.filmed = schedule(config.train, trainer.steps_per_epoch, config.model.latent_dim)
        self.created, self.seconds, self.since = time.time(), 0.0, time.monotonic()
        self.shown, self.next_look = -1, 0.0  # step in now.safetensors; when the next is due
        self._now.unlink(missing_ok=True)  # of a run that crashed, as are files that never got their name
        for file in self.folder.glob(".*"):
            file.unlink(missing_ok=True)

    @property
    def _now(self) -> Path:
        return self.folder / "now.safetensors"

    def resume(self) -> str:
        """Take up the state on disk. Returns "", or one sentence: why that cannot be, and where all of it lies now.

        Raises OSError where it cannot be read now, but perhaps later.
        """
        try:
            self._take_up()
            return ""
        except FileNotFoundError:
            reason = "state.safetensors is missing"
        except ValueError as problem:
            reason = str(problem)
        except (SafetensorError, KeyError, TypeError):
            reason = "state.safetensors is damaged"
        if not (self.folder / "state.safetensors").exists() and not self._has_learnt():
            return ""
        kept = self._set_aside()
        logs.event("begun_anew", run=self.config.fingerprint, kept=kept.name)
        return f"{self.config.name} could not go on ({reason}), so it begins anew; what was there is in {kept}"

    def _take_up(self) -> None:
        with safe_open(self.folder / "state.safetensors", "pt") as file:
            said = file.metadata() or {}
            tensors = {k: file.get_tensor(k).clone() for k in file.keys()}  # noqa: SIM118 (not a dict)
        # copies: Windows does not let a file be replaced while somebody has it in memory
        if said["sha256"] != _digest(tensors, said["meta"]):
            raise ValueError("state.safetensors is damaged")
        meta = json.loads(said["meta"])
        if meta["fingerprint"] != self.config.fingerprint:
            raise ValueError("state.safetensors is of another run")
        film = self._saved_film(meta["trainer"]["step"])
        self.trainer.load_state(tensors, meta["trainer"])
        self.film, self.created, self.seconds = film, meta["created"], meta["seconds"]
        torch.set_num_threads(meta.get("threads", torch.get_num_threads()))  # else it would round otherwise

    def _has_learnt(self) -> bool:
        try:
            return len(checkpoints.read_history(self.folder)) > 1
        except checkpoints.DamagedRun:
            return True

    def _set_aside(self) -> Path:
        """Move all files of the run to a folder inside its own; its config stays, too."""
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
        """The film on disk up to `step`. Raises ValueError where it lacks a frame."""
        if self.film is None:
            return None
        try:
            arrays = load_arrays(self.folder / "film.safetensors")
        except FileNotFoundError as error:
            raise ValueError("film.safetensors is missing") from error
        except SafetensorError as error:
            raise ValueError("film.safetensors is damaged") from error
        film = Film(self.actors.images, self.actors.labels, self.config.model.latent_dim, arrays)
        film.cut(step)
        if film.steps != [when for when in self.filmed if when <= step]:
            raise ValueError("the film has other frames than the run")
        return film

    def step(self) -> None:
        """Between two steps: perhaps a frame of the first epoch."""
        if self.trainer.step in self.filmed and self.trainer.step not in self.film.steps[-1:]:
            self._shoot()

    def _shoot(self) -> None:
        self.film.add(self._frame())
        arrays = self.film.arrays()
        files.write_atomic(self.folder / "film.safetensors", arrays_bytes(arrays))
        files.write_atomic(self.folder / "preview.png", preview(arrays))

    def _sheet(self) -> None:
        x = self.trainer.test[:16].float().div_(255)
        with torch.inference_mode():
            sheet = self.trainer.model.eval().preview_rows(x)
        rows = sheet.mul(255).round().byte().cpu().numpy()
        files.write_atomic(self.folder / "preview.png", image(rows))

    def _frame(self) -> dict[str, np.ndarray]:
        trainer = self.trainer
        return self.film.frame(trainer.model, trainer.device, trainer.step, trainer.step / trainer.steps_per_epoch)

    def newest(self, every: bool) -> None:
        """Keep the newest frame for those who look on: `every` step, or now and then, a tenth of the time at most."""
        began = time.monotonic()
        if self.film is None or self.trainer.step == self.shown or (not every and began < self.next_look):
            return
        self.shown = self.trainer.step
        files.write_atomic(self._now, arrays_bytes(self.film.arrays(self._frame())))
        ended = time.monotonic()
        self.next_look = ended + max(LOOK, 10 * (ended - began))

    def epoch(self) -> None:
        """One more line, perhaps one more frame, one more checkpoint. The state goes last but for the marker."""
        if not self.trainer.step:
            files.write_json(self.folder / "config.json", self.config.to_dict())
            (self.folder / "state.json").unlink(missing_ok=True)  # of a run that is being trained anew
        if self.film is None:
            self._sheet()
        elif self.trainer.step in self.filmed:
            self._shoot()
        files.write_history(self.folder / "history.jsonl", self.trainer.history)
        weights = save({k: v.detach().cpu().contiguous() for k, v in self.trainer.model.state_dict().items()})
        files.write_atomic(self.folder / "model.safetensors", weights)
        if self.config.train.keep_best and best(self.trainer.history)["epoch"] == len(self.trainer.history) - 1:
            files.write_atomic(self.folder / checkpoints.BEST, weights)
        self.pause()

    def pause(self) -> None:
        """Keep all that resume needs."""
        now = time.monotonic()  # the clock may be set meanwhile
        self.seconds, self.since = self.seconds + now - self.since, now
        tensors, meta = self.trainer.state()
        meta = {
            "fingerprint": self.config.fingerprint,
            "trainer": meta,
            "created": self.created,
            "seconds": self.seconds,
            "threads": torch.get_num_threads(),
        }
        said = json.dumps(meta)
        state = save(tensors, {"meta": said, "sha256": _digest(tensors, said)})
        files.write_atomic(self.folder / "state.safetensors", state)
        self._mark()

    def finish(self, metrics: dict) -> None:
        """The numbers, then the marker that makes it a finished run."""
        files.write_json(self.folder / "metrics.json", metrics)
        self._mark(
            finished=True,
            parameters=parameter_count(self.trainer.model),
            best=best(self.trainer.history),
            checksums=checksums(self.folder),
        )
        for name in ("state.safetensors", "now.safetensors"):
            (self.folder / name).unlink(missing_ok=True)

    def diverge(self, facts: Diverged) -> None:
        """Note that training ended so, beside the last good checkpoint. A finished run that it was to replace stays."""
        file = self.folder / "state.json"
        try:
            state = files.read_json(file)
        except checkpoints.DamagedRun:  # it diverged before the first checkpoint
            state = {}
        if not state:
            files.write_json(self.folder / "config.json", self.config.to_dict())
            self._mark(diverged=facts.to_dict())
        elif not state.get("finished"):
            files.write_json(file, state | {"diverged": facts.to_dict()})

    def _mark(self, **more) -> None:
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
    """PNG: originals, their reconstructions and decoded draws of N(0, I), one row each."""
    return image([film["original"][:columns], film["recon"][-1][:columns], film["sample"][-1][:columns]])


def image(rows: Sequence[np.ndarray]) -> bytes:
    """PNG of rows of images, each uint8 (columns, 28, 28)."""
    from PIL import Image

    out = io.BytesIO()
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])  # (rows*28, columns*28)
    Image.fromarray(sheet).save(out, "PNG", optimize=True)
    return out.getvalue()


def _digest(tensors: dict[str, torch.Tensor], said: str) -> str:
    """sha256 over all that a state says."""
    found = hashlib.sha256(said.encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """sha256 of what a run folder holds of weights and film, by file."""
    found = (folder / name for name in ("model.safetensors", checkpoints.BEST, "film.safetensors"))
    return {file.name: files.checksum(file) for file in found if file.exists()}
