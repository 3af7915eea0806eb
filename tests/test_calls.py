"""Long lists of arguments are told apart by name: eight at the most go by position."""

import ast
from pathlib import Path

import pytest

import odyssey

PACKAGE = Path(odyssey.__file__).parent
ROOT = Path(__file__).resolve().parent.parent
#: What a student writes and reads takes its arguments in the order of the formulas.
COURSE = {*(PACKAGE / "learn").rglob("*.py")}
FILES = sorted({*PACKAGE.rglob("*.py"), *(ROOT / "examples").rglob("*.py")} - COURSE)
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
MOST = 8


def positional(function: ast.FunctionDef) -> int:
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


#: Functions for which a tuple that is spread out could hold too many arguments.
LONG = {
    node.name
    for tree in TREES.values()
    for node in ast.walk(tree)
    if isinstance(node, ast.FunctionDef) and positional(node) > MOST
}


def too_long(tree: ast.AST) -> list[str]:
    """Return the calls that give more than `MOST` arguments by position, or may."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            spread = any(isinstance(value, ast.Starred) for value in node.args)
            if len(node.args) > MOST or (spread and name in LONG):
                found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def test_long_calls_are_found():
    assert LONG > {"conv_forward", "batch_norm2d_backward"}
    assert too_long(ast.parse("f(1, 2, 3, 4, 5, 6, 7, 8)\nm.f(*given, x=1)")) == []
    assert len(too_long(ast.parse("f(1, 2, 3, 4, 5, 6, 7, 8, 9)"))) == 1
    assert len(too_long(ast.parse("kernels.conv_forward(x, *given)"))) == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_at_most_eight_arguments_go_by_position(path):
    assert too_long(TREES[path]) == []
