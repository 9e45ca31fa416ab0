"""Permissions on a server that a class shares.

If a passcode is set (AEVAE_PASSCODE, or `passcode` in .streamlit/secrets.toml), everybody may look, drag and queue a
limited number of runs. Only the teacher, who knows the passcode, may cancel others' jobs, delete, import and lock. If
no passcode is set, everybody may do everything. If the passcode cannot be read, nobody can log in as the teacher until
the setting is repaired. Both the page and the callback check permissions, because a hidden button is no protection.
"""

import difflib
import functools
import hmac
import os
import re
import secrets
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping

import streamlit as st

from aevae.queue import jobs
from aevae.ui.frame import teacher
from aevae.ui.i18n import _
from aevae.ui.shared import markdown

LOCAL = ("localhost", "127.0.0.1", "::1")
MAX_DELAY_SECONDS = 60.0  # longest delay after a wrong passcode
MAX_ADDRESSES = 1000  # addresses whose wrong tries are counted
_TEACHER, _TICKET, _OWN, _OWN_RUNS = "gate_teacher", "gate_ticket", "gate_own_jobs", "gate_own_runs"
WORDS = ("pass", "code", "pwd", "kennwort", "codigo")  # parts of keys that were probably meant as `passcode`
_NOBODYS = secrets.token_hex()  # replaces an unreadable passcode, so that nobody can log in
_tries: dict[str, tuple[int, float]] = {}  # address -> (number of wrong tries, earliest time of the next)


def passcode() -> str:
    """The teacher's passcode; "" if none is set; a random one if it cannot be read (`problem`)."""
    return _read_passcode()[0]


def problem() -> str:
    """One sentence if a passcode is set but cannot be read; else ""."""
    return _read_passcode()[1]


def _read_passcode() -> tuple[str, str]:
    """(passcode, problem with it). ("", "") only if no file or variable has a setting that looks like a passcode."""
    found = os.environ.get("AEVAE_PASSCODE", "")
    if found.strip():
        return found, ""
    odd, wanted = [], st.get_option("secrets.files")
    try:
        odd = [name for path in wanted for name in _misnamed(path)]
        wanted = [path for path in wanted if _exists(path)]
        if odd:
            raise ValueError(_("the file must be called secrets.toml"))
        merged: dict = {}
        for path in wanted:  # not read by st.secrets, which caches
            merged = _read_secrets(path) | merged
        code = _passcode_in(merged)
    except OSError as error:
        return _NOBODYS, _(
            "{} cannot be read ({}), so it is unknown whether a passcode is set, and no teacher can log in. Set the "
            "environment variable AEVAE_PASSCODE, or set HOME to a folder that the server may read."
        ).format(error.filename, error.strerror)
    except ValueError as error:  # no TOML, no UTF-8, no passcode
        return _NOBODYS, _(
            "The passcode in {} cannot be read, so no teacher can log in: {}. The file needs the line passcode = "
            '"your words" before all sections.'
        ).format(
            ", ".join(dict.fromkeys(odd or map(os.path.basename, wanted))), " ".join(str(error).split()).rstrip(".")
        )
    wrong = "" if code else _variable_problem()
    return (_NOBODYS, wrong) if wrong else (code, "")


def _read_secrets(path: str) -> dict:
    """Raises ValueError if it cannot be read, is no TOML or no UTF-8."""
    try:
        with open(path, encoding="utf-8") as file:
            return tomllib.loads(file.read())
    except OSError as error:
        raise ValueError(f"{error.strerror} ({path})") from None


