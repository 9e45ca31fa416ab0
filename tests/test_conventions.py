"""Conventions of the tests: assertions hold for one reason; what needs POSIX is skipped on Windows."""

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
        if file.stem not in ("chromium", "faulty", "test_conventions", "test_deploy"):  # not run there
            found |= needs_posix(file.stem, ast.parse(file.read_text("utf-8")))
    assert found == set(WITHOUT)
