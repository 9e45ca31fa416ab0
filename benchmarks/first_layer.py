"""The effect of Adam's epsilon: gradients and steps of the encoder's first layer, by frequency of nonzero pixels.

    python -m benchmarks.first_layer [--epochs 3] [--recipes classic damping=0 fast]

A VAE (784-400-20) on MNIST. For pixels that are nonzero in 0, 1-99, 100-999, 1,000-5,999 and 6,000 or more of the
60,000 training images, after the last step: rms of the gradient, sqrt(v); size of a step in units of the learning rate,
|m| / (sqrt(v) + damping rms + 1e-8), mean over weights and the last 100 steps; the largest norm of a pixel's column of
400 weights; and the change of the reconstruction's PSNR if that group's columns are set to 0, under noise of 0.1.
"""

import argparse
import itertools
from collections.abc import Iterator

import torch

from aevae import datasets
from aevae.config import DataConfig
from aevae.models import build_model, family_class
from aevae.models.blocks import batches
from aevae.training.trainer import Trainer, TrainingData
from benchmarks import results
from benchmarks.recipe import SIGMA, Setting, recipe

EDGES = (0, 1, 100, 1_000, 6_000, 60_001)
LAST = 100  # steps over which step sizes are averaged


def trained(text: str, epochs: int, data) -> tuple[Trainer, torch.Tensor]:
    """A finished trainer and the mean size of a step (400, 784) of its first weights, in learning rates."""
    setting = Setting(epochs=epochs)
    model = build_model(family_class("vae").Config(), 0)
    chosen = recipe(text, setting)
    trainer = Trainer(model, TrainingData(data.train.images, data.test.images), chosen, 0, torch.device("cpu"))
    weight, sizes = model.encoder[2].weight, []

    def look() -> bool:
        if trainer.step >= trainer.steps - LAST:
            slot, t = trainer.optimizers["adam"].state[weight], trainer.step
            m, v = slot["exp_avg"] / (1 - 0.9**t), slot["exp_avg_sq"] / (1 - chosen.beta2**t)
            sizes.append(m.abs() / (v.sqrt() + chosen.damping * v.mean().sqrt() + 1e-8))
        return False

    trainer.fit(should_stop=look)
    return trainer, torch.stack(sizes).mean(0)


@torch.inference_mode()
def psnr(model, x: torch.Tensor, noisy: torch.Tensor) -> float:
    x_hat = torch.cat([model.decode(model.encode(part)) for part in batches(noisy)])
    return float((-10 * (x_hat - x).square().flatten(1).mean(1).log10()).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--recipes", nargs="*", default=["classic", "damping=0", "fast"])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    data = datasets.load(DataConfig("mnist"))
    lit = torch.tensor((data.train.images > 0).sum(0).reshape(-1))
    x = torch.tensor(data.test.images[:2000]).float().div(255)
    noisy = (x + SIGMA * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    columns = {
        "recipe": "", "lit in (images)": "", "pixels": "", "gradient (rms)": ".1e", "step (learning rates)": ".3f",
        "largest column": ".2f", "PSNR without (dB)": ".1f", "PSNR (dB)": ".1f",
    }  # fmt: skip
    found = (row for text in args.recipes for row in groups(text, args.epochs, data, lit, x, noisy))
    results.save("first_layer", columns, found)


def groups(text: str, epochs: int, data, lit, x, noisy) -> Iterator[list]:
    """A row for each group of pixels."""
    trainer, steps = trained(text, epochs, data)
    model = trainer.model.eval()
    weight = model.encoder[2].weight
    gradient = trainer.optimizers["adam"].state[weight]["exp_avg_sq"].sqrt()
    whole = psnr(model, x, noisy)
    for low, high in itertools.pairwise(EDGES):
        group = (lit >= low) & (lit < high)
        kept = weight.detach().clone()
        weight.data[:, group] = 0
        without = psnr(model, x, noisy)
        weight.data.copy_(kept)
        name = f"{low:,}" if high == low + 1 else f"{low:,}–{high - 1:,}"
        sizes = float(gradient[:, group].square().mean().sqrt()), float(steps[:, group].mean())
        yield [text, name, str(int(group.sum())), *sizes, float(kept.norm(dim=0)[group].max()), without, whole]


if __name__ == "__main__":
    main()
