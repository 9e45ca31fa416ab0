"""Time to quality: seconds to the test -ELBO that the classic recipe reaches after ten epochs, several seeds.

    python -m benchmarks.quality [--seeds 3] [--device cpu] [--threads 2]

Per seed the classic recipe, in a process of its own, and the preset `fast`, which is so short that it is timed three
times (median); training time alone, evaluation left out on both sides. The preset was chosen on a validation split
(`benchmarks.recipe`), not on these numbers.
"""

import argparse
import multiprocessing
import statistics
import time

import torch

from aevae import datasets
from aevae.config import DataConfig, preset
from aevae.models import build_model, family_class
from aevae.training.device import keep_memory
from aevae.training.trainer import Trainer
from benchmarks.classic import Classic

SAMPLES = 4  # draws of the noise in the test -ELBO


def ours(data, seed: int, device: str) -> tuple[float, float]:
    """Seconds and test -ELBO of the preset `fast`."""
    recipe = preset("fast", DataConfig("mnist"))
    model = build_model(family_class("vae").Config(), seed)
    trainer = Trainer(model, data.train.images, data.test.images, recipe, seed, torch.device(device))
    trainer.fit()
    seconds = sum(record.get("seconds", 0.0) for record in trainer.history)
    return seconds, trainer.evaluate()["objective"]


def classic(seed: int, device: str, epochs: int, threads: int) -> tuple[float, float]:
    torch.set_num_threads(threads)
    peer = Classic(device, seed)
    began = time.perf_counter()
    for _ in range(epochs):
        peer.epoch()
    seconds = time.perf_counter() - began
    return seconds, statistics.mean(peer.test() for _ in range(SAMPLES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10, help="of the classic recipe")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()
    data = datasets.load(DataConfig("mnist"))
    ratios = []
    print("| seed | classic: s | -ELBO | fast: s | -ELBO | ratio |\n|---|---|---|---|---|---|")
    for seed in range(args.seeds):
        fast, elbo = map(statistics.median, zip(*(ours(data, seed, args.device) for _ in range(3)), strict=True))
        with multiprocessing.get_context("spawn").Pool(1) as apart:
            slow, peer = apart.apply(classic, (seed, args.device, args.epochs, args.threads))
        ratios.append(slow / fast)
        print(f"| {seed} | {slow:.1f} | {peer:.2f} | {fast:.2f} | {elbo:.2f} | {slow / fast:.1f} |", flush=True)
    print(f"median ratio {statistics.median(ratios):.1f}, threads {args.threads}, {args.device}")


if __name__ == "__main__":
    main()
