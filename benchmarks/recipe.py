"""The hyperparameter search for the preset `fast`, over the range of the form, for the worst case and the mean.

    python -m benchmarks.recipe [--settings WORD ...] [--recipes fast lr=0.01 batch_size=128,damping=0 ...]
        [--seeds 3] [--split validation] [--device cpu] [--workers 1] [--name NAME] [--out FILE]

Each setting (data set, family, network, likelihood, epochs, ...) is trained by each recipe: `fast`, `classic`, or
`fast` with other values (`lr=x2` doubles its peak rate). Seeds are trained side by side. The validation split is the
last sixth of the training images (a fifth of mnist-5k); with `--split test` it is the test images.

Columns: the objective at the end (nats per image) and its spread over seeds; `rise`: how far it lies above its best
epoch; `gap`: test minus train; `psnr`: of the decoded mean of images with Gaussian noise of 0.1 against the clean ones
(dB); `max KL` of one image; `columns`: the largest norm of
the first layer's weights of an always black pixel over the median norm of a pixel nonzero in a tenth of the images.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch

from aevae import datasets
from aevae.config import DataConfig, ModelConfig, TrainConfig, parse, preset
from aevae.models import build_model, family_class
from aevae.models.blocks import batches
from aevae.training.device import keep_memory
from aevae.training.trainer import Trainer, TrainingData, TrainingDiverged, fit
from benchmarks import results

TRAIN_FIELDS = {f.name: f for f in dataclasses.fields(TrainConfig)}
SIGMA = 0.1  # standard deviation of the noise for `psnr`
IMAGES = 2000  # images for PSNR and largest KL


@dataclasses.dataclass(frozen=True)
class Setting:
    """One point of the range: a config of the form without the recipe."""

    family: str = "vae"
    dataset: str = "mnist"
    epochs: int = 20
    batch_size: int = 0  # 0: as in the recipe
    binarise: str = "none"
    limit: int = 0
    model: tuple[tuple[str, object], ...] = ()

    @property
    def name(self) -> str:
        parts = [self.family, self.dataset, f"epochs={self.epochs}"]
        parts += [f"batch_size={self.batch_size}"] if self.batch_size else []
        parts += [self.binarise] if self.binarise != "none" else []
        parts += [f"limit={self.limit}"] if self.limit else []
        return " ".join([*parts, *(f"{key}={value}" for key, value in self.model)])

    @property
    def data(self) -> DataConfig:
        return DataConfig(self.dataset, limit=self.limit, binarise=self.binarise)

    def config(self) -> ModelConfig:
        return family_class(self.family).Config(**dict(self.model))


def settings() -> list[Setting]:
    """Settings that vary one option at a time around the default, and combinations of two or three extremes."""

    def vae(**values) -> Setting:
        known = {f.name for f in dataclasses.fields(Setting)}
        fields = {k: v for k, v in values.items() if k in known}
        return Setting(**fields, model=tuple((k, v) for k, v in values.items() if k not in known))

    found = [vae(epochs=n) for n in (1, 3, 10, 20, 50, 100, 200)]
    found += [vae(latent_dim=d) for d in (2, 50, 200)]
    found += [vae(hidden=h) for h in (128, 1000)]
    found += [vae(batch_size=b) for b in (64, 1000)]
    found += [vae(binarise=kind) for kind in ("threshold", "stochastic")]
    found += [vae(binarise="stochastic", latent_dim=50, epochs=n) for n in (10, 50, 200)]
    found += [vae(binarise="stochastic", latent_dim=200, hidden=1000, epochs=n) for n in (3, 100)]
    found += [vae(latent_dim=200, hidden=1000, epochs=100, batch_size=64), vae(latent_dim=2, hidden=128, epochs=100)]
    found += [vae(latent_dim=2, hidden=1000, epochs=100, batch_size=1000)]
    found += [vae(network="conv", epochs=n) for n in (3, 20)] + [vae(network="conv", epochs=20, batch_size=1000)]
    found += [vae(network="conv", epochs=50, latent_dim=200)]
    found += [
        vae(likelihood=kind, epochs=n)
        for kind in ("gaussian", "gaussian_learned", "gaussian_pixel", "continuous_bernoulli", "categorical")
        for n in (3, 20)
    ]
    found += [vae(likelihood="gaussian", sigma=s, epochs=10) for s in (0.1, 3.0)]
    found += [vae(family="beta_vae", beta=b) for b in (0.1, 0.5, 4.0, 16.0)]
    found += [
        vae(family="iwae", samples=k, binarise="stochastic", latent_dim=50, epochs=n) for k, n in ((5, 3), (5, 50))
    ]
    found += [vae(family="iwae", samples=50, binarise="stochastic", latent_dim=50, epochs=10)]
    found += [vae(family="ae", latent_dim=d, epochs=n) for d, n in ((2, 20), (32, 3), (32, 20), (32, 100), (200, 20))]
    found += [vae(family="ae", latent_dim=32, hidden=1000, epochs=50), vae(family="ae", network="conv", epochs=20)]
    found += [vae(dataset=name, epochs=20) for name in ("fashion-mnist", "kmnist")]
    small = dict(dataset="mnist-5k")
    found += [vae(**small, epochs=n) for n in (3, 20, 60, 200)] + [vae(**small, batch_size=b) for b in (400, 1000)]
    found += [vae(**small, latent_dim=d) for d in (2, 200)] + [vae(**small, hidden=1000, latent_dim=50, epochs=100)]
    found += [vae(**small, network="conv"), vae(**small, binarise="stochastic", latent_dim=50, epochs=100)]
    found += [vae(**small, likelihood=kind) for kind in ("gaussian", "gaussian_learned", "categorical")]
    found += [vae(**small, likelihood="categorical", epochs=200)]
    few = dict(dataset="mnist-5k", batch_size=1000)  # four steps an epoch
    found += [vae(**few, epochs=n) for n in (1, 3)] + [vae(**few, epochs=3, **{k: v}) for k, v in WIDE.items()]
    found += [vae(**few, epochs=n, **WIDE) for n in (1, 3, 10)] + [vae(epochs=1, batch_size=1000, **WIDE)]
    found += [vae(**small, likelihood=kind) for kind in ("continuous_bernoulli", "gaussian_pixel")]
    found += [vae(**small, likelihood="gaussian", sigma=s) for s in (0.03, 0.1)]
    found += [vae(**small, hidden=h) for h in (128, 1000)] + [vae(**small, batch_size=64)]
    found += [vae(**small, family="beta_vae", beta=b) for b in (0.1, 16.0)]
    found += [vae(**small, family="iwae", samples=k) for k in (5, 50)]
    found += [vae(**small, family=family) for family in OTHERS]
    found += [vae(**small, family=family, epochs=100) for family in OTHERS]
    long = dict(**small, epochs=100)
    found += [vae(**long, likelihood=kind) for kind in ("gaussian_learned", "continuous_bernoulli", "gaussian_pixel")]
    found += [vae(**long, likelihood="gaussian", sigma=0.03), vae(**long, family="beta_vae", beta=0.1)]
    found += [vae(**long, network="conv"), vae(**long, family="iwae", samples=50)]
    found += [
        vae(**long, family="ae", **{k: v}) for k, v in (("latent_dim", 200), ("hidden", 1000), ("network", "conv"))
    ]
    found += [vae(dataset="moving-digits", family="td_vae", epochs=20)]
    found += [vae(family=family, epochs=n) for family in OTHERS for n in (3, 20)]
    return found


WIDE = {"hidden": 1000, "latent_dim": 200}
OTHERS = (
    "ae", "denoising", "sparse", "sparse_kl", "k_sparse", "contractive", "linear_ae", "deep_ae", "iwae", "skip_vae",
    "beta_vae", "ml_vae", "vq_vae", "vq_vae2", "flow_vae", "auto_decoder", "variational_auto_decoder",
)  # fmt: skip


def split(setting: Setting, part: str) -> tuple[tuple, tuple]:
    """(images, labels) to train on, and those to measure on; uint8 (N, 1, 28, 28) and int64 (N,)."""
    data = datasets.load(setting.data)
    if part == "test":
        return (data.train.images, data.train.labels), (data.test.images, data.test.labels)
    images, labels = data.train.images, data.train.labels
    order = np.arange(len(images))
    if setting.dataset == "mnist-5k":  # its images stand class by class
        order = np.random.default_rng(0).permutation(len(images))
    kept = len(images) * 4 // 5 if setting.dataset == "mnist-5k" else len(images) * 5 // 6
    held = images[order[kept:]]
    if setting.binarise == "stochastic":  # the training images are grey still: each step samples them anew
        held = (np.random.default_rng(1).random(held.shape) * 255 < held).astype(np.uint8) * 255
    return (images[order[:kept]], labels[order[:kept]]), (held, labels[order[kept:]])


def recipe(text: str, setting: Setting) -> TrainConfig:
    """`fast`, `classic`, or key=value pairs that change `fast`; the setting's epochs and batch size."""
    own = {"epochs": setting.epochs} | ({"batch_size": setting.batch_size} if setting.batch_size else {})
    name = text if text in ("fast", "classic") else "fast"
    found = preset(name, setting.data, setting.config(), **own)
    for pair in text.split(",") if name != text else ():
        key, _, value = pair.partition("=")
        changed = getattr(found, key) * float(value[1:]) if value.startswith("x") else parse(TRAIN_FIELDS[key], value)
        found = dataclasses.replace(found, **{key: type(getattr(found, key))(changed)})
    return found


