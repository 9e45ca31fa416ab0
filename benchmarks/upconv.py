"""The decoder's last convolution, from 32 channels to one image: `UpConv` against torch's ConvTranspose2d.

    python -m benchmarks.upconv [--batch 256] [--threads 2]

Milliseconds forward and back, medians, on a CPU.
"""

import argparse
import statistics
import time

import torch
from torch import nn

from aevae.models.blocks import UpConv
from aevae.training.device import keep_memory
from benchmarks import results

ROUNDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()
    x = torch.rand(args.batch, 32, 14, 14, requires_grad=True)
    layers = {"ConvTranspose2d": nn.ConvTranspose2d(32, 1, 4, 2, 1), "UpConv": UpConv(32, 1)}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in layers}
    for _ in range(ROUNDS):
        for name, layer in layers.items():
            began = time.perf_counter()
            y = layer(x)
            middle = time.perf_counter()
            torch.autograd.grad(y, (x, *layer.parameters()), torch.ones_like(y))
            times[name].append((1e3 * (middle - began), 1e3 * (time.perf_counter() - middle)))
    rows = [(name, *map(statistics.median, zip(*each, strict=True))) for name, each in times.items()]
    results.save("upconv", {"layer": "", "forward (ms)": ".1f", "back (ms)": ".1f"}, rows)


if __name__ == "__main__":
    main()
