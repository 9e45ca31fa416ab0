"""The images of a sweep: for each value a strip of reconstructions and samples, from the newest preview of its run."""

import io
from collections.abc import Sequence

import streamlit as st
from PIL import Image

from aevae.ui.i18n import _
from aevae.ui.shared import image_sheets
from aevae.ui.train.sweep_runs import Member, by_value, value_label, varied_options

SIDE, NUM_IMAGES = 28, 8  # a preview has rows of so many originals, reconstructions and samples
GAP_PIXELS, SCALE = 12, 3
MAX_STRIPS = 16


def strips(found: Sequence[Member]) -> None:
    """Show the strips in the order of the values; of several seeds, the first one's."""
    differ = varied_options([member.config for member in found])
    first: dict[str, Member] = {}
    for member in by_value(found):
        first.setdefault(value_label(member.config, differ), member)
    images = {label: image for label, member in first.items() if (image := _preview(member))}
    if not images:
        return
    st.caption(
        _("First row: test images. Below, left: their reconstructions. Right: samples, which are decoded random codes.")
    )
    _row("", _originals(next(iter(images.values()))), _("Test images"))
    for label, image in list(images.items())[:MAX_STRIPS]:
        _row(label, strip(image), _("Reconstructions and samples of the run with {}").format(label))
    if len(images) > MAX_STRIPS:
        st.caption(_("and {} more values").format(len(images) - MAX_STRIPS))


def _row(label: str, image: Image.Image, alt: str) -> None:
    name, picture = st.columns([1, 6], vertical_alignment="center")
    name.markdown(f"**{label}**" if label else " ")
    png = io.BytesIO()
    image.save(png, "PNG")
    picture.image(image_sheets.enlarge(png.getvalue(), SCALE) or b"", width="stretch", alt=alt)


def _preview(member: Member) -> Image.Image | None:
    """The newest preview of a run; None before its first, and for previews with other rows."""
    if member.info is None:
        return None
    try:
        with Image.open(member.info.path / "preview.png", formats=["PNG"]) as image:
            fits = image.size == (NUM_IMAGES * SIDE, 3 * SIDE)
            return image.convert("L") if fits else None
    except (OSError, ValueError, SyntaxError):
        return None


def strip(preview: Image.Image) -> Image.Image:
    """Reconstructions, a gap, samples: the second and the third row of a preview, side by side."""
    return _side_by_side(_row_of(preview, 1), _row_of(preview, 2))


def _originals(preview: Image.Image) -> Image.Image:
    """The first row of a preview, as wide as a strip."""
    return _side_by_side(_row_of(preview, 0), None)


def _row_of(preview: Image.Image, row: int) -> Image.Image:
    return preview.crop((0, row * SIDE, preview.width, (row + 1) * SIDE))


def _side_by_side(left: Image.Image, right: Image.Image | None) -> Image.Image:
    out = Image.new("LA", (2 * left.width + GAP_PIXELS, SIDE))
    out.paste(left, (0, 0))
    if right is not None:
        out.paste(right, (left.width + GAP_PIXELS, 0))
    return out
