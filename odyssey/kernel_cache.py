"""Compiled kernels in files: never out of date, and damage never stops a run.

Numba stores what it compiles in a folder: for each function an index, and a data file
for each combination of types.  It compiles again when the function's own file has
changed.  For kernels that is not enough, for three reasons.

- A kernel contains the helpers that it calls, which are in other files.  So any change
  in ``odyssey/kernels`` counts here.  Contents are compared, not times: these are
  rounded to seconds in some containers and lost in others.
- Settings such as NUMBA_OPT change the compiled code, but are not part of Numba's key.
  Here they are, so kernels of different settings are stored side by side.
- With a file that a crash has cut short, every later run fails in Numba.  Here each
  data file has a key and a checksum; a kernel that does not match is compiled again.
  If the folder cannot be read or written, there is a warning.
"""

import hashlib
import os
import pickle
import pkgutil
import sys
import warnings
from collections.abc import Callable
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import llvmlite
import numpy as np
from numba.core import config
from numba.core.caching import FunctionCache, IndexDataCacheFile

from odyssey import processor

#: Settings that change the compiled code: for each environment variable Numba's name
#: and default.  A setting that a version of Numba lacks counts as its default.
SHAPING = {
    "NUMBA_OPT": ("OPT", 3),
    "NUMBA_LOOP_VECTORIZE": ("LOOP_VECTORIZE", 1),
    "NUMBA_SLP_VECTORIZE": ("SLP_VECTORIZE", 0),
    "NUMBA_BOUNDSCHECK": ("BOUNDSCHECK", None),
    "NUMBA_DEBUGINFO": ("DEBUGINFO_DEFAULT", 0),
    "NUMBA_EXTEND_VARIABLE_LIFETIMES": ("EXTEND_VARIABLE_LIFETIMES", 0),
    "NUMBA_DISABLE_INTEL_SVML": ("DISABLE_INTEL_SVML", 0),
    "NUMBA_LLVM_REFPRUNE_PASS": ("LLVM_REFPRUNE_PASS", 1),
    "NUMBA_LLVM_REFPRUNE_FLAGS": ("LLVM_REFPRUNE_FLAGS", "all"),
    "NUMBA_PARFOR_MAX_TUPLE_SIZE": ("PARFOR_MAX_TUPLE_SIZE", 100),
    "NUMBA_DEBUG_ARRAY_OPT_RUNTIME": ("DEBUG_ARRAY_OPT_RUNTIME", 0),
    "NUMBA_DEBUG_NRT": ("DEBUG_NRT", 0),
    "NUMBA_DIFF_IR": ("DIFF_IR", 0),
    "NUMBA_USE_RVSDG_FRONTEND": ("USE_RVSDG_FRONTEND", 0),
    "NUMBA_USE_LEGACY_TYPE_SYSTEM": ("USE_LEGACY_TYPE_SYSTEM", 1),
    # These two are in Numba's own key as well, as is NUMBA_ENABLE_AVX.
    "NUMBA_CPU_NAME": ("CPU_NAME", None),
    "NUMBA_CPU_FEATURES": ("CPU_FEATURES", None),
}


def settings() -> dict[str, Any]:
    """Return the settings of `SHAPING` that are not at their default, by variable."""
    found = {}
    for variable, (name, default) in SHAPING.items():
        value = getattr(config, name, default)
        value = getattr(value, "_raw_value", value)  # NUMBA_OPT=max is 3
        if value != default:
            found[variable] = value
    # Its default depends on the processor, so it counts only if it is set.
    if "NUMBA_ENABLE_AVX" in os.environ and not config.ENABLE_AVX:
        found["NUMBA_ENABLE_AVX"] = 0
    return found


def kernel_modules() -> dict[str, ModuleSpec]:
    """Return the modules of ``odyssey.kernels`` that can be imported, by name.

    An editor's lock link (``.#jit.py``), a copy (``jit copy.py``) and a file that was
    just deleted are left out.
    """
    found = {}
    for info in pkgutil.iter_modules(sys.modules["odyssey.kernels"].__path__):
        spec = info.module_finder.find_spec(info.name, None)
        if info.name.isidentifier() and spec is not None:
            found[info.name] = spec
    return found


