"""An epoch of the same VAE: ours against the classic recipe, in interleaved turns of one process.

    python -m benchmarks.epoch [--rounds 10] [--turn 40] [--threads 2]

Prints medians, the ratio pair by pair, and which part of the machine's own matrix products of these shapes is reached.
"""

import argparse
import statistics
import time

import torch

from aevae import datasets
from aevae.config import DataConfig, preset
from aevae.models import build_model, family_class
from aevae.training.device import busy_cores, keep_memory
from aevae.training.steps import stepper
from aevae.training.trainer import Trainer
from benchmarks.classic import Classic

BATCH, STEPS = 128, 469  # of an epoch


class Ours:
    """The trainer's own steps on the same network, batch and optimizer."""

    def __init__(self, data):
        recipe = preset("classic", DataConfig("mnist"))
        model = build_model(family_class("vae").Config(), 0)
        self.trainer = Trainer(model, data.train.images, data.test.images[:1], recipe, 0, torch.device("cpu"))
        self.take, self.at = stepper([self.trainer]), 0
        self.order = self.trainer.order()[None]
        model.train()

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.take(self.order[:, self.at * BATCH : (self.at + 1) * BATCH])
            self.at = (self.at + 1) % (STEPS - 1)


def products(seconds: float = 1.0) -> float:
    """Seconds that the matrix products of one step take alone (the five large ones; the others are 2 % of them)."""
    x, h, g = torch.rand(BATCH, 784), torch.rand(BATCH, 400), torch.rand(BATCH, 784)
    w1, w4 = torch.rand(400, 784), torch.rand(784, 400)
    jobs = (lambda: x @ w1.T, lambda: h @ w4.T, lambda: g.T @ h, lambda: g @ w4, lambda: h.T @ x)
    times = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        for job in jobs:
            job()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def timed(job, *args) -> float:
    began = time.perf_counter()
    job(*args)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--turn", type=int, default=40, help="steps a turn")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()  # for both
    peers = {"classic": Classic(), "aevae": Ours(datasets.load(DataConfig("mnist")))}
    for peer in peers.values():
        peer.steps(5)
    busy = busy_cores(1.0)
    rounds = []
    for _ in range(args.rounds):
        rounds.append({name: timed(peer.steps, args.turn) * STEPS / args.turn for name, peer in peers.items()})
    floor = products() * STEPS
    ratios = sorted(r["classic"] / r["aevae"] for r in rounds)
    print(
        f"threads {args.threads}, {busy:.1f} cores busy with other things before; {args.rounds} rounds of {args.turn}"
    )
    print("| recipe | epoch (s), median [min-max] | of the matrix products' speed |\n|---|---|---|")
    for name in peers:
        times = [r[name] for r in rounds]
        median = statistics.median(times)
        print(f"| {name} | {median:.2f} [{min(times):.2f}-{max(times):.2f}] | {floor / median:.0%} |")
    print(f"ratio: median {statistics.median(ratios):.2f} [{ratios[0]:.2f}-{ratios[-1]:.2f}]")


if __name__ == "__main__":
    main()
