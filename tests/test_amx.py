"""Whether there are tiles for bfloat16 (AMX), and why not."""

import ctypes
import os
import subprocess
import sys

import numba
import pytest
from llvmlite import binding

from odyssey import info, processor

why_no_amx = processor.why_no_amx.__wrapped__  # asked anew each time


class Linux:
    """A stand-in for the C library, which answers the request for tiles."""

    def __init__(self, errno):
        self.errno, self.requests = errno, []

    def syscall(self, *request):
        self.requests.append(request)
        ctypes.set_errno(self.errno)
        return -1 if self.errno else 0


@pytest.fixture
def with_tiles(monkeypatch):
    """A processor with tiles, under a Linux that lends them or not."""
    monkeypatch.delenv("ODYSSEY_DISABLE", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
    features = frozenset({"amx-tile", "amx-bf16"})
    monkeypatch.setattr(processor, "compiled_for", lambda: features)

    def under(errno):
        linux = Linux(errno)
        monkeypatch.setattr(processor.ctypes, "CDLL", lambda *_, **__: linux)
        return linux

    return under


def test_linux_is_asked_for_them(with_tiles):
    linux = with_tiles(0)
    assert why_no_amx() == ""
    assert linux.requests == [(158, 0x1023, 18)]


def test_a_refusal_says_why(with_tiles):
    with_tiles(1)
    assert why_no_amx() == f"Linux refuses them ({os.strerror(1)})"


@pytest.mark.parametrize("names", ["amx", "AVX512, amx"])
def test_taken_away(with_tiles, monkeypatch, names):
    linux = with_tiles(0)
    monkeypatch.setenv("ODYSSEY_DISABLE", names)
    assert why_no_amx() == "taken away by ODYSSEY_DISABLE"
    assert not linux.requests


def test_where_there_are_none(with_tiles, monkeypatch):
    linux = with_tiles(0)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert "NUMBA_DISABLE_JIT" in why_no_amx()
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 0)
    monkeypatch.setattr(processor, "compiled_for", lambda: frozenset({"amx-tile"}))
    assert "this processor has none" in why_no_amx()
    monkeypatch.setattr(processor.platform, "machine", lambda: "aarch64")
    assert why_no_amx() == "for Linux on x86-64 alone"
    assert not linux.requests


def test_info_says_so(monkeypatch):
    known = info.collect()
    tiles = known["tiles"]
    assert tiles["used"] == processor.has_amx()
    assert tiles["why_not"] == (processor.why_no_amx() or None)
    for used, line in ((True, "yes"), (False, "no: because")):
        known["tiles"] = {"used": used, "why_not": None if used else "because"}
        assert f"\ntiles (AMX)      {line}\n" in info.describe(known)


PROGRAM = """
import numpy as np
from odyssey import processor
from odyssey.ops.conv import tiles
print(processor.why_no_amx())
print(tiles.worthwhile(np.zeros((64, 64, 3, 3), np.float32), 128, 32, 32))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux refuses")
def test_a_processor_without_is_not_believed_to_have_them():
    """Whatever Numba is told to compile for."""
    if binding.get_host_cpu_features().get("amx-tile"):
        pytest.skip("this processor has tiles")
    features = binding.get_host_cpu_features().flatten() + ",+amx-tile,+amx-bf16"
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "NUMBA_CPU_FEATURES": features, "NUMBA_CPU_NAME": "generic"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    why, worthwhile = result.stdout.splitlines()
    assert why.startswith("Linux refuses them")
    assert worthwhile == "False"