def measure(setting: Setting, text: str, seeds: int, part: str, device: str) -> list[dict]:
    """Train and measure; one row per seed."""
    train, held = split(setting, part)
    chosen, config = recipe(text, setting), setting.config()
    drawn, where = setting.binarise == "stochastic", torch.device(device)
    images = [torch.tensor(each[0]).to(where) for each in (train, held)]
    trainers = [
        Trainer(build_model(config, seed), TrainingData(*images, (train[1], held[1]), drawn), chosen, seed, where)
        for seed in range(seeds)
    ]
    teams = [trainers] if trainers[0].model.batched else [[each] for each in trainers]
    began = time.perf_counter()
    for team in teams:
        try:
            fit(team)
        except TrainingDiverged as reason:
            team[0].diverged = reason
    seconds = time.perf_counter() - began
    common = {"setting": setting.name, "recipe": text, "lr": chosen.lr, "batch_size": chosen.batch_size}
    common |= {"seconds": round(seconds / seeds, 2), "launch": trainers[0].launch, "damping": chosen.damping}
    return [common | {"seed": i} | outcome(trainer) for i, trainer in enumerate(trainers)]


def outcome(trainer: Trainer) -> dict:
    """Results of one training."""
    if trainer.diverged is not None or not trainer.finished:
        return {"diverged": str(trainer.diverged), "epoch": len(trainer.history) - 1}
    curve = [record["test"]["objective"] for record in trainer.history]
    best, last = min(curve), trainer.history[-1]
    row = {"objective": curve[-1], "rise": curve[-1] - best, "best_epoch": curve.index(best)}
    row |= {"gap": curve[-1] - last["train"]["objective"], "seconds": sum(r.get("seconds", 0) for r in trainer.history)}
    return row | robustness(trainer.model.eval(), trainer.train, trainer.test[:IMAGES])


