"""The text of a stub and of a solution, cut out of the source of the solution.

Nothing is written twice: signatures, helpers and bodies are those of the module that
solves the exercise, so a change there changes the exercise.
"""

import ast
import functools
import inspect
import re
import textwrap
from types import ModuleType

from odyssey.learn import course
from odyssey.learn.exercise import Exercise, Function

_COMMAND = "python -m odyssey learn"

#: Packages of the project; what a solution imports from there, the student has written.
_OWN = "odyssey."


class SourceError(ValueError):
    """The solution uses something that the student cannot have at this point."""


@functools.cache
def _parsed(module: ModuleType) -> tuple[str, ast.Module]:
    text = inspect.getsource(module)
    return text, ast.parse(text)


def _defined(node: ast.stmt) -> list[str]:
    """Return the names that a statement of a module defines."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign):
        names = (n for target in node.targets for n in ast.walk(target))
        return [name.id for name in names if isinstance(name, ast.Name)]
    return []


def _used(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _needed(module: ModuleType, names: list[str]) -> list[ast.stmt]:
    """Return the statements that define ``names`` and all that these use, in order."""
    body = _parsed(module)[1].body
    by_name = {name: node for node in body for name in _defined(node)}
    missing = set(names) - by_name.keys()
    if missing:
        raise SourceError(f"{module.__name__} does not define {sorted(missing)}")
    found, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in found:
            found.add(name)
            node = by_name[name]
            if not isinstance(node, (ast.Import, ast.ImportFrom)):
                waiting += _used(node)
    return [node for node in body if found & set(_defined(node))]


def _imports(exercise: Exercise, nodes: list[ast.stmt]) -> list[str]:
    """Return the lines of import: NumPy, the standard library, the student's files."""
    used = set().union(*(_used(node) for node in nodes))
    lines, own = {"import numpy as np"}, dict[str, set[str]]()
    writers = course.writers(exercise.name)
    for node in nodes:
        if isinstance(node, ast.Import):
            lines |= {
                f"import {a.name}{f' as {a.asname}' if a.asname else ''}"
                for a in node.names
                if (a.asname or a.name.split(".")[0]) in used
            }
        elif isinstance(node, ast.ImportFrom):
            names = [a.name for a in node.names if (a.asname or a.name) in used]
            if not (node.module or "").startswith(_OWN):
                lines |= {f"from {node.module} import {n}" for n in names}
                continue
            for name in names:
                if name not in writers:
                    raise SourceError(
                        f"{exercise.name} uses {name}, which no exercise before it "
                        "writes"
                    )
                own.setdefault(writers[name], set()).add(name)
    plain = sorted(lines, key=lambda line: ("numpy" in line, line))
    files = [
        f"from {name} import {', '.join(sorted(own[name]))}" for name in sorted(own)
    ]
    return [*plain, *([""] if files else []), *files]


def needs(exercise: Exercise) -> list[str]:
    """Return the earlier exercises whose functions the solution imports, in order."""
    names = [function.name for function in exercise.functions]
    lines = _imports(exercise, _needed(exercise.module, names))
    return [n for n in course.ORDER if any(f"from {n} import" in li for li in lines)]


def _text_of(module: ModuleType, node: ast.stmt) -> str:
    lines = _parsed(module)[0].splitlines()
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    while lines[first - 2].startswith("#"):  # comments right above belong to it
        first -= 1
    return "\n".join(lines[first - 1 : node.end_lineno])


def solution(exercise: Exercise) -> str:
    """Return the text of a file that solves the exercise."""
    names = [function.name for function in exercise.functions]
    nodes = _needed(exercise.module, names)
    parts = [f'"""{exercise.title}: the solution."""']
    parts.append("\n".join(_imports(exercise, nodes)))
    for node in nodes:
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            parts.append(_text_of(exercise.module, node))
    head, imports, *rest = parts
    return "\n\n\n".join([f"{head}\n\n{imports}", *rest]) + "\n"


def signature(exercise: Exercise, function: Function) -> str:
    """Return the line or lines ``def name(arguments):`` of the source."""
    (node,) = [
        n
        for n in _parsed(exercise.module)[1].body
        if isinstance(n, ast.FunctionDef) and n.name == function.name
    ]
    lines = _parsed(exercise.module)[0].splitlines()
    text = "\n".join(lines[node.lineno - 1 : node.body[0].lineno - 1])
    return re.sub(r"\s*#.*", "", text)


def _docstring(exercise: Exercise, function: Function) -> str:
    if function.says:
        return textwrap.dedent(function.says).strip()
    return inspect.getdoc(getattr(exercise.module, function.name)) or ""


def stub(exercise: Exercise) -> str:
    """Return the text of the file that the student begins with."""
    check = f"{_COMMAND} check {exercise.name}"
    task = textwrap.dedent(exercise.task).strip()
    names = [function.name for function in exercise.functions]
    nodes = _needed(exercise.module, names)
    parts = [
        f'"""{exercise.title}.\n\n{task}\n\nWhen you have written it:  {check}\n"""\n\n'
        + "\n".join(_imports(exercise, nodes))
    ]
    for function in exercise.functions:
        says = _docstring(exercise, function)
        end = '\n"""' if "\n" in says else '"""'
        body = f'"""{says}{end}\nraise NotImplementedError  # your code here'
        head = signature(exercise, function)
        parts.append(f"{head}\n{textwrap.indent(body, '    ')}")
    return "\n\n\n".join(parts) + "\n"
