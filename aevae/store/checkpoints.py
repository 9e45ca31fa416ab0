"""Runs on disk: a folder of safetensors and JSON, written so that a reader sees the old file or the new one.

config.json       what was asked for; its fingerprint ends the folder's name
state.json        how far it is; `finished` is the last thing written, with the checksum of the weights; `diverged`
model.safetensors weights of the last full epoch       history.jsonl  one line per epoch
best.safetensors  weights of the epoch with the lowest test objective, with the option `keep_best`: RUN@best
film.safetensors  small snapshots, see training/film   metrics.json   numbers, by data set
state.safetensors all that resume needs, of one step; gone once the run is finished
now.safetensors   a film of the newest frame, while it is being trained and somebody may look on
preview.png       original, reconstruction, sample
No torch here: listing a hundred runs costs a hundred small JSON files.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from filelock import FileLock, Timeout

from aevae import paths
from aevae.run_config import SCHEMA, fingerprint
from aevae.training.diverged import Diverged

NAME = re.compile(r"[a-z0-9_]+-[a-z0-9-]+-[0-9a-f]{12}")
TERM = re.compile(r"[\w .@-]{1,60}")  # of a loss or a metric
TRAITS = {"input": "image", "latent": "continuous", "has_encoder": True, "generative": False, "levels": 1}
BEST, AT_BEST = "best.safetensors", "@best"
BUSY_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # waits for a reader to be done with a file
IN_USE = (5, 32)  # Windows: ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION
MAX_JSON = 20_000_000  # bytes; a config or history larger than this is not ours


@dataclass(frozen=True)
class RunInfo:
    """What a listing shows of a run; JSON only, the weights stay on disk."""

    name: str
    path: Path
    status: str  # finished | unfinished | diverged | damaged
    reason: str = ""  # how it diverged, or why it is damaged
    config: dict = field(default_factory=dict)
    state: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)  # data set -> metric -> number
    size: int = 0  # bytes
    shipped: bool = False
    weights: str = "model.safetensors"  # the file that is opened

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
        """What its model is like (`Model.traits`): input, latent, has_encoder, generative, levels."""
        return TRAITS | self.state.get("traits", {})

    @property
    def latent_dim(self) -> int:
        return self.traits.get("latent_dim") or self.config.get("model", {}).get("latent_dim", 0)

    @property
    def epochs(self) -> int:
        """Epochs done."""
        return self.state.get("epoch", 0)

    @property
    def warning(self) -> str:
        """A sentence if the test objective ended far above its best (`training.trainer.best`), else ""."""
        best = self.state.get("best", {})
        if self.status != "finished" or not best.get("risen") or not best.keys() >= _BEST.keys():
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


class DamagedRun(ValueError):
    """A run folder that cannot be read; the message says why."""


class NoSuchRun(ValueError):
    """There is no run of this name, or no longer."""


# -- writing ---------------------------------------------------------------------------------------------------------


def write_atomic(path: Path, data: bytes) -> None:
    """Write under a temporary name, flush to disk, rename. On failure (full disk) the old file stays as it was.

    An OSError names `path`, not the temporary file.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        _replace(temporary, path)
    except BaseException as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError):
            error.filename = str(path)
            del error.filename2
        raise


def _replace(temporary: str, path: Path) -> None:
    """Rename, once nobody reads the old file: Windows refuses until then, which takes a reader milliseconds."""
    for wait in BUSY_SECONDS:
        try:
            return os.replace(temporary, path)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in IN_USE:
                raise
            time.sleep(wait)
    os.replace(temporary, path)


