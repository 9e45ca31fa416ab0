"""The app under a path of its own: `server.baseUrlPath`, behind the recipe's nginx, behind a proxy that strips."""
# ruff: noqa: F811  (nginx)

import ast
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import streamlit as st
from chromium import Server, Tab
from conftest import open_page, until
from servers import free_port, is_healthy
from test_deploy import Class, nginx  # noqa: F401 (the fixture)

from aevae import paths
from aevae.ui.frame import menu, monitoring, teacher
from aevae.ui.frame import server as serving
from aevae.ui.live import component

BOTH = ("sliders", "embeddings")
LIVE = ("sliders", "denoise", "interpolate", "embeddings", "bottleneck", "models?run=7797c7142785")


# -- routes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("base", "begins"), [("", ""), ("lab", "/lab"), ("/lab/", "/lab"), ("a/b", "/a/b")])
def test_each_route_of_our_own_lies_under_the_path_of_the_server(monkeypatch, base, begins):
    monkeypatch.setattr(st, "get_option", {"server.baseUrlPath": base}.get)
    own = [route.path for route in (*component.routes(), *teacher.routes(), *monitoring.routes())]
    assert [route.path for route in serving.routes()] == [begins + path for path in (*own, "/start")]
    for query, place in (("", "./"), ("run=a", "./?run=a")):  # the first page has no name in its address
        request = SimpleNamespace(url=SimpleNamespace(query=query))
        assert serving.routes()[-1].endpoint(request).headers["location"] == place


def test_no_route_is_given_to_the_server_without_that_path():
    assert re.findall(r"routes=(.*),", (paths.ROOT / "app.py").read_text("utf-8")) == ["server.routes()"]


def test_no_module_asks_for_an_address_from_the_root_of_the_host():
    for file in component.MODULES.values():
        assert not from_the_root(file.read_text("utf-8")), file.name


def from_the_root(script: str) -> list[str]:
    """Strings of this script that begin like a path from the root of the host: it is one wherever the string goes."""
    return re.findall(r"""["'`](/[a-zA-Z_][^"'`]*)""", script)


@pytest.mark.parametrize("script", ['fetch("/live/x")', "const url = `/live/${name}`;", "link.href = '/start'"])
def test_what_an_address_from_the_root_is(script):
    assert from_the_root(script) and not from_the_root(script.replace("/", "./", 1))


# -- in Chromium -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def under_a_path(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("path") / "runs", "lab")
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def by_the_recipe(tmp_path_factory, nginx):
    lab = Class(tmp_path_factory.mktemp("recipe"), nginx, "school/lab")
    yield lab.url
    lab.stop()


@pytest.fixture(scope="module")
def by_a_proxy_that_strips(tmp_path_factory, nginx, shared_server):
    """As JupyterHub's: the server knows nothing of the path. (Run by root, nginx's workers need `user root`: another
    could not write the large answers that are put off into pytest's folder.)"""
    tmp = tmp_path_factory.mktemp("strips")
    port = free_port()
    user = "user root;" if os.getuid() == 0 else ""
    (tmp / "nginx.conf").write_text(
        f"""{user} daemon off; pid {tmp}/pid; error_log {tmp}/error.log; events {{}}
        http {{ access_log off; client_body_temp_path {tmp}/c; proxy_temp_path {tmp}/p; fastcgi_temp_path {tmp}/f;
        uwsgi_temp_path {tmp}/u; scgi_temp_path {tmp}/s;
        server {{ listen 127.0.0.1:{port}; location /user/me/proxy/ {{ proxy_pass {shared_server.url}/;
        proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade; }} }} }}""",
        "utf-8",
    )
    process = subprocess.Popen([nginx, "-p", str(tmp), "-e", str(tmp / "early.log"), "-c", str(tmp / "nginx.conf")])
    url = f"http://127.0.0.1:{port}/user/me/proxy"
    until(lambda: process.poll() is None and is_healthy(url), 20)
    yield url
    process.send_signal(signal.SIGTERM)
    process.wait(10)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("way", "pages"), [("under_a_path", LIVE), ("by_the_recipe", BOTH), ("by_a_proxy_that_strips", BOTH)]
)
def test_what_is_live_is_live_under_a_path(browser, request, way, pages):
    url = request.getfixturevalue(way)
    tab = Tab(browser)
    wrong = []
    tab.page.on("response", lambda r: wrong.append(r.url) if r.status >= 400 and "/live/" in r.url else None)
    for page in pages:
        tab.open(f"{url}/{page}")
        tab.page.locator(".live :is(canvas, input)").first.wait_for(state="attached")
        assert tab.page.get_by_text(re.compile("did not reach|server decodes")).count() == 0
        tab.sound()
    tab.open(url + "/").go("Latent sliders")  # from page to page without a load
    tab.page.locator(".live .latent_code canvas").first.wait_for()
    assert tab.page.url.startswith(f"{url}/sliders")
    assert wrong == []
    tab.close()


