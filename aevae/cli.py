"""Everything a page can do, without a page. `--json` prints one JSON object on the last line of stdout.

Exit 0; 2 with one plain sentence on stderr for a wrong request; 1 for a failure. Progress goes to stderr.
"""

import argparse
import contextlib
import dataclasses
import errno
import io
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from aevae import arguments, launch
from aevae.arguments import MAX_COUNT, MAX_PROCESS, MAX_SEED, Parser, Wrong
from aevae.config import PRESETS, DataConfig, TrainConfig, build, parse, preset
from aevae.models import check_input_kind
from aevae.run_config import RunConfig

OPTIONS = ("samples", "temperatures", "chains")  # of metrics
FEWEST_CODES = 21  # what trustworthiness at 10 neighbours needs
SQUARED_ERROR = ("sse", "sse_median", "sse_worst10")
DEFAULT_CODES = 1000  # test images of a map: it takes seconds
NAMED = ("dataset", "latent_dim", "beta", "epochs", "batch_size", "lr")  # options with a flag of their own
DEVICE_HELP = "auto (a GPU that computes, else the CPU), cpu, cuda, cuda:1, mps"
MOST_RUNS = 1000  # of one sweep
AFTER_DIVERGING = "The same command with --resume goes on from the last checkpoint, with --force it begins anew"
PARTS = {"data": DataConfig, "train": TrainConfig}
WRONG_PATH = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)  # the request's fault, not the machine's


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    _repair_streams()
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except OSError as error:  # of stdout
        with contextlib.suppress(OSError, ValueError):  # Python would try once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # `| head` has read enough
            return 0
        return _complain(f"the result cannot be written ({error.strerror})", 1)


