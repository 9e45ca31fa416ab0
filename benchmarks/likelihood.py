"""log p(x) of one model by two estimators, and the tightness of the second.

    python -m benchmarks.likelihood RUN [--n 100] [--samples 5000] [--temperatures 500] [--chains 4] [--simulated 50]

The bound of the importance-weighted autoencoder with K samples of q(z|x), annealed importance sampling (AIS) of the
same test images, their difference image by image, and the gap of bidirectional Monte Carlo (BDMC) on images that the
model simulates. All in nats per image; +- is one standard error over images.
"""

import argparse
import time
from collections.abc import Iterator

import torch

from aevae import datasets, runs
from aevae.metrics import annealed, nll
from benchmarks import results

COLUMNS = {"estimate": "", "nats / image": ".2f", "note": "", "seconds": ".0f"}


def row(what: str, values: torch.Tensor, began: float | None, note: str = "") -> tuple:
    error = annealed.standard_error(values)
    return what, (float(values.mean()), error), note, None if began is None else time.monotonic() - began


def rows(run: runs.Run, x: torch.Tensor, args: argparse.Namespace) -> Iterator[tuple]:
    """Both estimates for x (N, 1, 28, 28), then the gap on simulated images."""
    generator = torch.Generator(run.device).manual_seed(args.seed)
    path = args.temperatures, args.chains, generator
    began = time.monotonic()
    with torch.inference_mode():
        mu, logvar = run.model.posterior(x)
    weights = nll.importance(run.model, x, mu, logvar, args.samples, generator)
    ess = f"effective sample size {weights.effective.mean():.0f} in the mean, {weights.effective.median():.0f} median"
    yield row(f"log p(x), importance sampling, K = {args.samples:,}", weights.log_p, began, ess)
    began = time.monotonic()
    found = annealed.log_p(run.model, x, *path)
    yield row(f"log p(x), AIS, T = {args.temperatures:,}, {args.chains} chains", found, began)
    yield row("AIS - importance sampling", found - weights.log_p, None, "above 0: AIS is the tighter bound")
    began = time.monotonic()
    below, above = annealed.bidirectional(run.model, args.simulated, *path)
    yield row(f"{args.simulated} simulated images, log p(x) from below", below, began)
    yield row("the same, from above", above, None)
    yield row("BDMC gap", above - below, None, "AIS of simulated images is at most that much too low")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="name or beginning of a fingerprint")
    parser.add_argument("--n", type=int, default=100, help="first so many test images")
    parser.add_argument("--samples", type=int, default=5000, help="K")
    parser.add_argument("--temperatures", type=int, default=nll.AIS["temperatures"])
    parser.add_argument("--chains", type=int, default=nll.AIS["chains"])
    parser.add_argument("--simulated", type=int, default=nll.AIS_SIMULATED, help="images for the gap")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    run = runs.load_run(args.run, args.device)
    images = datasets.load(run.config.data).test.images[: args.n]
    x = torch.tensor(images).to(run.device).float().div_(255)
    print(f"{run.name}, {len(x)} test images of {run.config.data.name}\n")
    results.save("likelihood", COLUMNS, rows(run, x, args))


if __name__ == "__main__":
    main()
