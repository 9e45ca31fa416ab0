"""What aevae reads from inside Streamlit, each behind one function.

Streamlit does not document these interfaces. Where a release lacks one, its function returns what a page can live with,
and nothing else of aevae depends on them.
"""

import contextlib
import functools
import logging
import sys
from collections.abc import Generator
from pathlib import Path

import streamlit as st

NO_SESSION_LOG = "streamlit.runtime.scriptrunner_utils.script_run_context"  # warns that no session runs
UPLOADS = "/_stcore/upload_file/"  # path of an upload, followed by the ids of the session and of the file
PRESS, LOOK = "press", "look"  # a person did something; a page polled


def in_session() -> bool:
    """Whether a Streamlit server runs in this process. The fallback: it runs `app.py` as the main module."""
    try:
        return st.runtime.exists()
    except AttributeError:
        return Path(getattr(sys.modules["__main__"], "__file__", None) or "").name == "app.py"


def is_history_navigation() -> bool:
    """Whether the session came here by Back or Forward. The fallback: no; then the address counts if it is new."""
    try:
        from streamlit.runtime.scriptrunner import get_script_run_ctx

        return bool(get_script_run_ctx().is_history_navigation)
    except (ImportError, AttributeError):
        return False


@contextlib.contextmanager
def without_session_warning() -> Generator[None]:
    """Suppress the warning that no session runs. The fallback, if a release warns elsewhere: it is printed."""
    log = logging.getLogger(NO_SESSION_LOG)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def uploading_session(path: str) -> str | None:
    """Id of the session that uploads a file to this path of the server; None for another path.

    The fallback, if a release has another path: None, and each file is limited, but not their sum.
    """
    _before, uploads, ids = path.partition(UPLOADS)
    return ids.partition("/")[0] if uploads else None


def caches() -> list[dict]:
    """Name, size (entries or bytes, see `unit`), hits and misses of every cache of this process. The fallback: []."""
    found: dict[str, dict] = {}
    try:
        stats = st.runtime.get_instance().stats_mgr.get_stats(["cache_memory_bytes", "cache_lookups"])
        for stat in stats.get("cache_memory_bytes", ()):
            if stat.category_name in ("st_cache_data", "st_cache_resource"):
                unit = "bytes" if stat.category_name == "st_cache_data" else "entries"
                found[stat.cache_name] = {"held": stat.byte_length, "unit": unit, "hit": 0, "miss": 0}
        for stat in stats.get("cache_lookups", ()):
            if stat.labels["cache"] in found:
                found[stat.labels["cache"]][stat.labels["result"]] = stat.value
    except (AttributeError, KeyError, TypeError, RuntimeError):  # RuntimeError: no server runs
        return []
    return [{"name": name, **found[name]} for name in sorted(found)]


@functools.cache
def message_types() -> tuple | None:
    """The classes of the messages from and to the browser. The fallback: None, so response times are unknown."""
    try:
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        back, forward = BackMsg(), ForwardMsg()
        for message in back, forward:
            message.WhichOneof("type")
        _ = back.rerun_script.is_auto_rerun, forward.script_finished, ForwardMsg.FINISHED_EARLY_FOR_RERUN
    except (ImportError, AttributeError, ValueError):
        return None
    return BackMsg, ForwardMsg


def request_kind(message: bytes) -> str:
    """PRESS or LOOK if this message of the browser starts a run of the script, else ""."""
    types = message_types()
    if types is None:
        return ""
    from google.protobuf.message import DecodeError

    try:
        request = types[0].FromString(message)
    except DecodeError:
        return ""
    if request.WhichOneof("type") != "rerun_script":
        return ""
    return LOOK if request.rerun_script.is_auto_rerun else PRESS


def ends_run(message: bytes) -> bool:
    """Whether this message to the browser says that a run ended, and not only to start again."""
    types = message_types()
    if types is None:
        return False
    answer = types[1].FromString(message)
    return (
        answer.WhichOneof("type") == "script_finished" and answer.script_finished != types[1].FINISHED_EARLY_FOR_RERUN
    )
