"""Time of an epoch of one VAE: this package against the classic recipe, in alternating turns of two processes.

    python -m benchmarks.epoch [--rounds 8] [--turn 469] [--threads 2]

Each recipe has its own process, because this package changes settings of malloc, and has the whole machine during its
turn. Prints medians, ratios of adjacent turns, and the time relative to the matrix products of these shapes alone.
"""

import argparse
import multiprocessing
import statistics
import time

BATCH, STEPS = 128, 469  # of an epoch
COLUMNS = {
    "recipe": "", "threads": "d", "rounds": "d", "epoch (s), median": ".2f", "least": ".2f", "most": ".2f",
    "of the matrix products' speed": ".0%", "times faster than classic, median": ".2f", "least times": ".2f",
    "most times": ".2f",
}  # fmt: skip
REST = 0.1  # seconds between turns, after which the threads of the other process sleep


class Ours:
    """The trainer's own steps on the same network, batch and optimizer."""

    def __init__(self):
        import torch

        from aevae import datasets
        from aevae.config import DataConfig, preset
        from aevae.models import build_model, family_class
        from aevae.training.device import keep_memory
        from aevae.training.steps import make_step_fn
        from aevae.training.trainer import Trainer, TrainingData

        keep_memory()
        data, recipe = datasets.load(DataConfig("mnist")), preset("classic", DataConfig("mnist"))
        model = build_model(family_class("vae").Config(), 0)
        self.trainer = Trainer(
            model, TrainingData(data.train.images, data.test.images[:1]), recipe, 0, torch.device("cpu")
        )
        self.step_fn, self.at = make_step_fn([self.trainer]), 0
        self.batches = self.trainer.order()[None].split(BATCH, dim=1)
        model.train()

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.step_fn(self.batches[self.at])
            self.at = (self.at + 1) % (STEPS - 1)


class Products:
    """Only the five large matrix products of a step, with preallocated outputs; the others take 2 % of their time."""

    def __init__(self):
        import torch

        x, h, g = torch.rand(BATCH, 784), torch.rand(BATCH, 400), torch.rand(BATCH, 784)
        w1, w4 = torch.rand(400, 784), torch.rand(784, 400)
        jobs = ((x, w1.T), (h, w4.T), (g.T, h), (g, w4), (h.T, x))
        self.jobs = [(a, b, a @ b) for a, b in jobs]
        self.mm = torch.mm

    def steps(self, count: int) -> None:
        for _ in range(count):
            for a, b, out in self.jobs:
                self.mm(a, b, out=out)


def classic():
    from benchmarks.classic import Classic

    return Classic()


PEERS = {"classic": classic, "aevae": Ours, "matrix products alone": Products}


def serve(name: str, threads: int, pipe) -> None:
    """Receive numbers of steps, take the steps, and send their seconds."""
    import torch

    torch.set_num_threads(threads)
    peer = PEERS[name]()
    peer.steps(5)
    pipe.send(None)
    while count := pipe.recv():
        began = time.perf_counter()
        peer.steps(count)
        pipe.send(time.perf_counter() - began)


def main() -> None:
    from aevae.training.device import busy_cores
    from benchmarks import results

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--turn", type=int, default=STEPS, help="steps a turn; by default an epoch")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    start = multiprocessing.get_context("spawn")
    pipes = {}
    for name in PEERS:
        pipes[name], theirs = start.Pipe()
        start.Process(target=serve, args=(name, args.threads, theirs), daemon=True).start()
        pipes[name].recv()
    busy = busy_cores(1.0)
    times: dict[str, list[float]] = {name: [] for name in PEERS}
    for _ in range(args.rounds):
        for name, pipe in pipes.items():
            time.sleep(REST)
            pipe.send(args.turn)
            times[name].append(pipe.recv() * STEPS / args.turn)
    for pipe in pipes.values():
        pipe.send(0)
    print(f"threads {args.threads}, {busy:.1f} cores busy with other things; {args.rounds} rounds of {args.turn} steps")
    floor = statistics.median(times["matrix products alone"])
    rows = []
    for name, each in times.items():
        median = statistics.median(each)
        ratios = [a / b for a, b in zip(times["classic"], each, strict=True)]  # of turns next to each other
        faster = (statistics.median(ratios), min(ratios), max(ratios)) if name == "aevae" else (None,) * 3
        rows.append((name, args.threads, args.rounds, median, min(each), max(each), floor / median, *faster))
    results.save(f"epoch_{args.threads}_threads", COLUMNS, rows)


if __name__ == "__main__":
    main()
