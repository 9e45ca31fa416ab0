"""Training cost and quality of every family.

    python -m benchmarks.families cost [--rounds 5] [--turn 10]        an epoch of each against `ae`
    python -m benchmarks.families recipes [--only vq_vae ...]          default recipes, as the Train page offers them
    python -m benchmarks.families quality [--only vq_vae ...]          default recipes on full MNIST, and the targets

cost: steps with equal batch size, interleaved in one process, relative to `ae` with the same kind of network.
recipes: each family trained with defaults on its default data set, and the time that it takes.
quality: the preset `fast` unless a row says otherwise; metrics on the 10,000 test images. Runs are stored, so finished
runs are only read. Training takes an hour on two cores.
"""

import argparse
import dataclasses
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from aevae import datasets, runs
from aevae.config import DataConfig, TrainConfig
from aevae.models import FAMILIES, build_model, family_class
from aevae.run_config import build_config
from aevae.runs.numbers import evaluate_model
from aevae.store import checkpoints
from aevae.training.device import keep_memory
from aevae.training.steps import make_step_fn
from aevae.training.trainer import Trainer, TrainingData
from benchmarks import results

BATCH = 128
MOST = 6.0  # target: largest time of an epoch relative to that of `ae`
SHOWN = ("sse", "sse_median", "sse_worst10", "bce", "kl", "kl_median", "kl_worst10")
COLUMNS = {
    "cost": {"family": "", "network": "", "step (ms)": ".1f", "times ae's": ".2f", "note": ""},
    "recipes": {"family": "", "data set": "", "epochs": "d", "training (s)": ".0f", "squared error": ".1f"},
    "quality": {
        "run": "", "training (s)": ".0f", "squared error": ".2f", "its median": ".2f", "its ten worst": ".2%",
        "cross-entropy": ".2f", "KL": ".2f", "KL: median": ".2f", "KL: ten worst": ".2%", "target": "", "met": "",
    },
}  # fmt: skip


# -- cost ------------------------------------------------------------------------------------------------------------


