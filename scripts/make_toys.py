"""Makes aevae/metrics/toys.safetensors: a small denoising autoencoder for each density of aevae/metrics/toys.py.

    python scripts/make_toys.py [--steps 10000]

Half a minute each on one core; prints the error of each against the known score.
"""

import argparse
import json

import torch
from safetensors.torch import save_file

from aevae.metrics import toys

RECIPE = {"steps": 10_000, "batch": 512, "seed": 0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=RECIPE["steps"])
    recipe = RECIPE | {"steps": parser.parse_args().steps}
    torch.set_num_threads(1)
    tensors = {}
    for name in toys.SHAPES:
        model = toys.train(name, **recipe)
        tensors |= {f"{name}.{key}": value.half() for key, value in model.state_dict().items()}
        for sigma in (0.15, 0.2, 0.4, 0.8):
            found = toys.fidelity(name, sigma, model=model)
            print(name, sigma, {key: round(value, 3) for key, value in found.items()}, flush=True)
    save_file(tensors, toys.STORE, {"recipe": json.dumps(recipe)})


if __name__ == "__main__":
    main()
