"""Makes aevae/latent/filters.safetensors: decoder columns of k-sparse autoencoders, from k = 70 down to 10.

    python scripts/make_filters.py [--epochs 20]

Four models start with 100 active units and reduce them to k; one has 10 from the first step (`10-cold`). All are
trained on mnist-5k. Stored: the SHOWN most used columns of each, normalised to int8, the share of the 1,000 test digits
that activates each unit, and the fingerprints of the runs. Half a minute each on one core.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from aevae import datasets, runs
from aevae.config import DataConfig, preset
from aevae.metrics.linear import columns
from aevae.models.k_sparse import KSparseConfig
from aevae.run_config import RunConfig

UNITS, SHOWN = 200, 60
DATA = DataConfig("mnist-5k")
SETTINGS = {"70": (70, 0.5), "40": (40, 0.5), "25": (25, 0.5), "10": (10, 0.5), "10-cold": (10, 0.0)}  # k, anneal
EPOCHS = 20
OUT = Path(__file__).resolve().parent.parent / "aevae" / "latent" / "filters.safetensors"


def configs(epochs: int = EPOCHS) -> dict[str, RunConfig]:
    """Name of a setting -> config of its run."""
    models = {
        name: KSparseConfig(latent_dim=UNITS, k=k, anneal_epochs=part * epochs) for name, (k, part) in SETTINGS.items()
    }
    recipe = {name: preset("fast", DATA, model, epochs=epochs, batch_size=64) for name, model in models.items()}
    return {name: RunConfig(DATA, model, recipe[name]) for name, model in models.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    chosen = configs(parser.parse_args().epochs)
    x = datasets.load(DATA).test.images.astype(np.float32) / 255
    arrays = {}
    for name, config in chosen.items():
        run = runs.load_run(runs.train_or_load(config, "cpu").name)
        used = (run.encode(x) != 0).mean(0)
        filters = columns(run.model)[1]
        most = np.argsort(-used, kind="stable")[:SHOWN]
        scale = np.abs(filters[most]).max(1, keepdims=True)
        arrays[f"filters-{name}"] = np.rint(127 * filters[most] / scale).astype(np.int8)
        arrays[f"used-{name}"] = used.astype(np.float32)
        arrays[f"sse-{name}"] = np.float32([np.square(run.reconstruct(x) - x).sum((1, 2, 3)).mean()])
        print(name, "dead", int((used == 0).sum()), "sse", arrays[f"sse-{name}"])
    save_file(arrays, OUT, {"runs": json.dumps({name: config.fingerprint for name, config in chosen.items()})})


if __name__ == "__main__":
    main()
