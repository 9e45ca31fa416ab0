"""Density estimation as in Burda et al. 2016: 50 latents, pixels binarized at each step, NLL with K = 5,000.

    python -m benchmarks.burda [--epochs 200] [--pair-epochs 30] [--seeds 1] [--threads 2]

Trains a VAE (784-400-50) with the recipe `fast` for `--epochs`, and a VAE and an IWAE with k = 5 for `--pair-epochs`.
NLL: with K = 500 on all 10,000 test images, plus the difference between K = 5,000 and 500 on the first 1,000 of them.
± is the standard error over images, of this difference, too, as if both were independent. ESS: effective sample size
of the 5,000 samples, mean over images.
"""

import argparse
import math

import torch

from aevae import datasets
from aevae.config import DataConfig, preset
from aevae.metrics.annealed import standard_error
from aevae.metrics.nll import importance
from aevae.metrics.units import active_units
from aevae.models import build_model, family_class
from aevae.models.blocks import batches
from aevae.training.device import keep_memory
from aevae.training.trainer import Trainer, TrainingData
from benchmarks import results

DATA = DataConfig("mnist", binarise="stochastic")
SAMPLES, MORE_SAMPLES, IMAGES = 500, 5000, 1000  # K on all test images; K on the first IMAGES of them
COLUMNS = {
    "model": "", "epochs": "", "seed": "", "training (s)": ".0f", "−ELBO": ".2f", "rise": ".2f",
    "NLL (K = 500)": ".2f", "NLL (K = 5,000)": ".2f", "ESS": ".0f",
    "active units": ".0f",
}  # fmt: skip


def measured(family: str, epochs: int, seed: int, threads: int) -> list:
    """Train and measure."""
    data = datasets.load(DATA)
    model = build_model(family_class(family).Config(latent_dim=50), seed)
    recipe = preset("fast", DATA, model.config, epochs=epochs)
    trainer = Trainer(
        model, TrainingData(data.train.images, data.test.images, resample=True), recipe, seed, torch.device("cpu")
    )
    torch.set_num_threads(threads)
    trainer.fit()
    curve = [-record["test"]["elbo"] for record in trainer.history]
    model.eval()
    x = torch.tensor(data.test.images).float().div(255)
    with torch.inference_mode():
        mu, logvar = (torch.cat(part) for part in zip(*map(model.posterior, batches(x)), strict=True))
    few = importance(model, x, mu, logvar, SAMPLES, torch.Generator().manual_seed(0)).log_p
    part = slice(IMAGES)
    many = importance(model, x[part], mu[part], logvar[part], MORE_SAMPLES, torch.Generator().manual_seed(1))
    gain = many.log_p - few[part]
    error = standard_error(few)
    nll = -float(few.mean()), -float(few.mean() + gain.mean())
    seconds = sum(record.get("seconds", 0.0) for record in trainer.history)
    name = f"{family} k = {model.config.samples}" if family == "iwae" else family
    objective = [record["test"]["objective"] for record in trainer.history]
    row = [name, str(epochs), str(seed), seconds, curve[-1], objective[-1] - min(objective)]
    units = int(active_units(mu.numpy()).sum())
    both = math.hypot(error, standard_error(gain))
    return [*row, (nll[0], error), (nll[1], both), float(many.effective.mean()), units]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--pair-epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()
    jobs = [("vae", args.epochs)] + [("vae", args.pair_epochs), ("iwae", args.pair_epochs)] * bool(args.pair_epochs)
    rows = (
        measured(family, epochs, seed, args.threads) for family, epochs in jobs for seed in range(args.seeds) if epochs
    )
    results.save("burda", COLUMNS, rows)


if __name__ == "__main__":
    main()