@pytest.mark.browser
def test_every_page_opens_under_a_path_and_asks_for_nothing_beside_it(browser, under_a_path):
    tab, beside = Tab(browser, stranger=True).open(under_a_path + "/"), []
    tab.page.on("response", lambda r: beside.append(r.url) if r.status >= 400 else None)
    own = re.compile(f"{under_a_path}/|data:|blob:")
    tab.page.on("request", lambda r: beside.append(r.url) if not own.match(r.url) else None)
    for page in menu.all_pages()[1:]:
        tab.go(page.title).sound()
        assert tab.page.url.startswith(f"{under_a_path}/{page.url_path}")
    assert beside == []
    tab.close()


@pytest.mark.parametrize(("path", "found"), [("/lab/metrics", True), ("/metrics", False)])
def test_the_numbers_of_the_server_lie_under_its_path(under_a_path, path, found):
    url = under_a_path.removesuffix("/lab") + path
    try:
        text = urllib.request.urlopen(url, timeout=10).read().decode()
    except urllib.error.HTTPError as refused:
        text = str(refused.code)
    assert ("aevae_sessions" in text) == found


@pytest.mark.slow
@pytest.mark.parametrize("path", ["metrics", "_stcore/metrics"])
def test_behind_the_recipe_a_class_sees_no_numbers_of_the_server_under_a_path_either(by_the_recipe, path):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{by_the_recipe}/{path}", timeout=10)


# -- what is said when a part does not come --------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["network", "weights", "layer", "browser"])
def test_only_a_page_with_a_server_version_promises_one(session_with, code):
    session_with(code)
    assert "server" not in component._texts()[code], "the component itself does not know"
    promise = component.trouble([], has_server_version=True)
    assert promise.startswith(component._texts()[code]) and "So the server decodes" in promise
    assert component.trouble([], has_server_version=False) == component._texts()[code]


@pytest.fixture
def session_with(monkeypatch):
    session = {}
    monkeypatch.setattr(st, "session_state", session)
    return lambda code: session.update({component._TROUBLE: {"": code}, component._WHEN: float("inf")})


@pytest.mark.parametrize("path", ["pages/autoencoders/05_score.py", "pages/explore/embeddings.py"])
def test_a_page_without_a_server_version_promises_none(store, path):
    at = open_page(path, {"guest_how": "draw"}, False)
    said = [text.value for text in (*at.caption, *at.markdown)]
    assert not at.exception and not any("the server decodes," in text for text in said)


# -- which pages have a version that the server computes ---------------------------------------------------------------

ON_THE_SERVER = {
    "show",
    "server_sliders",
    "_scrub_on_server",
    "cards",
    "show_samples",
}  # functions that show images made by the server


def branches_with_a_promise(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """What a page does after `trouble(..., has_server_version=True)`: the branch with its message."""
    ifs = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "has_server_version=True" in ast.unparse(node.test):
            yield node.body
        elif isinstance(node, ast.Assign) and "has_server_version=True" in ast.unparse(node.value):
            name = ast.unparse(node.targets[0])
            yield [step for branch in ifs if ast.unparse(branch.test) == name for step in branch.body]


def test_a_promise_of_the_servers_images_is_kept_by_the_branch_that_gives_it():
    promises = kept = 0
    for folder in ("aevae/ui", "pages"):
        for file in sorted((paths.ROOT / folder).rglob("*.py")):
            code = file.read_text("utf-8")
            promises += ast.unparse(ast.parse(code)).count("has_server_version=True")
            for branch in branches_with_a_promise(ast.parse(code)):
                calls = [call.func for step in branch for call in ast.walk(step) if isinstance(call, ast.Call)]
                names = {func.attr if isinstance(func, ast.Attribute) else func.id for func in calls}
                assert names & ON_THE_SERVER, (file.name, [ast.unparse(step) for step in branch])
                kept += 1
    assert promises == kept > 10
