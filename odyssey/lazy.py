"""Names of a package that are imported at their first use.

Importing Numba takes longer than many things that need no kernel: checking a folder of
weights, for example, or printing a help text.  Python calls a module's ``__getattr__``
for names that the module does not have (PEP 562); here that imports them.
"""

import importlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

_ALL = re.compile(r"^__all__ = \[(.*?)\]", re.MULTILINE | re.DOTALL)


def attach(
    package: str,
    homes: Mapping[str, str] | None = None,
    public: Iterable[str] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package.

    Parameters
    ----------
    package : its ``__name__``
    homes : for each name offered besides the package's own modules, its module
    public : names that ``dir`` shows; None for the package's modules
    """
    homes = homes or {}

    def modules() -> set[str]:
        import pkgutil

        path = sys.modules[package].__path__
        names = {module.name for module in pkgutil.iter_modules(path)}
        return names - {"__main__"}

    def __getattr__(name: str) -> Any:
        if name in homes:
            value = getattr(importlib.import_module(homes[name]), name)
            setattr(sys.modules[package], name, value)
            return value
        if name in modules():
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted(modules() if public is None else public)

    return __getattr__, __dir__


def exports(package: str, homes: Iterable[str]) -> dict[str, str]:
    """Return the names that modules list in ``__all__``, each with its module.

    The files are read as text; nothing is imported.

    Parameters
    ----------
    package : its ``__name__``
    homes : names of its modules and subpackages; all modules of the latter are read
    """
    root = Path(sys.modules[package].__path__[0])
    found: dict[str, str] = {}
    for home in homes:
        for path in _files(root.joinpath(*home.split("."))):
            module = ".".join([package, *path.relative_to(root).with_suffix("").parts])
            if listed := _ALL.search(path.read_text(encoding="utf-8")):
                found |= dict.fromkeys(re.findall(r'"(\w+)"', listed[1]), module)
    return found


def _files(path: Path) -> Iterator[Path]:
    """Yield the file of a module, or the files of a package's modules."""
    if path.is_dir():
        yield from sorted(path.rglob("[!._]*.py"))
    else:
        yield path.with_suffix(".py")


def stub(homes: Mapping[str, str]) -> str:
    """Return the text of ``odyssey/__init__.pyi``, for editors and type checkers.

    ``make stub`` writes the file; a test compares it.
    """
    own = {"gradcheck": "odyssey.gradcheck"}
    pairs = sorted((module, name) for name, module in {**homes, **own}.items())
    return "\n".join(
        [
            '"""The public names, for editors and type checkers, see odyssey.lazy."""',
            "",
            *(_import_of(module, name) for module, name in pairs),
            "",
            "from . import reference as reference",
            "",
            "__version__: str",
            "__all__: list[str]",
            "",
        ]
    )


def _import_of(module: str, name: str) -> str:
    """Return the line that imports a name, broken where a formatter breaks it."""
    line = f"from {module} import {name} as {name}"
    if len(line) <= 88:
        return line
    return f"from {module} import (\n    {name} as {name},\n)"
