"""The lab Generative classifier: ten densities, a discriminative network, and the data for `classifier.js`."""

import zlib

import numpy as np
import streamlit as st

from aevae.metrics import class_densities as densities
from aevae.ui.i18n import _
from aevae.ui.live import component
from aevae.ui.shared import cached, image_sheets, url_values

MAX_SAMPLES = 16
NUM_REFERENCE_SAMPLES = 4  # samples with which the scores of real digits are measured
RARE_FRACTION = 0.01  # share of real digits with a score below the usual range


@st.cache_resource(max_entries=1, show_spinner=False)
def nets() -> tuple[dict, dict]:
    """(weights of the ten VAEs, weights of the discriminative network)."""
    return densities.layers(), densities.reader()


@st.cache_resource(max_entries=1, show_spinner=False)
def judged() -> dict:
    """Accuracies of both on the 1,000 test digits, and for each class the score that RARE_FRACTION of digits miss."""
    net, reader = nets()
    images, labels = cached.shown_digits()
    x = images.reshape(len(images), -1)
    found = densities.scores(net, x, densities.noise(NUM_REFERENCE_SAMPLES, net["wm"].shape[1]))
    of_own = [found[labels == c, c] for c in range(densities.CLASSES)]
    return {
        "densities": float((found.argmax(1) == labels).mean()),
        "net": float((densities.class_probabilities(reader, x).argmax(1) == labels).mean()),
        "usual": [float(np.quantile(scores, RARE_FRACTION)) for scores in of_own],
        "count": len(labels),
    }


def bars(x: np.ndarray, measured: dict) -> int:
    """Show the image and the output of both classifiers, live; returns the number of samples."""
    (net, reader), width = nets(), nets()[0]["wm"].shape[1]
    at = {"class_draws": (NUM_REFERENCE_SAMPLES, 1, MAX_SAMPLES)}
    draws = int(url_values.numbers(at)["class_draws"])
    if problem := component.trouble([], has_server_version=True):
        st.caption(problem)
        image_sheets.show(x, 1, scale=6, alt=_("The image"))
        flat = x.reshape(1, -1)
        table = densities.scores(net, flat, densities.noise(draws, width))[0]
        st.bar_chart({"log p(x|c)": table, "p(c|x)": densities.class_probabilities(reader, flat)[0]})
        return draws
    weights = {name: value.astype(np.float16) for name, value in net.items()}
    weights |= dict(zip(("r1", "s1", "r2", "s2"), (v.astype(np.float16) for v in reader.values()), strict=True))
    component.mount(
        "classifier",
        "classes",
        {
            "key": f"{zlib.crc32(np.ascontiguousarray(x).tobytes())}",
            "picker": "digit",
            "draws": draws,
            "most_draws": MAX_SAMPLES,
            "least": -400,
            "most": 0,
            "usual": measured["usual"],
            "texts": {
                "image": _("What both models see"),
                "draws": _("Samples of z for each class"),
                "densities": _("Ten densities: log p(x|c) in nats"),
                "bayes": _("their p(c|x), by Bayes' rule"),
                "net": _("One classifier: its p(c|x)"),
                "usual": _(
                    "Densities: {best}. Classifier: {other}, {sure} sure. {nats} nats is usual for a {best}."
                ),
                "low": _(
                    "Not a usual digit: the best density, {best}, gives {nats} nats, but 99 % of real {best}s have "
                    "more than {floor}. Classifier: {other}, {sure} sure."
                ),
            },
        },
        weights | {"x": x.reshape(-1).astype(np.float32), "eps": densities.noise(MAX_SAMPLES, width)},
        height=350,
        on_send=url_values.number_handler({"draws": "class_draws"}, at),
    )  # fmt: skip
    return draws