@torch.inference_mode()
def robustness(model, train, test) -> dict:
    """PSNR under noise, largest KL, norms of the first layer's columns, where the model has these. Images uint8."""
    row: dict = {}
    if model.input != "image" or not model.has_encoder:
        return row
    x = test.float().div(255)
    generator = torch.Generator(x.device).manual_seed(0)
    noisy = (x + SIGMA * torch.randn(x.shape, generator=generator, device=x.device)).clamp(0, 1)
    if model.decode(model.encode(x[:2])).shape[1:] == x.shape[1:] and "warp" not in model.objective:
        x_hat = torch.cat([model.decode(model.encode(part)) for part in batches(noisy)])
        error = (x_hat - x).square().flatten(1).mean(1)
        row["psnr"] = float((-10 * error.log10()).mean())
    parts = [model.posterior(part) for part in batches(x)]
    if parts[0][1] is not None and model.generative:
        kl = torch.cat([model.kl_per_dim(mu, logvar).sum(1) for mu, logvar in parts])
        row |= {"kl": float(kl.mean()), "max_kl": float(kl.max())}
    weight = next((p for p in model.parameters() if p.ndim == 2 and p.shape[1] == x[0].numel()), None)
    if weight is not None:
        share = (train > 0).flatten(1).float().mean(0) if len(train) < 70_000 else None
        norms = weight.norm(dim=0)
        dead, lit, rare = norms[share == 0], norms[share > 0.1], norms[(share > 0) & (share < 0.002)]
        if len(dead) and len(lit):
            row["columns"] = float(dead.max() / lit.median())
            row["rare_columns"] = float(rare.max() / lit.median()) if len(rare) else 0.0
    return row


