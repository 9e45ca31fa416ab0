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
from aevae.browser.plain import SURE, PlainModel
from aevae.config import DataConfig, TrainConfig, preset
from aevae.metrics import class_densities, classifier
from aevae.metrics.evidence import evidence, posterior
from aevae.models import build_model, family_class
from aevae.run_config import RunConfig
from aevae.store import bundles
from aevae.store.bundles import Member
from aevae.training.device import set_threads
from aevae.training.trainer import Trainer, TrainingData

CODE_SIZES = (1, 2, 4, 8, 16, 32, 64)  # of the bundle bottleneck
PICTURES = 20_000  # training images
DATA = DataConfig("mnist", PICTURES, True)
RECIPE = preset("fast", DATA, epochs=8, batch_size=128)
SIZE = {"hidden": 64, "latent_dim": 8}
IMAGES_PER_CLASS = 5000
READER = {"hidden": 64, "epochs": 6, "batch_size": 128, "lr": 5e-3, "seed": 0}
BETAS = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
NUM_RANDOM, HANDFUL = 2000, 20  # random codes of a plane that the classifier sees, and how many at a time
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


def _config(family: str, recipe: TrainConfig = RECIPE, data: DataConfig = DATA, seed: int = 0, **options) -> RunConfig:
    return RunConfig(data, family_class(family).Config(**SIZE | options), recipe, seed)


def configs() -> dict[str, dict[str, RunConfig]]:
    """Bundle -> name of a member -> its config."""
    deep = preset("fast", DATA, epochs=9, batch_size=128, lr=4e-3)  # higher rates diverge with eight layers
    decoder = preset("fast", DATA, epochs=4, batch_size=128)
    one_class = preset("fast", DataConfig("mnist", IMAGES_PER_CLASS), epochs=10, batch_size=64)
    every, first = DataConfig("mnist", 0, True), next(iter(DECODERS))
    plane, wide = preset("fast", every, epochs=20, batch_size=128), {"hidden": 128, "latent_dim": 2}
    return {
        "beta": {f"{b:g}": _config("beta_vae", beta=b) for b in BETAS},
        "collapse": {name: _config("skip_vae", deep, depth=8, **more) for name, more in DEEP.items()},
        "likelihoods": {
            kind: _config("vae", RECIPE if kind == first else decoder, likelihood=kind, **more)
            for kind, more in DECODERS.items()
        },
        "planes": {"ae": _config("ae", plane, every, **wide)}
        | {f"{b:g}": _config("beta_vae", plane, every, **wide, beta=b) for b in BETAS[:-1]},
        "classes": {str(c): _config("vae", one_class, every, seed=c, hidden=24) for c in range(10)},
        "bottleneck": {
            str(d): _config("ae", preset("fast", every, epochs=10, batch_size=400), every, latent_dim=d, hidden=128)
            for d in CODE_SIZES
        },
    }


def alike(bundle: str, limit: int = PICTURES, watch: bool = True) -> list[Member]:
    """The members of a bundle, each trained by itself on the same images."""
    train = pictures(limit)[0]
    chosen = configs()[bundle]
    return [trained(name, build_model(each.model, 0), each, train, shown(), watch) for name, each in chosen.items()]


def likelihoods() -> list[Member]:
    """A VAE, and four more decoders trained with its frozen encoder."""
    train, out = pictures()[0], []
    for kind, each in configs()["likelihoods"].items():
        model = build_model(each.model, 0)
        if out:
            first = out[0].weights
            model.load_state_dict({k: torch.tensor(first[k]) for k in encoder(first)}, strict=False)
            for k, parameter in model.named_parameters():
                parameter.requires_grad_(k not in encoder(first))
        out.append(trained(kind, model, each, train, shown(), watch=False))
    return out


def planes() -> list[Member]:
    """An autoencoder and β-VAEs with two numbers, and how many of their random codes look like digits."""
    train, out = pictures(60_000)[0], []
    for name, each in configs()["planes"].items():
        member = trained(name, build_model(each.model, 0), each, train, shown(), watch=False)
        out.append(dataclasses.replace(member, numbers=member.numbers | sureness(member)))
        print(name, sureness(member), flush=True)
    return out


