"""Routes for modules and programs, and the message if a model cannot run in the browser."""

import asyncio
import functools
import json
import re
import shutil

import numpy as np
import pytest
import streamlit as st
from starlette.applications import Starlette

from aevae.browser import blob
from aevae.store import bundles, checkpoints
from aevae.ui.live import component

trouble = functools.partial(component.trouble, has_server_version=True)
IMMUTABLE = "public, max-age=31536000, immutable"


def get(path: str, method: str = "GET") -> tuple[int, dict, bytes]:
    """(status, headers, body) of a request to the routes alone, the path taken as it is."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    asyncio.run(Starlette(routes=component.routes())(scope, receive, send))
    headers = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:])


# -- routes ----------------------------------------------------------------------------------------------------------


def test_modules_are_served_under_an_immutable_name():
    for path in component.MODULES.values():
        status, headers, body = get(f"/live/{component.VERSION}/{path.relative_to(component.ROOMS).as_posix()}")
        assert status == 200 and body == path.read_bytes()
        assert headers["cache-control"] == IMMUTABLE and headers["x-content-type-options"] == "nosniff"
        assert headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    ("pattern", "module"),
    [
        ("devicePixelRatio", "canvas"),
        ("getPropertyValue", "canvas"),
        ("ArrowLeft:", "canvas"),
        ("setPointerCapture", "canvas"),
        (r"Math\.min\(Math\.max\(.*\), ", "maths"),
        (r"1 / \(1 \+ Math\.exp\(", "maths"),
    ],
)
def test_each_helper_of_the_modules_is_written_once(pattern, module):
    """Modules with their own pointer handlers say why; they mention `onDrag`."""
    users = {name for name, path in component.MODULES.items() if re.search(pattern, path.read_text("utf-8"))}
    own_handlers = {name for name in users if "Not onDrag" in component.MODULES[name].read_text("utf-8")}
    assert users - (own_handlers if pattern == "setPointerCapture" else set()) == {module}


def test_a_program_is_served_under_an_immutable_name(store):
    for name in store.values():
        address = component.address(name)
        assert re.fullmatch(rf"live/{name}/[0-9a-f]{{16}}\.bin", address)
        status, headers, body = get("/" + address)
        assert status == 200 and headers["cache-control"] == IMMUTABLE
        assert headers["content-type"] == "application/octet-stream" and int(headers["content-length"]) == len(body)
        header, _ = blob.unpack(body)
        assert name.startswith(header["family"] + "-") and header["latent_dim"] == 3


def test_the_name_of_the_modules_follows_their_content():
    assert re.fullmatch(r"[0-9a-f]{12}", component.VERSION)
    assert get(f"/live/{'0' * 12}/live/program.js")[0] == 404


@pytest.mark.parametrize(
    "file",
    [
        "live/live.css",
        "live/nothing.js",
        "..",
        "../live/program.js",
        "live/component.py",
        "..%2Fcomponent.py",
        "program.js",
        "sliders/program.js",
        "live/program.js/",
        "live/program.js\0",
        "live/CORE.JS",
        "live/program",
        "live/../live/program.js",
        "live",
        "",
    ],
)
def test_only_modules_are_served(file):
    status, headers, _ = get(f"/live/{component.VERSION}/{file}")
    assert status in (404, 307) and "immutable" not in headers.get("cache-control", "")


@pytest.mark.parametrize("place", ["..", ".", "%2e%2e", "vae-mnist-5k-000000000000", "vae", "\0", "a" * 5000, "é"])
def test_only_runs_have_programs(store, place):
    file = component.address(store["vae"]).rpartition("/")[2]
    assert get(f"/live/{place}/{file}")[0] == 404


def test_a_program_has_one_name(store):
    name = store["vae"]
    other = component.address(store["ae"]).rpartition("/")[2]
    for file in (other, "0" * 16 + ".bin", ".bin", "model.safetensors", "..", "config.json", "../config.json"):
        assert get(f"/live/{name}/{file}")[0] == 404
    assert get(f"/live/../{name}/config.json")[0] == 404
    assert get("/" + component.address(name), "POST")[0] == 405


def test_a_model_of_a_lab_is_served_with_the_natural_parameters_of_its_pixels(monkeypatch, tmp_path):
    names = component.lab_models("likelihoods")
    assert names[0] == "lab.likelihoods.bernoulli" and "lab.beta.0.1" in component.lab_models("beta")
    address = component.address("lab.likelihoods.categorical")
    status, headers, body = get("/" + address)
    assert status == 200 and headers["cache-control"] == IMMUTABLE
    header, _ = blob.unpack(body)
    made = header["functions"]["params"]
    assert made["shapes"][made["outputs"][0]] == [4, 28, 28], "logits of four levels"
    assert get("/" + component.address("lab.beta.0.1"))[0] == 200
    file = address.rpartition("/")[2]
    for place in (
        "lab.likelihoods.nothing",
        "lab.likelihoods.",
        "lab.likelihoods",
        "lab.",
        "lab.nothing.x",
        "lab.../x",
    ):
        assert get(f"/live/{place}/{file}")[0] == 404
    assert get("/live/lab.likelihoods.categorical/" + component.address("lab.beta.0.1").rpartition("/")[2])[0] == 404
    monkeypatch.setattr(bundles, "folder", lambda: tmp_path)
    assert get("/" + address)[0] == 404
    with pytest.raises(bundles.Missing, match="missing or damaged"):
        component.address("lab.likelihoods.categorical")


def test_an_unfinished_run_has_no_program(store):
    name = store["vae"]
    address = component.address(name)
    path = checkpoints.find_run(name).path
    state = json.loads((path / "state.json").read_text("utf-8"))
    (path / "state.json").write_text(json.dumps(state | {"finished": False}), "utf-8")
    assert checkpoints.find_run(name).status == "unfinished"
    assert get("/" + address)[0] == 404


def test_a_damaged_or_deleted_run_has_no_program(store):
    damaged, deleted = store["vae"], store["ae"]
    addresses = component.address(damaged), component.address(deleted)
    weights = checkpoints.find_run(damaged).path / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    shutil.rmtree(checkpoints.find_run(deleted).path)
    component._program.cache_clear()
    assert [get("/" + address)[0] for address in addresses] == [404, 404]


def test_a_program_is_made_once(store, monkeypatch):
    from aevae.browser import program

    component._program.cache_clear()
    calls = []
    real = program.program
    monkeypatch.setattr(program, "program", lambda model: (calls.append(model), real(model))[1])
    for _ in range(3):
        assert get("/" + component.address(store["vae"]))[0] == 200
    assert trouble([store["vae"]]) is None and len(calls) == 1


# -- trouble ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def session(monkeypatch) -> dict:
    """The state of a session, as a dict."""
    state: dict = {}
    monkeypatch.setattr(st, "session_state", state)
    return state


def test_no_trouble_with_what_there_is(store, session):
    assert trouble(list(store.values())) is None
    assert trouble([]) is None


def test_a_model_that_the_browser_cannot_run(store, session, monkeypatch):
    from aevae.browser import program

    def refuse(model):
        raise program.Unsupported("its layer Softplus is not known to the browser's core")

    component._program.cache_clear()
    monkeypatch.setattr(program, "program", refuse)
    name = store["vae"]
    assert trouble([name]) == (
        f"The server decodes {name} after each of your actions: its layer Softplus is not known to the browser's core."
    )
    assert get("/" + component.address(name))[0] == 404
    component._program.cache_clear()


class Sent(dict):
    """What a mounted component left in the session."""

    def __getattr__(self, name):
        return self[name]


@pytest.fixture
def receive(store, session, monkeypatch):
    """mount(...) without a browser; -> function that hands it what the page sent, and the list of what on_send got."""
    got, mounted = [], {}
    monkeypatch.setattr(component, "_component", lambda module: lambda **arguments: mounted.update(arguments))
    component.mount(
        "program", "here", {"a": 1}, {"z": np.zeros(3, np.float32)}, programs=[store["vae"]], on_send=got.append
    )

    def receive(payload):
        session["here"] = Sent(sent=payload)
        mounted["on_sent_change"]()

    receive.got, receive.data = got, mounted["data"]
    return receive


def test_a_message_of_a_module_that_the_page_has_removed_is_dropped(monkeypatch):
    """Two modules report the same trouble: the page removes both after the first, and the second speaks later."""
    mounted, heard = {}, []
    monkeypatch.setattr(component, "_component", lambda module: lambda **arguments: mounted.update(arguments))
    monkeypatch.setattr(st, "session_state", {})
    component.mount("latent_plane", "latent_plane_live", {}, on_send=heard.append)
    mounted["on_sent_change"]()
    assert heard == []


def test_what_is_mounted(store, receive):
    header, arrays = blob.unpack(receive.data)
    assert (
        header["module"] == "live/program.js"
        and header["base"] == f"live/{component.VERSION}/"
        and header["spec"] == {"a": 1}
    )
    assert header["programs"] == [{"run": store["vae"], "url": component.address(store["vae"])}]
    assert header["finger"].endswith(".")
    assert set(header["texts"]) == {"network", "weights", "layer", "browser"}
    assert all(text.endswith(".") for text in header["texts"].values())
    assert arrays["z"].shape == (3,)


def test_what_a_module_sends_reaches_the_page(receive):
    receive({"z": [1, 2]})
    assert receive.got == [{"z": [1, 2]}]


@pytest.mark.parametrize("payload", [None, 7, "text", [1, 2], True, float("nan")])
def test_what_is_no_message_goes_nowhere(receive, session, payload):
    receive(payload)
    assert receive.got == [] and component._TROUBLE not in session


@pytest.mark.parametrize("code", ["network", "weights", "layer", "browser"])
def test_reported_trouble_is_said_of_its_run(store, receive, code):
    receive({"trouble": code, "run": store["vae"]})
    assert receive.got == []
    assert trouble([store["vae"]]).endswith("So the server decodes, after each of your actions.")
    assert trouble([store["ae"], store["vae"]]) == trouble([store["vae"]])
    assert trouble([store["ae"]]) is None


def test_trouble_of_nobody_is_trouble_of_all(store, receive):
    receive({"trouble": "browser", "run": ""})
    assert trouble([store["ae"]]).startswith("This browser lacks") and trouble([])


@pytest.mark.parametrize("code", ["", "else", None, 3, ["network"], {"network": 1}, "__class__", "x" * 10**6])
def test_an_unknown_trouble_is_ignored(store, receive, session, code):
    receive({"trouble": code, "run": store["vae"]})
    assert component._TROUBLE not in session and trouble([store["vae"]]) is None and receive.got == []


@pytest.mark.parametrize("run", [None, 3, ["a"], {"a": 1}, "../../etc", "x" * 10**6])
def test_an_unknown_run_is_never_kept(receive, session, run):
    receive({"trouble": "network", "run": run})
    assert component._reported() == {"": "network"} and len(session[component._TROUBLE]) == 1


def test_a_network_error_is_forgotten_after_a_while(store, receive, monkeypatch):
    receive({"trouble": "network", "run": store["vae"]})
    receive({"trouble": "weights", "run": store["ae"]})
    assert trouble([store["vae"]])
    monkeypatch.setattr(component, "_RETRY_SECONDS", 0.0)
    assert trouble([store["vae"]]) is None and trouble([store["ae"]])


def test_nobody_listens(store, session, monkeypatch):
    mounted = {}
    monkeypatch.setattr(component, "_component", lambda module: lambda **arguments: mounted.update(arguments))
    component.mount("program", "here", {})
    session["here"] = Sent(sent={"z": 1})
    mounted["on_sent_change"]()