def _job(args: tuple) -> list[dict]:
    setting, text, seeds, part, device = args
    try:
        return measure(setting, text, seeds, part, device)
    except Exception as error:  # report the point and continue the search
        return [{"setting": setting.name, "recipe": text, "error": f"{type(error).__name__}: {error}"}]


def _begin(threads: int) -> None:
    torch.set_num_threads(threads)
    keep_memory()


WORST = {"rise": max, "gap": max, "psnr": min, "max_kl": max, "columns": max, "rare_columns": max}  # seed of a setting
COLUMNS = {
    "setting": "", "recipe": "", "peak rate": ".2g", "objective (nats / image)": ".2f", "rise": ".2f", "gap": ".2f",
    "psnr (dB)": ".1f", "max KL": ".0f", "columns": ".2f", "rare columns": ".2f", "s": ".0f", "failed": "",
}  # fmt: skip


def line(rows: list[dict]) -> list:
    """The rows of one setting and recipe, seeds together: the objective's mean and spread, the worst of the others."""
    good = [row for row in rows if "objective" in row]
    why = "; ".join(row.get("diverged", row.get("error", ""))[:80] for row in rows if "objective" not in row)
    objectives = [row["objective"] for row in good]
    spread = statistics.stdev(objectives) if len(good) > 1 else None
    cells = [
        rows[0]["setting"],
        rows[0]["recipe"],
        rows[0].get("lr"),
        (statistics.mean(objectives), spread) if good else None,
    ]
    for key, worst in WORST.items():
        values = [row[key] for row in good if key in row]
        cells.append(worst(values) if values else None)
    return [*cells, rows[0].get("seconds"), why]


def with_worst(lines: Iterator[list]) -> Iterator[list]:
    """The lines, then for each recipe the worst of all settings; PSNR: the smallest lead over the recipe classic."""
    every = []
    for each in lines:
        every.append(each)
        yield each
    first = 4
    psnr = first + list(WORST).index("psnr")
    classic = {each[0]: each[psnr] for each in every if each[1] == "classic"}
    for recipe in dict.fromkeys(each[1] for each in every):
        own = [list(each) for each in every if each[1] == recipe]
        count = sum(each[3] is not None for each in own)  # those that did not fail
        if count < 2:
            continue
        for each in own:
            known = each[psnr] is not None and classic.get(each[0]) is not None
            each[psnr] = each[psnr] - classic[each[0]] if known else None
        cells = [f"worst of {count} settings (PSNR: smallest lead over classic)", recipe, None, None]
        for i, worst in enumerate(WORST.values(), start=first):
            cells.append(worst((each[i] for each in own if each[i] is not None), default=None))
        yield [*cells, None, "; ".join(filter(None, (each[-1] for each in own)))]


def search(jobs: list[tuple], workers: int, threads: int, minutes: float, out: str) -> Iterator[list]:
    """`measure` of each job in processes of their own; each row to the file `out` too, as a line of JSON."""
    began, start = time.monotonic(), multiprocessing.get_context("spawn")
    with (
        open(out or os.devnull, "a", encoding="utf-8") as file,
        concurrent.futures.ProcessPoolExecutor(workers, start, _begin, (threads,)) as pool,
    ):
        waiting, running = collections.deque(jobs), set()
        while True:
            while waiting and len(running) < workers and time.monotonic() - began < minutes * 60:
                running.add(pool.submit(_job, waiting.popleft()))
            if not running:
                break
            done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                rows = future.result()
                file.writelines(json.dumps(row) + "\n" for row in rows)
                file.flush()
                yield line(rows)
    if waiting:
        print(f"time is up: {len(waiting)} of {len(jobs)} were not tried", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", nargs="*", default=[], help="words of names of settings, or =NAME")
    parser.add_argument("--recipes", nargs="*", default=["classic", "fast"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin nothing after so long")
    parser.add_argument("--out", default="", help="a file for every single row, as JSON lines")
    parser.add_argument("--name", default="recipe", help="of the results file")
    args = parser.parse_args()
    chosen = [
        s for s in settings()
        if not args.settings or any(words in (f"={s.name}", *s.name.split()) for words in args.settings)
    ]  # fmt: skip
    jobs = [(s, text, args.seeds, args.split, args.device) for s in chosen for text in args.recipes]
    results.save(args.name, COLUMNS, with_worst(search(jobs, args.workers, args.threads, args.minutes, args.out)))


if __name__ == "__main__":
    main()
