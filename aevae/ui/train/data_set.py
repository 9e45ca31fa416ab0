"""The data set of the form: its choice, and the upload of own images."""

import dataclasses
import os

import numpy as np
import streamlit as st

from aevae.config import DataConfig
from aevae.ui.frame import access
from aevae.ui.i18n import _
from aevae.ui.shared import address, markdown
from aevae.ui.train.fields import forget_problem, note_problem, problem_text

OWN = "own pictures"  # the last choice of data sets
DATA = "train_data"
PATH, ZIP, FOLDER = "train_path", "train_zip", "train_folder"  # ways to name own images
MAX_NAMED = 12  # classes of own images that are listed with their counts


def catalogue() -> list[dict]:
    from aevae import datasets

    return datasets.catalogue()


def pick_data_set(model_class: type) -> str | None:
    """Name of the chosen data set, which fits the family; None while own images are not chosen yet."""
    wanted = "sequence" if model_class.input == "sequence" else "image"
    rows = {row["name"]: row for row in catalogue() if row.get("input", "image") == wanted}
    options = [*rows, OWN] if wanted == "image" else [*rows]
    if st.session_state.get(DATA, options[0]) not in options:
        st.session_state[DATA] = model_class.Config.dataset
    labels = {name: _data_label(row) for name, row in rows.items()} | {OWN: _("own images ...")}
    named = ", ".join(n for n in rows if ":" not in n)
    text = _("the data set must be one of {}, or own pictures, got {}")
    chosen = address.pick(
        st.selectbox, _("Data set"), options, format_func=lambda name: labels.get(name, name), key=DATA,
        on_change=forget_problem, args=(DATA,),
        reader=address.LinkReader(on_unknown=lambda value: note_problem(DATA, text.format(named, value[:40]))),
    )  # fmt: skip
    if chosen == OWN:
        return _pick_own_images()
    row = rows[chosen]
    st.caption(f"{markdown.strip(row['title'])} · {row['size']} · {row['licence']}")
    if not row["available"]:
        st.info(
            _("{} is not on this computer yet, so training begins with its download. Without a network, use mnist-5k.")
            .format(chosen)
        )  # fmt: skip
        st.button(_("Use mnist-5k"), key="train_take_5k", on_click=take_embedded)
    return chosen


def take_embedded() -> None:
    """Choose mnist-5k, which is always available (a callback)."""
    st.session_state[DATA] = DataConfig.name


def _data_label(row: dict) -> str:
    if ":" not in row["name"]:
        return row["name"]
    return _("own: {} ({})").format(markdown.strip(row["title"]), row["name"].rpartition("/")[2][:6])


def describe_own_images(data: DataConfig, place) -> None:
    """Show the number and classes of own images, and what was guessed, changed or left out."""
    from aevae import datasets

    if not datasets.is_own(data.name):
        return
    read = datasets.load(dataclasses.replace(data, limit=0))
    counts = np.bincount(np.concatenate([read.train.labels, read.test.labels]), minlength=len(read.classes))
    named = ", ".join(f"{name} ({n:,})" for name, n in zip(read.classes[:MAX_NAMED], counts, strict=False))
    more = len(read.classes) - MAX_NAMED
    place.caption(
        _("{:,} training and {:,} test images. Classes: {}").format(
            len(read.train), len(read.test), markdown.escape(named)
        )
        + (_(" and {:,} more").format(more) if more > 0 else "")
        + "."
    )
    if read.notes:
        place.warning("\n\n".join(markdown.escape(note[:1].upper() + note[1:] + ".") for note in read.notes))


def _pick_own_images() -> str | None:
    st.file_uploader(_("A zip of images"), type=["zip"], key=ZIP, on_change=_store_upload, args=(ZIP,))
    st.file_uploader(
        _("or a folder of images"), key=FOLDER, accept_multiple_files="directory", on_change=_store_upload,
        args=(FOLDER,),
    )  # fmt: skip
    st.caption(
        _(
            "The sub-folders are the classes. Each image becomes grey, 28 x 28 pixels. 20 % of the images become the "
            "test set."
        )
        + " "
        + _("If there are folders named train and test, they become the training set and the test set.")
    )
    if problem := st.session_state.get(f"{ZIP}_problem"):
        st.error(problem)
    path = st.text_input(
        _("or a folder or zip on the computer that runs aevae"), key=PATH, max_chars=500, bind="query-params",
        persist_state="session",
    ).strip()  # fmt: skip
    name = f"images:{os.path.abspath(os.path.expanduser(path))}" if path else None
    if name and (problem := access.may_read(name)):
        st.error(problem)
        return None
    return name


def _store_upload(key: str) -> None:
    from aevae import datasets

    came = st.session_state.get(key)
    st.session_state.pop(f"{ZIP}_problem", None)
    if not came:
        return
    try:
        if key == FOLDER:
            contents = {file.name: file.getvalue() for file in came}
            st.session_state[DATA] = datasets.store_upload(contents, came[0].name.partition("/")[0])
        else:
            st.session_state[DATA] = datasets.store_upload(came.getvalue(), came.name)
    except ValueError as problem:
        st.session_state[f"{ZIP}_problem"] = problem_text(problem)