def sureness(member: Member) -> dict[str, float]:
    """What the classifier says about decoded random codes, samples of N(0, I).

    sure: share of NUM_RANDOM images to which it gives one class with a probability of at least SURE; kinds: number of
    different such classes among HANDFUL images, a mean; sure_fitted, kinds_fitted: the same for a Gaussian with mean
    and covariance of the codes; sure_of_digits: the share of test digits, of which it names reader_accuracy right.
    """
    model, images = PlainModel(member.config.to_dict()["model"], member.weights), shown().astype(np.float32) / 255
    labels = datasets.load(DataConfig("mnist-5k")).test.labels
    noise = np.random.default_rng(0).standard_normal((NUM_RANDOM, model.latent_dim))
    codes = model.encode(images)
    numbers = {}
    for name, z in (("", noise), ("_fitted", codes.mean(0) + noise @ np.linalg.cholesky(np.cov(codes.T)).T)):
        is_sure, classes = read(model.decode(z))
        handfuls = zip(is_sure.reshape(-1, HANDFUL), classes.reshape(-1, HANDFUL), strict=True)
        numbers[f"sure{name}"] = float(is_sure.mean())
        numbers[f"kinds{name}"] = float(np.mean([len(set(some[yes])) for yes, some in handfuls]))
    is_sure, classes = read(images)
    return numbers | {"sure_of_digits": float(is_sure.mean()), "reader_accuracy": float((classes == labels).mean())}


def read(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(whether the classifier is sure, bool (N,), its classes (N,)) for images (N, 1, 28, 28) in [0, 1]."""
    with torch.inference_mode():
        found = classifier.reader()[0](torch.tensor(images, dtype=torch.float32))[1].softmax(1).max(1)
    return (found.values >= SURE).numpy(), found.indices.numpy()


def encoder(weights: dict) -> list[str]:
    return [k for k in weights if k.split(".")[0] in ("encoder", "mu", "logvar")]


def classes() -> list[Member]:
    """Ten small VAEs, one per class."""
    images, labels = pictures(60_000)
    test = datasets.load(DataConfig("mnist-5k")).test
    out = []
    for name, each in configs()["classes"].items():
        c = int(name)
        mine, its = images[labels == c][:IMAGES_PER_CLASS], test.images[test.labels == c]
        out.append(trained(name, build_model(each.model, c), each, mine, its, watch=False))
    return out


def reader() -> None:
    """Train and store the digit classifier 784-64-10, with which the ten densities are compared."""
    images, labels = pictures(60_000)
    x, y = torch.tensor(images).flatten(1).float() / 255, torch.tensor(labels)
    hidden, epochs, size = READER["hidden"], READER["epochs"], READER["batch_size"]
    torch.manual_seed(READER["seed"])
    net = torch.nn.Sequential(torch.nn.Linear(784, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 10))
    optimizer, steps = torch.optim.Adam(net.parameters()), epochs * -(-len(x) // size)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, READER["lr"], total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(size):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
            plan.step()
    weights = dict(zip(("w1", "b1", "w2", "b2"), (p.detach().numpy() for p in net.parameters()), strict=True))
    print(class_densities.save_reader(weights, READER), flush=True)


BUNDLES = {
    "bottleneck": lambda: alike("bottleneck", 60_000, watch=False),
    "beta": lambda: alike("beta"), "collapse": lambda: alike("collapse"), "likelihoods": likelihoods,
    "planes": planes, "classes": classes,
}  # fmt: skip

if __name__ == "__main__":
    set_threads()
    for name in sys.argv[1:] or (*BUNDLES, "reader"):
        if name == "reader":
            reader()
            continue
        path = bundles.save(name, BUNDLES[name]())
        print(path, f"{path.stat().st_size:,} bytes", flush=True)
