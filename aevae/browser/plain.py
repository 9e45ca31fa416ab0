"""Plain models without torch: codes by numpy, and programs for the browser.

A plain model has one hidden layer of ReLUs on each side and Bernoulli pixels, as most models of the labs have. Its
program has the operations that `program.program` traces, so a page that shows only such models needs no torch. The
digit classifier has a program here, too.
"""

from pathlib import Path

import numpy as np

from aevae.browser.blob import pack

FORMAT = 1  # that of program.py
PRIOR = {"ae": 0.0, "vae": 1.0, "beta_vae": 1.0}  # family -> default std of the code's prior; 0: it has none
IMAGE, PIXELS = [1, 28, 28], 784
CLASSIFIER = Path(__file__).parents[1] / "metrics" / "classifier.safetensors"
READER = "reader"  # name of the classifier's program
SURE = 0.9  # an image looks like a digit if the classifier gives one class at least this probability


class PlainModel:
    """A plain model. config: `RunConfig.to_dict()["model"]`; weights: its state dict in numpy, float32."""

    def __init__(self, config: dict, weights: dict[str, np.ndarray]):
        if not is_plain(config):
            raise ValueError(f"the family {config['family']} with these options is not a plain model")
        self.family, self.latent_dim = config["family"], config["latent_dim"]
        self.prior = config.get("prior_std", 1.0) * PRIOR[self.family]
        self.weights = weights

    def _layer(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Codes mu (N, D) of images (N, 1, 28, 28) in [0, 1]."""
        x = images.reshape(len(images), PIXELS) + self.weights["encoder.0.by"].reshape(1, PIXELS)
        return self._layer("mu" if self.prior else "code", np.maximum(self._layer("encoder.2", x), 0))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Images (N, 1, 28, 28) in [0, 1] of codes z (N, D)."""
        logits = self._layer("decoder.2", np.maximum(self._layer("decoder.0", z), 0))
        logits = logits + self.weights["decoder.4.by"].reshape(1, PIXELS)
        return (1 / (1 + np.exp(-logits))).reshape(-1, *IMAGE)

    def frame(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(mean (D,), scale (D, D)) for which mean + scale N(0, I) are random codes.

        The prior; without one, the Gaussian with the mean and the covariance of `codes` (N, D).
        """
        if self.prior:
            return np.zeros(self.latent_dim), self.prior * np.eye(self.latent_dim)
        values, vectors = np.linalg.eigh(np.cov(codes.T))
        return codes.mean(0), (vectors * np.sqrt(values)) @ vectors.T  # the symmetric root

    def program(self) -> bytes:
        """The program with encode, decode and params, in half precision."""
        hidden, d = len(self.weights["encoder.2.bias"]), self.latent_dim
        code = ("mu", "logvar") if self.prior else ("code",)
        w = {}
        for name in ("decoder.0", "decoder.2", "decoder.4", "encoder.0", "encoder.2", *code):  # the order of a trace
            if f"{name}.by" in self.weights:
                w[f"model.{name}.b"] = self.weights[f"{name}.by"].reshape(PIXELS)
                continue
            w[f"model.{name}.w"] = self.weights[f"{name}.weight"].T
            w[f"model.{name}.b"] = self.weights[f"{name}.bias"]
        to_logits = [
            (_weighted("linear", "decoder.0"), [hidden]), ({"op": "relu"}, [hidden]),
            (_weighted("linear", "decoder.2"), [PIXELS]), ({"op": "reshape"}, IMAGE),
            ({"op": "shift", "b": "model.decoder.4.b"}, IMAGE),
        ]  # fmt: skip
        to_hidden = [
            ({"op": "shift", "b": "model.encoder.0.b"}, IMAGE), ({"op": "reshape"}, [PIXELS]),
            (_weighted("linear", "encoder.2"), [hidden]), ({"op": "relu"}, [hidden]),
        ]  # fmt: skip
        functions = {
            "decode": _chain([d], [*to_logits, ({"op": "sigmoid"}, IMAGE)]),
            "encode": self._encode(_chain(IMAGE, to_hidden)),
            "params": _chain([d], to_logits),
        }
        header = {"format": FORMAT, "family": self.family, "latent_dim": d, "prior": self.prior, "dtype": "float16"}
        return pack(header | {"functions": functions}, {name: a.astype(np.float16) for name, a in w.items()})

    def _encode(self, function: dict) -> dict:
        """The function to the hidden layer, continued to (mu, logvar), or to (code, None)."""
        (h,), d = function["outputs"], [self.latent_dim]
        if not self.prior:
            return _extend(function, [(_weighted("linear", "code") | {"in": [h]}, d)], [h + 1, None])
        steps = [
            (_weighted("linear", "mu") | {"in": [h]}, d), (_weighted("linear", "logvar") | {"in": [h]}, d),
            ({"op": "clamp", "min": -10.0, "max": 10.0, "in": [h + 2]}, d),
        ]  # fmt: skip
        return _extend(function, steps, [h + 1, h + 3])


def is_plain(config: dict) -> bool:
    """Whether a model's config (a dict) is that of a plain model."""
    return (
        config.get("family") in PRIOR and config.get("network") == "mlp" and config.get("likelihood") == "bernoulli"
    )  # fmt: skip


def reader_program() -> bytes:
    """The program of `metrics.classifier.Reader`. Its function read: image -> logits of the ten classes."""
    from safetensors.numpy import load_file

    found = load_file(CLASSIFIER)
    w = {}
    for name in ("body.0", "body.2"):
        kernel = found[f"{name}.weight"]
        w[f"model.{name}.w"] = kernel.reshape(len(kernel), -1).T
    for name in ("body.5", "head"):
        w[f"model.{name}.w"] = found[f"{name}.weight"].T
    w |= {f"model.{name}.b": found[f"{name}.bias"] for name in ("body.0", "body.2", "body.5", "head")}
    conv = {"kernel": [5, 5], "stride": [2, 2], "padding": [2, 2]}
    wide, narrow, features = [16, 14, 14], [32, 7, 7], [64]
    steps = [
        (_weighted("conv", "body.0") | conv, wide), ({"op": "relu"}, wide),
        (_weighted("conv", "body.2") | conv, narrow), ({"op": "relu"}, narrow), ({"op": "reshape"}, [32 * 7 * 7]),
        (_weighted("linear", "body.5"), features), ({"op": "relu"}, features), (_weighted("linear", "head"), [10]),
    ]  # fmt: skip
    header = {"format": FORMAT, "family": READER, "latent_dim": 0, "prior": 0.0, "dtype": "float16"}
    arrays = {name: np.ascontiguousarray(a, np.float16) for name, a in w.items()}
    return pack(header | {"functions": {"read": _chain(IMAGE, steps)}}, arrays)


def _weighted(op: str, name: str) -> dict:
    return {"op": op, "w": f"model.{name}.w", "b": f"model.{name}.b"}


def _chain(shape: list[int], steps: list[tuple[dict, list[int]]]) -> dict:
    """A function of one input; each step (operation, shape of its output) takes the output of the one before."""
    chained = [(op | {"in": [i]}, to) for i, (op, to) in enumerate(steps)]
    return _extend({"input": 0, "outputs": [], "shapes": [shape], "ops": []}, chained, [len(steps)])


def _extend(function: dict, steps: list[tuple[dict, list[int]]], outputs: list[int | None]) -> dict:
    """The function with more steps, whose inputs ("in") are known."""
    first = len(function["shapes"])
    return function | {
        "outputs": outputs,
        "shapes": [*function["shapes"], *(shape for _op, shape in steps)],
        "ops": [*function["ops"], *(op | {"out": first + i} for i, (op, _shape) in enumerate(steps))],
    }
