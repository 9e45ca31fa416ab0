"""Commands that use a trained run: `eval`, `encode`, `decode`, `embed`; and `check`, which needs no run."""

import dataclasses
import io
from typing import TYPE_CHECKING

from aevae.cli import arguments
from aevae.cli.arguments import UsageError
from aevae.cli.console import print_result, progress_line, say, say_device, say_if_diverged, say_notes
from aevae.config import DataConfig
from aevae.models import check_input_kind

if TYPE_CHECKING:
    from aevae.runs import Run

METRIC_OPTIONS = ("samples", "temperatures", "chains")
MIN_CODES = 21  # trustworthiness with 10 neighbours needs at least this many
DEFAULT_CODES = 1000  # number of mapped test images; a map of so many takes seconds


def open_run(args) -> "Run":
    """The run that the command names, opened on the device that it names."""
    from aevae import runs

    run = runs.load_run(args.run, args.device)
    say_device(args)
    say_if_diverged(run.info)
    return run


def evaluate(args) -> dict:
    """Metrics of a run on test images, with their units and titles."""
    from aevae import datasets, metrics, runs
    from aevae.reporting import comparison

    options = {name: value for name in METRIC_OPTIONS if (value := getattr(args, name)) is not None}
    run = open_run(args)
    unsaved: list[Exception] = []

    def measure(data: DataConfig) -> dict:
        listener = metrics.Listener(progress_line(), on_unsaved=unsaved.append, on_left_out=say)
        request = {"n": args.n, "seed": args.seed, "options": options, "data": data}
        return metrics.evaluate(run, args.metrics or ["quick"], **request, listener=listener)

    data = DataConfig(args.dataset) if args.dataset else run.config.data
    try:
        values = measure(data)  # cached values need no image
    except datasets.DataUnavailable as error:
        data = _shown_data_instead(run, args.dataset, error, "the numbers are")
        values = measure(data)
    if unsaved:
        reason = f"{unsaved[0].strerror}: {unsaved[0].filename}" if isinstance(unsaved[0], OSError) else unsaved[0]
        say(f"these numbers cannot be saved ({reason}); write them down")
    if datasets.is_own(data.name):
        say_notes(datasets.load(data))
    if comparison.at_ceiling(values):
        say(
            "the mutual information has reached its upper limit log N: the true value may be larger, and TC is too "
            "large"
        )
    units = runs.units_of(run)
    return {
        "run": run.name,
        "dataset": data.name,
        "metrics": values,
        "units": {name: units[name] for name in values},
        "titles": {name: comparison.describe(name, values).title for name in values},
    }


def encode(args) -> dict:
    """The file of codes that was written, and their shape."""
    return _apply(args, "encode")


def decode(args) -> dict:
    """The file of images that was written, and their shape."""
    return _apply(args, "decode")


def _apply(args, verb: str) -> dict:
    from aevae.exchange import arrays

    run = open_run(args)
    shape = (1, 28, 28) if verb == "encode" else (run.latent_dim,)
    array = arrays.read_array(args.input, verb, shape, args.array)
    if verb == "encode":
        array = arrays.as_images(array, say)
        say_if_searched(run)
    out = getattr(run, verb)(array)
    save_arrays(args.out, out)
    return {"run": run.name, "out": args.out, "shape": list(out.shape), "units": {"shape": "entries per axis"}}


def save_arrays(path: str, array=None, **arrays) -> None:
    """Write one array as .npy, or several as .npz, to exactly this path: numpy would append an extension."""
    import numpy as np

    content = io.BytesIO()
    if arrays:
        np.savez(content, **arrays)
    else:
        np.save(content, np.asarray(array))
    arguments.write(path, content.getvalue())


def say_if_searched(run) -> None:
    if not run.model.has_encoder:
        say(f"{run.config.model.family} has no encoder, so each code is found by a search, which takes a while")


def embed(args) -> dict:
    """The file of a map of test codes that was written, and how well the map preserves neighbours."""
    import numpy as np

    from aevae import datasets, embeddings, runs
    from aevae.metrics import neighbours

    run = open_run(args)
    data = _data_to_embed(run, args.dataset)
    dataset = datasets.load(data)
    say_notes(dataset)
    check_input_kind(run.config.model, dataset)
    test = dataset.test
    n = _num_codes(args.n, len(test.images), data.name)
    options = {"tsne": {"perplexity": min(30.0, embeddings.largest_perplexity(n))}}
    options["umap"] = {"n_neighbors": min(15, n - 1)}
    say_if_searched(run)
    z, labels = run.encode(test.images[:n].astype(np.float32) / 255), test.labels[:n]
    xy = embeddings.cached_embed(z, args.method, seed=args.seed, **options.get(args.method, {})).xy
    scores = {
        "knn_accuracy": neighbours.knn_accuracy(xy, labels),
        "trustworthiness": neighbours.trustworthiness(z, xy),
    }
    seen = runs.trained_on(run.config.data, data, n)
    if seen.any():
        say(f"{seen.sum():,} of these {n:,} images are training images of {run.name}")
    classes = np.array(dataset.classes)
    arrays = {"z": z, "xy": xy, "labels": labels, "classes": classes, "index": np.arange(n), "trained_on": seen}
    save_arrays(args.out, **arrays, **scores)
    return {
        "run": run.name, "method": args.method, "dataset": data.name, "n": n, "trained_on": int(seen.sum()),
        "out": args.out, **scores,
        "units": {"n": "images", "trained_on": "images",
            "knn_accuracy": "fraction of images", "trustworthiness": "0..1"},
    }  # fmt: skip


def _num_codes(n: int | None, available: int, dataset: str) -> int:
    """The number of codes to map: `n`, or the default for None. Raises UsageError."""
    if available < MIN_CODES:
        raise UsageError(f"a map needs at least {MIN_CODES} test images, {dataset} has {available}")
    n = min(DEFAULT_CODES, available) if n is None else n
    if not MIN_CODES <= n <= available:
        raise UsageError(f"--n must be in {MIN_CODES}..{available}, got {n}")
    return n


def _data_to_embed(run, name: str | None) -> DataConfig:
    """The data set of the mapped test images: `name`, else the run's own, else the one that pages show for this run."""
    from aevae import datasets

    if name:
        return dataclasses.replace(DataConfig(name), binarise=run.config.data.binarise)
    try:
        datasets.load(run.config.data, on_progress=progress_line())
    except datasets.DataUnavailable as error:
        return _shown_data_instead(run, name, error, "the map is")
    return run.config.data


def _shown_data_instead(run, name: str | None, error: ValueError, what: str) -> DataConfig:
    """The data set that pages show for a run whose own data set is unavailable. Raises `error` if there is no other."""
    if name or run.shown == run.config.data:
        raise error
    say(f"{error}; {what} of the test images of {run.shown.name} instead")
    return run.shown


def check(args) -> dict | int:
    """Every identity with its residual; 1 after the first that does not hold."""
    from aevae import checks

    rows = []
    for name, residual, tolerance in checks.run():
        rows.append({"ok": "ok" if residual <= tolerance else "FAILED", "residual": f"{residual:.2e}", "check": name})
        if residual > tolerance:
            print_result({"checks": rows}, args.json)
            return 1
    return {"checks": rows}
