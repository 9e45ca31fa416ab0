"""Makes aevae/latent/filters.safetensors: what the units of k-sparse autoencoders draw, from k = 70 down to 10.

    python scripts/make_filters.py [--epochs 20]

Four that begin with 100 units and come down to k, and one that keeps 10 from the first step on (`10-cold`). Trained on
the 4,000 digits that come with the lab; the SHOWN most used columns of each, as int8 with the largest size at 127, and
the share of the 1,000 test digits that turns each of all units on. Half a minute each on one core.
"""

import argparse
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from aevae import datasets, runs
from aevae.config import DataConfig, preset
from aevae.metrics.linear import columns
from aevae.models.k_sparse import KSparseConfig
from aevae.run_config import RunConfig

UNITS, SHOWN = 200, 60
OUT = Path(__file__).resolve().parent.parent / "aevae" / "latent" / "filters.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=20)
    epochs = parser.parse_args().epochs
    data = DataConfig("mnist-5k")
    x = datasets.load(data).test.images.astype(np.float32) / 255
    arrays = {}
    for name, k, anneal in (("70", 70, 0.5), ("40", 40, 0.5), ("25", 25, 0.5), ("10", 10, 0.5), ("10-cold", 10, 0.0)):
        model = KSparseConfig(latent_dim=UNITS, k=k, anneal_epochs=anneal * epochs)
        config = RunConfig(data, model, preset("fast", data, model, epochs=epochs, batch_size=64))
        run = runs.load_run(runs.train_or_load(config, "cpu").name)
        used = (run.encode(x) != 0).mean(0)
        filters = columns(run.model)[1]
        most = np.argsort(-used, kind="stable")[:SHOWN]
        scale = np.abs(filters[most]).max(1, keepdims=True)
        arrays[f"filters-{name}"] = np.rint(127 * filters[most] / scale).astype(np.int8)
        arrays[f"used-{name}"] = used.astype(np.float32)
        arrays[f"sse-{name}"] = np.float32([np.square(run.reconstruct(x) - x).sum((1, 2, 3)).mean()])
        print(name, "dead", int((used == 0).sum()), "sse", arrays[f"sse-{name}"])
    save_file(arrays, OUT)


if __name__ == "__main__":
    main()
