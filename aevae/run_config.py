"""The complete config of a run, its canonical JSON, and the run name that follows from it. Imports no torch."""

import hashlib
import json
from dataclasses import dataclass, field, fields
from typing import Any

from aevae.config import DataConfig, ModelConfig, TrainConfig, absent_values, brief, build, check, parse, plain, preset
from aevae.models import FAMILIES, family_class

CONFIG_CLASSES = {"data": DataConfig, "train": TrainConfig}  # of the parts that all families share
SCHEMA = 1  # version of the run folder and of the canonical JSON; part of every fingerprint


@dataclass(frozen=True)
class RunConfig:
    """Data, model, training and seed: everything that determines a run. The device is not part of it."""

    data: DataConfig
    model: ModelConfig
    train: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0

    def __post_init__(self):
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must be a whole number in 0..{2**31 - 1}, got {brief(self.seed)}")

    def to_dict(self) -> dict:
        """JSON data with defaults filled in, see `plain`."""
        return {
            "schema": SCHEMA,
            "data": plain(self.data),
            "model": {"family": self.model.family, **plain(self.model)},
            "train": plain(self.train),
            "seed": self.seed,
        }

    @classmethod
    def from_dict(cls, raw: dict) -> "RunConfig":
        """The inverse of `to_dict`. Raises ValueError for wrong values and unknown keys."""
        if not isinstance(raw, dict):
            raise ValueError("a config must be a JSON object")
        if raw.get("schema") != SCHEMA:
            raise ValueError(f"config schema must be {SCHEMA}, got {brief(repr(raw.get('schema')))}")
        parts: dict[str, Any] = {k: raw.get(k) for k in ("data", "model", "train")}
        for name, part in parts.items():
            if not isinstance(part, dict):
                raise ValueError(f"config has no part {name!r}")
        model = dict(parts["model"])
        config_class = family_class(model.pop("family", None)).Config
        return cls(
            data=build(DataConfig, absent_values(DataConfig) | parts["data"]),
            model=build(config_class, absent_values(config_class) | model),
            train=build(TrainConfig, absent_values(TrainConfig) | parts["train"]),
            seed=raw.get("seed", 0),
        )

    @property
    def fingerprint(self) -> str:
        """First 12 hex digits of sha256 over the canonical JSON."""
        return fingerprint(self.to_dict())

    @property
    def name(self) -> str:
        """`<family>-<dataset>-<fingerprint>`: name of the run and of its folder."""
        return f"{self.model.family}-{self.data.name.split(':')[0]}-{self.fingerprint}"


def build_config(family: str, settings: dict[str, str], seed: int = 0, recipe: str = "fast") -> RunConfig:
    """The RunConfig of these settings as text, keyed by fields of the data, model or train config. Raises ValueError.

    recipe: the preset that supplies the training options which are not among the settings.
    """
    parts = {**CONFIG_CLASSES, "model": family_class(family).Config}
    options = {f.name: (part, f) for part, c in parts.items() for f in fields(c) if f.name != "digest"}
    values: dict[str, dict] = {part: {} for part in parts}
    for key, text in settings.items():
        name = "name" if key == "dataset" else key
        if name not in options or key == "name":
            known = ", ".join(["dataset", *(n for n in options if n != "name")])
            raise ValueError(f"unknown option {key!r}; {family} has {known}")
        part, option = options[name]
        values[part][name] = parse(option, text)
    model = build(parts["model"], values["model"])
    data = build(DataConfig, {"name": model.dataset} | values["data"])
    return RunConfig(data, model, preset(recipe, data, model, **values["train"]), seed)


def option_value(raw: dict, name: str) -> Any:
    """The value of the option `name` in the stored config `raw`; None: its family is unknown, or has no such option.

    A missing key has the value that an older config means, a value that does not fit the option counts as the default.
    """
    family = raw.get("model", {}).get("family")
    parts = [*CONFIG_CLASSES, *(["model"] if family in FAMILIES else [])]  # the last one needs torch
    for part in (part for part in parts if part in raw):
        config_class = CONFIG_CLASSES.get(part) or family_class(family).Config
        for f in fields(config_class):
            if f.name == name:
                default = f.metadata.get("absent", f.default)
                try:
                    return check(f, raw[part].get(name, default))
                except ValueError:
                    return default
    return None


def fingerprint(raw: dict) -> str:
    """Fingerprint of a config as JSON data (`RunConfig.to_dict`)."""
    canonical = json.dumps(raw, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