def _repair_streams() -> None:
    """A closed stream (`>&-`) leads nowhere instead of into the next file opened; what it cannot encode is escaped."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (for the rest of the process)
        elif mode == "w" and stream.errors == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _run(argv: list[str] | None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    try:
        if argv[:1] == ["app"]:  # what follows is Streamlit's to read
            return launch.run_app(argv[1:])
        args = _parser().parse_args(argv)
        result = args.command(args)
    except SystemExit as end:  # --help
        return end.code or 0
    except BrokenPipeError:
        raise
    except ValueError as error:  # wrong values, DamagedRun, DataUnavailable
        return _complain(str(error), 2)
    except KeyboardInterrupt:
        return _complain("interrupted; the same command goes on from the last checkpoint", 1)
    except OSError as error:
        said = {errno.ENOENT: "there is no file {}", errno.EISDIR: "{} is a folder, it must be a file"}.get(error.errno)
        return _complain(
            said.format(error.filename) if said else _sentence(error), 2 if error.errno in WRONG_PATH else 1
        )
    except Exception as error:
        return _complain(_sentence(error), 1)
    if isinstance(result, int):
        return result
    if result is not None:
        _print(result, args.json)
    return 0


def _sentence(error: Exception) -> str:
    from aevae.queue.worker import sentence

    return sentence(error)


def _complain(text: str, code: int) -> int:
    """One line on stderr, whatever a path or an argument holds; returns the exit code."""
    _say("aevae: " + "".join(c if c.isprintable() else repr(c)[1:-1] for c in text))
    return code


def _print(result: dict, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result))
        return
    rows = next((v for v in result.values() if isinstance(v, list) and v and isinstance(v[0], dict)), None)
    if rows is None:
        for key, value in result.items():
            print(f"{key:<14} {json.dumps(value) if isinstance(value, dict | list) else value}")
        return
    for row in rows:
        print("  ".join(str(v) for v in row.values() if not isinstance(v, dict) and v != ""))


# -- commands --------------------------------------------------------------------------------------------------------


def build_config(family: str, settings: dict[str, str], seed: int = 0, recipe: str = "fast") -> RunConfig:
    """A RunConfig from texts; keys are fields of the data, model or train config. Raises ValueError.

    recipe: the preset that gives the training options which are not among the settings.
    """
    from aevae.models import family_class

    parts = {**PARTS, "model": family_class(family).Config}
    fields = {f.name: (part, f) for part, c in parts.items() for f in dataclasses.fields(c) if f.name != "digest"}
    values: dict[str, dict] = {part: {} for part in parts}
    for key, text in settings.items():
        name = "name" if key == "dataset" else key
        if name not in fields or key == "name":
            raise Wrong(f"unknown option {key!r}; {family} has dataset, {', '.join(n for n in fields if n != 'name')}")
        part, field = fields[name]
        values[part][name] = parse(field, text)
    model = build(parts["model"], values["model"])
    data = build(DataConfig, {"name": model.dataset} | values["data"])
    return RunConfig(data, model, preset(recipe, data, model, **values["train"]), seed)


def _settings(args) -> dict[str, str]:
    """What --set and the named options ask for."""
    settings = {}
    for pair in args.set:
        key, equals, value = pair.partition("=")
        if not equals:
            raise Wrong(f"--set takes key=value, got {pair!r}")
        settings[key] = value
    return settings | {k: v for k in NAMED if (v := getattr(args, k)) is not None}


def train(args) -> dict | int:
    config = build_config(args.family, _settings(args), args.seed, args.preset)

    from aevae import datasets, runs
    from aevae.store import checkpoints

    config = dataclasses.replace(config, data=datasets.resolve(config.data))
    _say_notes(datasets.load(config.data, on_progress=_progress()))
    _say_device(args)
    if args.resume:
        checkpoints.reopen(config.name)
    try:
        result = runs.train_or_load(config, args.device, on_event=_tell, force=args.force)
    except ArithmeticError as problem:
        _say(f"aevae: {config.name} diverged: {problem}. {AFTER_DIVERGING}")
        return 1
    info = checkpoints.find_run(result.name)
    if info.warning:
        _say(f"{info.name}: {info.warning}")
    return {
        "run": result.name,
        "fingerprint": info.fingerprint,
        "cached": result.cached,
        "epochs": info.epochs,
        "seconds": round(result.seconds, 2),
        "device": result.device or info.state.get("device", ""),
        "test": (test := _tested(info)),
        "units": {"epochs": "epochs", "seconds": "s"} | _units(test),
    }


def _tested(info) -> dict[str, float]:
    """The test numbers of a finished run's last epoch, and its squared error, which is computed at the end."""
    from aevae.store import checkpoints

    last = checkpoints.read_history(info.path)[-1]
    at_end = info.metrics.get(info.dataset, {})
    beside = found if isinstance(found := last.get("spread"), dict) else {}  # none in runs of older programs
    return last["test"] | beside | {k: at_end[k] for k in SQUARED_ERROR if k in at_end}


def _units(names) -> dict[str, str]:
    """Number -> unit; "" of a number without one."""
    from aevae.reporting import comparison

    return {name: comparison.describe(name).signed_unit for name in names}


