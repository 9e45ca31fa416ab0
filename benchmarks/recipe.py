"""The search behind the preset `fast`: last test-objective of a recipe on a validation split, several seeds.

    python -m benchmarks.recipe [--dataset mnist] [--family vae] [--network mlp] [--latent-dim 20] [--seeds 3]
        [--try epochs=3,batch_size=256,lr=0.016 --try ...]

The split: the last sixth of the training pictures (a fifth of `mnist-5k`); the test pictures are not touched.
Without --try the presets `classic` and `fast` are compared.
"""

import argparse
import dataclasses
import statistics

import numpy as np
import torch

from aevae import datasets
from aevae.config import DataConfig, ModelConfig, TrainConfig, parse, preset
from aevae.models import build_model, family_class
from aevae.training.trainer import Trainer

FIELDS = {f.name: f for f in dataclasses.fields(TrainConfig)}


def split(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Training pictures, and those to choose by."""
    images = datasets.load(DataConfig(name)).train.images
    if name == "mnist-5k":  # its pictures stand class by class
        images = images[np.random.default_rng(0).permutation(len(images))]
    kept = len(images) * 5 // 6 if name != "mnist-5k" else len(images) * 4 // 5
    return images[:kept], images[kept:]


def recipe(text: str, data: DataConfig, model: ModelConfig) -> TrainConfig:
    """`fast`, `classic`, or key=value pairs that change `fast`."""
    if "=" not in text:
        return preset(text, data, model)
    pairs = dict(pair.split("=") for pair in text.split(","))
    return dataclasses.replace(preset("fast", data, model), **{k: parse(FIELDS[k], v) for k, v in pairs.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--family", default="vae")
    parser.add_argument("--network", default="mlp")
    parser.add_argument("--latent-dim", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--try", dest="recipes", action="append", default=[])
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = DataConfig(args.dataset)
    train, chosen_by = split(args.dataset)
    model = family_class(args.family).Config(network=args.network, latent_dim=args.latent_dim)
    print("| recipe | objective (nats / image), mean | of each seed |\n|---|---|---|")
    for text in args.recipes or ["classic", "fast"]:
        ends = []
        for seed in range(args.seeds):
            chosen = recipe(text, data, model)
            trainer = Trainer(build_model(model, seed), train, chosen_by, chosen, seed, torch.device("cpu"))
            trainer.fit()
            ends.append(trainer.history[-1]["test"]["objective"])
        print(f"| {text} | {statistics.mean(ends):.2f} | {', '.join(f'{v:.2f}' for v in ends)} |", flush=True)


if __name__ == "__main__":
    main()
