"""Commands that list, show, delete, export, import and report on what is stored or built in."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aevae.cli import arguments
from aevae.cli.arguments import UsageError
from aevae.cli.console import say, say_if_diverged
from aevae.units import NATS

UNITS_OF_STATE = {  # of numbers in state.json and in the history that are no metrics
    "step": "steps", "steps": "steps", "epoch": "epochs", "epochs": "epochs", "seconds": "s", "created": "s since 1970",
    "images_per_s": "images / s", "parameters": "parameters", "threads": "threads", "levels": "levels of the code",
    "latent_dim": "numbers in the code", "last": NATS, "value": NATS, "limit": NATS,
}  # fmt: skip
UNITS_OF_MEASURING = {"images": "images", "samples": "samples of z / image", "seed": "seed", "schema": "version"}


def list_runs(args) -> dict:
    """Every run in the store with its status and finite metrics."""
    from aevae.metrics import METRICS
    from aevae.store import checkpoints

    rows: list[dict[str, Any]] = []
    for run in checkpoints.list_runs():
        row = {key: getattr(run, key) for key in ("family", "dataset", "latent_dim", "status", "reason", "epochs")}
        measured = run.metrics.get(run.dataset, {})
        numbers = {k: v for k in METRICS if isinstance(v := measured.get(k), int | float) and math.isfinite(v)}
        rows.append({"run": run.name, **row, "shipped": run.shipped, "bytes": run.size, "numbers": numbers})
    units = {"latent_dim": "numbers in the code", "epochs": "epochs", "bytes": "bytes"}
    found = dict.fromkeys(name for row in rows for name in row["numbers"])
    units |= {name: METRICS[name].signed_unit for name in found}
    return {"runs": rows, "units": units}


def list_families(args) -> dict:
    """Every family with its title, objective, paper and options."""
    from aevae.figures.palette import family_title
    from aevae.models import FAMILIES, family_class

    rows = []
    for name in FAMILIES:
        cls = family_class(name)
        options = {
            f.name: {"default": f.default, **{k: v for k, v in f.metadata.items() if k not in ("when", "absent")}}
            for f in dataclasses.fields(cls.Config)
        }
        row = {"name": name, "title": family_title(name), "objective": cls.objective, "paper": cls.paper}
        rows.append(row | {"options": options})
    return {"families": rows}


def list_datasets(args) -> dict:
    """Every known data set with source and licence."""
    from aevae import datasets

    return {"datasets": datasets.catalogue()}


def show(args) -> dict:
    """Config, state, metrics and last history record of one run."""
    from aevae.reporting import comparison
    from aevae.store import checkpoints

    run = checkpoints.find_run(args.run)
    say_if_diverged(run)
    history = checkpoints.read_history(run.path) if run.status != "damaged" else []
    last = history[-1] if history else {}
    names = dict.fromkeys(_number_names({"metrics": run.metrics, "last": last, "state": run.state}))
    known = UNITS_OF_STATE | UNITS_OF_MEASURING
    return {
        "run": run.name,
        "path": str(run.path),
        "status": run.status,
        "reason": run.reason,
        "config": run.config,
        "state": run.state,
        "metrics": run.metrics,
        "last": last,
        "units": {name: known.get(name) or unit for name, unit in comparison.units_of(names).items()},
    }


def _number_names(found: dict) -> Iterator[str]:
    """The keys of all numbers and lists in nested dicts."""
    for name, value in found.items():
        if isinstance(value, dict):
            yield from _number_names(value)
        elif isinstance(value, int | float | list) and not isinstance(value, bool):
            yield name


def delete(args) -> dict:
    """The name of the run that was deleted."""
    from aevae.store import checkpoints

    run = checkpoints.find_run(args.run)
    checkpoints.delete_run(run)
    return {"deleted": run.name}


def export(args) -> dict:
    """The file or folder to which a finished run was exported."""
    from aevae import runs
    from aevae.exchange import run_archive
    from aevae.store import checkpoints

    run = checkpoints.find_run(args.run)
    if run.status != "finished":
        raise UsageError(f"{run.name} is {run.status}; only finished runs can be exported")
    if args.half and args.format != "folder":
        raise UsageError(f"--half is for --format folder only, got --format {args.format}")
    check, default = {
        "zip": (arguments.writable_file, f"{run.name}.zip"),
        "onnx": (arguments.writable_file, f"{run.name}.onnx"),
        "tensorboard": (arguments.writable_folder, "tensorboard"),
        "folder": (arguments.writable_folder, "."),
    }[args.format]
    out = arguments.check_argument("--out", check, default if args.out is None else args.out)
    result = {"run": run.name, "format": args.format, "out": out}
    if args.format == "zip":
        arguments.write(out, run_archive.pack(run))
    elif args.format == "onnx":
        difference = run_archive.export_onnx(run, Path(out))
        if difference is None:
            say("not compared with PyTorch: pip install onnxruntime")
        result |= {"largest_difference": difference, "units": {"largest_difference": "of a pixel in 0..1"}}
    elif args.format == "tensorboard":
        files = run_archive.export_tensorboard(run, Path(out))
        say(f"to view it: tensorboard --logdir {out}   (pip install tensorboard)")
        result["files"] = [str(file) for file in files]
    else:
        for note in runs.export_weights(run, Path(out), half=args.half):
            say(note)
    return result


def report(args) -> dict:
    """The HTML file that was written, and the runs it reports on."""
    from aevae.reporting import report
    from aevae.store import checkpoints

    found = [checkpoints.find_run(name) for name in dict.fromkeys(args.run)]
    measured = dict.fromkeys(name for run in found for name in run.metrics)
    if args.dataset and args.dataset not in measured:
        available = ", ".join(measured) or "no data set"
        raise UsageError(
            f"--dataset must be a data set for which a run has numbers ({available}), got {args.dataset!r}"
        )
    page = report.report(list({run.name: run for run in found}.values()), dataset=args.dataset or "")
    arguments.write(args.out, page.encode())
    size = len(page.encode())
    return {"runs": [run.name for run in found], "out": args.out, "bytes": size, "units": {"bytes": "bytes"}}


def import_run(args) -> dict:
    """The name of the run that was imported."""
    from aevae.datasets import archives
    from aevae.exchange import run_archive

    path = Path(args.file)
    if not args.file or not (path.is_file() or path.is_dir()):
        raise UsageError(f"import needs a zip or folder of an exported run; {args.file!r} is neither")
    try:
        return {"run": run_archive.unpack(path, limits=archives.OWN)}
    except ValueError as problem:
        raise UsageError(f"{args.file} cannot be imported: {problem}") from problem
