"""Time to quality: seconds to the test -ELBO that the classic recipe reaches after ten epochs, several seeds.

    python -m benchmarks.quality [--seeds 3] [--device cpu] [--threads 2]

Per seed: the classic recipe in its own process and, after every second epoch, a whole training with the preset `fast`
(median), so that other load affects both. Only training time counts, without evaluation. The preset was chosen on a
validation split (`benchmarks.recipe`), not on these numbers.
"""

import argparse
import multiprocessing
import statistics
import time

import torch

from aevae import datasets
from aevae.config import DataConfig, preset
from aevae.models import build_model, family_class
from aevae.training.device import keep_memory
from aevae.training.trainer import Trainer, TrainingData
from benchmarks import results
from benchmarks.classic import Classic

SAMPLES = 4  # noise samples in the test -ELBO
REST = 0.1  # seconds between turns, after which the threads of the other process sleep


def ours(data, seed: int, device: str) -> tuple[float, float]:
    """Seconds and test -ELBO of the preset `fast`."""
    recipe = preset("fast", DataConfig("mnist"))
    model = build_model(family_class("vae").Config(), seed)
    trainer = Trainer(model, TrainingData(data.train.images, data.test.images), recipe, seed, torch.device(device))
    trainer.fit()
    seconds = sum(record.get("seconds", 0.0) for record in trainer.history)
    return seconds, trainer.evaluate()["objective"]


def classic(seed: int, device: str, threads: int, pipe) -> None:
    """Train an epoch per request and send its seconds; at the end send the test -ELBO."""
    torch.set_num_threads(threads)
    peer = Classic(device, seed)
    while pipe.recv():
        began = time.perf_counter()
        peer.epoch()
        pipe.send(time.perf_counter() - began)
    pipe.send(statistics.mean(peer.test() for _ in range(SAMPLES)))


def turns(data, seed: int, device: str, threads: int, epochs: int) -> tuple[float, float, float, float]:
    """Seconds and -ELBO of the classic recipe, then of `fast`."""
    start = multiprocessing.get_context("spawn")
    pipe, theirs = start.Pipe()
    process = start.Process(target=classic, args=(seed, device, threads, theirs), daemon=True)
    process.start()
    slow, fast = 0.0, []
    for epoch in range(epochs):
        time.sleep(REST)
        pipe.send(True)
        slow += pipe.recv()
        if epoch % 2:
            time.sleep(REST)
            fast.append(ours(data, seed, device))
    pipe.send(False)
    peer = pipe.recv()
    process.join()
    seconds, elbo = map(statistics.median, zip(*fast, strict=True))
    return slow, peer, seconds, elbo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10, help="of the classic recipe")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_memory()
    data = datasets.load(DataConfig("mnist"))
    columns = {
        "seed": "",
        "classic (s)": ".1f",
        "classic: −ELBO": ".2f",
        "fast (s)": ".2f",
        "fast: −ELBO": ".2f",
        "ratio": ".1f",
    }

    def rows():
        for seed in range(args.seeds):
            slow, peer, fast, elbo = turns(data, seed, args.device, args.threads, args.epochs)
            yield str(seed), slow, peer, fast, elbo, slow / fast

    found = results.save(f"quality_{args.device}", columns, rows())["rows"]
    print(f"median ratio {statistics.median(row[-1] for row in found):.1f}, threads {args.threads}")


if __name__ == "__main__":
    main()
