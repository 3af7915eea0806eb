"""What the tests of the examples share."""

import functools
import os
import sys
from pathlib import Path

import numba
import pytest
from programs import SMALL, run_here
from tiny_cifar import write_tiny_cifar

from odyssey.data import synthetic

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))


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


@pytest.fixture(scope="session", autouse=True)
def synthetic_images_drawn_once():
    """The images, for all tests; none may write to them."""

    @functools.cache
    def make_synthetic(*numbers):
        data = drawn(*numbers)
        for array in data[:4]:
            array.setflags(write=False)
        return data

    drawn = synthetic.make_synthetic
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "make_synthetic", make_synthetic)
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_tiny_cifar(root)
    return root


@pytest.fixture
def train(data, tmp_path):
    """Run train.py in ``tmp_path / "run"`` with more options; return its output."""

    def train(*more, weights_dir=tmp_path / "run", status=0):
        places = ["--data-dir", data, "--weights-dir", weights_dir]
        result = run_here("train", *places, *SMALL, *more)
        assert result.exit_code == status, result.output
        return result.output

    return train
