"""The process in which a student's functions are checked: ``running.py`` starts it.

    python -m odyssey.learn.child FOLDER NAME RESULTS SECONDS

Each line that is appended to the file RESULTS is a JSON object: a check that begins, or
its outcome.  If the time is over or the interpreter crashes, Python itself writes the
student's line into the file RESULTS.trace.
"""

import ast
import dataclasses
import faulthandler
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from odyssey.learn import course
from odyssey.learn.calls import NotWritten, call_student
from odyssey.learn.comparing import Wrong
from odyssey.learn.grading import grade


def trace_file(results: Path) -> Path:
    """Return where the place of a crash or of an endless loop is written."""
    return results.with_name(f"{results.name}.trace")


def load(folder: Path, name: str) -> dict[str, Any]:
    """Return the names that the student's file defines; raise `Wrong` if it fails."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))  # an exercise may import earlier ones
    path = folder / f"{name}.py"
    _refuse_library(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        call_student(spec.loader.exec_module, module)
    except Wrong as wrong:
        what = str(wrong).partition("\n")[2]
        missing = getattr(wrong.__cause__, "name", None)
        if isinstance(wrong.__cause__, ImportError) and missing in course.ORDER:
            what += f"\n{name}.py uses {missing}.py: write that exercise first"
        raise Wrong(f"{path.name} cannot be imported:\n{what}") from wrong
    except NotWritten:
        raise Wrong(f"{path.name} raises NotImplementedError when imported") from None
    for other in list(sys.modules.values()):  # helpers of the student's own
        file = getattr(other, "__file__", None)
        if file and Path(file).parent == folder:
            _refuse_library(Path(file))
    return vars(module)


def _refuse_library(path: Path) -> None:
    """Raise `Wrong` if a file imports what it is meant to write."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return  # importing it says where
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called not in ("import_module", "__import__"):
                continue
            names = [str(getattr(node.args[0], "value", ""))]
        else:
            continue
        if any(name.split(".")[0] == "odyssey" for name in names):
            raise Wrong(
                f"{path.name}, line {node.lineno}, imports odyssey: the exercise is to "
                "write it without"
            )


def main(folder: str, name: str, results: str, seconds: str) -> None:
    """Check one exercise, and write the outcome of each check."""
    process = os.getpid()

    def write(**line: Any) -> None:
        if os.getpid() != process:
            os._exit(0)  # the student's code has forked: one is checked
        _write(out, **line)

    with (
        open(results, "a", encoding="utf-8") as out,
        open(trace_file(Path(results)), "w", encoding="utf-8") as trace,
    ):
        faulthandler.enable(trace)
        faulthandler.dump_traceback_later(float(seconds), exit=True, file=trace)
        write(begins=["", "importing the file"])
        try:
            functions = load(Path(folder), name)
        except Wrong as wrong:
            write(unusable=str(wrong))
        else:
            for check in grade(
                course.load(name),
                functions,
                lambda *names: write(begins=list(names)),
            ):
                write(check=dataclasses.asdict(check))
        write(end=True)
        faulthandler.cancel_dump_traceback_later()
        faulthandler.disable()


def _write(out: TextIO, **line: Any) -> None:
    out.write(json.dumps(line) + "\n")
    out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
