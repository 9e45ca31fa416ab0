"""Streamlit without the interfaces that it does not document: pages work, and what cannot be known is not shown."""

import logging
import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import open_page
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from aevae import launch, paths
from aevae.queue import jobs
from aevae.ui import internals
from aevae.ui.frame import monitoring

FINISHED = ForwardMsg(script_finished=ForwardMsg.FINISHED_SUCCESSFULLY).SerializeToString()


@pytest.fixture(autouse=True)
def _asked_anew():
    internals.message_types.cache_clear()
    yield
    internals.message_types.cache_clear()


def press() -> bytes:
    message = BackMsg()
    message.rerun_script.is_auto_rerun = False
    return message.SerializeToString()


def metrics() -> str:
    return monitoring.text().decode()


def without_messages(monkeypatch, change: str) -> None:
    if change == "no module":
        monkeypatch.setitem(sys.modules, "streamlit.proto.BackMsg_pb2", None)
    elif change == "no protobuf":
        monkeypatch.setitem(sys.modules, "streamlit.proto.ForwardMsg_pb2", None)
    elif change == "no class":
        monkeypatch.delattr("streamlit.proto.ForwardMsg_pb2.ForwardMsg")
    else:  # messages of another kind: they have none of the fields
        monkeypatch.setattr("streamlit.proto.BackMsg_pb2.BackMsg", ForwardMsg)


@pytest.mark.parametrize("change", ["no module", "no protobuf", "no class", "no field"])
def test_without_message_classes_response_times_are_absent(change, empty_store, monkeypatch):
    monkeypatch.setattr(monitoring, "counts", monitoring.Counts())
    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)
    turn = monitoring.Turn()
    turn.on_request(press())
    turn.on_response(FINISHED)
    assert len(monitoring.counts.latest) == 1 and "aevae_answer_seconds" in metrics()
    monitoring.counts.latest.clear()
    internals.message_types.cache_clear()
    without_messages(monkeypatch, change)
    turn.on_request(press())
    turn.on_response(FINISHED)
    assert not monitoring.counts.latest
    assert "aevae_answer_seconds" not in metrics() and "aevae_sessions 0.0" in metrics()
    app = open_page("pages/lab/server.py")
    assert not app.exception
    shown = {metric.label for metric in app.metric}
    assert "interactions in five minutes" not in shown and {"open sessions", "memory of the server"} <= shown


@pytest.mark.parametrize("has_instance", [True, False])
def test_without_the_runtime_the_caches_are_absent(has_instance, empty_store, monkeypatch):
    """... also if there are statistics, but of another kind."""
    monkeypatch.setattr(jobs, "ensure_worker", lambda lane="auto": None)
    manager = SimpleNamespace(get_stats=lambda families: {"cache_lookups": [SimpleNamespace(value=1)]})
    runtime = SimpleNamespace(get_instance=lambda: SimpleNamespace(stats_mgr=manager)) if has_instance else None
    monkeypatch.setattr(internals, "st", SimpleNamespace(runtime=runtime))
    app = open_page("pages/lab/server.py")
    assert not app.exception and not app.expander
    assert "open sessions" in {metric.label for metric in app.metric}
    assert internals.caches() == [] and "aevae_cache_bytes{" not in metrics()


def test_the_server_is_distinguished_from_a_session_without_the_private_function():
    code = "from aevae.ui import internals\ninternals.st = None\nimport app\nprint(type(app.app).__name__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT, capture_output=True, encoding="utf-8")
    assert done.stdout.strip() == "App", done.stderr[-2000:]


@pytest.mark.parametrize("change", ["no module", "no function", "no context", "no attribute"])
def test_without_the_context_of_a_run_a_page_opens_and_reads_its_address(change, store, monkeypatch):
    name = "streamlit.runtime.scriptrunner"
    if change == "no module":
        monkeypatch.setitem(sys.modules, name, None)
    elif change == "no function":
        monkeypatch.delattr(f"{name}.get_script_run_ctx")
    else:
        context = None if change == "no context" else object()
        monkeypatch.setattr(f"{name}.get_script_run_ctx", lambda: context)
    assert internals.is_history_navigation() is False
    app = open_page("pages/explore/sliders.py", model=store["ae"])
    assert not app.exception
    assert app.session_state["address_visit"].page == "sliders"
    assert any(store["ae"] in str(box.value) for box in app.selectbox)


def test_the_menu_is_announced_without_the_warning_that_no_session_runs():
    from streamlit.runtime.scriptrunner_utils import script_run_context

    log = logging.getLogger(internals.NO_SESSION_LOG)
    assert script_run_context._LOGGER is log
    before = log.level
    with pytest.raises(KeyError), internals.without_session_warning():
        assert not log.isEnabledFor(logging.WARNING) and log.isEnabledFor(logging.ERROR)
        raise KeyError
    assert log.level == before


def test_the_session_of_an_upload_is_read_from_its_path():
    from streamlit.web.server.starlette.starlette_routes import BASE_ROUTE_UPLOAD_FILE

    assert f"/{BASE_ROUTE_UPLOAD_FILE}/" == internals.UPLOADS
    assert internals.uploading_session("/_stcore/upload_file/session-1/file-2") == "session-1"
    assert internals.uploading_session("/class/_stcore/upload_file/session-1/file-2") == "session-1"
    assert [internals.uploading_session(path) for path in ("/", "/_stcore/health", "/_stcore/upload_file")] == [
        None
    ] * 3


def test_aevae_app_runs_what_streamlit_runs(monkeypatch):
    seen = []
    monkeypatch.setattr("streamlit.web.cli.main", lambda **named: seen.append((sys.argv, named)) or sys.exit(3))
    before = list(sys.argv)
    assert launch.run_app(["--server.port", "1"]) == 3
    arguments = ["streamlit", "run", str(paths.ROOT / "app.py"), "--server.port", "1"]
    assert seen == [(arguments, {"prog_name": "streamlit"})]
    assert sys.argv == before


def test_a_proxy_must_pass_on_the_host_or_be_named(monkeypatch):
    """As docs/deploy.md says."""
    from streamlit import config, net_util
    from streamlit.web.server.starlette.starlette_websocket import _is_origin_allowed

    for name in ("get_internal_ip", "get_external_ip"):
        monkeypatch.setattr(net_util, name, lambda: None)
    page = "https://school.example:8443"
    assert _is_origin_allowed(page, "school.example:8443") and not _is_origin_allowed(page, "school.example")
    get_option = config.get_option
    named = {"server.corsAllowedOrigins": [page]}
    monkeypatch.setattr(config, "get_option", lambda key: named[key] if key in named else get_option(key))
    assert _is_origin_allowed(page, "school.example")