def sweep(args) -> dict | int:
    """Every combination of the listed values, times the seeds; what has one shape is trained side by side."""
    lists = {key: text.split(",") for key, text in _settings(args).items()}
    count = math.prod(map(len, lists.values())) * args.seeds
    if not 1 <= count <= MOST_RUNS:
        raise Wrong(f"a sweep has 1..{MOST_RUNS} runs, this one would have {count}")
    points = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    asked = [(point, seed) for point in points for seed in range(args.seed, args.seed + args.seeds)]
    configs = [build_config(args.family, point, seed, args.preset) for point, seed in asked]

    from aevae import datasets, runs
    from aevae.store import checkpoints

    began = time.monotonic()
    _say_notes(datasets.load(datasets.resolve(configs[0].data), on_progress=_progress()))
    _say_device(args)
    for config in configs if args.resume else ():
        checkpoints.reopen(dataclasses.replace(config, data=datasets.resolve(config.data)).name)
    results = runs.sweep(configs, args.device, lambda i, event: _tell(event, f"{i + 1:3}  "), force=args.force)
    told = []
    for (point, seed), result in zip(asked, results, strict=True):
        values = {key: value for key, value in point.items() if len(lists[key]) > 1} | {"seed": seed}
        entry = {"run": result.name, **values, "cached": result.cached}
        if result.finished:
            info = checkpoints.find_run(result.name)
            entry["test"] = _tested(info)
            if info.warning:
                _say(f"{info.name}: {info.warning}")
        told.append(entry | ({"error": result.error} if result.error else {}))
    units = {"seconds": "s"} | _units(dict.fromkeys(name for entry in told for name in entry.get("test", ())))
    found = {"runs": told, "seconds": round(time.monotonic() - began, 2), "units": units}
    diverged = [result for result in results if result.diverged]
    if not diverged:
        return found
    _print(found, args.json)
    sys.stdout.flush()
    _say(f"aevae: {len(diverged)} of {len(results)} runs diverged, {diverged[0].name}: {diverged[0].diverged}")
    _say(f"aevae: {AFTER_DIVERGING}")
    return 1


def _say(text: str, end: str = "\n") -> None:
    with contextlib.suppress(OSError):  # nobody reads it (any more): that ends no training
        print(text, file=sys.stderr, end=end, flush=True)


def _say_device(args) -> None:
    """Says why `--device auto` is the CPU if there is a GPU."""
    from aevae.training.device import gpu_warning

    if args.device == "auto" and (said := gpu_warning()):
        _say(said)


def _open(args):
    """The run that a command is about, on its device."""
    from aevae import runs

    run = runs.load_run(args.run, args.device)
    _say_device(args)
    if run.info.status == "diverged":
        _say(f"the training of {run.name} diverged: {run.info.reason}; these are its last good weights")
    return run


def _say_notes(data) -> None:
    """What was guessed, changed or left out when the data set was read."""
    for note in data.notes:
        _say(f"{data.name}: {note}")


def _progress() -> Callable[[float, str], None]:
    """Says how far something is, in one line of a terminal that is written over; to a file or pipe it says nothing."""
    last = ""

    def say(part: float, text: str) -> None:
        nonlocal last
        line = f"{part:4.0%} {text:<60}"
        if line != last and sys.stderr.isatty():
            _say(line, end="\r")
        last = line

    return say


def _tell(event, who: str = "") -> None:
    if hasattr(event, "record"):
        record = event.record
        terms = "  ".join(f"{k} {v:.2f}" for k, v in record["test"].items())
        _say(f"{who}epoch {record['epoch']:3}  test: {terms}  {record.get('images_per_s', '')}")
    elif hasattr(event, "reason"):
        _say(f"{who}{event.reason}")


def evaluate(args) -> dict:
    from aevae import datasets, metrics, runs
    from aevae.reporting import comparison

    options = {name: value for name in OPTIONS if (value := getattr(args, name)) is not None}
    run = _open(args)
    unkept: list[Exception] = []

    def measure(data: DataConfig) -> dict:
        asked = {"n": args.n, "seed": args.seed, "options": options, "data": data, "on_unkept": unkept.append}
        return metrics.evaluate(run, args.metrics or ["quick"], **asked, on_progress=_progress(), on_left_out=_say)

    data = DataConfig(args.dataset) if args.dataset else run.config.data
    try:
        values = measure(data)  # of numbers that are known, no image is needed
    except datasets.DataUnavailable as error:
        data = _instead(run, args.dataset, error, "the numbers are")
        values = measure(data)
    if unkept:
        reason = f"{unkept[0].strerror}: {unkept[0].filename}" if isinstance(unkept[0], OSError) else unkept[0]
        _say(f"these numbers are not kept, since they cannot be written ({reason}); note them down")
    if datasets.is_own(data.name):
        _say_notes(datasets.load(data))
    if comparison.at_ceiling(values):
        _say("the mutual information is at its ceiling log N: the true value may be larger, and TC is too large")
    units = runs.units_of(run)
    return {
        "run": run.name,
        "dataset": data.name,
        "metrics": values,
        "units": {name: units[name] for name in values},
        "titles": {name: comparison.describe(name, values).title for name in values},
    }


