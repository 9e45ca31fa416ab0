"""Configs: frozen dataclasses whose canonical JSON determines the name of a run. Imports no torch.

The metadata of a field contain its help text and range; form, command line, validation and docs use them.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeGuard


def option(  # one keyword per property of the field, hence more than eight parameters
    default,
    help: str,
    *,
    min=None,
    max=None,
    choices=None,
    log=False,
    when: tuple[str, tuple] | None = None,
    added=False,
    absent=None,
) -> Any:
    """A config field with `choices` or a range min..max. when=(field, values): it has an effect only for these values.

    absent: the value of this option in configs that were written before it existed. At that value the key is omitted
    from the canonical JSON, so existing fingerprints stay valid. added: True sets `absent` to the default.
    """
    absent = default if added else absent
    meta = dict(help=help, min=min, max=max, choices=choices, log=log or None, when=when, absent=absent)
    return field(default=default, metadata={k: v for k, v in meta.items() if v is not None})


class Validated:
    """Base of the configs: checks every field against its metadata, else raises ValueError with one sentence."""

    def __post_init__(self):
        for f in dataclasses.fields(self):  # ty: ignore[invalid-argument-type]  (subclasses are dataclasses)
            object.__setattr__(self, f.name, check(f, getattr(self, f.name)))


def check(f: dataclasses.Field, value: Any) -> Any:
    """The value of field `f` in its own type. Raises ValueError with one sentence."""
    kind = type(f.default) if f.default is not dataclasses.MISSING else None
    if kind is None:
        return value
    if kind is bool and not isinstance(value, bool):
        raise ValueError(f"{f.name} must be true or false, got {brief(repr(value))}")
    if kind in (int, float):
        value = _number(f, kind, value)
    if kind is str and not isinstance(value, str):
        raise ValueError(f"{f.name} must be a text, got {brief(repr(value))}")
    choices, low, high = (f.metadata.get(k) for k in ("choices", "min", "max"))
    if choices is not None and value not in choices:
        raise ValueError(f"{f.name} must be one of {', '.join(map(str, choices))}, got {brief(value)}")
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(f"{f.name} must be in {low}..{high}, got {brief(value)}")
    return value


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether this is an int or a float; a bool is neither."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(f: dataclasses.Field, kind: type, value: Any) -> int | float:
    if not is_number(value):
        raise ValueError(f"{f.name} must be a number, got {brief(repr(value))}")
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"{f.name} must be a finite number, got {brief(value)}")
    if kind is int and value != int(value):
        raise ValueError(f"{f.name} must be a whole number, got {brief(value)}")
    try:
        return kind(value)
    except OverflowError:
        raise ValueError(f"{f.name} must be a number that a computer can hold, got {brief(value)}") from None


def brief(value: Any) -> str:
    """A wrong value as text for an error message, shortened."""
    text = str(value)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= 80 else f"{text[:60]} ... {text[-15:]}"


def parse(f: dataclasses.Field, text: str) -> Any:
    """The text of a command line or URL as the type of field `f`. Raises ValueError."""
    kind = type(f.default)
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise ValueError(f"{f.name} must be true or false, got {brief(repr(text))}")
        return text.lower() in ("true", "1", "yes")
    if kind in (int, float):
        try:
            return float(text) if "." in text or "e" in text.lower() or kind is float else int(text)
        except ValueError:
            raise ValueError(f"{f.name} must be a number, got {brief(repr(text))}") from None
    return text


@dataclass(frozen=True)
class DataConfig(Validated):
    """The training images of a run."""

    name: str = option("mnist-5k", "data set: a name that `aevae datasets` lists, or images:<folder or zip>")
    limit: int = option(0, "number of training images, the first ones; 0: all", min=0, max=1_000_000)
    leave_out_5k: bool = option(
        False,
        "leave the 1,000 test digits of mnist-5k out of training, so that pages can show digits that the model has "
        "not seen",
        when=("name", ("mnist",)),
    )
    binarise: str = option(
        "none",
        "black and white pixels: threshold (white from grey 128 on), or stochastic (white with the grey value as "
        "probability; training images are sampled again at each step, test images once)",
        choices=("none", "threshold", "stochastic"),
        added=True,
    )
    digest: str = option("", "checksum of an own folder of images (set automatically)")


@dataclass(frozen=True)
class TrainConfig(Validated):
    """The training recipe of a run: Adam on shuffled mini-batches."""

    epochs: int = option(20, "number of passes through the training images", min=1, max=1000)
    batch_size: int = option(64, "images per step", min=1, max=8192)
    lr: float = option(
        0.013,
        "learning rate of Adam (one_cycle: its peak). Until you set it, it follows epochs, batch size and network",
        min=1e-6,
        max=1.0,
        log=True,
    )
    schedule: str = option(
        "one_cycle",
        "one_cycle: the learning rate rises over the first 8 % of the steps (at least 20) and falls to 0; constant: "
        "the learning rate does not change",
        choices=("one_cycle", "constant"),
    )
    beta2: float = option(0.99, "Adam's beta2: how slowly its mean of squared gradients changes", min=0.5, max=0.9999)
    damping: float = option(
        1.0,
        "Adam's epsilon, as a fraction of the typical gradient of a layer. 0: Adam as published. Larger: weights with "
        "a small gradient change less, for example those of pixels that are almost always black",
        min=0.0,
        max=100.0,
        absent=0.0,
    )
    keep_best: bool = option(
        False,
        "also keep the weights of the epoch with the lowest test objective. The command line opens them as RUN@best",
        added=True,
    )
    precision: str = option(
        "float32",
        "float32, or bfloat16 for the matrix products (autocast): faster on recent GPUs, slower on most CPUs",
        choices=("float32", "bfloat16"),
    )
    centre: bool = option(
        True,
        "start from the mean training image: the first layer gets the difference to it, and "
        "the first outputs are near it",
    )

    @property
    def film_epochs(self) -> tuple[int, ...]:
        """Epochs after which the film has a frame: all of a short run, about 100 of a long one, and the last."""
        return (*range(0, self.epochs, -(-self.epochs // 100)), self.epochs)


IMAGES = {  # data set -> number of training images; the recipe treats other data sets like mnist-5k
    "mnist": 60_000, "fashion-mnist": 60_000, "kmnist": 60_000, "mnist-5k": 4_000, "sprites": 7_500, "lines": 10_000,
    "moving-digits": 4_000,
}  # fmt: skip
LARGE_SET_IMAGES = 20_000  # a data set with at least as many training images is large
MAX_RATE = 0.04  # learning rate of Adam above which wide networks and large batches diverge in the first steps
PRESETS = ("fast", "classic")


def preset(
    name: str, data: DataConfig, model: "ModelConfig | type[ModelConfig] | None" = None, **chosen
) -> TrainConfig:
    """The TrainConfig of the preset `name` for a data set and a model config (or config class: all defaults).

    classic: the textbook recipe, Adam with a constant rate of 1e-3 for ten epochs. fast: on MNIST a better bound in a
    tenth of the steps (docs/recipe.md); more epochs on small data sets, smaller batches for convolutional networks.
    chosen: training options that override the preset; the peak rate of `fast` depends on them (`peak_rate`). Raises
    ValueError for an unknown name.
    """
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {name}")
    if name == "classic":
        classic: dict[str, Any] = dict(
            epochs=10, batch_size=128, lr=1e-3, schedule="constant", beta2=0.999, damping=0.0, centre=False
        )
        return TrainConfig(**classic | chosen)
    model = model() if isinstance(model, type) else model
    images = min(IMAGES.get(data.name, IMAGES["mnist-5k"]), data.limit or 1_000_000)
    large = images >= LARGE_SET_IMAGES
    conv = getattr(model, "network", "mlp") == "conv"
    options: dict[str, Any] = {"epochs": 3, "batch_size": TrainConfig.batch_size if conv else 400} if large else {}
    options |= (model.recipe_large if large else model.recipe) if model else {}
    found = TrainConfig(**options | chosen)
    if "lr" in chosen:
        return found
    return dataclasses.replace(found, lr=peak_rate(found, images, model, data.binarise == "stochastic"))


def peak_rate(train: TrainConfig, images: int, model: "ModelConfig | None" = None, sampled: bool = False) -> float:
    """Peak learning rate of the preset `fast`. images: number of training images; sampled: pixels are binarized anew.

        r = min(0.04, min(0.04, 0.05 (450 / T)^0.4) sqrt(B / 400)) min(1, (4000 / L)^0.5), L = T sqrt(B / 400)
        rate = r min(1, (400 / hidden)^0.25) min(1, (20 / latent_dim)^0.15)

    T: number of steps, B: batch size. The rate is multiplied by the family's `rate_factor`. On fewer than
    LARGE_SET_IMAGES images three further factors reduce overfitting: the family's `rate_factor_small`, the likelihood's
    SMALL_SET_FACTORS, and min(1, 20 / epochs)^p with p the model's `long_run_exponent`.
    Fitted to validation splits with `benchmarks/recipe.py`: the best rate halves from 3 to 20 epochs of MNIST. Longer
    runs on the same pixels need even smaller rates, or the model becomes sensitive to noise (the factor with L; omitted
    if pixels are sampled). The rate grows with the root of the batch size and is smaller for wide networks and codes
    (`hidden` counts only in an MLP). Tables: docs/recipe.md.
    """
    steps, root = -(-images // train.batch_size) * train.epochs, (train.batch_size / 400) ** 0.5
    rate = min(min(0.05 * (450 / steps) ** 0.4, MAX_RATE) * root, MAX_RATE)
    if not sampled:
        rate *= min(1.0, (4000 / (steps * root)) ** 0.5)
    if model:
        rate *= model.rate_factor * min(1.0, (20 / model.latent_dim) ** 0.15)
        if images < LARGE_SET_IMAGES:
            rate *= model.rate_factor_small * SMALL_SET_FACTORS.get(model.likelihood, 1.0)
            rate *= min(1.0, SMALL_SET_EPOCHS / train.epochs) ** model.long_run_exponent
        if getattr(model, "network", "mlp") != "conv":
            rate *= min(1.0, (400 / max(getattr(model, "hidden", 0), 1)) ** 0.25)
    return float(f"{rate:.2g}")


def falling(value: float, low: float, high: float) -> float:
    """1 up to `low`, 0 from `high`, linear between: a rule without a jump."""
    return min(max((high - value) / (high - low), 0.0), 1.0)


MAX_RISE = 2.0  # nats per image; a run that ends further above its best epoch always says so
SMALL_SET_EPOCHS = 20  # default; longer runs may overfit
LONG_RUN_EXPONENTS = {"gaussian_learned": 0.75, "gaussian_pixel": 0.5}  # likelihood -> `long_run_exponent`
SHARP_SIGMA = 0.1  # with this sigma of a pixel the KL hardly counts
SMALL_SET_FACTORS = {"categorical": 0.125, "gaussian_learned": 0.5}  # likelihood -> factor of the peak rate
LIKELIHOODS = {
    "bernoulli": "cross-entropy",
    "gaussian": "squared error, fixed sigma",
    "gaussian_learned": "one learnt sigma",
    "gaussian_pixel": "a learnt sigma for each pixel",
    "continuous_bernoulli": "bernoulli, normalised to a density on 0..1",
    "categorical": "one of several grey levels",
}


def likelihoods(default: str = "bernoulli", without: tuple[str, ...] = ()) -> Any:
    """The option `likelihood`. without: likelihoods that the family's decoder does not support."""
    offered = {name: meaning for name, meaning in LIKELIHOODS.items() if name not in without}
    meanings = ", ".join(f"{name} ({meaning})" for name, meaning in offered.items())
    return option(default, f"p(x|z) of a pixel: {meanings}", choices=tuple(offered))


