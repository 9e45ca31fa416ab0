"""Time and quality of maps: this package's t-SNE and UMAP, and t-SNE of scikit-learn and openTSNE.

    python -m benchmarks.embeddings [--run NAME] [--n 2000 10000 20000 70000] [--rounds 1] [--only ours,umap]

Codes are those of MNIST's test images, above 10,000 followed by training images. Each round computes every map once, in
a new process (so that UMAP is compiled), one after another. The table has medians of wall time and of processor time,
which other load disturbs less. MB: peak memory of the process, including libraries and measurement. Quality:
`aevae.metrics.neighbours.map_quality`. Above `--slow-up-to` points, by default 10,000, only this package is measured,
because the others take an hour.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import results

COLUMNS = {
    "points": ",d", "way": "", "clock (s)": ".1f", "times faster than scikit-learn": ".1f", "processor (s)": ".1f",
    "times less than scikit-learn": ".1f", "10-NN accuracy": ".3f", "trustworthiness": ".4f", "most memory (MB)": ".0f",
}  # fmt: skip
WAYS = ("ours", "sklearn", "openTSNE", "umap")
OURS = ("ours", "umap")
TWICE = 20_000  # up to this many points UMAP is computed a second time, without compilation
SIZES = (2000, 5000, 10_000, 20_000, 70_000)
RUN = "vae-mnist-7797c7142785"


def codes(name: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes (n, D) float32 and labels (n,)."""
    from aevae import datasets
    from aevae.config import DataConfig
    from aevae.runs import load_run

    data, run = datasets.load(DataConfig("mnist")), load_run(name)
    images = np.concatenate([data.test.images, data.train.images])[:n]
    labels = np.concatenate([data.test.labels, data.train.labels])[:n]
    parts = [run.encode(images[i : i + 1000].astype(np.float32) / 255) for i in range(0, n, 1000)]
    return np.concatenate(parts), labels


def draw(way: str, z: np.ndarray) -> tuple[np.ndarray, dict[str, tuple[float, float]]]:
    """(map (n, 2), name -> seconds)."""
    if way == "ours":
        import openTSNE  # noqa: F401  (imported before timing)

        from aevae.embeddings import embed

        return timed("ours", lambda: embed(z, "tsne"))
    if way == "sklearn":
        from sklearn.manifold import TSNE

        return timed("sklearn", lambda: TSNE(random_state=0).fit_transform(z))
    if way == "openTSNE":
        from openTSNE import TSNE

        return timed("openTSNE", lambda: np.asarray(TSNE(random_state=0).fit(z)))
    import umap  # noqa: F401

    from aevae.embeddings import embed

    xy, first = timed("umap first", lambda: embed(z, "umap"))
    again = timed("umap warm", lambda: embed(z, "umap"))[1] if len(z) <= TWICE else {}
    return xy, first | again


def timed(name: str, function) -> tuple[np.ndarray, dict[str, tuple[float, float]]]:
    """(result of `function`, {name: (seconds, processor seconds)})."""
    began, spent = time.perf_counter(), time.process_time()
    xy = function()
    return xy, {name: (time.perf_counter() - began, time.process_time() - spent)}


def alone(way: str, file: Path) -> dict:
    """Result of `draw` in a separate process, with the quality of the map."""
    from aevae.metrics.neighbours import map_quality

    stored = np.load(file)
    xy, seconds = draw(way, stored["z"])
    quality = map_quality(stored["z"], xy, stored["labels"])
    return {"seconds": seconds, "mb": most_memory()} | {k: quality[k] for k in ("knn_accuracy", "trustworthiness")}


def most_memory() -> float:
    """Peak memory of this process in MB."""
    import resource

    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held / (2**20 if sys.platform == "darwin" else 2**10)


def measure(run: str, n: int, rounds: int, ways: list[str]) -> list[dict]:
    """A row for each kind of call: way, n, median seconds, how many times faster than scikit-learn, quality."""
    found: dict[str, list[list[float]]] = {}
    quality: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "codes.npz"
        z, labels = codes(run, n)
        np.savez(file, z=z, labels=labels)
        for turn in range(rounds):
            for way in ways:
                print(f"n {n}, round {turn + 1} of {rounds}: {way} ...", end="\r", file=sys.stderr, flush=True)
                said = subprocess.run(
                    [sys.executable, "-m", "benchmarks.embeddings", "--alone", way, str(file)],
                    stdout=subprocess.PIPE, check=True, encoding="utf-8",
                ).stdout  # fmt: skip
                news = json.loads(said.splitlines()[-1])
                for name, seconds in news.pop("seconds").items():
                    found.setdefault(name, []).append(seconds)
                    quality[name] = news
    medians = {name: [statistics.median(kind) for kind in zip(*times, strict=True)] for name, times in found.items()}
    rows = []
    for name, (seconds, cpu) in medians.items():
        theirs = medians.get("sklearn")
        times = {"faster": theirs and theirs[0] / seconds, "faster_cpu": theirs and theirs[1] / cpu}
        rows.append({"way": name, "n": n, "seconds": seconds, "cpu": cpu, **times, **quality[name]})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default=RUN)
    parser.add_argument("--n", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default=",".join(WAYS), help=f"some of {', '.join(WAYS)}")
    parser.add_argument("--slow-up-to", type=int, default=10_000, help="points up to which scikit-learn's way is taken")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        print(json.dumps(alone(args.alone[0], Path(args.alone[1]))))
        return
    ways = [way for way in args.only.split(",") if way]
    if not set(ways) <= set(WAYS):
        parser.error(f"--only takes some of {', '.join(WAYS)}")
    print(f"codes of {args.run}, {os.cpu_count()} cores, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '-')}")
    wanted = {n: [way for way in ways if way in OURS or n <= args.slow_up_to] for n in args.n}
    keys = ("n", "way", "seconds", "faster", "cpu", "faster_cpu", "knn_accuracy", "trustworthiness", "mb")
    rows = (
        [row[key] for key in keys] for n, taken in wanted.items() for row in measure(args.run, n, args.rounds, taken)
    )
    sizes = [] if args.n == SIZES else map(str, args.n)
    results.save("_".join(["embeddings", *sizes]), COLUMNS, rows)


if __name__ == "__main__":
    main()