def hash_of_kernels() -> str:
    """Return a hash of the present contents of all files of ``odyssey.kernels``."""
    digest = hashlib.sha256()
    for name, spec in sorted(kernel_modules().items()):
        loader: Any = spec.loader  # most loaders can read files
        try:
            contents = loader.get_data(spec.origin)
        except (OSError, AttributeError):  # the import must not fail
            contents = b""
        digest.update(f"{name} {len(contents)}\n".encode() + contents)
    return digest.hexdigest()


@cache
def stamp() -> str:
    """Return the hash of the kernels that this process has imported."""
    return hash_of_kernels()


class KernelCache(FunctionCache):
    """The store from which Numba loads compiled kernels and in which it saves them.

    Raises
    ------
    RuntimeError
        If there is no folder that can be written to.
    """

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        self._cache_file = _Files(
            self.cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=stamp(),
        )

    def _index_key(self, sig: Any, codegen: Any) -> tuple:
        shaping = {
            **settings(),
            "SVML": getattr(config, "USING_SVML", False),
            "llvmlite": llvmlite.__version__,
            "numpy": np.__version__,
            "vector": processor.vector_bytes(),
            "cache": processor.cache_bytes(1),
        }
        return (*super()._index_key(sig, codegen), tuple(sorted(shaping.items())))

    def holds(self, sig: Any, target_context: Any) -> bool:
        """Return whether an intact and current kernel for these types is stored."""
        key = self._index_key(sig, target_context.codegen())
        return self._cache_file.load(key) is not None

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the kernel for these types, None if there is no usable one."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # intact, but not usable by this Numba
            _warn_of_damage(self.cache_path, self._cache_file._index_name, error)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save a kernel if its sources have not changed since they were imported."""
        try:
            if hash_of_kernels() == stamp():
                super().save_overload(sig, data)
        except Exception as error:
            warn_that_nothing_is_kept(self.cache_path, error)


class _Files(IndexDataCacheFile):
    """The index of one function, and its data files.

    A data file is a SHA-256, followed by what it is of: a pickle of the kernel, its
    stamp and its key.  The key is needed because index and data are written one after
    the other: a crash between them, or two processes at once, can leave an index that
    names the data of another kernel.
    """

    def _load_index(self) -> dict:
        try:
            overloads = super()._load_index()
            if isinstance(overloads, dict):
                return overloads
            raise TypeError(f"holds {type(overloads).__name__}")
        except Exception as error:  # unpickling can raise anything
            _warn_of_damage(self._cache_path, self._index_name, error)
            return {}  # the next save replaces it

    def load(self, key: tuple) -> Any:
        name = self._load_index().get(key)
        if name is None:
            return None
        try:
            owner, kernel = self._load_data(name)
        except FileNotFoundError:
            return None
        except Exception as error:
            _warn_of_damage(self._cache_path, name, error)
            return None
        return kernel if owner == (self._source_stamp, key) else None

    def save(self, key: tuple, data: Any) -> None:
        super().save(key, ((self._source_stamp, key), data))

    def _load_data(self, name: str) -> Any:
        contents = Path(self._data_path(name)).read_bytes()
        if hashlib.sha256(contents[32:]).digest() != contents[:32]:
            raise ValueError("its checksum does not match")
        return pickle.loads(contents[32:])

    def _save_data(self, name: str, data: Any) -> None:
        contents = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(contents).digest())
            file.write(contents)


_warned: set[str] = set()  # kinds of warnings that were given
_all_kept = True


def can_keep() -> bool:
    """Return whether all kernels compiled so far could be saved."""
    return _all_kept


def warn_that_nothing_is_kept(folder: str = "", error: Exception | None = None) -> None:
    """Warn once that kernels are lost when the process ends, and what helps."""
    global _all_kept
    _all_kept = False
    reason = "there is no folder to keep compiled kernels in"
    if error is not None:
        reason = f"compiled kernels cannot be kept in {folder} ({_reason(error)})"
    _warn_once(
        f"{reason}, so every run compiles its own; the environment variable "
        "NUMBA_CACHE_DIR can name one that can be written to",
        f"cannot be kept: {folder}",
    )


def _warn_of_damage(folder: str, file: str, error: Exception) -> None:
    _warn_once(
        f"compiled kernels in {folder} cannot be used ({file}: {_reason(error)}); "
        "they are compiled again",
        f"damaged: {folder}",
    )


def _warn_once(message: str, kind: str) -> None:
    if kind not in _warned:
        _warned.add(kind)
        warnings.warn(message, RuntimeWarning, stacklevel=4)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