class Steps:
    """A trainer of `family` on 2,000 examples, `network` mlp or conv."""

    def __init__(self, family: str, network: str):
        model_class = family_class(family)
        fields = {f.name for f in dataclasses.fields(model_class.Config)}
        config = model_class.Config(**({"network": network} if "network" in fields else {}))
        data = datasets.load(DataConfig(config.dataset, limit=2000)).train
        recipe = TrainConfig(epochs=1000, batch_size=BATCH)
        labels = (data.labels, data.labels[:1])
        model = build_model(config, 0)
        self.trainer = Trainer(
            model, TrainingData(data.images, data.images[:1], labels), recipe, 0, torch.device("cpu")
        )
        self.step_fn, self.order = make_step_fn([self.trainer]), itertools.cycle(self._batches(len(data)))
        model.train()

    def _batches(self, count: int) -> list[torch.Tensor]:
        every = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        return [every[None, i : i + BATCH] for i in range(0, count - BATCH + 1, BATCH)]

    def seconds(self, count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            self.step_fn(next(self.order))
        return (time.perf_counter() - began) / count


def networks(family: str) -> tuple[str, ...]:
    """Names of the networks of a family."""
    config_class = family_class(family).Config
    field = {f.name: f for f in dataclasses.fields(config_class)}.get("network")
    return field.metadata["choices"] if field else (getattr(config_class, "network", "mlp"),)


def cost(rounds: int, turn: int) -> Iterator[tuple]:
    base = {network: Steps("ae", network) for network in ("mlp", "conv")}
    for family in FAMILIES:
        for network in networks(family):
            peer = Steps(family, network)
            peer.seconds(2)
            pairs = [
                (peer.seconds(turn), base["conv" if network == "conv" else "mlp"].seconds(turn)) for _ in range(rounds)
            ]
            ratio = statistics.median(a / b for a, b in pairs)
            said = "" if ratio <= MOST or family_class(family).input == "sequence" else f"more than {MOST:g}"
            yield family, network, 1000 * statistics.median(a for a, _ in pairs), ratio, said


# -- recipes ---------------------------------------------------------------------------------------------------------


def recipes(only: list[str]) -> Iterator[tuple]:
    with tempfile.TemporaryDirectory() as store:
        os.environ["AEVAE_RUNS"] = store
        for family in only or FAMILIES:
            config = build_config(family, {})
            info = checkpoints.find_run(runs.train_or_load(config, "cpu").name)
            error = measured(info).get("sse")  # a sequence has none
            yield family, config.data.name, config.train.epochs, info.state["seconds"], error


def measured(info: checkpoints.RunInfo) -> dict[str, float]:
    """The numbers of a finished training, measured again from the weights on its test images."""
    run = runs.Run(info)
    return evaluate_model(run.config, run.model, run.device)[info.dataset]


# -- quality ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Row:
    """A run and a target. check(numbers, rows so far) -> (text of the measured value, whether the target is met)."""

    label: str
    family: str
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    check: Callable = lambda numbers, rows: ("", True)


def below(name: str, bound: float) -> Callable:
    return lambda numbers, rows: (f"{name} < {bound:g}", numbers[name] < bound)


def near_pca(numbers, rows):
    """Errors on test images, not clipped to [0, 1] as the column SSE is; PCA is fitted to the training set."""
    ours, exact = numbers["sse_unclipped"], numbers["pca_sse"]
    return f"not clipped {ours:.2f}, PCA {exact:.2f}: {ours / exact - 1:+.1%}", ours <= 1.05 * exact


def pca_sse(d: int, on: str = "test") -> float:
    """Squared error per image of exact PCA with d components, fitted to the training images of MNIST."""
    data = datasets.load(DataConfig("mnist"))
    train = data.train.images.reshape(len(data.train), -1).astype(np.float64) / 255
    mean = train.mean(0)
    _values, vectors = np.linalg.eigh(np.cov(train.T))
    top = vectors[:, -d:]
    x = (getattr(data, on).images.reshape(-1, 784) / 255) - mean
    return float(np.square(x - x @ top @ top.T).sum(1).mean())


def under_pca_in_training(numbers, rows):
    exact = pca_sse(32, "train")
    return f"training pictures {numbers['known_sse']:.2f}, PCA-32 {exact:.2f}", numbers["known_sse"] < exact


def quantised(numbers, rows):
    return "SSE < 6, perplexity > 25", numbers["sse"] < 6 and numbers["perplexity"] > 25


def below_one_level(numbers, rows):
    return f"below vq_vae ({rows['vq_vae']['sse']:.2f})", numbers["sse"] < rows["vq_vae"]["sse"]


def as_active_as_plain(numbers, rows):
    plain = rows["skip_vae, no skips"]["active_units"]
    return f"active units {numbers['active_units']}, plain {plain}", numbers["active_units"] >= plain


def content_not_style(numbers, rows):
    content, style = numbers["class_from_content"], numbers["class_from_style"]
    return f"class from content {content:.0%}, from style {style:.0%}", content >= 0.9 and style <= 0.6


def jumps(numbers, rows):
    seen, long, left, right = (numbers[name] for name in ("near_2", "near_10", "left_1", "right_1"))
    said = f"within a pixel {seen:.0%} of 2 frames, {long:.0%} of 10; one frame: {left:.0%} left, {right:.0%} right"
    return said, min(seen, long) >= 0.9 and min(left, right) >= 0.2


ROWS = (
    *(Row(f"linear_ae d={d}", "linear_ae", {"latent_dim": str(d)}, near_pca) for d in (2, 10, 30)),
    Row("ae d=32", "ae", {"latent_dim": "32"}),
    Row("deep_ae d=30, 20 epochs", "deep_ae", {"latent_dim": "30", "epochs": "20"}, below("sse", 5.5)),
    *(Row(f, f) for f in ("denoising", "sparse", "sparse_kl", "k_sparse", "contractive")),
    Row("vae", "vae"),
    Row("beta_vae", "beta_vae"),
    Row("iwae", "iwae"),
    Row("skip_vae, no skips", "skip_vae", {"depth": "6", "skips": "false"}),
    Row("skip_vae, depth 6", "skip_vae", {"depth": "6"}, as_active_as_plain),
    Row("ml_vae", "ml_vae", {}, content_not_style),
    Row("vq_vae", "vq_vae", {}, quantised),
    Row("vq_vae2", "vq_vae2", {}, below_one_level),
    Row(
        "auto_decoder d=32, 15 epochs",
        "auto_decoder",
        {"latent_dim": "32", "epochs": "15"},
        under_pca_in_training,
    ),
    Row("variational_auto_decoder", "variational_auto_decoder"),
    Row("td_vae", "td_vae", {}, jumps),
    Row("flow_vae", "flow_vae"),
)


def trained(row: Row) -> tuple[float, dict[str, float]]:
    """(seconds of training, metrics on the test images)."""
    settings = row.settings
    if family_class(row.family).Config.dataset == "mnist-5k":
        settings = {"dataset": "mnist"} | settings
    result = runs.train_or_load(build_config(row.family, settings), "cpu")
    info = checkpoints.find_run(result.name)
    numbers = measured(info)
    if not info.state["traits"]["has_encoder"]:
        numbers["known_sse"] = known_sse(result.name)
    return info.state["seconds"], numbers


def known_sse(name: str) -> float:
    """Squared error per training image of a run with a learned code for each."""
    run = runs.load_run(name)
    train = datasets.load(run.config.data).train.images.reshape(-1, 784) / 255
    codes = run.model.training_codes(len(train))[0].numpy()
    parts = (slice(i, i + 1000) for i in range(0, len(train), 1000))
    return sum(float(np.square(run.decode(codes[p]).reshape(-1, 784) - train[p]).sum()) for p in parts) / len(train)


def quality(only: list[str]) -> Iterator[tuple]:
    rows: dict[str, dict] = {}
    for row in ROWS:
        if only and row.family not in only:
            continue
        seconds, numbers = trained(row)
        rows[row.label] = numbers
        said, holds = row.check(numbers, rows)
        met = ("yes" if holds else "NO") if said else ""
        yield row.label, seconds, *map(numbers.get, SHOWN), said, met


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("cost", "recipes", "quality"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turn", type=int, default=10, help="steps a turn")
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    if unknown := set(args.only) - set(FAMILIES):
        parser.error(f"--only takes families ({', '.join(FAMILIES)}), got {', '.join(sorted(unknown))}")
    keep_memory()
    if args.what == "cost":
        torch.set_num_threads(1)
        rows = cost(args.rounds, args.turn)
    else:
        rows = {"recipes": recipes, "quality": quality}[args.what](args.only)
    results.save("_".join(["families", args.what, *args.only]), COLUMNS[args.what], rows)


if __name__ == "__main__":
    main()
