"""What is said of the kernels before a run, and what is not."""

import re
import warnings

import numpy as np
import pytest
from standin import Batches, fresh_state, predictor, train_step

from odyssey import compiling, kernel_cache
from odyssey.errors import NonFiniteError
from odyssey.training.model import Model
from odyssey.training.readiness import ready_kernels


def ready(step):
    """Return what is said after the seconds."""
    state = fresh_state()
    before = {name: value.copy() for name, value in state.tensors().items()}
    x, labels = next(Batches().epoch(0))
    said = ready_kernels(Model(step, predictor, None), state, x, labels, 0.1)
    for name, value in state.tensors().items():
        np.testing.assert_array_equal(value, before[name])
    assert re.match(r"kernels ready after \d+\.\d s", said)
    return said.partition(" s")[2]


@pytest.mark.parametrize(
    "kept, text",
    [
        (True, "kept for the next start"),
        (False, "not kept"),
    ],
)
def test_what_was_compiled_is_counted(monkeypatch, capsys, kept, text):
    def compiles(state, x, labels, lr):
        for _ in range(2):
            compiling._reporters[-1].begin()
            compiling._reporters[-1].end()
        return train_step(state, x, labels, lr)

    monkeypatch.setattr(kernel_cache, "_all_kept", kept)
    assert ready(compiles) == f": 2 compiled, {text}"
    assert capsys.readouterr() == ("compiling kernels ...\n", "")


def test_where_all_kernels_were_there(capsys):
    assert ready(train_step) == ""
    assert capsys.readouterr() == ("", "")


def test_a_rate_that_is_far_too_large_warns_of_nothing_by_then():
    def too_large(state, x, labels, lr):
        state.params["w"] *= np.float32(3e38)
        state.params["w"] *= np.float32(3e38)
        raise NonFiniteError("loss nan")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ready(too_large) == ""