def _exists(path: str) -> bool:
    """Whether there is a file, or a link that leads nowhere. Raises OSError if that cannot be seen."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _misnamed(path: str) -> list[str]:
    """Files beside a secrets file whose names differ from it only by suffixes of editors or systems. Raises OSError."""
    folder, name = os.path.split(path)
    try:
        there = os.listdir(folder or ".")
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [one for one in there if one != name and re.fullmatch(r"secrets?(\.toml|\.txt|\.tml)*", one.lower())]


def _variable_problem() -> str:
    """One sentence if an environment variable was probably meant as the passcode; else "". Its value is not shown."""
    if "AEVAE_PASSCODE" in os.environ:
        return _(
            "The environment variable AEVAE_PASSCODE is empty, so no teacher can log in. Set it to the passcode, or "
            "remove it."
        )
    if meant := [name for name in os.environ if _is_meant_as_passcode(name)]:
        return _(
            "The environment variable {} is not read, so no teacher can log in. The variable must be called "
            "AEVAE_PASSCODE."
        ).format(", ".join(meant))
    return ""


@functools.lru_cache(maxsize=1024)
def _is_meant_as_passcode(variable: str) -> bool:
    near = difflib.get_close_matches(_letters(variable), ["aevaepasscode"], cutoff=0.85)
    prefix, *parts = variable.lower().split("_")
    return bool(near) or (prefix == "aevae" and any(map(_is_like_passcode_part, parts)))


def _is_like_passcode_part(part: str) -> bool:
    return part in WORDS or part.startswith("pass") or bool(difflib.get_close_matches(part, ["passcode"], cutoff=0.75))


def _passcode_in(found: Mapping) -> str:
    """The passcode in these secrets; "" if they contain only other settings. Raises ValueError."""
    name = next((name for name in ("passcode", "AEVAE_PASSCODE") if name in found), None)
    if name is None:
        if wrong := [*_suspects(found)]:
            raise ValueError(_("there is no passcode; the file has {}").format(", ".join(wrong)))
        return ""
    code = found[name]
    if isinstance(code, bool) or not isinstance(code, str | int) or not str(code).strip():
        raise ValueError(_("it is empty, or it is not a text in quotation marks"))  # and not said: all may read this
    return str(code)


def _suspects(found: Mapping, inside: str = "") -> Iterator[str]:
    """Keys at any depth that were probably meant as `passcode`, without the sections that Streamlit uses."""
    for key, value in found.items():
        if _is_like_passcode(_letters(str(key))):
            yield inside or str(key)
        elif not inside and key in ("connections", "auth"):
            continue
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, Mapping):
                yield from _suspects(part, inside or f"[{key}]")


def _letters(name: str) -> str:
    return "".join(filter(str.isalpha, name.lower()))


def _is_like_passcode(letters: str) -> bool:
    near = difflib.get_close_matches(letters, ["passcode"], cutoff=0.75)
    return bool(near) or any(word in letters for word in WORDS)


def queued_at_most() -> int:
    """Number of queued or running runs allowed per session without the passcode (AEVAE_QUEUE_EACH, default 1)."""
    wanted = os.environ.get("AEVAE_QUEUE_EACH", "")
    return int(wanted) if wanted.isdecimal() else 1


def is_teacher() -> bool:
    """Whether this session has the teacher's permissions, or no passcode is set."""
    code = passcode()
    return not code or teacher.is_admitted(_token(), code)  # a changed passcode requires a new login


def _token() -> str:
    return st.session_state.get(_TEACHER) or teacher.from_cookie()


def ticket() -> str:
    """The ticket that the page of a teacher who just logged in exchanges for the cookie; "" for others."""
    return st.session_state.get(_TICKET, "")


def log_in(said: str, now: float | None = None) -> str:
    """Log in with a passcode: "" if it is right, else one sentence. After each wrong passcode the delay doubles."""
    if closed := problem():
        return closed
    now = time.monotonic() if now is None else now
    address = str(getattr(st.context, "ip_address", None))
    wrong, until = _tries.get(address, (0, 0.0))
    if now < until:
        return _("Too many wrong passcodes. Wait {:.0f} seconds.").format(until - now + 0.5)
    code = passcode()
    if code and hmac.compare_digest(said.encode(), code.encode()):
        _tries.pop(address, None)
        st.session_state[_TEACHER], st.session_state[_TICKET] = teacher.admit(code)
        return ""
    if len(_tries) >= MAX_ADDRESSES:
        _tries.pop(next(iter(_tries)))
    _tries[address] = (wrong + 1, now + min(2.0 ** min(wrong, 20), MAX_DELAY_SECONDS))
    return _("This passcode is wrong. Try again.")


