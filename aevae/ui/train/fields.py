"""One field of the form: a widget with the help, range, choices and default of a config field.

Every field is in the URL as `train_<field>`; the form says so if the value in a link does not fit.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import streamlit as st

from aevae.config import check, parse
from aevae.ui.i18n import _
from aevae.ui.shared import address, markdown
from aevae.ui.shared.option_words import option_title

MAX_CHARACTERS = 400  # limit of the text of a list
LINK_PROBLEMS = "train_wrong"  # session: key -> sentence about a wrong value in the link


def key_of(name: str) -> str:
    """State key of a config field, also its name in the URL."""
    return f"train_{name}"


def list_key(name: str) -> str:
    """State key of the list of values of a model field, also its name in the URL."""
    return f"train_list_{name}"


def in_order_of_need(fields: Sequence[dataclasses.Field]) -> list[dataclasses.Field]:
    """The fields in order, with each dependent field (`when`) right after the field that it depends on."""
    waiting = {f.name: f.metadata["when"][0] for f in fields if "when" in f.metadata}
    found: list[dataclasses.Field] = []

    def append_with_dependents(f: dataclasses.Field) -> None:
        found.append(f)
        for other in fields:
            if waiting.get(other.name) == f.name:
                append_with_dependents(other)

    for f in fields:
        if f.name not in waiting:
            append_with_dependents(f)
    return found


def listable(config_class: type, values: dict) -> list[dataclasses.Field]:
    """The numeric fields of a model config that have an effect with these values."""
    return [
        f
        for f in dataclasses.fields(config_class)
        if isinstance(f.default, int | float)
        and not isinstance(f.default, bool)
        and ("when" not in f.metadata or values.get(f.metadata["when"][0]) in f.metadata["when"][1])
    ]


def parse_list(f: dataclasses.Field, text: str) -> list:
    """The distinct values of field `f` in a text like `0.25, 1, 4`. Raises ValueError with one sentence."""
    parts = [part for part in re.split(r"[,;\s]+", text) if part]
    return sorted({check(f, parse(f, part)) for part in parts})


def problem_text(problem: Exception) -> str:
    """The message of an exception as a sentence for Markdown."""
    text = markdown.escape(problem)
    return text[:1].upper() + text[1:]


def draw_field(f: dataclasses.Field, others: dict, place, default: Any = None) -> Any:
    """The value of one field from its widget; without an effect beside the `others`, its default and no widget.

    default: overrides the field's default.
    """
    default = f.default if default is None else default
    needs = f.metadata.get("when")
    if needs and others.get(needs[0]) not in needs[1]:
        return default
    key, label, help = key_of(f.name), option_title(f.name), _(f.metadata["help"])
    with place:
        if choices := f.metadata.get("choices"):
            return draw_choice(key, label, list(choices), pretty, help=help, default=default)
        _check_link(key, f)
        common = {
            "key": key, "help": help, "on_change": forget_problem, "args": (key,), "bind": "query-params",
            "persist_state": "session",
        }  # fmt: skip
        if isinstance(f.default, bool):
            return st.toggle(label, default, **common)
        if isinstance(f.default, str):
            return st.text_input(label, default, max_chars=MAX_CHARACTERS, **common)
        low, high = f.metadata["min"], f.metadata["max"]
        if isinstance(f.default, int):
            return st.number_input(label, low, high, default, step=1, **common)
        step = f.default / 10 if f.metadata.get("log") else 0.05 if high <= 10 else 0.5
        return st.number_input(label, float(low), float(high), default, step=step, format="%g", **common)


def pretty(name) -> str:
    """A value of an option as words: `salt_and_pepper` -> `salt and pepper`."""
    return str(name).replace("_", " ")


def unknown_option(key: str, label: str, options: list) -> address.LinkReader:
    """A reader that notes a problem if the link has a value that is no option."""
    names = ", ".join(map(str, options))
    text = _("{} must be one of {}, got {}")
    return address.LinkReader(on_unknown=lambda value: note_problem(key, text.format(label, names, value[:40])))


def draw_choice(key: str, label: str, options: list, show, *, help: str, default: Any = "") -> Any:
    """The chosen one of a few options, shown as a row of buttons."""
    return address.pick(
        st.segmented_control, label, options, default=default or options[0], required=True, format_func=show, key=key,
        help=help, wrap=True, on_change=forget_problem, args=(key,), reader=unknown_option(key, label, options),
    )  # fmt: skip


def _check_link(key: str, f: dataclasses.Field) -> None:
    """On the first run of the page: note a problem if the link's value does not fit."""
    linked = st.query_params.get(key)
    if linked is None or key in st.session_state:
        return
    try:
        check(f, parse(f, linked))
    except ValueError as problem:
        note_problem(key, str(problem)[:200])


def note_problem(key: str, sentence: str) -> None:
    st.session_state.setdefault(LINK_PROBLEMS, {})[key] = sentence


def forget_problem(key: str) -> None:
    st.session_state.get(LINK_PROBLEMS, {}).pop(key, None)
