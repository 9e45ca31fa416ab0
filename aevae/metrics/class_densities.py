"""A generative classifier: one small VAE per class estimates log p(x|c); and a discriminative network for comparison.

log p(x|c) >= log (1/R) sum_r p(x, z_r | c) / q(z_r | x, c), in expectation: the ELBO for R = 1, tighter with more
samples (Burda et al. 2016, arXiv:1509.00519, eq. 8). With equal priors the class with the largest density is predicted.
"""

import json
from pathlib import Path

import numpy as np

from aevae.store import bundles

CLASSES = 10
SHAPES = {"w1": (64, 784), "b1": (64,), "w2": (10, 64), "b2": (10,)}


def layers() -> dict[str, np.ndarray]:
    """Weights of the ten VAEs 784-H-D-H-784, float32, with the constant offsets included in the biases.

    w1 (10, H, 784), b1 (10, H), wm, wv (10, D, H), bm, bv (10, D), w2 (10, H, D), b2 (10, H), w3 (10, 784, H),
    b3 (10, 784): h = relu(w1 x + b1), mu = wm h + bm, logvar = wv h + bv, logits = w3 relu(w2 z + b2) + b3.
    """
    each = []
    for member in bundles.load("classes").values():
        w = member.weights
        first, last = w["encoder.2.weight"], w["decoder.2.weight"]
        each.append(
            {
                "w1": first, "b1": w["encoder.2.bias"] + first @ w["encoder.0.by"].reshape(-1),
                "wm": w["mu.weight"], "bm": w["mu.bias"], "wv": w["logvar.weight"], "bv": w["logvar.bias"],
                "w2": w["decoder.0.weight"], "b2": w["decoder.0.bias"],
                "w3": last, "b3": w["decoder.2.bias"] + w["decoder.4.by"].reshape(-1),
            }
        )  # fmt: skip
    return {name: np.stack([one[name] for one in each]).astype(np.float32) for name in each[0]}


def scores(net: dict[str, np.ndarray], x: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """Lower bounds (N, 10) of log p(x|c), in nats, of images x (N, 784). eps: noise (R, D), shared by all images."""
    out = np.zeros((len(x), CLASSES))
    for c in range(CLASSES):
        n = {name: value[c] for name, value in net.items()}
        h = np.maximum(x @ n["w1"].T + n["b1"], 0)
        mu, logvar = h @ n["wm"].T + n["bm"], np.clip(h @ n["wv"].T + n["bv"], -10, 10)
        log_w = []
        for noise in eps:
            z = mu + np.exp(0.5 * logvar) * noise
            logits = np.maximum(z @ n["w2"].T + n["b2"], 0) @ n["w3"].T + n["b3"]
            likelihood = (x * logits - np.logaddexp(0, logits)).sum(1)
            log_w.append(likelihood + 0.5 * (noise**2 - z**2 + logvar).sum(1))  # + log p(z) - log q(z|x)
        out[:, c] = np.logaddexp.reduce(log_w, axis=0) - np.log(len(eps))
    return out


def noise(draws: int, width: int) -> np.ndarray:
    """Fixed noise for `scores`, float32 (R, D)."""
    return np.random.default_rng(0).standard_normal((draws, width)).astype(np.float32)


def reader() -> dict[str, np.ndarray]:
    """Weights of the network 784-64-10, float32; see SHAPES. Raises `bundles.Missing`."""
    found = bundles.read_bundle(bundles.folder() / "reader.safetensors")
    out = {name: bundles.unrounded(found[name], found.get(f"{name}.scale")) for name in SHAPES if name in found}
    if {name: value.shape for name, value in out.items()} != SHAPES:
        raise bundles.Missing("the lab's classifier has wrong shapes; scripts/make_labs.py makes it again")
    return out


def save_reader(weights: dict[str, np.ndarray], recipe: dict) -> Path:
    """Store the weights of `reader`, rounded like those of a bundle, and how they were trained. Returns the path."""
    from safetensors.numpy import save_file

    arrays = {}
    for name, value in weights.items():
        arrays[name], scale = bundles.rounded(value)
        if scale is not None:
            arrays[f"{name}.scale"] = scale
    path = bundles.folder() / "reader.safetensors"
    save_file(arrays, path, {"recipe": json.dumps(recipe)})
    return path


def class_probabilities(net: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """p(c|x) (N, 10) of the network for images x (N, 784)."""
    logits = np.maximum(x @ net["w1"].T + net["b1"], 0) @ net["w2"].T + net["b2"]
    return softmax(logits)


def softmax(scores: np.ndarray) -> np.ndarray:
    """p(c|x) (N, K) of scores log p(x|c) (N, K), for equally frequent classes."""
    e = np.exp(scores - scores.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def strange(kind: str, x: np.ndarray, other: np.ndarray) -> np.ndarray:
    """An out-of-distribution image (1, 28, 28) made from the digits x and `other`. Raises ValueError."""
    if kind == "digit":
        return x
    if kind == "black":
        return np.zeros_like(x)
    if kind == "turned":
        return np.ascontiguousarray(np.rot90(x, axes=(1, 2)))
    if kind == "negative":
        return 1 - x
    if kind == "two":
        return np.maximum(x, other)
    if kind == "stripes":
        return np.tile((np.arange(28) // 4 % 2).astype(np.float32), (1, 28, 1))
    if kind == "noise":
        return np.random.default_rng(0).random(x.shape).astype(np.float32)
    raise ValueError(f"there is no unusual image {kind}")
