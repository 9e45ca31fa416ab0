"""Quality of the shipped runs, measured again from their weights.

    python -m benchmarks.shipped [--runs DIR ...] [--only FAMILY ...] [--draws 5] [--n N]

Each run is evaluated on all test images of its own data set (the first 1,000 for a model without an encoder);
metrics.json is not used. recon, KL, ELBO and PSNR at noise are averaged over `--draws` noise seeds; the number after ±
is the standard deviation over them. `--runs DIR`: a folder with runs of the same configs and other training seeds (such
as checkpoints/runs). Runs that differ only in the seed are one row, and ± is then the standard deviation over training
seeds. Without ±: a single run and a number without noise.

Two tables: means; and for each mean of a cost its median and the share of the ten worst images (`aevae.spread`). PSNR
at noise 0.1: images with Gaussian noise of standard deviation 0.1, clipped to 0..1, are reconstructed and compared with
the clean ones. NLL: of the first run of a row, on the first 1,000 test images.
"""

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from aevae import datasets, runs
from aevae.figures.palette import family_title
from aevae.metrics import basics, evidence, metric, nll, reconstruction
from aevae.metrics.linear import against_pca
from aevae.models import MAX_SEARCHED_IMAGES
from aevae.models.blocks import batches
from aevae.models.linear_ae import LinearAutoencoder
from aevae.spread import spread
from aevae.store import checkpoints
from aevae.store.checkpoints import RunInfo
from aevae.training.device import set_threads
from benchmarks import results

NOISE = 0.1  # standard deviation
MEANS = {
    "model": "", "run": "", "seeds": "d", "recon (nats)": ".2f", "KL (nats)": ".2f", "−ELBO (nats)": ".2f",
    "squared error": ".2f", "PSNR (dB)": ".2f", f"PSNR at noise {NOISE} (dB)": ".2f", "besides": "",
}  # fmt: skip
SPREAD = {
    "model": "", "seeds": "d", "recon: median (nats)": ".2f", "recon: ten worst": ".2%", "KL: median (nats)": ".2f",
    "KL: ten worst": ".2%", "largest KL (nats)": ".1f", "squared error: median": ".2f",
    "squared error: ten worst": ".2%",
}  # fmt: skip
SAID = {  # numbers that only some families have -> their format
    "perplexity": "perplexity {:.0f}",
    "perplexity_top": "perplexity {:.0f} (top)",
    "perplexity_bottom": "{:.0f} (bottom)",
    "units_on": "{:.0f} units on",
    "sse_unclipped": "not clipped {:.2f}",
    "pca_sse": "PCA of the training set {:.2f}",
    "class_from_content": "class from content {:.0%}",
    "class_from_style": "from style {:.0%}",
    "near_10": "within a pixel after a jump of 4: {:.0%}",
    "warp_sse": "warped {:.1f}",
    "identity_sse": "unwarped {:.1f} (squared error)",
    "iwae": "−L_K {:.1f}",
    "nll": "NLL (K = 5,000) {:.1f}",
}
NLL_SAMPLES, NLL_IMAGES = 5000, 1000  # K; the first test images
Values = dict[str, list[float]]  # number -> its value with each seed of the noise; one value without noise


def measure(run: runs.Run, draws: int, n: int = 0) -> Values:
    """Name -> values of a run on the first n test images of its data set (0: all)."""
    data = datasets.load(run.config.data)
    limit = n or (None if run.model.has_encoder else MAX_SEARCHED_IMAGES)
    test = data.test.take(slice(limit))
    x = torch.tensor(test.images).to(run.device).float().div_(255)
    labels = torch.tensor(test.labels).to(run.device)
    noise = lambda seed: torch.Generator(run.device).manual_seed(seed)  # noqa: E731
    found: list[dict[str, float]] = []
    for seed in range(draws):
        found.append(evidence.evidence(run.model, x, noise(seed), labels=labels))
        if found[1:] and found[0] == found[1]:  # nothing is sampled
            found = found[:1]
            break
    values = {name: [each[name] for each in found] for name in found[0]}
    values |= {name: [value] for name, value in run.model.metrics(x, labels, noise(0)).items()}
    if isinstance(run.model, LinearAutoencoder):
        values |= {name: [value] for name, value in against_pca(run.model, x, data.train.images).items()}
    if run.model.input == "image":
        clean = x.cpu().numpy()
        errors = reconstruction.sse(clean, reconstructed(run, x))
        values |= {name: [value] for name, value in ({"sse": float(errors.mean())} | spread({"sse": errors})).items()}
        values["psnr"] = [psnr(errors)]
        values["psnr_noise"] = []
        for seed in range(draws):
            noisy = (x + NOISE * torch.randn(x.shape, generator=noise(seed), device=x.device)).clamp(0, 1)
            values["psnr_noise"].append(psnr(reconstruction.sse(clean, reconstructed(run, noisy))))
    return values


