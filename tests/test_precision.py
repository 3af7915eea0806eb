"""A network in bfloat16: what its functions are given, and what they return."""

import sys

import ml_dtypes
import numpy as np
import pytest

from odyssey.layout import is_channels_last
from odyssey.network import Network
from odyssey.precision import PRECISIONS, in_precision

BF16 = np.dtype(ml_dtypes.bfloat16)
RNG = np.random.default_rng(4)
X = RNG.standard_normal((2, 5, 4, 3)).astype("f4").transpose(0, 3, 1, 2)
PARAMS, STATE = {"w": np.ones(3, "f4")}, {"mean": np.zeros(3, "f4")}


def halves(x):
    """Round float32 to bfloat16 by hand: to nearest, ties to the even bit."""
    bits = x.view(np.uint32).astype(np.uint64)
    kept = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return kept.astype(np.uint16).view(BF16)


def noting(calls):
    """Return a network that notes its arguments and returns its first one."""

    def forward(params, state, x, *more, **named):
        calls.append((params, state, x, more, named))
        return x[:, :, 0, 0], {"mean": state["mean"] + 1}, "cache"

    def backward(grad_logits, cache, params, config):
        calls.append((grad_logits, cache, params, config))
        return {"w": grad_logits.astype("f4").sum(axis=0)}

    return Network("", {"m": None}, *[None] * 3, forward, backward, None)


def test_float32_is_the_network_itself():
    network = noting([])
    assert in_precision(network, "float32") is network
    assert PRECISIONS[0] == "float32"  # the default


def test_images_are_rounded_and_logits_widened():
    calls = []
    forward = in_precision(noting(calls), "bf16").forward
    logits, state, cache = forward(PARAMS, STATE, X, "config", True, "rng")
    ((params, old, x, more, named),) = calls
    assert (params, old, more, named) == (PARAMS, STATE, ("config", True, "rng"), {})
    assert x.dtype == BF16 and is_channels_last(x)  # the fast layout stays
    np.testing.assert_array_equal(x.view(np.uint16), halves(X).view(np.uint16))
    assert (logits.dtype, cache) == (np.float32, "cache")
    np.testing.assert_array_equal(logits, x[:, :, 0, 0].astype("f4"))
    assert state["mean"].dtype == np.float32


def test_gradients_of_logits_are_rounded_and_those_of_parameters_are_not():
    calls = []
    backward = in_precision(noting(calls), "bf16").backward
    grad_logits = RNG.standard_normal((2, 3)).astype("f4")
    grads = backward(grad_logits, "cache", PARAMS, "config")
    ((given, *rest),) = calls
    assert given.dtype == BF16 and rest == ["cache", PARAMS, "config"]
    want = halves(grad_logits).view(np.uint16)
    np.testing.assert_array_equal(given.view(np.uint16), want)
    assert grads["w"].dtype == np.float32


def test_ties_go_to_the_even_number_and_what_is_not_finite_stays():
    calls = []
    x = np.array([1 + 2**-8, 1 + 3 * 2**-8, np.inf, -np.inf, np.nan, 3.4e38], "f4")
    forward = in_precision(noting(calls), "bf16").forward
    forward(PARAMS, STATE, x[None, :, None, None], "config")
    got = calls[0][2].astype("f4").ravel()
    np.testing.assert_array_equal(got, [1, 1 + 2**-6, np.inf, -np.inf, np.nan, np.inf])


def test_twice_is_as_once():
    calls = []
    once = in_precision(noting(calls), "bf16")
    for network in (once, in_precision(once, "bf16")):
        network.forward(PARAMS, STATE, X, "config")
    first, second = (call[2] for call in calls)
    np.testing.assert_array_equal(first.view(np.uint16), second.view(np.uint16))


def test_an_unknown_precision_is_refused_by_name():
    with pytest.raises(ValueError, match="must be one of float32, bf16, got 'fp8'"):
        in_precision(noting([]), "fp8")


def test_without_ml_dtypes_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)  # importing it fails
    network = noting([])
    assert in_precision(network, "float32") is network
    with pytest.raises(ImportError, match=r"needs ml_dtypes: pip install .*\[bf16\]"):
        in_precision(network, "bf16")
