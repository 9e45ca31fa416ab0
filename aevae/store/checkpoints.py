"""Runs on disk: a folder of safetensors and JSON. A reader sees either the old or the new version of each file.

config.json       the RunConfig; its fingerprint ends the folder's name
state.json        progress; `finished` is written last, with checksums; `diverged`: why the training ended
model.safetensors weights of the last full epoch       history.jsonl  one line per epoch
best.safetensors  weights of the epoch with the lowest test objective if `keep_best` is set; opened as RUN@best
film.safetensors  small snapshots, see training/film   metrics.json   metrics, by data set
state.safetensors everything that resuming needs; removed when the run is finished
now.safetensors   the newest frame of the film, while the run is trained and may be watched
preview.png       originals, reconstructions, samples
title.txt         the name that people gave the run (`aevae.store.titles`); not part of its identity
Imports no torch: listing a hundred runs means reading a hundred small JSON files.
"""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from aevae import paths
from aevae.config import MAX_RISE
from aevae.launch import COMMAND
from aevae.run_config import SCHEMA, fingerprint, option_value
from aevae.store import titles
from aevae.store.files import (
    MAX_JSON,
    DamagedRun,
    check_names,
    check_safetensors,
    check_types,
    named_lock,
    read_json,
    stamp,
    write_json,
)
from aevae.training.diverged import Diverged

NAME = re.compile(r"[a-z0-9_]+-[a-z0-9-]+-[0-9a-f]{12}")
TRAITS = {"input": "image", "latent": "continuous", "has_encoder": True, "generative": False, "levels": 1}
BEST, AT_BEST = "best.safetensors", "@best"


@dataclass(frozen=True)
class RunInfo:
    """Contents of the JSON files of a run; the weights stay on disk."""

    name: str
    path: Path
    status: str  # finished | unfinished | diverged | damaged
    reason: str = ""  # how it diverged, or why it is damaged
    config: dict = field(default_factory=dict)
    state: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)  # data set -> metric -> number
    size: int = 0  # bytes
    shipped: bool = False
    weights: str = "model.safetensors"  # file that `Run` opens
    title: str = ""  # name that people gave the run

    @property
    def fingerprint(self) -> str:
        return self.name.rpartition("-")[2]

    @property
    def family(self) -> str:
        family = self.config.get("model", {}).get("family", self.name.split("-")[0])
        return family if re.fullmatch(r"\w{1,40}", family) else "unknown"

    @property
    def dataset(self) -> str:
        return self.config.get("data", {}).get("name", "")

    @property
    def traits(self) -> dict:
        """Properties of its model (`Model.traits`): input, latent, has_encoder, generative, levels."""
        return TRAITS | self.state.get("traits", {})

    def option(self, name: str) -> Any:
        """The value of an option of its data, model or training (`option_value`); imports torch."""
        return option_value(self.config, name)

    @property
    def likelihood(self) -> str:
        """The distribution of a pixel given its code; a family without the option has Bernoulli pixels."""
        return self.option("likelihood") or "bernoulli"

    def checksum(self, file: str) -> str:
        """sha256 of a file of the run, as written at the end of training; "" before, and for other files."""
        return str(self.state.get("checksums", {}).get(file, ""))

    @property
    def weights_checksum(self) -> str:
        """sha256 of the weights, which caches use as a key; "" until the run is finished."""
        return self.checksum("model.safetensors")

    @property
    def latent_dim(self) -> int:
        return self.traits.get("latent_dim") or self.config.get("model", {}).get("latent_dim", 0)

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return self.state.get("epoch", 0)

    @property
    def warning(self) -> str:
        """A sentence if the test objective ended far above its best (`training.trainer.best`), else ""."""
        best = self.state.get("best", {})
        if self.status != "finished" or not best.keys() >= _BEST_TYPES.keys():
            return ""
        if not best["risen"] and best["last"] - best["objective"] <= MAX_RISE:  # older programs allowed more
            return ""
        kept = f"; {self.name}@best has those weights" if (self.path / BEST).exists() else ""
        return (
            f"the test objective ended at {best['last']:.1f}, {best['last'] - best['objective']:.1f} nats above its "
            f"best ({best['objective']:.1f} after epoch {best['epoch']}){kept}. "
            "Fewer epochs, a smaller learning rate or more training images may prevent this."
        )

    @property
    def created(self) -> float:
        """When training began, in seconds since 1970."""
        return self.state.get("created", 0.0)


class NoSuchRun(ValueError):
    """No run has this name."""


# -- reading ---------------------------------------------------------------------------------------------------------


def read_history(folder: Path) -> list[dict]:
    """The records of history.jsonl; [] if there is none yet. Raises DamagedRun."""
    path = folder / "history.jsonl"
    if not path.exists():
        return []
    try:
        if path.stat().st_size > MAX_JSON:
            raise DamagedRun(f"{path.name} is too large")
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, DamagedRun):
            raise
        raise DamagedRun("history.jsonl cannot be read") from error
    if not all(isinstance(line, dict) and isinstance(line.get("test"), dict) for line in lines):
        raise DamagedRun("history.jsonl has a line without test numbers")
    for line in lines:
        check_names(path.name, line["test"], line.get("train"), line.get("spread"))
    return lines


