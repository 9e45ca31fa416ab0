"""Commands that train: `train`, `sweep`, `worker`, and `bench`, which times training."""

import dataclasses
import itertools
import math
import sys
import time
from typing import Any

from aevae.cli.arguments import UsageError
from aevae.cli.console import print_result, progress_line, say, say_device, say_event, say_notes
from aevae.cli.settings import read_settings
from aevae.run_config import build_config

SQUARED_ERRORS = ("sse", "sse_median", "sse_worst10")
MAX_SWEEP_RUNS = 1000
AFTER_DIVERGING = (
    "Run the same command with --resume to continue from the last checkpoint, or with --force to start again"
)


def train(args) -> dict | int:
    """The run of the given config, trained if it is not in the store yet; 1 if its training diverged."""
    config = build_config(args.family, read_settings(args), args.seed, args.preset)

    from aevae import datasets, runs
    from aevae.reporting import comparison
    from aevae.store import checkpoints

    config = dataclasses.replace(config, data=datasets.resolve(config.data))
    say_notes(datasets.load(config.data, on_progress=progress_line()))
    say_device(args)
    if args.resume:
        _reopen(config.name)
    try:
        result = runs.train_or_load(config, args.device, on_event=say_event, force=args.force)
    except ArithmeticError as problem:
        say(f"aevae: {config.name} diverged: {problem}. {AFTER_DIVERGING}")
        return 1
    info = checkpoints.find_run(result.name)
    if info.warning:
        say(f"{info.name}: {info.warning}")
    return {
        "run": result.name,
        "fingerprint": info.fingerprint,
        "cached": result.cached,
        "epochs": info.epochs,
        "seconds": round(result.seconds, 2),
        "device": result.device or info.state.get("device", ""),
        "test": (test := test_numbers(info)),
        "units": {"epochs": "epochs", "seconds": "s"} | comparison.units_of(test),
    }


def _reopen(name: str) -> None:
    """Allow a diverged run to resume, and say where it continues. Does nothing for other runs."""
    from aevae.store import checkpoints

    if run := checkpoints.diverged_run(name):
        start = f"continues after epoch {run.epochs}" if run.epochs else "starts again from the beginning"
        say(f"{name} {start} with the learning rate at which it diverged, so it will probably diverge again")
        checkpoints.reopen(name)


def test_numbers(info) -> dict[str, float]:
    """Test terms and their spread after the last epoch, and the squared errors computed at the end of training."""
    from aevae.store import checkpoints

    last = checkpoints.read_history(info.path)[-1]
    final = info.metrics.get(info.dataset, {})
    spread = found if isinstance(found := last.get("spread"), dict) else {}  # older runs lack it
    return last["test"] | spread | {k: final[k] for k in SQUARED_ERRORS if k in final}


def sweep(args) -> dict | int:
    """The runs of every combination of the listed values with every seed; 1 if one of them diverged.

    Models of the same shape are trained side by side.
    """
    lists = {key: text.split(",") for key, text in read_settings(args).items()}
    count = math.prod(map(len, lists.values())) * args.seeds
    if not 1 <= count <= MAX_SWEEP_RUNS:
        raise UsageError(f"a sweep may have 1..{MAX_SWEEP_RUNS} runs, these lists give {count}")
    points = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    requests = [(point, seed) for point in points for seed in range(args.seed, args.seed + args.seeds)]
    configs = [build_config(args.family, point, seed, args.preset) for point, seed in requests]

    from aevae import datasets, runs
    from aevae.reporting import comparison
    from aevae.store import checkpoints

    began = time.monotonic()
    say_notes(datasets.load(datasets.resolve(configs[0].data), on_progress=progress_line()))
    say_device(args)
    for config in configs if args.resume else ():
        _reopen(dataclasses.replace(config, data=datasets.resolve(config.data)).name)
    results = runs.sweep(configs, args.device, lambda i, event: say_event(event, f"{i + 1:3}  "), force=args.force)
    rows: list[dict[str, Any]] = []
    for (point, seed), result in zip(requests, results, strict=True):
        values = {key: value for key, value in point.items() if len(lists[key]) > 1} | {"seed": seed}
        entry = {"run": result.name, **values, "cached": result.cached}
        if result.finished:
            info = checkpoints.find_run(result.name)
            entry["test"] = test_numbers(info)
            if info.warning:
                say(f"{info.name}: {info.warning}")
        rows.append(entry | ({"error": result.error} if result.error else {}))
    numbers = dict.fromkeys(name for row in rows for name in row.get("test", ()))
    units = {"seconds": "s", "seed": "seed"} | comparison.units_of(numbers)
    table = {"runs": rows, "seconds": round(time.monotonic() - began, 2), "units": units}
    diverged = [result for result in results if result.diverged]
    if not diverged:
        return table
    print_result(table, args.json)
    sys.stdout.flush()
    say(f"aevae: {len(diverged)} of {len(results)} runs diverged, {diverged[0].name}: {diverged[0].diverged}")
    say(f"aevae: {AFTER_DIVERGING}")
    return 1


def bench(args) -> dict | None:
    """Training speed of this machine, printed as a table; with --json the same numbers as an object."""
    from aevae.runs import bench

    say_device(args)
    found = bench.bench(args.device)
    if args.json:
        return found | {"units": {"threads": "threads", "images_per_s": "images / s", "seconds": "s"}}
    print(f"{found['device']}, {found['threads']} threads; preset fast, training alone")
    print(f"{'':<28}{'images / s':>12}" + "".join(f"{name + ' (s)':>15}" for name in bench.DATASET_IMAGES))
    for row in found["rows"]:
        print(f"{row['what']:<28}{row['images_per_s']:>12,}" + "".join(f"{s:>15}" for s in row["seconds"].values()))
    return None


def worker(args) -> int:
    """The exit code of a worker of the queue."""
    from aevae.queue.worker import run_worker

    return run_worker(args.device, args.parent, args.once)
