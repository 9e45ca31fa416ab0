"""Conventions: assertions hold for one reason, tests of POSIX skip Windows, helpers exist once, code is short."""

import ast
import re

import pytest

from aevae import paths

FILES = sorted((paths.ROOT / "tests").glob("*.py"))
ALLOWED: dict[str, str] = {}  # assertion with `or` as `file: code` -> why it cannot be said without


def alternatives(test: ast.expr, negated: bool = False) -> bool:
    """Whether one of several claims is enough for this expression to hold (or to fail, if negated)."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return alternatives(test.operand, not negated)
    if isinstance(test, ast.BoolOp):
        enough = isinstance(test.op, ast.And if negated else ast.Or)
        return enough or any(alternatives(part, negated) for part in test.values)
    if isinstance(test, ast.IfExp):
        return alternatives(test.body, negated) or alternatives(test.orelse, negated)
    name = test.func.id if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) else ""
    if isinstance(test, ast.Call) and name in ("all", "any", "bool") and not negated:  # not any(a and b): a filter
        return any(alternatives(part.elt if _is_loop(part) else part, negated) for part in test.args)
    return False


def _is_loop(node: ast.expr) -> bool:
    return isinstance(node, ast.GeneratorExp | ast.ListComp | ast.SetComp)


def test_no_assertion_holds_for_two_reasons():
    found = {
        f"{file.name}:{node.lineno}: {ast.unparse(node.test)}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Assert) and alternatives(node.test)
    }
    assert len(FILES) > 100 and found == set(ALLOWED)


@pytest.mark.parametrize(
    ("code", "weak"),
    [("a or b", True), ("c and (a or b)", True), ("not (a or b)", False), ("not (a and b)", True), ("a and b", False),
     ("all(a or b for x in y)", True), ("not any(a and b for x in y)", False), ("f(a or b)", False),
     ("(a or b) == c", False), ("x if y else (a or b)", True), ("all(not (a and b) for x in y)", True)],
)  # fmt: skip
def test_what_two_reasons_are(code, weak):
    assert alternatives(ast.parse(code, mode="eval").body) is weak


# -- tests that need POSIX -------------------------------------------------------------------------------------------

POSIX = re.compile(
    r"os\.(get|sete)[eug]+id|os\.(fork|mkfifo|killpg|kill)\b|symlink_to|send_signal|SIGKILL|'/proc/|#!/bin/sh|'sh'|nginx"
    r"|forkserver|import (pwd|resource|fcntl)"
)
SKIPPED = re.compile(r"win32|skipif\(not |os\.name == 'nt'|\.exists\(\)|find_chromium|browser|nginx")
WITHOUT = {  # function -> why it runs on Windows, or who skips it
    "test_arguments.shell": "its tests are skipped",
    "test_places.by_link_to_the_run": "its parameter is skipped",
    "test_places.by_link_to_the_shelf": "its parameter is skipped",
    "test_places.by_link_in_the_store": "its parameter is skipped",
    "test_places.test_numbers_that_cannot_be_kept_are_printed_and_that_is_said": "its fixture skips it",
    "test_processes.launcher": "its tests are skipped",
    "test_processes.test_what_is_of_posix": "these are words",
}


def needs_posix(file: str, tree: ast.Module) -> set[str]:
    """Functions of this file that use something of POSIX, without a word of where they do not run."""
    lines = [ast.unparse(node) for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    if any(re.search("pytestmark|allow_module_level", line) and SKIPPED.search(line) for line in lines):
        return set()
    functions = {node.name: ast.unparse(node) for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {f"{file}.{name}" for name, code in functions.items() if POSIX.search(code) and not SKIPPED.search(code)}


def test_what_needs_posix_is_skipped_on_windows():
    found = set()
    for file in FILES:
        if file.stem not in ("chromium", "faulty", "forks", "test_conventions", "test_deploy"):  # not run there
            found |= needs_posix(file.stem, ast.parse(file.read_text("utf-8")))
    assert found == set(WITHOUT)


# -- helpers ---------------------------------------------------------------------------------------------------------


def normalized(function: ast.FunctionDef) -> str:
    """The code without name, docstring and annotations, and with numbered variables: equal for copies of a helper.

    Names of a fixture's arguments stay, because they name other fixtures.
    """
    function = ast.parse(ast.unparse(function)).body[0]
    function.name, function.returns = "_", None
    if ast.get_docstring(function) is not None and len(function.body) > 1:
        del function.body[0]
    numbers: dict[str, str] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            node.annotation = None
            if not function.decorator_list:
                node.arg = numbers.setdefault(node.arg, f"v{len(numbers)}")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            numbers.setdefault(node.id, f"v{len(numbers)}")
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            node.id = numbers.get(node.id, node.id)
    return ast.unparse(function)


def test_no_helper_is_written_twice():
    found: dict[str, list[str]] = {}
    for file in FILES:
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("test"):
                found.setdefault(normalized(node), []).append(f"{file.stem}.{node.name}")
    assert [names for names in found.values() if len(names) > 1] == []


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [("def f(a):\n b = a\n return b", 'def g(x) -> int:\n "Doc."\n y = x\n return y', True),
     ("def f(a):\n return a.b", "def f(a):\n return a.c", False),
     ("@fixture\ndef f(a):\n return a", "@fixture\ndef f(b):\n return b", False)],
)  # fmt: skip
def test_what_copies_of_a_helper_are(one, other, equal):
    assert (normalized(ast.parse(one).body[0]) == normalized(ast.parse(other).body[0])) is equal


# -- sizes -----------------------------------------------------------------------------------------------------------

ROOMS = "aevae", "benchmarks", "deploy", "pages", "scripts", "tests"
REASONS = {  # limit -> how a comment or docstring begins or ends that says why it does not hold in this place
    "400 lines": "longer than 400 lines because ",
    "60 lines": "longer than 60 lines because ",
    "8 parameters": ", hence more than eight parameters",
}


def too_large(code: str) -> set[str]:
    """Limits that Python code exceeds without a reason, each as `limit: name`."""
    lines, tree = code.splitlines(), ast.parse(code)
    found = {"400 lines: file"} if len(lines) > 400 and REASONS["400 lines"] not in code.lower() else set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        own = "\n".join(lines[node.lineno - 1 : node.end_lineno]).lower()
        parameters = len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs)
        if own.count("\n") >= 60 and REASONS["60 lines"] not in own:
            found.add(f"60 lines: {node.name}")
        if parameters > 8 and REASONS["8 parameters"] not in own:
            found.add(f"8 parameters: {node.name}")
    return found


def test_files_functions_and_parameter_lists_are_short():
    files = [file for room in ROOMS for file in sorted((paths.ROOT / room).rglob("*")) if "_app" not in file.parts]
    python = [file for file in files if file.suffix == ".py"]
    web = [file for file in files if file.suffix in (".js", ".mjs", ".css")]
    long = {str(file.relative_to(paths.ROOT)) for file in web if len(file.read_text("utf-8").splitlines()) > 400}
    large = {
        f"{file.relative_to(paths.ROOT)}: {limit}" for file in python for limit in too_large(file.read_text("utf-8"))
    }
    assert len(python) > 300 and len(web) > 30 and large | long == set()


@pytest.mark.parametrize(
    ("code", "found"),
    [("x = 1\n" * 401, {"400 lines: file"}),
     ("# Longer than 400 lines because it is a table.\n" + "x = 1\n" * 401, set()),
     ("def f():\n" + " x = 1\n" * 60, {"60 lines: f"}), ("def f():\n" + " x = 1\n" * 59, set()),
     ("def f(a, b, c, d, *, e, f, g, h, i):\n pass", {"8 parameters: f"}),
     ("def f(a, b, c, d, e, f, g, h, i):  # all are optional, hence more than eight parameters\n pass", set())],
)  # fmt: skip
def test_what_too_large_is(code, found):
    assert too_large(code) == found