@dataclass(frozen=True)
class ModelConfig(Validated):
    """Options that all families share: network, code and likelihood of a pixel.

    A family removes an option by redefining it as a ClassVar. `latent_dim` and `likelihood` must then be a constant or
    a property, because other modules read them.
    """

    family: ClassVar[str] = ""
    dataset: ClassVar[str] = "mnist-5k"  # default data set
    recipe: ClassVar[dict] = {}  # training options that differ from the preset `fast`; epochs of a small data set
    rate_factor: ClassVar[float] = 1.0  # factor of the peak rate of `fast`
    rate_factor_small: ClassVar[float] = 1.0  # a further factor on small data sets, which the family overfits
    overfits: ClassVar[float] = 0.0  # at least the `long_run_exponent` of the family
    recipe_large: ClassVar[dict] = {}  # training options that differ from `recipe` on large data sets
    network: str = option(
        "mlp", "mlp: one hidden layer in encoder and decoder; conv: two strided convolutions", choices=("mlp", "conv")
    )
    hidden: int = option(
        400, "hidden units of the MLP, in encoder and decoder", min=1, max=4096, when=("network", ("mlp",))
    )
    latent_dim: int = option(20, "numbers in the code z", min=1, max=784)
    likelihood: str = likelihoods()
    sigma: float = option(
        0.5**0.5,
        "standard deviation of a pixel; 0.7071 makes recon the squared error plus a constant",
        min=0.01,
        max=10.0,
        when=("likelihood", ("gaussian",)),
    )
    grey_levels: int = option(
        16,
        "levels L that a grey pixel is rounded to; 2: black and white",
        min=2,
        max=256,
        when=("likelihood", ("categorical",)),
        added=True,
    )

    @property
    def long_run_exponent(self) -> float:
        """p of the factor (20 / epochs)^p of the peak rate on small data sets; 0: long runs do not overfit."""
        sigma = getattr(self, "sigma", 1.0) if self.likelihood == "gaussian" else 1.0
        sharp = falling(sigma, SHARP_SIGMA, 2 * SHARP_SIGMA)
        return max(self.overfits, sharp, LONG_RUN_EXPONENTS.get(self.likelihood, 0.0))

    @property
    def channels(self) -> int:
        """Outputs of the decoder per pixel: the parameters of its distribution."""
        return self.grey_levels if self.likelihood == "categorical" else 1


def plain(part) -> dict:
    """A part of a config as JSON data, without options at their `absent` value (see `option`)."""
    values = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
    absent = absent_values(part)
    return {name: value for name, value in values.items() if name not in absent or value != absent[name]}


def absent_values(part) -> dict[str, Any]:
    """Option -> `absent` value, of a part of a config (class or instance); see `option`."""
    return {f.name: f.metadata["absent"] for f in dataclasses.fields(part) if "absent" in f.metadata}


def build(config_class: type[Any], values: dict) -> Any:
    """`config_class(**values)`. Raises ValueError with one sentence for unknown keys."""
    known = [f.name for f in dataclasses.fields(config_class)]
    for key in values:
        if key not in known:
            raise ValueError(f"unknown option {brief(repr(key))}; {config_class.__name__} has {', '.join(known)}")
    return config_class(**values)
