"""What passes for an array or a number, whichever function it is handed to."""

import numpy as np
import pytest

import odyssey
from odyssey.checks import check_array, check_number
from odyssey.gradcheck import gradcheck

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
W = np.random.default_rng(1).standard_normal((4, 4)).astype(np.float32)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("wrap", [np.matrix, np.ma.masked_array])
def test_arrays_that_calculate_otherwise_are_refused(wrap):
    name = wrap(X).__class__.__name__
    with pytest.raises(TypeError, match=f"f: x must be a plain numpy.ndarray.* {name}"):
        check_array("f", "x", wrap(X))
    with pytest.raises(TypeError, match="linear: x must"):
        odyssey.linear(wrap(X), W)
    with pytest.raises(TypeError, match="softmax: logits must"):
        odyssey.softmax(wrap(X))
    with pytest.raises(TypeError, match="input 0 must"):
        gradcheck(np.exp, lambda g, x: g * np.exp(x), [wrap(X.astype(float))])


class Named(np.ndarray):
    """A subclass that adds nothing."""


def test_other_subclasses_are_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=X.shape)
    mapped[...] = X
    labels = np.array([0, 3, 1])
    for x in (mapped, X.view(Named)):
        for function, *others in (
            (odyssey.linear, W),
            (odyssey.softmax,),
            (odyssey.relu,),
            (odyssey.add, X),
            (odyssey.cross_entropy, labels),
        ):
            np.testing.assert_array_equal(function(x, *others), function(X, *others))


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), np.longdouble("1e400")], ids=[*"abc"]
)
def test_a_number_beyond_every_float_is_out_of_range(value):
    with pytest.raises(ValueError, match="f: x must be a finite number"):
        check_number("f", "x", value)