def encode(args) -> dict:
    return _through(args, "encode")


def decode(args) -> dict:
    return _through(args, "decode")


def _through(args, verb: str) -> dict:
    from aevae.exchange import arrays

    run = _open(args)
    shape = (1, 28, 28) if verb == "encode" else (run.latent_dim,)
    array = arrays.read(args.input, verb, shape, args.array)
    if verb == "encode":
        array = arrays.as_images(array, _say)
        _say_if_searched(run)
    out = getattr(run, verb)(array)
    _save(args.out, out)
    return {"run": run.name, "out": args.out, "shape": list(out.shape)}


def _save(path: str, array=None, **arrays) -> None:
    """Write one array as .npy, or several as .npz, under this very name: numpy would add its own ending."""
    import numpy as np

    content = io.BytesIO()
    if arrays:
        np.savez(content, **arrays)
    else:
        np.save(content, array)
    arguments.write(path, content.getvalue())


def _say_if_searched(run) -> None:
    if not run.model.has_encoder:
        _say(f"{run.config.model.family} has no encoder: each code is searched for, which takes a while")


def embed(args) -> dict:
    import numpy as np

    from aevae import datasets, embeddings, runs
    from aevae.metrics import neighbours

    run = _open(args)
    data = _embedded(run, args.dataset)
    dataset = datasets.load(data)
    _say_notes(dataset)
    check_input_kind(run.config.model, dataset)
    test = dataset.test
    args.n = min(DEFAULT_CODES, len(test.images)) if args.n is None else args.n
    if len(test.images) < FEWEST_CODES:
        raise Wrong(f"a map needs at least {FEWEST_CODES} test images, {data.name} has {len(test.images)}")
    if not FEWEST_CODES <= args.n <= len(test.images):
        raise Wrong(f"--n must be in {FEWEST_CODES}..{len(test.images)}, got {args.n}")
    index = np.arange(args.n)
    fit = {"tsne": {"perplexity": min(30.0, embeddings.largest_perplexity(args.n))}}
    fit["umap"] = {"n_neighbors": min(15, args.n - 1)}
    _say_if_searched(run)
    z, labels = run.encode(test.images[: args.n].astype(np.float32) / 255), test.labels[: args.n]
    found = embeddings.cached_embed(z, args.method, seed=args.seed, **fit.get(args.method, {}))
    numbers = {
        "knn_accuracy": neighbours.knn_accuracy(found.xy, labels),
        "trustworthiness": neighbours.trustworthiness(z, found.xy),
    }
    known = runs.trained_on(run.config.data, data, args.n)
    if known.any():
        _say(f"{known.sum():,} of these {args.n:,} images are training images of {run.name}")
    classes = np.array(dataset.classes)
    _save(args.out, z=z, xy=found.xy, labels=labels, classes=classes, index=index, trained_on=known, **numbers)
    return {
        "run": run.name, "method": args.method, "dataset": data.name, "n": args.n, "trained_on": int(known.sum()),
        "out": args.out, **numbers,
        "units": {"n": "images", "trained_on": "images", "knn_accuracy": "share of images", "trustworthiness": "0..1"},
    }  # fmt: skip


def _embedded(run, name: str | None) -> DataConfig:
    """The data set whose test images are mapped: `name`, else the run's own, else the one that pages show for it."""
    from aevae import datasets

    if name:
        return dataclasses.replace(DataConfig(name), binarise=run.config.data.binarise)
    try:
        datasets.load(run.config.data, on_progress=_progress())
    except datasets.DataUnavailable as error:
        return _instead(run, name, error, "the map is")
    return run.config.data


def _instead(run, name: str | None, error: ValueError, what: str) -> DataConfig:
    """The data set that pages show for a run, if its own is not here and no other was asked for; it is said."""
    if name or run.shown == run.config.data:
        raise error
    _say(f"{error}; {what} of the test images of {run.shown.name} instead")
    return run.shown