_NUMBER = (int, float)
_CONFIG_TYPES = {  # only of values that listings read; the others are checked when a run is opened
    "data": {"name": str},
    "model": {"family": str, "latent_dim": int, "beta": _NUMBER, "noise": str, "noise_level": _NUMBER},
    "train": {"epochs": int},
}
_TRAIT_TYPES = {"input": str, "latent": str, "has_encoder": bool, "generative": bool, "levels": int, "latent_dim": int}
_BEST_TYPES = {"epoch": int, "objective": _NUMBER, "last": _NUMBER, "risen": bool}
_STATE_TYPES = {
    "epoch": int, "created": _NUMBER, "seconds": _NUMBER, "checksums": dict, "traits": _TRAIT_TYPES,
    "best": _BEST_TYPES, "diverged": dict,
}  # fmt: skip


def _fingerprint(config: dict) -> str:
    try:
        return fingerprint(config)
    except (ValueError, RecursionError) as error:  # NaN is not JSON; a foreign file may be nested too deeply
        raise DamagedRun("config.json cannot be read") from error


def is_shipped(folder: Path) -> bool:
    """Whether this run folder is shipped with the program. Links are resolved first."""
    shelves = {paths.pretrained_dir(), paths.ROOT / "checkpoints" / "pretrained"}
    places = {folder.absolute().parent, Path(os.path.realpath(folder)).parent}
    return any(_same(place, shelf) for place in places for shelf in shelves)


def _same(one: Path, other: Path) -> bool:
    try:
        return one == other or os.path.samefile(one, other)  # also on case-insensitive file systems
    except OSError:
        return False


def read_run(folder: Path) -> RunInfo:
    """The run in a folder; a damaged one has the status "damaged" and the reason.

    Cached until one of its files changes, because thirty sessions list fifty runs. Callers must not change the result.
    """
    try:
        shipped = is_shipped(folder)
        with os.scandir(folder) as files:
            stamps = tuple(filter(None, map(stamp, files)))
        run = _read_run(folder, shipped, stamps)
        try:
            return replace(run, metrics=read_metrics(run)) if run.status == "finished" else run
        except DamagedRun as error:
            return replace(run, status="damaged", reason=str(error))
    except OSError as error:
        reason = error.strerror or "cannot be read"
        return RunInfo(folder.name, folder, "damaged", reason, shipped=is_shipped(folder))


@lru_cache(maxsize=1000)
def _read_run(folder: Path, shipped: bool, stamps: tuple) -> RunInfo:
    """`read_run` without metrics."""
    info: dict[str, Any] = dict(name=folder.name, path=folder, shipped=shipped, title=titles.read(folder))
    try:
        config = read_json(folder / "config.json")
        if config.get("schema") != SCHEMA:
            raise DamagedRun(f"config.json has schema {config.get('schema')!r}, this program reads {SCHEMA}")
        if _fingerprint(config) != folder.name.rpartition("-")[2]:
            raise DamagedRun("config.json does not match the fingerprint in the folder's name")
        if not NAME.fullmatch(folder.name):
            raise DamagedRun("the folder's name is not that of a run")
        check_types("config.json", config, _CONFIG_TYPES)
        state = read_json(folder / "state.json") if (folder / "state.json").exists() else {}
        check_types("state.json", state, _STATE_TYPES)
        info |= dict(config=config, state=state, size=sum(stamp[1] for stamp in stamps))
        if not state.get("finished") and "diverged" in state:
            return RunInfo(status="diverged", reason=str(Diverged.from_dict(state["diverged"])), **info)
        if not state.get("finished"):
            return RunInfo(status="unfinished", **info)
        check_safetensors(folder / "model.safetensors")
        if len(read_history(folder)) <= state.get("epoch", 0):
            raise DamagedRun("history.jsonl lacks epochs")
        return RunInfo(status="finished", **info)
    except ValueError as error:  # DamagedRun among them
        return RunInfo(status="damaged", reason=str(error), **info)
    except OSError as error:
        return RunInfo(status="damaged", reason=error.strerror or "cannot be read", **info)


def _metrics_files(run: RunInfo) -> list[Path]:
    """Files with the metrics. New ones are written to the last file: in the cache for a shipped, read-only run."""
    last = run.weights == "model.safetensors"
    files = [run.path / "metrics.json"] if last else []
    if run.shipped or not last:
        files.append(paths.cache_dir() / "metrics" / f"{run.name}-{run.checksum(run.weights)[:12]}.json")
    return files


def _read_metrics(file: Path) -> dict:
    metrics = read_json(file) if file.exists() else {}
    check_types(file.name, metrics, dict.fromkeys(metrics, dict))
    check_names(file.name, *metrics.values())
    return metrics


@lru_cache(maxsize=1000)
def _known_metrics(file: Path, stamp: tuple | None) -> dict:
    """`_read_metrics`, cached until the file changes."""
    return _read_metrics(file)


