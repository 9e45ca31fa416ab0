"""The address (URL) of a page, and how page and address stay in step.

The address holds each choice by its own name (`?model=vae-mnist-0123456789ab`, `?noise=masking`), never by its title,
because titles change with the language and with the other runs in the store. A link with a title still works if only
one option has this title.

The session holds the choices. A page reads the address once after each arrival (by a link, by the menu, by Back) and
takes over the values that this session has not written itself. After Back or Forward the address alone decides. From
then on the page only writes the address. `frame/history.js` keeps one browser entry for each visited page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import streamlit as st

from aevae.ui import internals
from aevae.ui.i18n import _

NONE = "none"  # in the address: the reader removed the default and chose nothing
_VISIT = "address_visit"


@dataclass
class Visit:
    """The current page of a session.

    back: the session came by Back or Forward. read: keys read since the arrival. written: keys written in this run of
    the page. last_written: key -> values that the session wrote last.
    """

    page: str | None = None
    back: bool = False
    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)
    last_written: dict[str, list[str]] = field(default_factory=dict)


def _visit() -> Visit:
    return st.session_state.setdefault(_VISIT, Visit())


def begin(page: str) -> None:
    """Before a page runs. page: its own part of the address."""
    arrive(page, back=internals.is_history_navigation())


def arrive(page: str, back: bool = False) -> None:
    """Note the arrival on a page, if it is another page than before or came by Back or Forward."""
    now = _visit()
    if back or page != now.page:
        now.page, now.back, now.read = page, back, set()
    now.written = set()


def end() -> None:
    """Call after a page has run: remove keys that only an earlier page has written."""
    now = _visit()
    for key in set(now.last_written) - now.written:
        del now.last_written[key]
        st.query_params.pop(key, None)


def read_new(key: str) -> list[str] | None:
    """The values of `key` in the address, once after each arrival; None: nothing new, the session decides."""
    now = _visit()
    if key in now.read:
        return None
    now.read.add(key)
    said = [text for text in st.query_params.get_all(key) if text]
    return said if now.back or (said and said != now.last_written.get(key)) else None


def write(key: str, *texts: str) -> None:
    """Write the values of `key` into the address; without values remove the key."""
    now, said = _visit(), list(texts)
    now.written.add(key)
    if said:
        now.last_written[key] = said
    else:
        now.last_written.pop(key, None)
    if st.query_params.get_all(key) == said:
        return
    if said:
        st.query_params[key] = said
    else:
        st.query_params.pop(key, None)


@dataclass(frozen=True)
class LinkReader:
    """How a picker reads a link, beyond the options' own names.

    find(text) -> an option that has this other name, or None. on_unknown(text): called for texts that name no option;
    on_gone(option): called for a chosen option that is no longer on offer.
    """

    find: Callable[[str], object] | None = None
    on_unknown: Callable[[str], object] | None = None
    on_gone: Callable[[object], object] | None = None


def pick(
    widget: Callable,
    label: str,
    options: Sequence,
    *,
    key: str,
    format_func: Callable[..., str] = str,
    reader: LinkReader = LinkReader(),
    always: bool = False,
    **rest,
):
    """The value of `widget(label, options, ...)`, one of Streamlit's pickers, with the choice in the address.

    The address has the options' own names, `str(option)`. always: the address shows the default, too, because the
    default depends on what is in the store.
    """
    options, several = list(options), widget is st.multiselect
    default = _default(widget, options, rest)
    _update_choice(key, options, default, rest.get("max_selections") if several else None, format_func, reader)
    value = widget(label, options, key=key, format_func=format_func, persist_state="session", **rest)
    chosen = value if several else [] if value is None else [value]
    write(key, *([] if value == default and not always else map(str, chosen) if chosen else [NONE] if default else []))
    return value


def _default(widget: Callable, options: list, rest: dict):
    """The widget's default; a list if several options can be chosen."""
    if widget in (st.selectbox, st.radio):
        index = rest.get("index", 0)
        return options[index] if options and index is not None else None
    default = rest.get("default")
    return list(default or ()) if widget is st.multiselect else default


def _update_choice(key: str, options: list, default, limit: int | None, format_func, reader: LinkReader) -> None:
    """Set the session to the choice in the address and drop options that no longer exist. limit: number of choices."""
    several = isinstance(default, list)
    if (said := read_new(key)) is not None:
        found = _match_options(said, options, format_func, reader)
        if several and (found or said == [NONE]):
            st.session_state[key] = found[:limit]
        elif found:
            st.session_state[key] = found[-1]
        elif _visit().back:
            st.session_state[key] = default
    value = st.session_state.get(key)
    chosen = (value or []) if several else [] if value is None else [value]
    if lost := [option for option in chosen if option not in options]:
        st.session_state[key] = ([option for option in chosen if option in options] or default) if several else default
        for option in lost if reader.on_gone else ():
            reader.on_gone(option)


def _match_options(said: Sequence[str], options: list, format_func, reader: LinkReader) -> list:
    """The options that these texts name, each once."""
    found = []
    for text in said:
        option = match_option(text, options, format_func, reader.find)
        if option is not None and option not in found:
            found.append(option)
        elif option is None and reader.on_unknown and text != NONE:
            reader.on_unknown(text)
    return found


def match_option(text: str, options: Sequence, format_func: Callable[..., str] = str, find: Callable | None = None):
    """The option that a link names; None without one.

    In this order: by its own name, by another name (`find`), by a title that no other option has, in the reader's
    language or in English.
    """
    for option in options:
        if str(option) == text:
            return option
    if find and (option := find(text)) in options:
        return option
    titled = [option for option in options if format_func(option) in (text, _(text))]
    return titled[0] if len(titled) == 1 else None