def list_runs(args) -> dict:
    from aevae.metrics import METRICS
    from aevae.store import checkpoints

    rows = []
    for run in checkpoints.list_runs():
        row = {key: getattr(run, key) for key in ("family", "dataset", "latent_dim", "status", "reason", "epochs")}
        measured = run.metrics.get(run.dataset, {})
        numbers = {k: v for k in METRICS if isinstance(v := measured.get(k), int | float) and math.isfinite(v)}
        rows.append({"run": run.name, **row, "shipped": run.shipped, "bytes": run.size, "numbers": numbers})
    units = {"latent_dim": "numbers in the code", "epochs": "epochs", "bytes": "bytes"}
    units |= {name: METRICS[name].unit for name in dict.fromkeys(name for row in rows for name in row["numbers"])}
    return {"runs": rows, "units": units}


def families(args) -> dict:
    from aevae.models import FAMILIES, family_class

    rows = []
    for name in FAMILIES:
        cls = family_class(name)
        options = {
            f.name: {"default": f.default, **{k: v for k, v in f.metadata.items() if k not in ("when", "absent")}}
            for f in dataclasses.fields(cls.Config)
        }
        row = {"name": name, "title": cls.title, "objective": cls.objective, "paper": cls.paper}
        rows.append(row | {"options": options})
    return {"families": rows}


def list_datasets(args) -> dict:
    from aevae import datasets

    return {"datasets": datasets.catalogue()}


def show(args) -> dict:
    from aevae.reporting import comparison
    from aevae.store import checkpoints

    run = checkpoints.find_run(args.run)
    history = checkpoints.read_history(run.path) if run.status != "damaged" else []
    last = history[-1] if history else {}
    parts = [*run.metrics.values(), *(last.get(part) for part in ("train", "test", "spread"))]
    names = dict.fromkeys(name for part in parts if isinstance(part, dict) for name in part)
    units = _units(name for name in names if name not in ("evaluated", *comparison.NOT_NUMBERS))
    return {
        "run": run.name,
        "path": str(run.path),
        "status": run.status,
        "reason": run.reason,
        "config": run.config,
        "state": run.state,
        "metrics": run.metrics,
        "last": last,
        "units": units | {"seconds": "s", "images": "images", "images_per_s": "images / s"},
    }


def delete(args) -> dict:
    from aevae.store import checkpoints

    run = checkpoints.find_run(args.run)
    checkpoints.delete_run(run)
    return {"deleted": run.name}


def export(args) -> dict:
    from aevae import runs
    from aevae.exchange import run_archive
    from aevae.store import checkpoints

    run = checkpoints.find_run(args.run)
    if run.status != "finished":
        raise Wrong(f"{run.name} is {run.status}; only finished runs can be exported")
    if args.half and args.format != "folder":
        raise Wrong(f"--half is for --format folder only, got --format {args.format}")
    fits, default = {
        "zip": (arguments.target, f"{run.name}.zip"),
        "onnx": (arguments.target, f"{run.name}.onnx"),
        "tensorboard": (arguments.folder, "tensorboard"),
        "folder": (arguments.folder, "."),
    }[args.format]
    out = arguments.checked("--out", fits, default if args.out is None else args.out)
    result = {"run": run.name, "format": args.format, "out": out}
    if args.format == "zip":
        arguments.write(out, run_archive.pack(run))
    elif args.format == "onnx":
        worst = run_archive.export_onnx(run, Path(out))
        if worst is None:
            _say("not compared with PyTorch: pip install onnxruntime")
        result |= {"largest_difference": worst, "units": {"largest_difference": "of a pixel in 0..1"}}
    elif args.format == "tensorboard":
        files = run_archive.export_tensorboard(run, Path(out))
        _say(f"to look at it: tensorboard --logdir {out}   (pip install tensorboard)")
        result["files"] = [str(file) for file in files]
    else:
        for note in runs.export_weights(run, Path(out), half=args.half):
            _say(note)
    return result


