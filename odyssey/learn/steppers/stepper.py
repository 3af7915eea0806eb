"""What Python knows of a stepper, and the lines of source that it quotes."""

import ast
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import odyssey

#: Arrays, or options, by name.
Arrays = Mapping[str, np.ndarray]
Options = Mapping[str, Any]


class Stepper(NamedTuple):
    """The first values of a page, what they give, and the source of its steps."""

    title: str  # of the page
    about: str  # one or two sentences for a student
    #: The arrays that can be edited, each in the greatest size that the options allow.
    #: The page takes its first elements along each axis.
    values: Arrays
    #: The options as the page opens.
    options: Options
    #: Takes values and options, returns every array that the page computes.
    results: Callable[[Arrays, Options], dict[str, np.ndarray]]
    #: The functions that are quoted.
    functions: tuple[Callable[..., Any], ...]
    #: For each key of a step, text that only the statement which does it contains.
    lines: Mapping[str, str]


def quoted(functions: tuple[Callable[..., Any], ...]) -> tuple[list[str], list[str]]:
    """Return the lines of functions, one after another, and the names of their files.

    A blank line is between two functions.
    """
    lines: list[str] = []
    names: list[str] = []
    for function in functions:
        source = inspect.getsource(function)
        lines += ["", *source.splitlines()] if lines else source.splitlines()
        package = Path(odyssey.__file__).parent.parent
        name = Path(inspect.getfile(function)).relative_to(package).as_posix()
        if name not in names:
            names.append(name)
    return lines, names


def find_lines(source: list[str], lines: Mapping[str, str]) -> dict[str, list[int]]:
    """Return the first and the last line, from 0, of the statement of each key.

    Raises
    ------
    ValueError
        If not exactly one statement contains a text.
    """
    statements = [
        (node.lineno - 1, node.end_lineno or node.lineno)
        for node in ast.walk(ast.parse("\n".join(source)))
        if isinstance(node, ast.stmt) and not hasattr(node, "body")
        if not isinstance(node, ast.Expr)  # a docstring
    ]
    found = {}
    for key, text in lines.items():
        spans = [(a, b) for a, b in statements if text in "\n".join(source[a:b])]
        if len(spans) != 1:
            raise ValueError(f"{text!r} must be in one statement, is in {len(spans)}")
        found[key] = [spans[0][0], spans[0][1] - 1]
    return found
