"""What the tests of the examples share."""

import os
import sys
from pathlib import Path

import numba
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES / "resnet18_cifar10"))


@pytest.fixture
def one_thread():
    """Layers so small are not worth sharing."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
