"""Makes aevae/latent/filters.safetensors: decoder columns of k-sparse autoencoders, from k = 70 down to 10.

    python scripts/make_filters.py [--epochs 20]

Four models start with 100 active units and reduce them to k; one has 10 from the first step (`10-cold`). All are
trained on mnist-5k. Stored: the SHOWN most used columns of each, normalised to int8, and the share of the 1,000 test
digits that activates each unit. Half a minute each on one core.
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
