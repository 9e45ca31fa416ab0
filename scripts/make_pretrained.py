"""Makes checkpoints/pretrained/: the shipped runs, trained by the command line.

    AEVAE_DATA=/where/MNIST/is python -m scripts.make_pretrained [--seeds 1] [FAMILY ...]

The preset `fast` on MNIST without the 1,000 test digits of mnist-5k, which pages show; families without an encoder or
of sequences are trained on mnist-5k. About an hour on one core. With --seeds 3 the seven main models are trained with
two more seeds, which remain in the store for `python -m benchmarks.shipped --runs DIR`.
"""

import argparse
import json
import os
import subprocess
import sys

from aevae.run_config import RunConfig, build_config

MNIST = {"dataset": "mnist", "leave_out_5k": "true"}
SMALL = MNIST | {"latent_dim": "10", "hidden": "100", "epochs": "20"}
MAIN: list[tuple[str, dict[str, str]]] = [
    ("vae", MNIST | {"latent_dim": "20", "epochs": "20"}),
    ("ae", MNIST | {"latent_dim": "2", "epochs": "20"}),
    ("ae", MNIST | {"latent_dim": "32", "epochs": "20"}),
    ("denoising", MNIST | {"latent_dim": "32", "epochs": "20"}),
    ("vae", MNIST | {"latent_dim": "2", "epochs": "20"}),
    ("beta_vae", MNIST | {"latent_dim": "10", "beta": "4", "epochs": "20"}),
    ("vae", MNIST | {"latent_dim": "16", "network": "conv", "epochs": "5"}),
]
OTHERS: list[tuple[str, dict[str, str]]] = [  # a small run of every other family
    ("linear_ae", MNIST | {"latent_dim": "10", "epochs": "20"}),
    ("deep_ae", MNIST | {"latent_dim": "10", "widths": "128-64-32", "epochs": "20"}),
    ("sparse", MNIST | {"latent_dim": "128", "epochs": "20"}),
    ("sparse_kl", MNIST | {"latent_dim": "128", "epochs": "20"}),
    ("k_sparse", MNIST | {"latent_dim": "200", "k": "15", "anneal_epochs": "5", "epochs": "20"}),
    ("contractive", MNIST | {"latent_dim": "128", "epochs": "20"}),
    ("iwae", SMALL),
    ("skip_vae", SMALL),
    ("ml_vae", MNIST | {"hidden": "100", "epochs": "20"}),
    ("vq_vae", MNIST | {"prior_width": "24", "epochs": "3"}),
    ("vq_vae2", MNIST | {"prior_width": "24", "epochs": "3"}),
    ("auto_decoder", {"latent_dim": "16", "hidden": "100"}),
    ("variational_auto_decoder", {"latent_dim": "10", "hidden": "100"}),
    ("td_vae", {}),
    ("flow_vae", MNIST | {"latent_dim": "8", "hidden": "64", "epochs": "5"}),
]


def configs() -> list[RunConfig]:
    """Configs of the shipped runs."""
    return [build_config(family, settings) for family, settings in MAIN + OTHERS]


def train(family: str, settings: dict[str, str], seed: int) -> str:
    """Train by the command line; returns the run's name."""
    pairs = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    command = ["train", "--family", family, "--seed", str(seed), "--device", "cpu", "--json", *pairs]
    environment = os.environ | {"AEVAE_PRETRAINED": "/nonexistent"}  # also train runs that are already shipped
    done = subprocess.run(
        [sys.executable, "-m", "aevae", *command], stdout=subprocess.PIPE, encoding="utf-8", check=True, env=environment
    )
    return json.loads(done.stdout.splitlines()[-1])["run"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*")
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    for seed in range(args.seeds):
        for family, settings in MAIN + (OTHERS if not seed else []):
            if args.families and family not in args.families:
                continue
            name = train(family, settings, seed)
            print(name, flush=True)
            if not seed:
                export = ["export", name, "--format", "folder", "--half", "--out", "checkpoints/pretrained"]
                environment = os.environ | {"AEVAE_PRETRAINED": "/nonexistent"}
                subprocess.run([sys.executable, "-m", "aevae", *export], check=True, env=environment)


if __name__ == "__main__":
    main()
