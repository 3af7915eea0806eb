"""The session of docs/learn.md, played again: what the commands print now.

    PYTHONPATH=.:tests python tests/learn/session.py    writes the page anew

A block ``console`` has commands, each followed by what it prints.  A block ``python``
holds functions that the student writes into the file that its first line names.
"""

import ast
import os
import re
import shlex
import tempfile
from pathlib import Path

from click.testing import CliRunner

from odyssey.cli.main import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "learn.md"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.M | re.S)
PROMPT = "$ python -m odyssey "


def play(text: str) -> str:
    """Return the page with what the commands print in the current folder."""
    return BLOCK.sub(_play_block, text)


def _play_block(block: re.Match) -> str:
    kind, content = block.groups()
    if kind == "python":
        path = Path(content.partition("\n")[0].removeprefix("# "))
        path.write_text(_with_functions(path.read_text("utf-8"), content), "utf-8")
        return block[0]
    lines = []
    for line in content.splitlines():
        if line.startswith(PROMPT):
            words = shlex.split(line.removeprefix(PROMPT))
            output = CliRunner().invoke(main, words).output.rstrip("\n")
            lines += ["", line, output] if lines else [line, output]
    return "```console\n" + "\n".join(lines) + "\n```"


def _with_functions(text: str, new: str) -> str:
    """Return a file in which functions are replaced by those of ``new``."""
    for node in ast.parse(new).body:
        (old,) = [
            n for n in ast.parse(text).body if getattr(n, "name", "") == node.name
        ]
        lines = text.splitlines()
        lines[old.lineno - 1 : old.end_lineno] = [ast.get_source_segment(new, node)]
        text = "\n".join(lines) + "\n"
    return text


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        PAGE.write_text(play(PAGE.read_text("utf-8")), "utf-8")
        os.chdir(PAGE.parent)