def report(args) -> dict:
    from aevae.reporting import report
    from aevae.store import checkpoints

    found = [checkpoints.find_run(name) for name in dict.fromkeys(args.run)]
    measured = dict.fromkeys(name for run in found for name in run.metrics)
    if args.dataset and args.dataset not in measured:
        there = ", ".join(measured) or "no data set"
        raise Wrong(f"--dataset must be one that a run has numbers of ({there}), got {args.dataset!r}")
    page = report.report(list({run.name: run for run in found}.values()), dataset=args.dataset or "")
    arguments.write(args.out, page.encode())
    size = len(page.encode())
    return {"runs": [run.name for run in found], "out": args.out, "bytes": size, "units": {"bytes": "bytes"}}


def import_run(args) -> dict:
    from aevae.exchange import run_archive

    path = Path(args.file)
    if not args.file or not (path.is_file() or path.is_dir()):
        raise Wrong(f"import takes a zip or folder of an exported run, and {args.file!r} is neither")
    try:
        return {"run": run_archive.unpack(path)}
    except ValueError as problem:
        raise Wrong(f"{args.file} cannot be imported: {problem}") from problem


def bench(args) -> dict | None:
    """This machine's table; the JSON has the same numbers."""
    from aevae.runs import bench

    _say_device(args)
    found = bench.bench(args.device)
    if args.json:
        return found | {"units": {"threads": "threads", "images_per_s": "images / s", "seconds": "s"}}
    print(f"{found['device']}, {found['threads']} threads; preset fast, training alone")
    print(f"{'':<28}{'images / s':>12}" + "".join(f"{name + ' (s)':>15}" for name in bench.PICTURES))
    for row in found["rows"]:
        print(f"{row['what']:<28}{row['images_per_s']:>12,}" + "".join(f"{s:>15}" for s in row["seconds"].values()))
    return None


def check(args) -> dict | int:
    from aevae import checks

    rows = []
    for name, residual, tolerance in checks.run():
        rows.append({"ok": "ok" if residual <= tolerance else "FAILED", "residual": f"{residual:.2e}", "check": name})
        if residual > tolerance:
            _print({"checks": rows}, args.json)
            return 1
    return {"checks": rows}


def worker(args) -> int:
    from aevae.queue.worker import run_worker

    return run_worker(args.device, args.parent, args.once)


