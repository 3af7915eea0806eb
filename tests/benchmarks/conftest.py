"""What the tests of the benchmarks share."""

import sys
from pathlib import Path

import numba
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))
sys.path.insert(0, str(ROOT / "benchmarks"))


@pytest.fixture(autouse=True)
def threads_as_before():
    threads = numba.get_num_threads()
    yield
    numba.set_num_threads(threads)


@pytest.fixture
def without_peers(monkeypatch):
    """As on a machine where no peer is installed."""
    for package in ("ml_dtypes", "torch", "onnx", "onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, package, None)
