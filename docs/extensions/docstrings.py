"""Docstrings as Markdown: what the pages of the API consist of.

They are read from the source, not by importing it: a page needs no Numba, and shows
the signature as it is written.  A docstring of this project is nearly Markdown:
indented lines are formulas or code, and names stand between backticks.  The sections
(Parameters, Returns, ...) become lists.
"""

import ast
import re
from pathlib import Path

Definition = ast.FunctionDef | ast.ClassDef
SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.M)
ENTRY = re.compile(r"^(?:(\S.*?) : (.*)|(\S.*))$")


def module(path: Path, target: str) -> str:
    """Return the docstrings of a module and of its public names, as Markdown.

    Parameters
    ----------
    path : of the module
    target : what a link to it has to say
    """
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    parts = [prose(ast.get_docstring(tree) or "")]
    parts += [describe(node, source, target) for node in public(tree)]
    return "\n\n".join(parts)


def public(tree: ast.Module) -> list[Definition]:
    """Return the functions and classes of a module that others may use."""
    named = listed(tree)
    return [
        node
        for node in tree.body
        if isinstance(node, Definition)
        and (node.name in named if named else node.name[0] != "_")
    ]


def listed(tree: ast.Module) -> list[str]:
    """Return what a module has in ``__all__``."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def describe(node: Definition, source: str, target: str, level: int = 3) -> str:
    """Return heading, signature, docstring and source of a function or class."""
    parts = [f"{'#' * level} {node.name}", signature(node, source)]
    parts.append(numpydoc(ast.get_docstring(node) or ""))
    parts.append(f"[The source of {node.name}]({target}#L-{node.lineno})")
    if isinstance(node, ast.ClassDef):
        parts += [
            describe(method, source, target, level + 1)
            for method in node.body
            if isinstance(method, ast.FunctionDef)
            and method.name[0] != "_"
            and ast.get_docstring(method)
        ]
    return "\n\n".join(part for part in parts if part)


def signature(node: Definition, source: str) -> str:
    """Return the lines of a definition above its docstring, and a class's fields."""
    lines = source.splitlines()
    shown = lines[node.lineno - 1 : node.body[0].lineno - 1]
    if isinstance(node, ast.ClassDef):
        for field in node.body:
            if isinstance(field, ast.AnnAssign):
                shown += lines[field.lineno - 1 : field.end_lineno]
    margin = len(shown[0]) - len(shown[0].lstrip())
    code = "\n".join(line[margin:] for line in shown).rstrip()
    return f"```python\n{code}\n```"


def numpydoc(text: str) -> str:
    """Return a docstring whose sections are headed as numpydoc wants it."""
    before, *sections = SECTION.split(text)
    parts = [prose(before)]
    for title, content in zip(sections[::2], sections[1::2], strict=True):
        entries = title in ("Parameters", "Returns", "Raises", "Yields", "Attributes")
        shown = listing(content) if entries else prose(content)
        parts.append(f"**{title}**\n\n{shown}")
    return "\n\n".join(part for part in parts if part)


def listing(content: str) -> str:
    """Return the entries of a section as a list: a name, its shape, what it is."""
    items: list[str] = []
    for line in content.strip("\n").splitlines():
        if line[:1] not in (" ", ""):
            name, shape, alone = ENTRY.match(line).groups()  # type: ignore[union-attr]
            names = ", ".join(f"`{part}`" for part in (name or alone).split(", "))
            items.append(f"- {names}" + (f": {escaped(shape)}" if shape else ""))
        elif items:
            text = escaped(line.strip())
            if items[-1].startswith("- ") and re.match(r"[A-Z0-9`\"]", text):
                items[-1] += "\\"  # what it is, on a line below its shape
            items.append(f"  {text}".rstrip())
    return "\n".join(items)


def prose(text: str) -> str:
    """Return text in which indented lines are blocks of code."""
    lines: list[str] = []
    indented = False
    for line in text.strip("\n").splitlines():
        deep = line.startswith("    ")
        if line.strip() and deep != indented:
            if lines and lines[-1]:
                lines.append("")
            indented = deep
        if not deep and re.match(r"[-+] ", line) and in_text(lines):
            line = f"\\{line}"  # a minus that begins a line, no list
        lines.append(line if deep else escaped(line))
    return "\n".join(lines)


def in_text(lines: list[str]) -> bool:
    """Return whether these lines end within a paragraph that is no list."""
    start = len(lines)
    while start and lines[start - 1]:
        start -= 1
    return start < len(lines) and not re.match(r"[-*+] ", lines[start])


def escaped(line: str) -> str:
    """Return a line in which Markdown sees names in backticks, and lists, alone."""
    line = re.sub(r":\w+:`", "`", line)
    parts = re.split(r"(``.*?``|`[^`]*`)", line)
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(r"([*<>$\[\]]|\\(?![-+]))", r"\\\1", parts[index])
    return "".join(parts)
