"""Where things lie on this machine. Every place can be moved by an environment variable."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _place(variable: str, default: Path) -> Path:
    return Path(os.environ.get(variable) or default).expanduser()


def _home() -> Path:
    return _place("XDG_CACHE_HOME", Path.home() / ".cache") / "aevae"


def runs_dir() -> Path:
    """Runs trained here (`AEVAE_RUNS`)."""
    return _place("AEVAE_RUNS", ROOT / "checkpoints" / "runs")


def pretrained_dir() -> Path:
    """Runs shipped with the project; read-only (`AEVAE_PRETRAINED`)."""
    return _place("AEVAE_PRETRAINED", ROOT / "checkpoints" / "pretrained")


def data_dir() -> Path:
    """Downloaded data sets (`AEVAE_DATA`), in torchvision's layout."""
    return _place("AEVAE_DATA", _home() / "data")


def cache_dir() -> Path:
    """Results that can be computed again (`AEVAE_CACHE`)."""
    return _place("AEVAE_CACHE", _home() / "cache")
