"""Kernels that are kept are never stale, and damage to them stops nothing."""

import errno
import importlib.util
import os
import sys
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest

from odyssey import kernel_cache, kernels
from odyssey.kernels.jit import serial

SOURCE = """
def first(x):
    return x[0] + x[1]
"""


@pytest.fixture
def function(tmp_path, monkeypatch):
    """A function whose kernels are kept in a folder of the test's own."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(kernel_cache, "_warned", set())
    monkeypatch.setattr(kernel_cache, "_all_kept", True)
    (tmp_path / "summing.py").write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("summing", tmp_path / "summing.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "summing", module)
    spec.loader.exec_module(module)
    return module.first


def start(function, dtype=np.float32):
    """Call a kernel as a process of its own would: return its sum, compiled, loaded."""
    kernel = serial(function)
    assert kernel(np.array([1, 2], dtype)) == 3
    stats = kernel.stats
    return sum(stats.cache_misses.values()), sum(stats.cache_hits.values())


def quietly(function, dtype=np.float32):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return start(function, dtype)


def files(tmp_path, ending):
    return sorted((tmp_path / "cache").rglob(f"*.{ending}"))


def test_what_was_compiled_is_loaded_the_next_time(function):
    assert quietly(function) == (1, 0)
    assert quietly(function) == (0, 1)
    assert quietly(function, np.float64) == (1, 0)
    assert quietly(function, np.float64) == (0, 1)
    assert quietly(function) == (0, 1)


@pytest.mark.parametrize(
    "setting, value",
    [
        ("BOUNDSCHECK", 1),
        ("LOOP_VECTORIZE", 0),
        ("SLP_VECTORIZE", 1),
        ("DEBUGINFO_DEFAULT", 1),
        ("USING_SVML", not numba.config.USING_SVML),
    ],
)
def test_kernels_of_two_settings_lie_side_by_side(
    function, monkeypatch, setting, value
):
    assert quietly(function) == (1, 0)
    with monkeypatch.context() as patch:
        patch.setattr(numba.config, setting, value)
        assert quietly(function) == (1, 0)
        assert quietly(function) == (0, 1)
    assert quietly(function) == (0, 1)


def test_the_check_of_bounds_is_there_although_kernels_were_kept(function, monkeypatch):
    assert quietly(function) == (1, 0)
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", 1)
    with pytest.raises(IndexError):
        serial(function)(np.ones(1, np.float32))


def test_the_settings_that_are_not_as_usual(monkeypatch):
    assert kernel_cache.settings() == {}
    monkeypatch.setattr(numba.config, "LOOP_VECTORIZE", 0)
    monkeypatch.setattr(numba.config, "OPT", type(numba.config.OPT)("max"))
    unusual = {"NUMBA_OPT": "max", "NUMBA_LOOP_VECTORIZE": 0}
    assert kernel_cache.settings() == unusual
    monkeypatch.setattr(numba.config, "ENABLE_AVX", 0)
    assert kernel_cache.settings() == unusual  # as an old processor has it
    monkeypatch.setenv("NUMBA_ENABLE_AVX", "0")
    assert kernel_cache.settings() == {**unusual, "NUMBA_ENABLE_AVX": 0}


DAMAGE = {
    "emptied": lambda data: b"",
    "cut short": lambda data: data[:20],
    "half": lambda data: data[: len(data) // 2],
    "not a pickle": lambda data: b"no pickle" * 20,
    "a bit": lambda data: data[:-99] + bytes([data[-99] ^ 4]) + data[-98:],
}


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_replaced(function, tmp_path, ending, damage):
    assert quietly(function) == (1, 0)
    (file,) = files(tmp_path, ending)
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert start(function) == (1, 0)
    if (ending, damage) != ("nbi", "a bit"):  # which may be read as another key
        (warning,) = caught
        assert str(warning.message).startswith(
            f"compiled kernels in {file.parent} cannot be used ({file.name}: "
        )
    assert quietly(function) == (0, 1)


def test_the_data_of_another_kernel_is_not_used(function, tmp_path, monkeypatch):
    """As a crash, or two processes at once, between index and data can leave it."""
    for dtype in (np.float32, np.float64):
        assert quietly(function, dtype) == (1, 0)
    one, two = files(tmp_path, "nbc")
    other = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(other)
    assert quietly(function) == (1, 0)
    assert quietly(function, np.float64) == (1, 0)
    assert quietly(function) == (0, 1)

    # The same types from other sources, by an index of today.
    (index,) = files(tmp_path, "nbi")
    of_today = index.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(kernel_cache, "stamp", lambda: "older")
        patch.setattr(kernel_cache, "hash_of_kernels", lambda: "older")
        assert quietly(function) == (1, 0)
    index.write_bytes(of_today)
    assert quietly(function) == (1, 0)


def test_a_file_that_is_gone_is_made_anew(function, tmp_path):
    assert quietly(function) == (1, 0)
    (data,) = files(tmp_path, "nbc")
    data.unlink()
    assert quietly(function) == (1, 0)
    assert quietly(function) == (0, 1)


def test_an_index_that_can_be_neither_read_nor_replaced(function, tmp_path):
    assert quietly(function) == (1, 0)
    (index,) = files(tmp_path, "nbi")
    index.unlink()
    index.mkdir()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert start(function) == (1, 0)
        assert start(function) == (1, 0)
    read, kept = (str(warning.message) for warning in caught)
    assert read.startswith(f"compiled kernels in {index.parent} cannot be used")
    assert kept.startswith(f"compiled kernels cannot be kept in {index.parent} (")
    assert "NUMBA_CACHE_DIR" in kept
    assert not kernel_cache.can_keep()


def test_a_full_folder_costs_one_warning(function, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(kernel_cache._Files, "_open_for_write", full)
    assert kernel_cache.can_keep()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert start(function) == (1, 0)
        assert start(function) == (1, 0)
    (warning,) = caught
    folder = next((tmp_path / "cache").iterdir())
    assert f"cannot be kept in {folder} (No space left" in str(warning.message)
    assert not kernel_cache.can_keep()


def test_nothing_is_kept_once_the_sources_have_changed(function, tmp_path, monkeypatch):
    monkeypatch.setattr(kernel_cache, "hash_of_kernels", lambda: "newer")
    assert quietly(function) == (1, 0)
    assert quietly(function) == (1, 0)
    assert files(tmp_path, "nb?") == []


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A folder of two modules in the place of the kernels."""
    (tmp_path / "one.py").write_text("ZERO = 0\n")
    (tmp_path / "two.py").write_text("TWO = 2\n")
    monkeypatch.setattr(kernels, "__path__", [str(tmp_path)])
    return tmp_path