def log_out() -> None:
    """Log out, in every tab of this browser."""
    for token in (_token(), teacher.from_cookie()):
        teacher.dismiss(token)
    for key in (_TEACHER, _TICKET):
        st.session_state.pop(key, None)


# -- permissions -----------------------------------------------------------------------------------------------------


def may_handle(numbers: Iterable[int]) -> bool:
    """Whether this session may cancel, pause or resume these jobs: own jobs, or any with the passcode."""
    return is_teacher() or set(numbers) <= st.session_state.get(_OWN, set())


def may_train(runs: int) -> str:
    """ "" if this session may queue so many runs now, else one sentence."""
    if is_teacher():
        return ""
    if jobs.locked():
        return _("The teacher has locked the training. Ask the teacher to unlock it.")
    own = st.session_state.get(_OWN, set())
    waiting = sum(job.active and job.id in own for job in jobs.jobs(jobs.MAX_ACTIVE_JOBS))
    if waiting + runs > queued_at_most():
        if problem():
            return problem()
        if queued_at_most() == 1:
            return _("Each person may have one run in the queue. Wait until it ends, or cancel it.")
        return _("Each person may have at most {} runs in the queue. Wait until one ends, or cancel one.").format(
            queued_at_most()
        )
    return ""


def may_read(dataset: str) -> str:
    """ "" if this session may name this data set, else one sentence.

    `images:<path>` reads files of the server. If others can reach the server, only the teacher may do so, except for
    images in the data folder, where uploads are stored.
    """
    from aevae.datasets import images

    own = dataset.startswith(images.PREFIX)
    if (
        not own
        or (is_teacher() and not exposure_problem(st.get_option("server.address")))
        or images.in_data_folder(dataset)
    ):
        return ""
    return _("Only the teacher may read files on the server. Upload the images as a zip instead.")


def remember(queued: Iterable[jobs.Job]) -> None:
    """Note that these jobs, and their runs, belong to this session."""
    queued = list(queued)
    st.session_state[_OWN] = st.session_state.get(_OWN, set()) | {job.id for job in queued}
    st.session_state[_OWN_RUNS] = st.session_state.get(_OWN_RUNS, set()) | {job.run for job in queued}


def owns(run: str) -> bool:
    """Whether this session started this run."""
    return run in st.session_state.get(_OWN_RUNS, set())


def refusal() -> str:
    """The message for an action that only the teacher may do."""
    return problem() or _("Only the teacher may do this. Enter the passcode under Teacher in the menu.")


# -- log in and out --------------------------------------------------------------------------------------------------


def login_panel() -> None:
    """Below the menu, if a passcode is set: log in as the teacher, lock training, log out."""
    if not passcode():
        return
    with st.sidebar.popover(_("Teacher"), icon=":material/school:", key="gate"):
        if is_teacher():
            lock_toggle("gate_lock")
            st.button(_("Log out"), key="gate_leave", on_click=log_out)
        else:
            st.text_input(
                _("Passcode"), type="password", key="gate_code", on_change=_submit_passcode, autocomplete="off"
            )
            if wrong := st.session_state.pop("gate_problem", "") or problem():
                st.error(markdown.escape(wrong))


def lock_toggle(key: str) -> None:
    """The lock of the training, for the teacher; all such toggles show one state."""
    st.session_state[key] = jobs.locked()
    st.toggle(
        _("Lock training"), key=key, on_change=_lock, args=(key,),
        help=_("Only you can start a run. Runs that are in the queue continue."),
    )  # fmt: skip


def _submit_passcode() -> None:
    said = st.session_state.pop("gate_code", "")
    if said:
        st.session_state["gate_problem"] = log_in(said)


def _lock(key: str) -> None:
    if is_teacher():
        jobs.lock(bool(st.session_state.get(key)))


def exposure_problem(address: str | None) -> str:
    """One sentence if the passcode cannot be read, or if others can reach a server without one; else ""."""
    if closed := problem():
        return closed
    if passcode() or (address or "") in LOCAL:
        return ""
    return _(
        "Other computers can reach this server, and it has no passcode. Everybody who reaches it may train, cancel "
        "and delete. Set AEVAE_PASSCODE, or listen on localhost only."
    )
