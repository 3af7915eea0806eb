"""What a page takes from the source when it is built: code, and docstrings.

A paragraph that is one link to a file, with a title, is followed by what the title asks
for.  Without a build, as on GitHub, it is a link that leads to the file.

    [the twin](../../odyssey/reference/conv.py "code: conv2d")
    [the twin](../../odyssey/reference/conv.py "code: conv2d, padded = ... out =")
    [names](../../odyssey/layers/norm.py "api")

The first is a whole function or class without its docstring, the second those of its
lines from the one that begins with the first words to the one that begins with the last
words; if these are the same or left out, it is one line.  Words that begin no line, or
more than one, are an error: the page has to follow the source.

No Sphinx is needed here, so that a test can look at all of this without it.
"""

import ast
import re
from pathlib import Path
from typing import NamedTuple

import docstrings

ASKS = re.compile(r'^\[([^\n]*)\]\(([^)\s]+) "(code: [^"\n]+|api)"\)$', re.M)
Definition = ast.FunctionDef | ast.ClassDef


class Excerpt(NamedTuple):
    """Lines of a file."""

    path: Path
    first: int  # number of its first line, from 1
    code: str


def definition(tree: ast.Module, name: str) -> Definition:
    """Return a function or class of a module by its name.

    Raises
    ------
    ValueError
        If the module has no such name.
    """
    for node in tree.body:
        if isinstance(node, Definition) and node.name == name:
            return node
    raise ValueError(f"there is no {name}")


def body_lines(node: Definition) -> list[int]:
    """Return the numbers of a definition's lines, without those of its docstring."""
    start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    numbers = list(range(start, (node.end_lineno or start) + 1))
    if ast.get_docstring(node) is not None:
        text = node.body[0]
        dropped = range(text.lineno, (text.end_lineno or text.lineno) + 1)
        numbers = [number for number in numbers if number not in dropped]
    return numbers


def excerpt(path: Path, wanted: str) -> Excerpt:
    """Return the lines of a file that a title asks for, after its ``code: ``.

    Raises
    ------
    ValueError
        If the name is not there, or words do not begin exactly one of its lines.
    """
    source = path.read_text("utf-8")
    lines = source.splitlines()
    name, _, words = wanted.partition(", ")
    try:
        numbers = body_lines(definition(ast.parse(source), name))
        if words:
            begin, _, end = words.partition(" ... ")
            first = only_line(lines, numbers, begin)
            last = only_line(lines, numbers, end or begin)
            numbers = [number for number in numbers if first <= number <= last]
            if not numbers:
                raise ValueError(f"{end!r} comes before {begin!r}")
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    taken = [lines[number - 1] for number in numbers]
    margin = min(len(line) - len(line.lstrip()) for line in taken if line.strip())
    return Excerpt(path, numbers[0], "\n".join(line[margin:] for line in taken))


def only_line(lines: list[str], numbers: list[int], words: str) -> int:
    """Return the number of the one line that begins with these words."""
    found = [n for n in numbers if lines[n - 1].lstrip().startswith(words)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} lines begin with {words!r}, not one")
    return found[0]


def expand(text: str, folder: Path) -> str:
    """Return a page with what its titled links ask for.

    Parameters
    ----------
    text : of the page, in Markdown
    folder : that of the page, from which its links count
    """

    def expanded(link: re.Match[str]) -> str:
        words, target, title = link.groups()
        path = folder / target
        if title == "api":
            return f"[{words}]({target})\n\n{docstrings.module(path, target)}"
        found = excerpt(path, title.removeprefix("code: "))
        return (
            f"[{words}]({target}#L-{found.first})\n\n"
            f"```{{code-block}} python\n:class: excerpt\n\n{found.code}\n```"
        )

    return ASKS.sub(expanded, text)
