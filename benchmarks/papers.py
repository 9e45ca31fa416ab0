"""Comparison with numbers of papers and tutorials, including those that are not reached.

    python -m benchmarks.papers [--only hinton keras ...] [--minutes 2] [--seeds 1]

A number marked "from memory" was not read in its source when the table was written. Each row states differences
between the protocols.

Rows are measured if their runs are stored or take at most `--minutes` on two cores; for other rows the table has the
command. Runs are stored. Several seeds: mean ± standard deviation.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from aevae import datasets, metrics, runs
from aevae.config import DataConfig
from aevae.run_config import build_config
from aevae.store import checkpoints
from benchmarks import results
from benchmarks.families import pca_sse

COLUMNS = {
    "source": "", "what": "", "theirs": "", "ours": ".4g", "seeds": "d", "unit": "", "protocol": "", "command": "",
}  # fmt: skip
TEST = "10,000 MNIST test digits, grey"


@dataclass(frozen=True)
class Row:
    """A number of a paper, and how this package measures it.

    measure(run) -> measured value of an opened run of `family` with these settings; measure(None) without a family.
    minutes: to train and measure one seed on two cores.
    """

    table: str
    label: str
    paper: str
    unit: str
    measure: Callable[[runs.Run | None], float]
    family: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    preset: str = "fast"
    protocol: str = TEST
    minutes: float = 0.5
    from_memory: bool = True  # False: the number was read in the source

    def config(self, seed: int):
        return build_config(self.family, {"dataset": "mnist", **self.settings}, seed, self.preset)

    @property
    def theirs(self) -> str:
        return f"{self.paper} (from memory)" if self.from_memory else self.paper

    @property
    def command(self) -> str:
        """The command that trains the run, or that measures if there is no run."""
        if not self.family:
            return f"python -m benchmarks.papers --only {self.table}"
        settings = "".join(f" --set {key}={value}" for key, value in self.settings.items() if key != "dataset")
        preset = "" if self.preset == "fast" else f" --preset {self.preset}"
        dataset = self.settings.get("dataset", "mnist")
        return f"python -m aevae train --family {self.family} --dataset {dataset}{preset}{settings}"


def number(name: str, factor: float = 1.0, **options) -> Callable:
    """A function that measures a metric on the run's own test images."""
    return lambda run: factor * metrics.evaluate(run, [name], options=options)[name]


