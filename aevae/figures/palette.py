"""Colours and titles of families and classes, for all charts, maps and tables in light and dark themes."""

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
FALLBACK = "#7A7F87"  # colour of families without a colour, and of what belongs to no model
MARKERS = ("circle", "square", "diamond", "cross", "triangle-up", "x")

PAPERS = {"light": "#FDFCF9", "dark": "#14171C"}  # backgrounds of the two themes

# Theme -> colours of the ten classes, with the same hues. On its background each colour has a contrast of at least
# 3.3:1, and any two are at least 17 apart in OKLab (lightness 0..100) for normal sight, 11 for deuteranopia and
# protanopia (Machado et al. 2009). The same colours are `chartCategoricalColors` in .streamlit/config.toml: from there
# charts and modules in the browser take those of the theme that is shown.
CLASS_COLOURS = {
    "light": (
        "#4E85FF",
        "#003700",
        "#8500A6",
        "#FF4300",
        "#DE37BC",
        "#370B4E",
        "#90430B",
        "#379B64",
        "#006464",
        "#2100FF",
    ),
    "dark": (
        "#00B1FF",
        "#C8F4BC",
        "#BC2CBC",
        "#DE1600",
        "#FF6FB1",
        "#F4C8FF",
        "#DEA659",
        "#59FF00",
        "#4E7A6F",
        "#5964FF",
    ),
}


def family_colour(family: str) -> str:
    return FAMILY_COLOURS.get(family, FALLBACK)


def family_title(family: str) -> str:
    """Title of a family: `beta_vae` -> `β-VAE`."""
    return FAMILY_TITLES.get(family, family.replace("_", " "))


def class_colour(label: int) -> str:
    """Colour of a class in a Streamlit chart; colours repeat after ten.

    It is a placeholder: Streamlit's front end replaces "#000001" ... "#000010" by `chartCategoricalColors` of the
    active theme. After a change of theme a chart keeps its colours until it is drawn again.
    """
    return f"#{label % 10 + 1:06d}"


def luminance(colour: str) -> float:
    """Relative luminance of `#RRGGBB` in 0..1 (WCAG 2)."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two colours, 1..21 (WCAG 2)."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def model_styles(names: Iterable[str], families: Mapping[str, str] | None = None) -> dict[str, tuple[str, int]]:
    """Shown name -> (colour of its family, index among the names of that family: 0, 1, ...), in the given order.

    Without `families` the family is the part of the name before the first hyphen.
    """
    styles, seen = {}, {}
    for name in names:
        family = families.get(name, "") if families is not None else name.split("-")[0]
        number = seen[family] = seen.get(family, -1) + 1
        styles[name] = (family_colour(family), number)
    return styles
