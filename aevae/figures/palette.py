"""Colours and names of families and classes: the same in every chart, map and table, on light and on dark paper."""

from collections.abc import Iterable, Mapping

FAMILY_COLOURS = {
    "ae": "#D55E00",
    "linear_ae": "#97563C",
    "deep_ae": "#BE2F2F",
    "denoising": "#009E73",
    "sparse": "#8A8A08",
    "sparse_kl": "#63703C",
    "k_sparse": "#2F7D22",
    "contractive": "#08A408",
    "vae": "#0072B2",
    "beta_vae": "#B0619A",
    "iwae": "#0897A4",
    "skip_vae": "#8A7DD8",
    "ml_vae": "#0863F2",
    "vq_vae": "#8A15FF",
    "vq_vae2": "#BE63E5",
    "auto_decoder": "#E5637D",
    "variational_auto_decoder": "#CB087D",
    "td_vae": "#FF0863",
    "flow_vae": "#E52FFF",
}
FAMILY_TITLES = {
    "ae": "AE",
    "linear_ae": "Linear AE",
    "deep_ae": "Deep AE",
    "denoising": "Denoising AE",
    "sparse": "Sparse AE (L1)",
    "sparse_kl": "Sparse AE (KL)",
    "k_sparse": "k-sparse AE",
    "contractive": "Contractive AE",
    "vae": "VAE",
    "beta_vae": "β-VAE",
    "iwae": "IWAE",
    "skip_vae": "Skip-VAE",
    "ml_vae": "ML-VAE",
    "vq_vae": "VQ-VAE",
    "vq_vae2": "VQ-VAE-2",
    "auto_decoder": "Auto-decoder",
    "variational_auto_decoder": "Variational auto-decoder",
    "td_vae": "TD-VAE",
    "flow_vae": "Flow VAE",
}
FALLBACK = "#7A7F87"  # of a family that has no colour yet, and of what belongs to no model
MARKERS = ("circle", "square", "diamond", "cross", "triangle-up", "x")

# Ten colours far apart in OKLab for normal sight, deuteranopia and protanopia (Machado et al. 2009).
CLASS_COLOURS = (
    "#0489FF",
    "#A27E02",
    "#583581",
    "#9A1A00",
    "#EB3AA9",
    "#A3C4F3",
    "#F89898",
    "#98D200",
    "#007367",
    "#3105E4",
)


def family_colour(family: str) -> str:
    return FAMILY_COLOURS.get(family, FALLBACK)


def family_title(family: str) -> str:
    """What a person reads: `beta_vae` -> `β-VAE`."""
    return FAMILY_TITLES.get(family, family.replace("_", " "))


def class_colour(label: int) -> str:
    """Colour of a class; they repeat after ten."""
    return CLASS_COLOURS[label % len(CLASS_COLOURS)]


def luminance(colour: str) -> float:
    """Relative luminance of `#RRGGBB` in 0..1 (WCAG 2)."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """Contrast of two colours, 1..21 (WCAG 2)."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def text_on(colour: str) -> str:
    """Black or white, whichever reads better on `colour`."""
    return max("#000000", "#FFFFFF", key=lambda ink: contrast(ink, colour))


def model_styles(names: Iterable[str], families: Mapping[str, str] | None = None) -> dict[str, tuple[str, int]]:
    """Shown name -> (colour of its family, which one of that family it is: 0, 1, ...), in the order given.

    Without `families` a name is a run's name and its family stands before the first hyphen.
    """
    styles, seen = {}, {}
    for name in names:
        family = families.get(name, "") if families is not None else name.split("-")[0]
        number = seen[family] = seen.get(family, -1) + 1
        styles[name] = (family_colour(family), number)
    return styles
