"""Fixtures that several folders of tests share."""

import os
import signal
from pathlib import Path

import pytest
from tiny_cifar import write_tiny_cifar

import odyssey.cli.remedies  # noqa: F401  (messages as programs give them, in any order)
from odyssey.data.cifar10 import holds_cifar10

ROOT = Path(__file__).resolve().parent.parent


# What a shell starts with `&` ignores Ctrl-C, and all programs would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def cifar10_dir():
    """A folder with the real CIFAR-10; tests that need it are skipped without."""
    places = [os.environ.get("ODYSSEY_CIFAR10"), ROOT / "datasets" / "cifar10"]
    for place in filter(None, places):
        if holds_cifar10(place):
            return Path(place)
    pytest.skip("no CIFAR-10 in $ODYSSEY_CIFAR10 or datasets/cifar10")


@pytest.fixture
def tiny_cifar_dir(tmp_path):
    """A data folder in the form of CIFAR-10, 100 training and 20 test records."""
    root = tmp_path / "tiny_cifar"
    write_tiny_cifar(root)
    return root


@pytest.fixture
def make_tiny_cifar():
    """The function that writes such a folder, with a choice of form and size."""
    return write_tiny_cifar