def read_metrics(run: RunInfo) -> dict[str, dict]:
    """Data set -> metric -> value, as saved now. Raises DamagedRun."""
    first, *later = _metrics_files(run)
    metrics = dict(_known_metrics(first, stamp(first)))
    for file in later:
        with contextlib.suppress(DamagedRun):  # these can be computed again
            for name, numbers in _known_metrics(file, stamp(file)).items():
                metrics[name] = metrics.get(name, {}) | numbers
    return metrics


def change_metrics(run: RunInfo, change: Callable[[dict], dict]) -> None:
    """Replace a run's metrics, data set -> metric -> value, by `change(metrics)`, under a lock.

    Raises ValueError while the run is being trained, OSError if the file cannot be written.
    """
    file = _metrics_files(run)[-1]
    file.parent.mkdir(parents=True, exist_ok=True)
    own = file.parent == run.path  # otherwise it is in the cache, which may be writable when the store is not
    try:
        with (named_lock(run.name) if own else FileLock(file.with_suffix(".lock"))).acquire(timeout=10):
            try:
                metrics = _read_metrics(file)
            except DamagedRun:
                metrics = {}
            write_json(file, change(metrics))
    except Timeout:
        raise ValueError(f"{run.name} is being trained; its numbers are computed at the end") from None


def list_runs() -> list[RunInfo]:
    """Every run: shipped ones, then own ones, the newest first. A run that is in both places is listed once."""
    shipped = [read_run(f) for f in _folders(paths.pretrained_dir())]
    names = {run.name for run in shipped if run.status == "finished"}
    own = [read_run(f) for f in _folders(paths.runs_dir()) if f.name not in names]
    return sorted(shipped, key=lambda r: r.name) + sorted(own, key=lambda r: -r.created)


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [f for f in sorted(root.iterdir()) if f.is_dir() and not f.name.startswith(".")]


def find_run(reference: str) -> RunInfo:
    """The run with this name, unique prefix of its fingerprint, or path. Raises ValueError with one sentence.

    NAME@best: the same run with the weights of its best epoch, if they were saved.
    """
    if reference.endswith(AT_BEST):
        run = find_run(reference.removesuffix(AT_BEST))
        if not run.checksum(BEST):
            raise ValueError(f"{run.name} has no weights of its best epoch; train it again with --set keep_best=true")
        run = replace(run, weights=BEST)
        return replace(run, metrics=read_metrics(run))
    if run := _named(reference):
        return run
    runs = list_runs()
    if re.fullmatch(r"[0-9a-f]{2,12}", reference):
        found = [run for run in runs if run.fingerprint.startswith(reference)]
        if len(found) > 1:
            raise ValueError(f"{reference} fits {len(found)} runs: {', '.join(r.name for r in found)}")
        if found:
            return found[0]
    if reference and os.path.isfile(os.path.join(reference, "config.json")):  # with / or \\, as the system reads it
        return read_run(Path(reference).resolve())
    raise NoSuchRun(f"no run {reference!r}; `{COMMAND} runs` lists the runs in the store")


def finished_run(name: str) -> RunInfo | None:
    """The finished run of this name, shipped or own; None if there is none."""
    run = _named(name)
    return run if run and run.status == "finished" else None


def diverged_run(name: str) -> RunInfo | None:
    """The run of this name if it diverged and was not reopened since; else None."""
    run = _named(name)
    return run if run and run.status == "diverged" else None


def _named(name: str) -> RunInfo | None:
    """The shipped or own run of exactly this name, preferably a finished one. Reads no other folder."""
    if not NAME.fullmatch(name):
        return None
    found = None
    for root in (paths.pretrained_dir(), paths.runs_dir()):
        if (root / name / "config.json").exists():
            run = read_run(root / name)
            if run.status == "finished":
                return run
            found = found or run
    return found


# -- changing --------------------------------------------------------------------------------------------------------


def run_folder(name: str) -> Path:
    """The folder of an own run, created if missing. Raises ValueError for an invalid name."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a run")
    folder = paths.runs_dir() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def reopen(name: str) -> None:
    """Allow a diverged own run to resume from its last checkpoint. Does nothing for other runs."""
    if run := diverged_run(name):
        with (
            contextlib.suppress(Timeout),
            named_lock(name).acquire(timeout=0),
        ):  # otherwise another process trains it again already
            write_json(run.path / "state.json", {key: value for key, value in run.state.items() if key != "diverged"})


def delete_run(run: RunInfo) -> None:
    """Delete an own run. Raises ValueError for a shipped run or one that is being trained."""
    if run.shipped:
        raise ValueError(f"{run.name} is shipped with the program and cannot be deleted")
    if run.path.parent != paths.runs_dir().resolve() and run.path.parent != paths.runs_dir():
        raise ValueError(f"{run.path} is not in the store {paths.runs_dir()}")
    try:
        with named_lock(run.name).acquire(timeout=0):
            # Renamed first, so that a half-deleted folder never has the name of a run.
            grave = run.path.with_name(f".deleted-{run.name}-{os.getpid()}")
            os.replace(run.path, grave)
            shutil.rmtree(grave, ignore_errors=True)
    except Timeout:
        raise ValueError(f"{run.name} is being trained; cancel it first") from None