def reader_errors(run) -> float:
    """Test error in % of a logistic regression on codes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = datasets.load(run.config.data)
    train, test = (run.encode(part.images.astype(np.float32) / 255) for part in (data.train, data.test))
    reader = make_pipeline(StandardScaler(with_mean=False), LogisticRegression(max_iter=200))
    return 100 * (1 - reader.fit(train, data.train.labels).score(test, data.test.labels))


def map_errors(run) -> float:
    """Leave-one-out error in % of the nearest neighbour in a t-SNE of the first 6,000 training digits."""
    from aevae import embeddings
    from aevae.metrics.neighbours import knn_accuracy

    train = datasets.load(DataConfig("mnist")).train
    pixels = train.images[:6000].reshape(6000, -1).astype(np.float32) / 255
    xy = embeddings.embed(pixels, "tsne", perplexity=40.0, seed=0)
    return 100 * (1 - knn_accuracy(xy, train.labels[:6000], 1))


BURDA = (
    "pixels sampled anew at each step, test digits once; one hidden layer of 400, 200 epochs, recipe `fast`, NLL with "
    "5,000 samples (paper: two layers of 200, 3,280 epochs of batches of 20 with a falling rate)"
)
BINARY = {"binarise": "stochastic", "latent_dim": "50", "epochs": "200"}
SHELF = {"leave_out_5k": "true", "latent_dim": "20", "epochs": "10"}
SHALLOW = {"dataset": "mnist-5k", "latent_dim": "256"}
DENOISING = {"network": "shallow", "noise_level": "0.3", "clip": "false", "lr": "5e-3"}
CENTRED = (("", {}), (", inputs not centred", {"centre": "false"}))
SMALL = (
    "mnist-5k, one sigmoid layer of 256, tied (paper: MNIST, 1,000 units; from the largest to the smallest norm a "
    "factor of 24, from memory)"
)
TSNE = (
    "the first 6,000 training digits, pixels, perplexity 40, affinities of these 6,000 alone (paper: 6,000 at random, "
    "affinities by random walks over the neighbours of all 60,000)"
)
ROWS = (
    Row("hinton", "PCA, 30-D", "13.87", "SSE", lambda run: pca_sse(30)),
    Row(
        "hinton", "logistic PCA, 30-D", "8.01", "SSE", number("sse"), "linear_ae",
        {"latent_dim": "30", "likelihood": "bernoulli"}, minutes=1.5,
    ),
    Row(
        "hinton", "deep autoencoder, 30-D", "3.00", "SSE", number("sse"), "deep_ae",
        {"latent_dim": "30", "epochs": "20"}, minutes=15,
    ),
    *(
        Row(
            "burda", f"{title}, k = {k}: {what}", paper, unit, measure, family, BINARY | {"samples": str(k)},
            protocol=BURDA, minutes=60 * k,
        )
        for title, family, k, nll, active in (
            ("VAE", "vae", 1, "86.76", "19"),
            ("VAE", "vae", 5, "86.47", "20"),
            ("VAE", "vae", 50, "86.35", "20"),
            ("IWAE", "iwae", 5, "85.54", "22"),
            ("IWAE", "iwae", 50, "84.78", "25"),
        )
        for what, paper, unit, measure in (
            ("NLL", nll, "nats", number("nll", samples=5000)),
            ("active units", active, "of 50", number("active_units")),
        )
    ),
    Row(
        "pytorch", "VAE d=20, 10 epochs", "about 105", "-ELBO, nats", number("elbo", -1), "vae", SHELF,
        protocol=f"{TEST}; recipe `fast`, 1,000 digits left out", minutes=2.5,
    ),
    Row(
        "pytorch", "VAE d=20, the example's own recipe", "about 105", "-ELBO, nats", number("elbo", -1), "vae", {},
        "classic", minutes=3,
    ),
    Row(
        "keras", "autoencoder d=32, 10 epochs", "about 0.09", "nats / pixel", number("bce", 1 / 784), "ae",
        SHELF | {"latent_dim": "32"}, protocol=f"{TEST}; hidden layers of 400 (blog: none)", minutes=2.5,
    ),
    Row(
        "tensorflow", "CVAE d=2, 10 epochs", "about 155", "-ELBO, nats", number("elbo", -1), "vae",
        {"network": "conv", "latent_dim": "2", "binarise": "threshold", "epochs": "10"},
        protocol="10,000 MNIST test digits, binary by threshold", minutes=12,
    ),
    *(
        Row(
            "makhzani", f"k = {k}, 1,000 units", paper, "errors, %", reader_errors, "k_sparse",
            {"latent_dim": "1000", "k": str(k), "epochs": "50"},
            protocol="logistic regression on codes of 60,000 digits", minutes=60,
        )
        for k, paper in ((10, "2.10"), (25, "1.35"), (40, "1.54"))
    ),
    *(
        Row(
            "rifai", f"AE (lambda 0){note}", "largest", "mean norm of df/dx", number("jacobian_norm"), "contractive",
            SHALLOW | {"lam": "0"} | centre, protocol=SMALL, minutes=1,
        )
        for note, centre in CENTRED
    ),
    *(
        Row(
            "rifai", f"DAE ({noise} 0.3){note}", "between", "mean norm of df/dx", number("jacobian_norm"), "denoising",
            SHALLOW | DENOISING | {"noise": noise} | centre, protocol=SMALL, minutes=1,
        )
        for noise in ("gaussian", "masking")
        for note, centre in CENTRED
    ),
    Row(
        "rifai", "CAE (lambda 0.1)", "smallest", "mean norm of df/dx", number("jacobian_norm"), "contractive",
        SHALLOW | {"lam": "0.1"}, protocol=SMALL, minutes=1,
    ),
    Row(
        "tsne", "t-SNE of 6,000 digits, 1-NN", "5.13", "errors, %", map_errors,
        protocol=TSNE, minutes=3,
    ),
)  # fmt: skip
SOURCES = {
    "hinton": "Hinton & Salakhutdinov 2006",
    "burda": "Burda et al. 2016, Table 1",
    "pytorch": "pytorch/examples, vae",
    "keras": "Keras blog, Building Autoencoders",
    "tensorflow": "TensorFlow tutorial, CVAE",
    "makhzani": "Makhzani & Frey 2014",
    "rifai": "Rifai et al. 2011",
    "tsne": "van der Maaten & Hinton 2008",
}


def measured(row: Row, seeds: int, minutes: float) -> list[float]:
    """Measured values of all seeds that are stored or may be trained."""
    if not row.family:
        return [row.measure(None)] if row.minutes <= minutes else []
    found = []
    for seed in range(seeds):
        config = row.config(seed)
        if row.minutes <= minutes:
            runs.train_or_load(config, "auto")
        if info := checkpoints.finished_run(config.name):
            found.append(row.measure(runs.Run(info)))
    return found


def joined(values: list[float]) -> tuple[float, float | None] | str:
    """Mean and standard deviation."""
    if not values:
        return "not run"
    return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=[], choices=[*SOURCES], metavar="TABLE", help=", ".join(SOURCES))
    parser.add_argument("--minutes", type=float, default=2, help="train and measure what takes at most so long")
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()

    def rows() -> Iterator[tuple]:
        for row in ROWS:
            if args.only and row.table not in args.only:
                continue
            values = measured(row, args.seeds, args.minutes)
            command = f"`{row.command}`" + (" (for a GPU)" if row.minutes > 10 else "")
            yield (
                SOURCES[row.table], row.label, row.theirs, joined(values), len(values), row.unit, row.protocol, command,
            )  # fmt: skip

    results.save("_".join(["papers", *args.only]), COLUMNS, rows())


if __name__ == "__main__":
    main()
