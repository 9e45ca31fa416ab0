"""Opens the chosen runs; a message names those that cannot be opened."""

from collections.abc import Sequence

import streamlit as st

from aevae import datasets
from aevae.ui.i18n import _
from aevae.ui.shared import cached, markdown

DEFAULT = datasets.EMBEDDED


def open_runs(names: Sequence[str]) -> list:
    """The opened runs (`aevae.runs.Run`), in order. A message names damaged ones; stops the page if none is left."""
    opened = []
    for name in names:
        try:
            opened.append(cached.run(name))
        except ValueError as problem:
            st.warning(markdown.escape(problem))
    if not opened:
        st.info(_("None of the chosen models can be opened. Choose another one."))
        st.stop()
    return opened


def common_set(runs: Sequence) -> str:
    """The data set whose test images all these runs (Run or RunInfo) show.

    DEFAULT if they differ, if its files are missing, or if it has fewer than two test images.
    """
    trained = [datasets.data_of(getattr(run, "info", run).config) for run in runs]
    name = datasets.shown_for(trained[0]).name if trained else DEFAULT
    if not all(datasets.same_kind(data, name) for data in trained):
        if datasets.is_own(name) and trained[0].name == name and not datasets.same_kind(trained[0], name):
            st.warning(_("The images of {} have changed since the training, so this page shows {}.").format(
                markdown.escape(datasets.title_of(name)), DEFAULT))  # fmt: skip
        return DEFAULT
    try:
        images, _labels = cached.shown_digits(name)
    except (ValueError, OSError) as problem:
        st.warning(markdown.escape(problem))
        return DEFAULT
    return name if len(images) > 1 else DEFAULT