def test_what_counts_is_what_the_files_hold(sources):
    before, one = kernel_cache.hash_of_kernels(), sources / "one.py"
    os.utime(one, (1, 1))
    assert kernel_cache.hash_of_kernels() == before
    one.write_text("ZERO = 7\n")
    os.utime(one, (1, 1))
    changed = kernel_cache.hash_of_kernels()
    assert changed != before
    one.rename(sources / "three.py")
    assert kernel_cache.hash_of_kernels() not in (before, changed)


@pytest.mark.parametrize("name", [".#one.py", "._one.py", "one copy.py", "gone.py"])
def test_only_modules_of_the_package_count(sources, name):
    before = kernel_cache.hash_of_kernels()
    if "copy" in name:
        (sources / name).write_text("ZERO = 0\n")
    else:
        (sources / name).symlink_to("someone@host.4242:1790000000")
    assert set(kernel_cache.kernel_modules()) == {"one", "two"}
    assert kernel_cache.hash_of_kernels() == before


def test_a_module_that_cannot_be_read_stops_nothing(sources, monkeypatch):
    from importlib.machinery import SourceFileLoader

    def unreadable(self, path):
        if Path(path).name == "two.py":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return get_data(self, path)

    get_data = SourceFileLoader.get_data
    before = kernel_cache.hash_of_kernels()
    monkeypatch.setattr(SourceFileLoader, "get_data", unreadable)
    after = kernel_cache.hash_of_kernels()
    assert len(after) == len(before) == 64
    assert after != before
