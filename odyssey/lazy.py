"""Names of a package that are imported when somebody first asks for them.

Importing Numba takes longer than much that is done with this library: checking a folder
of weights, say, or asking for help.  Python calls ``__getattr__`` of a module for names
that the module does not have (PEP 562); here that is the moment to import.
"""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def attach(
    package: str,
    homes: Mapping[str, str] | None = None,
    public: Iterable[str] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` for a package.

    Parameters
    ----------
    package : its ``__name__``
    homes : for names that are offered beside the package's own modules, the module
        that each comes from
    public : what ``dir`` shows; the modules, if not given
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