def negative_log_likelihood(run: runs.Run) -> Values:
    """{"nll": [mean]} of the first NLL_IMAGES test images with K = NLL_SAMPLES; {} for a model without a density."""
    if metric.with_density(run.info):
        return {}
    x = torch.tensor(datasets.load(run.config.data).test.images[:NLL_IMAGES]).to(run.device).float().div_(255)
    with torch.inference_mode():
        mu, logvar = run.model.posterior(x)
    found = nll.importance(run.model, x, mu, logvar, NLL_SAMPLES, torch.Generator(run.device).manual_seed(0))
    return {"nll": [-float(found.log_p.mean())]}


@torch.inference_mode()
def reconstructed(run: runs.Run, x: torch.Tensor) -> np.ndarray:
    """decode(encode(x)) of x (N, 1, 28, 28)."""
    return torch.cat([run.model.decode(run.model.encode(part)) for part in batches(x)]).cpu().numpy()


def psnr(errors: np.ndarray) -> float:
    """Mean PSNR in dB of images with these squared errors (N,)."""
    with np.errstate(divide="ignore"):
        return float(np.minimum(-10 * np.log10(errors / basics.PIXELS), basics.MAX_PSNR).mean())


def groups(shipped: Sequence[RunInfo], others: Sequence[RunInfo]) -> list[list[RunInfo]]:
    """Each shipped run together with the other runs of the same config and different seeds, one per seed."""
    found: dict[str, dict[int, RunInfo]] = {}
    for run in [*shipped, *others]:
        key = json.dumps(run.config | {"seed": None}, sort_keys=True)
        if run.shipped or key in found:
            found.setdefault(key, {}).setdefault(run.config["seed"], run)
    return [list(group.values()) for group in found.values()]


def runs_in(folder: Path) -> list[RunInfo]:
    """The finished runs in a folder."""
    found = [checkpoints.read_run(each) for each in sorted(folder.iterdir()) if (each / "config.json").is_file()]
    return [run for run in found if run.status == "finished"]


def joined(each: Sequence[Values], name: str, sign: int = 1) -> tuple[float, float | None] | None:
    """(mean, standard deviation) of a number over training seeds, or over noise seeds for a single run."""
    of_runs = [values[name] for values in each if name in values]
    if not of_runs:
        return None
    values = of_runs[0] if len(of_runs) == 1 else list(map(statistics.mean, of_runs))
    return sign * statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def title(run: RunInfo) -> str:
    model = run.config["model"]
    what = f"{family_title(run.family)} d={run.latent_dim}" + (" conv" if model.get("network") == "conv" else "")
    what += f" β={model['beta']:g}" if run.family == "beta_vae" else ""
    return what + (f" ({run.dataset})" if run.dataset != "mnist" else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, nargs="*", default=[], metavar="DIR", help="runs of other training seeds")
    parser.add_argument("--only", nargs="*", default=[], metavar="FAMILY")
    parser.add_argument("--draws", type=int, default=5, help="seeds of the noise")
    parser.add_argument("--n", type=int, default=0, help="first so many test images; 0: all")
    args = parser.parse_args()
    set_threads()
    shipped = [run for run in checkpoints.list_runs() if run.shipped and run.family in (args.only or [run.family])]
    chosen = groups(shipped, [run for folder in args.runs for run in runs_in(folder)])
    measured: list[tuple[RunInfo, list[Values]]] = []

    def means() -> Iterator[tuple]:
        for group in chosen:
            print(f"{group[0].name}, {len(group)} seeds", file=sys.stderr, flush=True)
            each = [measure(runs.Run(dataclasses.replace(run, metrics={})), args.draws, args.n) for run in group]
            measured.append((group[0], each))
            each[0] |= negative_log_likelihood(runs.Run(group[0]))
            besides = ", ".join(
                text.format(joined(each, name, -1 if name == "iwae" else 1)[0])
                for name, text in SAID.items()
                if name in each[0]
            )
            numbers = [joined(each, name) for name in ("sse", "psnr", "psnr_noise")]
            parts = [joined(each, "recon"), joined(each, "kl"), joined(each, "elbo", -1)]
            yield title(group[0]), f"`{group[0].fingerprint}`", len(group), *parts, *numbers, besides

    names = ["shipped", *args.only, *([f"first_{args.n}"] if args.n else [])]
    results.save("_".join(names), MEANS, means())
    print()
    kinds = ("recon_median", "recon_worst10", "kl_median", "kl_worst10", "kl_max", "sse_median", "sse_worst10")
    rows = [(title(run), len(each), *(joined(each, kind) for kind in kinds)) for run, each in measured]
    results.save("_".join([*names, "spread"]), SPREAD, rows)


if __name__ == "__main__":
    main()