def write_json(path: Path, value) -> None:
    write_atomic(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def write_history(path: Path, records: Iterable[dict]) -> None:
    write_atomic(path, "".join(json.dumps(r, allow_nan=False) + "\n" for r in records).encode())


def checksum(path: Path) -> str:
    """sha256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- reading ---------------------------------------------------------------------------------------------------------


def _parsed(text: str | bytes):
    """JSON as it is written here: NaN, infinities and what overflows to one are no numbers. Raises ValueError."""

    def finite(number: str) -> float:
        if not math.isfinite(value := float(number)):
            raise ValueError(f"{number} is not finite")
        return value

    return json.loads(text, parse_float=finite, parse_constant=finite)


def read_json(path: Path) -> dict:
    """A JSON object. Raises DamagedRun with the reason."""
    try:
        if path.stat().st_size > MAX_JSON:
            raise DamagedRun(f"{path.name} is too large")
        value = _parsed(path.read_bytes())
    except FileNotFoundError:
        raise DamagedRun(f"{path.name} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, DamagedRun):
            raise
        raise DamagedRun(f"{path.name} cannot be read") from error
    if not isinstance(value, dict):
        raise DamagedRun(f"{path.name} is not a JSON object")
    return value


def read_history(folder: Path) -> list[dict]:
    """The lines of history.jsonl; [] before the first. Raises DamagedRun."""
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
        _check_terms(path.name, line["test"], line.get("train"), line.get("spread"))
    return lines


def _check_terms(file: str, *numbers) -> None:
    """Has each number a name that can be shown? Raises DamagedRun."""
    for names in numbers:
        if isinstance(names, dict) and not all(TERM.fullmatch(name) for name in names):
            raise DamagedRun(f"{file} has a number with a name that is none")


def check_safetensors(path: Path) -> None:
    """Is the file whole, by its own header (lengths only)? Raises DamagedRun."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= min(size - 8, MAX_JSON):
                raise DamagedRun(f"{path.name} is truncated or not a safetensors file")
            header = json.loads(file.read(length))
        end = max((int(t["data_offsets"][1]) for k, t in header.items() if k != "__metadata__"), default=0)
    except FileNotFoundError:
        raise DamagedRun(f"{path.name} is missing") from None
    except (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        if isinstance(error, DamagedRun):
            raise
        raise DamagedRun(f"{path.name} is not a safetensors file") from error
    if size != 8 + length + end:
        raise DamagedRun(f"{path.name} is truncated: {size} bytes of {8 + length + end}")


_NUMBER = (int, float)
_CONFIG = {  # of what listings read, the type; all else is checked where a run is opened
    "data": {"name": str},
    "model": {"family": str, "latent_dim": int, "beta": _NUMBER, "noise": str, "noise_level": _NUMBER},
    "train": {"epochs": int},
}
_TRAITS = {"input": str, "latent": str, "has_encoder": bool, "generative": bool, "levels": int, "latent_dim": int}
_BEST = {"epoch": int, "objective": _NUMBER, "last": _NUMBER, "risen": bool}
_STATE = {
    "epoch": int, "created": _NUMBER, "seconds": _NUMBER, "checksums": dict, "traits": _TRAITS, "best": _BEST,
    "diverged": dict,
}  # fmt: skip


def _fingerprint(config: dict) -> str:
    try:
        return fingerprint(config)
    except (ValueError, RecursionError) as error:  # NaN is no JSON; a foreign file may nest without end
        raise DamagedRun("config.json cannot be read") from error


def _check_types(file: str, found: dict, types: dict) -> None:
    """Has each value that is there its type? Raises DamagedRun."""
    for key, kind in types.items():
        nested = isinstance(kind, dict)
        if key in found and not isinstance(found[key], dict if nested else kind):
            raise DamagedRun(f"{file} has a wrong {key!r}")
        if nested:
            _check_types(file, found.get(key, {}), kind)


def _stamp(file: os.DirEntry | Path) -> tuple[str, int, int, int, int] | None:
    """What changes with a file: name, size, inode, times; None if it is not there (any more)."""
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return file.name, stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns


def is_shipped(folder: Path) -> bool:
    """Does this run folder come with the program? Where it lies decides, by whatever path or link it is named."""
    shelves = {paths.pretrained_dir(), paths.ROOT / "checkpoints" / "pretrained"}
    places = {folder.absolute().parent, Path(os.path.realpath(folder)).parent}
    return any(_same(place, shelf) for place in places for shelf in shelves)


def _same(one: Path, other: Path) -> bool:
    try:
        return one == other or os.path.samefile(one, other)  # which also knows file systems where A is a
    except OSError:
        return False


def read_run(folder: Path) -> RunInfo:
    """What the folder says of itself; a damaged one is returned as such, with the reason.

    Read anew when one of its files has changed: thirty sessions ask for fifty runs. Nobody may change what comes back.
    """
    try:
        shipped = is_shipped(folder)
        with os.scandir(folder) as files:
            stamps = tuple(filter(None, map(_stamp, files)))
        run = _read_run(folder, shipped, stamps)
        return replace(run, metrics=read_metrics(run)) if run.status == "finished" else run
    except DamagedRun as error:
        return replace(run, status="damaged", reason=str(error))
    except OSError as error:
        reason = error.strerror or "cannot be read"
        return RunInfo(folder.name, folder, "damaged", reason, shipped=is_shipped(folder))


@lru_cache(maxsize=1000)
def _read_run(folder: Path, shipped: bool, stamps: tuple) -> RunInfo:
    """The same without its numbers."""
    info = dict(name=folder.name, path=folder, shipped=shipped)
    try:
        config = read_json(folder / "config.json")
        if config.get("schema") != SCHEMA:
            raise DamagedRun(f"config.json has schema {config.get('schema')!r}, this program reads {SCHEMA}")
        if _fingerprint(config) != folder.name.rpartition("-")[2]:
            raise DamagedRun("config.json does not match the fingerprint in the folder's name")
        if not NAME.fullmatch(folder.name):
            raise DamagedRun("the folder's name is not that of a run")
        _check_types("config.json", config, _CONFIG)
        state = read_json(folder / "state.json") if (folder / "state.json").exists() else {}
        _check_types("state.json", state, _STATE)
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
    """Where its numbers are, and last where new ones go: of a shipped run, which is not written to, the cache."""
    last = run.weights == "model.safetensors"
    files = [run.path / "metrics.json"] if last else []
    if run.shipped or not last:
        weights = str(run.state.get("checksums", {}).get(run.weights, ""))[:12]
        files.append(paths.cache_dir() / "metrics" / f"{run.name}-{weights}.json")
    return files


def _read_metrics(file: Path) -> dict:
    metrics = read_json(file) if file.exists() else {}
    _check_types(file.name, metrics, dict.fromkeys(metrics, dict))
    _check_terms(file.name, *metrics.values())
    return metrics


@lru_cache(maxsize=1000)
def _known_metrics(file: Path, stamp: tuple | None) -> dict:
    """The same, read anew when the file has changed."""
    return _read_metrics(file)


def read_metrics(run: RunInfo) -> dict[str, dict]:
    """Data set -> metric -> number, as they are on disk now. Raises DamagedRun."""
    first, *later = _metrics_files(run)
    metrics = dict(_known_metrics(first, _stamp(first)))
    for file in later:
        with contextlib.suppress(DamagedRun):  # what is only kept can be found again
            for name, numbers in _known_metrics(file, _stamp(file)).items():
                metrics[name] = metrics.get(name, {}) | numbers
    return metrics


def change_metrics(run: RunInfo, change: Callable[[dict], dict]) -> None:
    """Replace a run's numbers, data set -> metric -> number, by `change` of them. Nobody else writes meanwhile.

    Raises ValueError where the run is being trained, OSError where its place cannot be written.
    """
    file = _metrics_files(run)[-1]
    file.parent.mkdir(parents=True, exist_ok=True)
    own = file.parent == run.path  # else it is in the cache, which may be writable where the store is not
    try:
        with (run_lock(run.name) if own else FileLock(file.with_suffix(".lock"))).acquire(timeout=10):
            try:
                metrics = _read_metrics(file)
            except DamagedRun:
                metrics = {}
            write_json(file, change(metrics))
    except Timeout:
        raise ValueError(f"{run.name} is being trained; its numbers are found at the end") from None


def list_runs() -> list[RunInfo]:
    """Every run, shipped ones first, then the newest first. A run that is in both places is listed once."""
    shipped = [read_run(f) for f in _folders(paths.pretrained_dir())]
    names = {run.name for run in shipped if run.status == "finished"}
    own = [read_run(f) for f in _folders(paths.runs_dir()) if f.name not in names]
    return sorted(shipped, key=lambda r: r.name) + sorted(own, key=lambda r: -r.created)


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [f for f in sorted(root.iterdir()) if f.is_dir() and not f.name.startswith(".")]


def find_run(reference: str) -> RunInfo:
    """The run of a name, a unique prefix of a fingerprint, or a path. Raises ValueError with one sentence.

    With `@best` behind it: the same run with the weights of its best epoch, if it kept them.
    """
    if reference.endswith(AT_BEST):
        run = find_run(reference.removesuffix(AT_BEST))
        if BEST not in run.state.get("checksums", {}):
            raise ValueError(f"{run.name} has kept no weights of its best epoch; train it with --set keep_best=true")
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
    raise NoSuchRun(f"no run {reference!r}; `python -m aevae runs` lists what is here")


def finished_run(name: str) -> RunInfo | None:
    """The finished run of this name, shipped or own; None if there is none."""
    run = _named(name)
    return run if run and run.status == "finished" else None


def diverged_run(name: str) -> RunInfo | None:
    """The run of this name if it diverged and nobody has asked to go on with it since; else None."""
    run = _named(name)
    return run if run and run.status == "diverged" else None


def _named(name: str) -> RunInfo | None:
    """The run of exactly this name, shipped or own, a finished one first; no other folder is looked into."""
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
    """The own folder of a run, made if need be. Raises ValueError for a name that is no run's name."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of a run")
    folder = paths.runs_dir() / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run_lock(name: str) -> FileLock:
    """Held by whoever trains or deletes this run, in whatever process; ends with the process."""
    locks = paths.runs_dir() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"{name}.lock")


def reopen(name: str) -> None:
    """Let an own run that diverged be gone on with from its last checkpoint; nothing for any other run."""
    if run := diverged_run(name):
        with contextlib.suppress(Timeout), run_lock(name).acquire(timeout=0):  # else it is being trained anew already
            write_json(run.path / "state.json", {key: value for key, value in run.state.items() if key != "diverged"})


def delete_run(run: RunInfo) -> None:
    """Remove an own run. Raises ValueError for a shipped one or one that is being trained."""
    if run.shipped:
        raise ValueError(f"{run.name} is shipped with the program and stays")
    if run.path.parent != paths.runs_dir().resolve() and run.path.parent != paths.runs_dir():
        raise ValueError(f"{run.path} is not in the store {paths.runs_dir()}")
    try:
        with run_lock(run.name).acquire(timeout=0):
            # Renamed first: whatever happens next, no half-deleted folder keeps the name of a run.
            grave = run.path.with_name(f".deleted-{run.name}-{os.getpid()}")
            os.replace(run.path, grave)
            shutil.rmtree(grave, ignore_errors=True)
    except Timeout:
        raise ValueError(f"{run.name} is being trained; cancel it first") from None