# -- arguments -------------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m aevae", description="Train, keep, explore and compare autoencoders.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)

    def command(name, function, help):
        p = commands.add_parser(name, help=help, description=help)
        p.set_defaults(command=function)
        p.add_argument("--json", action="store_true", help="print one JSON object")
        return p

    def with_run(name, function, help):
        p = command(name, function, help)
        p.add_argument("run", metavar="RUN", help="a run's name, a prefix of its fingerprint, or a path")
        return p

    def with_model(name, function, help):
        p = with_run(name, function, help)
        p.add_argument("--device", type=arguments.device, default="auto", help=DEVICE_HELP)
        return p

    def with_recipe(p):
        p.add_argument("--family", required=True)
        for name in NAMED:
            p.add_argument("--" + name.replace("_", "-"))
        p.add_argument("--seed", type=arguments.whole(0, MAX_SEED), default=0)
        p.add_argument("--device", type=arguments.device, default="auto", help=DEVICE_HELP)
        p.add_argument("--preset", default="fast", choices=PRESETS, help="training options that are not given")
        p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any other option of the family")
        how = p.add_mutually_exclusive_group()
        how.add_argument("--force", action="store_true", help="train anew even if it is there")
        how.add_argument("--resume", action="store_true", help="go on with a run that diverged, from its checkpoint")

    p = command("train", train, "train a run, or find it trained; an interrupted one goes on")
    with_recipe(p)
    p = command("sweep", sweep, "train every combination of lists (--set beta=1,4 --set latent_dim=2,10) side by side")
    with_recipe(p)
    p.add_argument(
        "--seeds", type=arguments.whole(0, MAX_COUNT), default=1, help="so many seeds of each, counted from --seed"
    )

    p = with_model("eval", evaluate, "numbers on the test pictures")
    p.add_argument("--dataset", type=arguments.name)
    p.add_argument(
        "--metrics", type=arguments.names, help="comma-separated, or all; default: what takes about a second"
    )
    p.add_argument(
        "--samples", type=arguments.whole(1, MAX_COUNT), help="samples of z per image (default: nll 500, the others 1)"
    )
    p.add_argument("--temperatures", type=arguments.whole(1, MAX_COUNT), help="T of ais (default: 500)")
    p.add_argument("--chains", type=arguments.whole(1, MAX_COUNT), help="chains per image of ais (default: 4)")
    p.add_argument(
        "--n", "--limit", type=arguments.whole(0, MAX_COUNT), default=0, help="first so many pictures; 0: all"
    )
    p.add_argument("--seed", type=arguments.whole(0, MAX_SEED), default=0)

    for name, function, help in (
        ("encode", encode, "images (N,1,28,28), .npy or .npz, to codes (N,D)"),
        ("decode", decode, "codes (N,D), .npy or .npz, to images (N,1,28,28)"),
    ):
        p = with_model(name, function, help)
        p.add_argument("--in", dest="input", type=arguments.source, required=True)
        p.add_argument("--array", type=arguments.name, metavar="NAME", help="which one of an .npz that has several")
        p.add_argument("--out", type=arguments.target, required=True)

    p = with_model("embed", embed, "a map of the test codes")
    p.add_argument("--method", default="tsne", choices=("latent", "pca", "tsne", "umap"))
    p.add_argument("--dataset", type=arguments.name, help="whose test images; default: those of the run's own data set")
    p.add_argument(
        "--n",
        type=arguments.whole(1, MAX_COUNT),
        help=f"number of test images, up to all; default: the first {DEFAULT_CODES}",
    )
    p.add_argument("--seed", type=arguments.whole(0, MAX_SEED), default=0)
    p.add_argument("--out", type=arguments.target, required=True)

    commands.add_parser("app", help="open the lab in the browser; flags of `streamlit run` may follow")
    command("runs", list_runs, "what is in the store")
    command("families", families, "families, their objectives and options")
    command("datasets", list_datasets, "data sets, sources, licences")
    with_run("show", show, "config, state and numbers of a run")
    with_run("delete", delete, "remove an own run")
    p = with_run("export", export, "a run as zip, ONNX decoder, TensorBoard events, or folder")
    p.add_argument("--format", default="zip", choices=("zip", "onnx", "tensorboard", "folder"))
    p.add_argument("--half", action="store_true", help="folder: weights in half precision")
    p.add_argument("--out")
    p = command("report", report, "one self-contained HTML page about runs: figures, numbers, configs, commands")
    p.add_argument("run", metavar="RUN", nargs="+", help="names, prefixes of fingerprints, or paths")
    p.add_argument("--dataset", type=arguments.name, help="the data set whose test pictures the first table speaks of")
    p.add_argument("--out", type=arguments.target, required=True)
    p = command("import", import_run, "bring in a run that `export` wrote, as a zip or folder")
    p.add_argument("file", type=arguments.present, help="a zip or folder, also one that was packed again elsewhere")
    command("check", check, "every identity that needs no data, with its residual")
    p = command("bench", bench, "how long the usual trainings take on this machine (a minute)")
    p.add_argument("--device", type=arguments.device, default="auto", help=DEVICE_HELP)
    p = command("worker", worker, "serve the queue")
    p.add_argument("--device", type=arguments.lane, default="auto", help=DEVICE_HELP)
    p.add_argument("--parent", type=arguments.whole(1, MAX_PROCESS), help="end when this process is gone")
    p.add_argument("--once", action="store_true", help="end when the queue is empty")
    return parser
