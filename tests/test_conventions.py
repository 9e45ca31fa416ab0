"""Conventions of the tests: assertions hold for one reason."""

import ast

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
