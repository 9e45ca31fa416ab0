"""The first view of the page Compare: the same images reconstructed by each model, and random codes decoded."""

import base64
import html
from collections.abc import Sequence

import numpy as np
import streamlit as st

from aevae.store.checkpoints import RunInfo
from aevae.ui.compare import table
from aevae.ui.film import film_view
from aevae.ui.i18n import _
from aevae.ui.shared import image_sheets, run_picker

NUM_IMAGES = 8  # reconstructions, and decoded random codes, of each model
# A row per model: name, reconstructions, random codes. In a narrow column they stand one above the other.
STYLE = """
.pictures { container-type: inline-size; font-size: 0.9rem; }
.pictures .row { display: grid; grid-template-columns: minmax(0, 4fr) repeat(2, minmax(0, 7fr)); gap: 0.3rem 1rem;
  align-items: center; margin-bottom: 0.4rem; }
.pictures img { display: block; width: 100%; image-rendering: pixelated; }
.pictures small { display: block; font-size: 0.8rem; opacity: 0.8; }
@container (max-width: 520px) {
  .pictures .row { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .pictures .row > :first-child { grid-column: 1 / -1; }
}
"""


def show(runs: Sequence[RunInfo], dataset: str) -> None:
    """Reconstructions and decoded random codes of the last frame of each run's film: no model has to be opened."""
    films = {run.name: film for run in runs if (film := film_view.read(run)) is not None}
    errors = dict(zip((run.name for run in runs), table.cell_texts("sse", runs, None, dataset), strict=True))
    rows, before = [], None
    for run in (run for run in runs if run.name in films):
        film = films[run.name]
        chosen = one_of_each(film["labels"][: len(film["original"])])
        original = film["original"][chosen]
        if before is None or not np.array_equal(original, before):  # runs of other data sets follow other images
            title = _("original images") if before is None else _("original images of the next models")
            rows.append(_cells(title, "", _image(original, title), html.escape(_("random codes, decoded:"))))
            before = original
        rows.append(_row(run, errors[run.name], film["recon"][-1][chosen], film["sample"][-1][:NUM_IMAGES]))
    st.html(f'<style>{STYLE}</style><div class="pictures">{"".join(rows)}</div>')
    without = [run_picker.label_of(run.name) for run in runs if run.name not in films]
    if without:
        st.caption(_("{}: no images were saved during the training.").format(", ".join(without)))


def one_of_each(labels: np.ndarray) -> np.ndarray:
    """Indices of NUM_IMAGES images in ascending order of their class: first one of each class, then others."""
    first = np.unique(labels, return_index=True)[1]
    rest = np.setdiff1d(np.arange(len(labels)), first)
    chosen = np.concatenate([first, rest])[:NUM_IMAGES]
    return chosen[np.argsort(labels[chosen], kind="stable")]


def _row(run: RunInfo, error: str, recon: np.ndarray, sample: np.ndarray) -> str:
    label = run_picker.label_of(run.name)
    note = _("squared error {}").format(error)
    if not run.traits["generative"]:
        note = f"{note}, " + _("no prior")
    return _cells(
        label, note, _image(recon, _("Reconstructions by {}").format(label)),
        _image(sample, _("Random codes, decoded by {}").format(label)),
    )  # fmt: skip


def _cells(title: str, note: str, left: str, right: str) -> str:
    name = f"<b>{html.escape(title)}</b>" + (f"<small>{html.escape(note)}</small>" if note else "")
    return f'<div class="row"><div>{name}</div><div>{left}</div><div>{right}</div></div>'


def _image(images: np.ndarray, alt: str) -> str:
    png = base64.b64encode(image_sheets.sheet(images, len(images), scale=2, gap=2)).decode()
    return f'<img src="data:image/png;base64,{png}" alt="{html.escape(alt)}">'
