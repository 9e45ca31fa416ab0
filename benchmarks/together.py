"""Sweeps: models of one shape trained side by side, one after another, and a single one.

python -m benchmarks.together [--models 8] [--steps 60] [--device cpu] [--threads 2]
"""

import argparse
import statistics
import time

import torch

from aevae import datasets
from aevae.config import DataConfig, preset
from aevae.models import build_model, family_class
from aevae.training.device import keep_memory
from aevae.training.steps import make_step_fn
from aevae.training.trainer import Trainer, TrainingData
from benchmarks import results

COLUMNS = {
    "models": "d", "steps": "d", "device": "", "threads": "d", "side by side (s)": ".2f",
    "one after another (s)": ".2f", "one model (s)": ".2f", "side by side / one after another": ".2f",
    "side by side / one model": ".2f",
}  # fmt: skip


def trainers(data, count: int, device: torch.device) -> list[Trainer]:
    """beta-VAEs of different beta and seed."""
    family = family_class("beta_vae")
    train, test = (torch.tensor(images).to(device) for images in (data.train.images, data.test.images[:1]))
    recipe = preset("fast", DataConfig("mnist"))
    return [
        Trainer(build_model(family.Config(beta=0.25 * 2**i), i), TrainingData(train, test), recipe, i, device)
        for i in range(count)
    ]


def turn(team: list[Trainer], take, steps: int) -> float:
    """Seconds for this number of steps of all trainers."""
    size = team[0].config.batch_size
    orders = torch.stack([trainer.order() for trainer in team])
    began = time.perf_counter()
    for i in range(steps):
        take(orders[:, i * size : (i + 1) * size])
    if team[0].device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=8)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()  # for both
    data, device = datasets.load(DataConfig("mnist")), torch.device(args.device)
    team = trainers(data, args.models, device)
    solo = trainers(data, args.models, device)
    together, alone = make_step_fn(team), [make_step_fn([trainer]) for trainer in solo]
    rounds = []
    for _ in range(args.rounds + 1):  # the first warms up
        apart = [turn([trainer], take, args.steps) for trainer, take in zip(solo, alone, strict=True)]
        rounds.append((turn(team, together, args.steps), sum(apart), statistics.mean(apart)))
    side, after, one = (statistics.median(column) for column in zip(*rounds[1:], strict=True))
    row = (args.models, args.steps, args.device, args.threads, side, after, one, side / after, side / one)
    results.save(f"together_{args.models}_{args.device}", COLUMNS, [row])


if __name__ == "__main__":
    main()
