"""How pytest finds the tests, and in which order it runs them."""

import contextlib
import importlib
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Import the test files of a folder, in each process of pytest-xdist from another place of the list on: what
    pytest makes of a file is stored, and takes longer to make than to read."""
    own = getattr(session.config, "workerinput", None)
    files = sorted(file for arg in session.config.args for file in Path(arg).glob("test_*.py"))
    if own and files:
        start = len(files) * int(own["workerid"].removeprefix("gw")) // own["workercount"]
        for file in files[start:] + files[:start]:
            with contextlib.suppress(Exception, pytest.skip.Exception):  # the collection reports it
                importlib.import_module(file.stem)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Browser tests are slow. Neighbouring files go to different processes, each of which begins with a part of the
    list; otherwise the first would get all browser tests."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker("slow")
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    places = {file: (i % processes, i) for i, file in enumerate(dict.fromkeys(item.path for item in items))}
    items.sort(key=lambda item: places[item.path])
