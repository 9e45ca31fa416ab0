"""Makes checkpoints/labs/: bundles of small models for the labs; the models of a bundle differ in one option.

    AEVAE_DATA=/where/MNIST/is PYTHONPATH=. python scripts/make_labs.py [beta] [collapse] [likelihoods] ...

They are trained on MNIST without the 1,000 test digits that pages show, which are the test set. A bundle takes one to
three minutes on one core.
"""

import dataclasses
import sys

import numpy as np
import torch

from aevae import datasets
from aevae.config import DataConfig, TrainConfig, preset
from aevae.metrics import class_densities
from aevae.metrics.evidence import evidence, posterior
from aevae.models import build_model, family_class
from aevae.run_config import RunConfig
from aevae.store import bundles
from aevae.store.bundles import Member
from aevae.training.device import set_threads
from aevae.training.trainer import Trainer, TrainingData

PICTURES = 20_000  # training images
DATA = DataConfig("mnist", PICTURES, True)
RECIPE = preset("fast", DATA, epochs=8, batch_size=128)
BETAS = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
DEEP = {
    "plain": {"skips": False},
    "warmup": {"skips": False, "warmup_epochs": 6.0},
    "cyclic": {"skips": False, "warmup_epochs": 1.5, "anneal": "cyclic", "cycles": 3},
    "free_bits": {"skips": False, "free_bits": 0.5},
    "skips": {"skips": True},
}
DECODERS = {
    "bernoulli": {},
    "continuous_bernoulli": {},
    "gaussian": {"sigma": 0.5**0.5},
    "gaussian_learned": {},
    "categorical": {"grey_levels": 4},
}


def pictures(limit: int = PICTURES):
    train = datasets.load(DataConfig("mnist", leave_out_5k=True)).train
    return train.images[:limit], train.labels[:limit]


def shown() -> np.ndarray:
    return datasets.load(DataConfig("mnist-5k")).test.images


def trained(name: str, model, config: RunConfig, train: np.ndarray, test: np.ndarray, watch: bool = True) -> Member:
    """A trained member with rounded weights, whose metrics are measured after rounding."""
    x = torch.tensor(test).float() / 255
    history: dict[str, list] = {"epoch": [], "recon": [], "kl": [], "kl_per_dim": [], "variance": []}
    trainer = Trainer(model, TrainingData(train, test), config.train, config.seed, torch.device("cpu"))

    def look(event) -> None:
        if watch and hasattr(event, "record"):
            mu, kl = posterior(model, x)
            row = (event.record["epoch"], *(event.record["test"][k] for k in ("recon", "kl")), kl.mean(0), mu.var(0))
            for column, value in zip(history.values(), row, strict=True):
                column.append(np.asarray(value, np.float32))

    trainer.fit(look)
    weights = {k: bundles.unrounded(*bundles.rounded(v.numpy())) for k, v in model.state_dict().items()}
    rows = {k: np.stack(v) for k, v in history.items() if v}
    member = Member(name, config, {}, rows, weights)
    numbers = evidence(member.model(), x, torch.Generator().manual_seed(0), 4)
    print(name, {k: round(v, 2) for k, v in numbers.items()}, flush=True)
    return dataclasses.replace(member, numbers=numbers)


def one(name: str, family: str, train, test, recipe: TrainConfig = RECIPE, **options) -> Member:
    config = RunConfig(DATA, family_class(family).Config(**options), recipe)
    return trained(name, build_model(config.model, 0), config, train, test)


def beta() -> list[Member]:
    train = pictures()[0]
    size = {"hidden": 64, "latent_dim": 8}
    return [one(f"{b:g}", "beta_vae", train, shown(), beta=b, **size) for b in BETAS]


def collapse() -> list[Member]:
    train = pictures()[0]
    size = {"hidden": 64, "latent_dim": 8, "depth": 8}
    recipe = preset("fast", DATA, epochs=9, batch_size=128, lr=4e-3)  # higher rates diverge with eight layers
    return [one(name, "skip_vae", train, shown(), recipe, **size, **more) for name, more in DEEP.items()]


def likelihoods() -> list[Member]:
    """A VAE, and four more decoders trained with its frozen encoder."""
    train, out = pictures()[0], []
    size = {"hidden": 64, "latent_dim": 8}
    for kind, more in DECODERS.items():
        config = RunConfig(
            DATA,
            family_class("vae").Config(likelihood=kind, **size, **more),
            RECIPE if not out else preset("fast", DATA, epochs=4, batch_size=128),
        )
        model = build_model(config.model, 0)
        if out:
            first = out[0].weights
            model.load_state_dict({k: torch.tensor(first[k]) for k in encoder(first)}, strict=False)
            for k, parameter in model.named_parameters():
                parameter.requires_grad_(k not in encoder(first))
        out.append(trained(kind, model, config, train, shown(), watch=False))
    return out


def encoder(weights: dict) -> list[str]:
    return [k for k in weights if k.split(".")[0] in ("encoder", "mu", "logvar")]


def classes() -> list[Member]:
    """Ten small VAEs, one per class."""
    images, labels = pictures(60_000)
    test = datasets.load(DataConfig("mnist-5k")).test
    recipe = preset("fast", DataConfig("mnist", 5000), epochs=10, batch_size=64)
    out = []
    for c in range(10):
        config = RunConfig(
            DataConfig("mnist", 0, True), family_class("vae").Config(hidden=24, latent_dim=8), recipe, seed=c
        )
        mine, its = images[labels == c][:5000], test.images[test.labels == c]
        out.append(trained(str(c), build_model(config.model, c), config, mine, its, watch=False))
    return out


def reader() -> None:
    """Train and store the digit classifier 784-64-10, with which the ten densities are compared."""
    images, labels = pictures(60_000)
    x, y = torch.tensor(images).flatten(1).float() / 255, torch.tensor(labels)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(784, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer, steps = torch.optim.Adam(net.parameters()), 6 * -(-len(x) // 128)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    for _ in range(6):
        for rows in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
            plan.step()
    weights = dict(zip(("w1", "b1", "w2", "b2"), (p.detach().numpy() for p in net.parameters()), strict=True))
    print(class_densities.save_reader(weights), flush=True)


BUNDLES = {"beta": beta, "collapse": collapse, "likelihoods": likelihoods, "classes": classes}

if __name__ == "__main__":
    set_threads()
    for name in sys.argv[1:] or (*BUNDLES, "reader"):
        if name == "reader":
            reader()
            continue
        path = bundles.save(name, BUNDLES[name]())
        print(path, f"{path.stat().st_size:,} bytes", flush=True)
