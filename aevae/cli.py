"""Everything a page can do, without a page. `--json` prints one JSON object on the last line of stdout.

Exit 0; 2 with one plain sentence on stderr for a wrong request; 1 for a failure. Progress goes to stderr.
"""

import argparse
import dataclasses
import itertools
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from aevae.config import PRESETS, DataConfig, RunConfig, TrainConfig, build, parse, preset

OPTIONS = ("samples", "temperatures", "chains")  # of metrics
FEWEST_CODES = 21  # what trustworthiness at 10 neighbours needs
SQUARED_ERROR = ("sse", "sse_median", "sse_worst10")
DEFAULT_CODES = 1000  # test images of a map: it takes seconds
NAMED = ("dataset", "latent_dim", "beta", "epochs", "batch_size", "lr")  # options with a flag of their own
MOST_RUNS = 1000  # of one sweep
PARTS = {"data": DataConfig, "train": TrainConfig}


class Wrong(ValueError):
    """A wrong request; the message is the sentence for the person."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise Wrong(message)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    try:
        args = _parser().parse_args(arguments)
        result = args.command(args)
    except ValueError as error:  # wrong values, DamagedRun, DataUnavailable
        print(f"aevae: {error}", file=sys.stderr)
        return 2
    except FileNotFoundError as error:
        print(f"aevae: there is no file {error.filename}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("aevae: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 1
    except Exception as error:
        from aevae.worker import sentence

        print(f"aevae: {sentence(error)}", file=sys.stderr)
        return 1
    if isinstance(result, int):
        return result
    if result is not None:
        try:
            _print(result, args.json)
            sys.stdout.flush()
        except BrokenPipeError:  # `| head` has read enough; Python would try once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


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


def train(args) -> dict:
    config = build_config(args.family, _settings(args), args.seed, args.preset)

    from aevae import checkpoints, datasets, runs

    config = dataclasses.replace(config, data=datasets.resolve(config.data))
    datasets.load(config.data, on_progress=_progress())
    result = runs.train_or_load(config, args.device, on_event=_tell, force=args.force)
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
    from aevae import checkpoints

    last = checkpoints.read_history(info.path)[-1]
    at_end = info.metrics.get(info.dataset, {})
    beside = found if isinstance(found := last.get("spread"), dict) else {}  # none in runs of older programs
    return last["test"] | beside | {k: at_end[k] for k in SQUARED_ERROR if k in at_end}


def _units(names) -> dict[str, str]:
    """Number -> unit; "" of a number without one."""
    from aevae import comparison

    return {name: comparison.describe(name).signed_unit for name in names}


def sweep(args) -> dict:
    """Every combination of the listed values, times the seeds; what has one shape is trained side by side."""
    lists = {key: text.split(",") for key, text in _settings(args).items()}
    count = math.prod(map(len, lists.values())) * args.seeds
    if not 1 <= count <= MOST_RUNS:
        raise Wrong(f"a sweep has 1..{MOST_RUNS} runs, this one would have {count}")
    points = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    asked = [(point, seed) for point in points for seed in range(args.seed, args.seed + args.seeds)]
    configs = [build_config(args.family, point, seed, args.preset) for point, seed in asked]

    from aevae import checkpoints, datasets, runs

    began = time.monotonic()
    datasets.load(datasets.resolve(configs[0].data), on_progress=_progress())
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
    return {"runs": told, "seconds": round(time.monotonic() - began, 2), "units": units}


def _say(text: str, end: str = "\n") -> None:
    print(text, file=sys.stderr, end=end, flush=True)


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


def evaluate(args) -> dict:
    from aevae import comparison, metrics, runs

    if not 0 <= args.seed < 2**31:
        raise Wrong(f"--seed must be in 0..{2**31 - 1}, got {args.seed}")
    if args.n < 0:
        raise Wrong(f"--n must be at least 0, got {args.n}")
    options = {name: value for name in OPTIONS if (value := getattr(args, name)) is not None}
    for name, value in options.items():
        if value < 1:
            raise Wrong(f"--{name} must be at least 1, got {value}")
    run = runs.load_run(args.run, args.device)
    data = DataConfig(args.dataset) if args.dataset else run.config.data
    values = metrics.evaluate(
        run,
        [m for m in (args.metrics or "").split(",") if m] or ["quick"],
        n=args.n,
        seed=args.seed,
        options=options,
        on_progress=_progress(),
        data=data,
    )
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


def _array(path: str):
    import numpy as np

    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise Wrong(f"there is no file {path}") from None
    except (OSError, ValueError, EOFError) as error:
        raise Wrong(f"{path} is not a .npy array of numbers") from error


def encode(args) -> dict:
    return _through(args, "encode")


def decode(args) -> dict:
    return _through(args, "decode")


def _through(args, verb: str) -> dict:
    import numpy as np

    from aevae import runs

    array = _array(args.input)
    if array.dtype.kind not in "fiu":
        raise Wrong(f"{args.input} must hold numbers, got {array.dtype}")
    if verb == "encode" and array.size and not (0 <= array.min() and array.max() <= 1):
        raise Wrong(f"images must be in 0..1, got {array.min():g}..{array.max():g}")
    run = runs.load_run(args.run, args.device)
    if verb == "encode":
        _say_if_searched(run)
    out = getattr(run, verb)(array)
    with open(args.out, "wb") as file:  # an open file: numpy would add its own ending to a name
        np.save(file, out)
    return {"run": run.name, "out": args.out, "shape": list(out.shape)}


def _say_if_searched(run) -> None:
    if not run.model.has_encoder:
        _say(f"{run.config.model.family} has no encoder: each code is searched for, which takes a while")


def embed(args) -> dict:
    import numpy as np

    from aevae import datasets, embeddings, runs
    from aevae.metrics import neighbours

    run = runs.load_run(args.run, args.device)
    data = _embedded(run, args.dataset)
    loaded = datasets.load(data)
    test = loaded.test
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
    with open(args.out, "wb") as file:
        names = np.array(loaded.classes)
        np.savez(file, z=z, xy=found.xy, labels=labels, classes=names, index=index, trained_on=known, **numbers)
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
        if run.shown == run.config.data:
            raise
        _say(f"{error}; the map is of the test images of {run.shown.name} instead")
        return run.shown
    return run.config.data


def list_runs(args) -> dict:
    from aevae import checkpoints
    from aevae.metrics import METRICS

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
    from aevae import checkpoints, comparison

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
    from aevae import checkpoints

    run = checkpoints.find_run(args.run)
    checkpoints.delete_run(run)
    return {"deleted": run.name}


def export(args) -> dict:
    from aevae import checkpoints, exchange, runs

    run = checkpoints.find_run(args.run)
    if run.status != "finished":
        raise Wrong(f"{run.name} is {run.status}; only finished runs can be exported")
    if args.format == "zip":
        out = Path(args.out or f"{run.name}.zip")
        checkpoints.write_atomic(out, exchange.pack(run))
    elif args.format == "onnx":
        out = Path(args.out or f"{run.name}.onnx")
        worst = exchange.export_onnx(run, out)
        if worst is None:
            _say("not compared with PyTorch: pip install onnxruntime")
        units = {"largest_difference": "of a pixel in 0..1"}
        return {"run": run.name, "format": args.format, "out": str(out), "largest_difference": worst, "units": units}
    elif args.format == "tensorboard":
        out = Path(args.out or "tensorboard")
        files = exchange.export_tensorboard(run, out)
        _say(f"to look at it: tensorboard --logdir {out}   (pip install tensorboard)")
        return {"run": run.name, "format": args.format, "out": str(out), "files": [str(file) for file in files]}
    else:
        out = Path(args.out or ".")
        runs.export_weights(run, out, half=args.half)
    return {"run": run.name, "format": args.format, "out": str(out)}


def report(args) -> dict:
    from aevae import checkpoints, report

    found = [checkpoints.find_run(name) for name in dict.fromkeys(args.run)]
    page = report.report(list({run.name: run for run in found}.values()), dataset=args.dataset or "")
    checkpoints.write_atomic(Path(args.out), page.encode())
    size = len(page.encode())
    return {"runs": [run.name for run in found], "out": args.out, "bytes": size, "units": {"bytes": "bytes"}}


def import_run(args) -> dict:
    from aevae import exchange

    return {"run": exchange.unpack(Path(args.file).read_bytes())}


def bench(args) -> dict | None:
    """This machine's table; the JSON has the same numbers."""
    from aevae import bench

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
    from aevae.worker import run_worker

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
        p.add_argument("--device", default="auto")
        return p

    def with_recipe(p):
        p.add_argument("--family", required=True)
        for name in NAMED:
            p.add_argument("--" + name.replace("_", "-"))
        p.add_argument("--seed", type=int, default=0)
        p.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
        p.add_argument("--preset", default="fast", choices=PRESETS, help="training options that are not given")
        p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any other option of the family")
        p.add_argument("--force", action="store_true", help="train anew even if it is there")

    p = command("train", train, "train a run, or find it trained; an interrupted one goes on")
    with_recipe(p)
    p = command("sweep", sweep, "train every combination of lists (--set beta=1,4 --set latent_dim=2,10) side by side")
    with_recipe(p)
    p.add_argument("--seeds", type=int, default=1, help="so many seeds of each, counted from --seed")

    p = with_model("eval", evaluate, "numbers on the test pictures")
    p.add_argument("--dataset")
    p.add_argument("--metrics", help="comma-separated, or all; default: what takes about a second")
    p.add_argument("--samples", type=int, help="samples of z per image (default: nll 500, the others 1)")
    p.add_argument("--temperatures", type=int, help="T of ais (default: 500)")
    p.add_argument("--chains", type=int, help="chains per image of ais (default: 4)")
    p.add_argument("--n", "--limit", type=int, default=0, help="first so many pictures; 0: all")
    p.add_argument("--seed", type=int, default=0)

    for name, function, help in (
        ("encode", encode, "images.npy (N,1,28,28) in 0..1 to codes (N,D)"),
        ("decode", decode, "codes.npy (N,D) to images (N,1,28,28)"),
    ):
        p = with_model(name, function, help)
        p.add_argument("--in", dest="input", required=True)
        p.add_argument("--out", required=True)

    p = with_model("embed", embed, "a map of the test codes")
    p.add_argument("--method", default="tsne", choices=("latent", "pca", "tsne", "umap"))
    p.add_argument("--dataset", help="whose test images; default: those of the run's own data set")
    p.add_argument("--n", type=int, help=f"number of test images, up to all; default: the first {DEFAULT_CODES}")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", required=True)

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
    p.add_argument("--dataset", help="the data set whose test pictures the first table speaks of")
    p.add_argument("--out", required=True)
    p = command("import", import_run, "bring in a run that `export --format zip` wrote")
    p.add_argument("file")
    command("check", check, "every identity that needs no data, with its residual")
    p = command("bench", bench, "how long the usual trainings take on this machine (a minute)")
    p.add_argument("--device", default="auto")
    p = command("worker", worker, "serve the queue")
    p.add_argument("--device", default="auto")
    p.add_argument("--parent", type=int, help="end when this process is gone")
    p.add_argument("--once", action="store_true", help="end when the queue is empty")
    return parser
