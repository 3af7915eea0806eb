"""Wrong arguments of the operations on images are refused before any work."""

import numpy as np
import pytest
from bad_calls import (
    NOT_FINITE,
    NOT_INTEGERS,
    NOT_NUMBERS,
    T,
    V,
    assert_refused,
    rows_to_calls,
    wrong_arrays,
    zeros,
)

import odyssey

IMAGES = {"x": zeros(2, 3, 4, 5)}
CONV = {"x": zeros(2, 2, 5, 6), "kernel": zeros(3, 2, 3, 3)}
WINDOW = {"stride": 1, "padding": 1}
NORM = {
    **IMAGES,
    "gamma": zeros(3),
    "beta": zeros(3),
    "running_mean": zeros(3),
    "running_var": zeros(3) + 1,
    "training": True,
    "momentum": 0.1,
    "eps": 1e-5,
}
POOL = {**IMAGES, "kernel_size": 2, "stride": None, "padding": 0}
POOLED = {"grad_output": zeros(2, 3, 2, 2), **POOL}

RIGHT = {
    "conv2d": {**CONV, "bias": zeros(3), **WINDOW},
    "conv2d_backward": {"grad_output": zeros(2, 3, 5, 6), **CONV, **WINDOW},
    "batch_norm2d": NORM,
    "batch_norm2d_backward": {"grad_output": zeros(2, 3, 4, 5), **NORM},
    "avgpool2d": POOL,
    "avgpool2d_backward": POOLED,
    "maxpool2d": POOL,
    "maxpool2d_backward": POOLED,
    "global_avgpool2d": IMAGES,
    "global_avgpool2d_backward": {"grad_output": zeros(2, 3, 1, 1), **IMAGES},
}

CONVS = ["conv2d", "conv2d_backward"]
NORMS = ["batch_norm2d", "batch_norm2d_backward"]
POOL_BACKWARDS = ["avgpool2d_backward", "maxpool2d_backward"]
POOLS = ["avgpool2d", "maxpool2d", *POOL_BACKWARDS]
GLOBALS = ["global_avgpool2d", "global_avgpool2d_backward"]


def shapes(*all_shapes):
    return [zeros(*shape) for shape in all_shapes]


def per_channel():
    """Everything but (C,), also what NumPy would broadcast."""
    return shapes((4,), (2,), (1,), (), (3, 1), (1, 3), (1, 3, 1, 1))


ROWS = [
    (CONVS, "x", shapes((6,), (5, 6), (2, 5, 6), (1, 2, 5, 6, 1)), V),
    (CONVS, "x", shapes((2, 4, 5, 6), (2, 1, 5, 6), (2, 0, 5, 6), (2, 2, 0, 0)), V),
    (CONVS, "kernel", shapes((3,), (3, 3), (2, 3, 3), (3, 2, 3, 3, 1)), V),
    (CONVS, "kernel", shapes((3, 4, 3, 3), (3, 1, 3, 3), (3, 0, 3, 3)), V),
    (CONVS, "kernel", shapes((0, 2, 3, 3), (3, 2, 0, 0), (3, 2, 0, 3)), V),
    (CONVS, "kernel", shapes((3, 2, 8, 3), (3, 2, 3, 9)), V),
    (CONVS, "stride", NOT_INTEGERS, T),
    (CONVS, "stride", [0, -1, np.int64(0), -(2**40)], V),
    (CONVS, "padding", [*NOT_INTEGERS, None], T),
    (CONVS, "padding", [-1, -(2**40)], V),
    (["conv2d"], "bias", per_channel(), V),
    (
        ["conv2d_backward"],
        "grad_output",
        shapes((2, 3, 5, 5), (2, 2, 5, 6), (1, 3, 5, 6), (3, 5, 6), (2, 3, 1, 1)),
        V,
    ),
    (NORMS, "x", shapes((3,), (2, 3), (2, 3, 4), (2, 3, 4, 5, 1)), V),
    (NORMS, "x", shapes((1, 3, 1, 1), (0, 3, 4, 5), (2, 3, 0, 5)), V),
    (NORMS, "x", shapes((2, 4, 4, 5), (2, 1, 4, 5)), V),
    (NORMS, "gamma", per_channel(), V),
    (NORMS, "beta", per_channel(), V),
    (NORMS, "running_mean", per_channel(), V),
    (NORMS, "running_var", per_channel(), V),
    (NORMS, "eps", [0.0, -1.0, *NOT_FINITE], V),
    (NORMS, "eps", NOT_NUMBERS, T),
    (NORMS, "momentum", [-0.1, 1.1, 2.0, *NOT_FINITE], V),
    (NORMS, "momentum", NOT_NUMBERS, T),
    (
        ["batch_norm2d_backward"],
        "grad_output",
        shapes((2, 3, 4, 4), (2, 3, 20), (3,), (1, 3, 4, 5), (2, 3, 1, 1)),
        V,
    ),
    (POOLS, "x", shapes((4,), (4, 5), (3, 4, 5), (2, 3, 4, 5, 1)), V),
    (POOLS, "x", shapes((2, 0, 4, 5), (2, 3, 0, 5), (2, 3, 4, 0)), V),
    (POOLS, "kernel_size", [*NOT_INTEGERS, None], T),
    (POOLS, "kernel_size", [0, -1, 5, 2**40], V),
    (POOLS, "stride", NOT_INTEGERS, T),
    (POOLS, "stride", [0, -1, np.int64(0)], V),
    (POOLS, "padding", [*NOT_INTEGERS, None], T),
    (POOLS, "padding", [-1, 2, 2**40], V),
    (
        POOL_BACKWARDS,
        "grad_output",
        shapes((2, 3, 2, 3), (2, 3, 4, 5), (1, 3, 2, 2), (2, 3, 2), (2, 1, 2, 2)),
        V,
    ),
    (GLOBALS, "x", shapes((5,), (4, 5), (3, 4, 5), (2, 3, 0, 5), (2, 3, 4, 0)), V),
    (
        ["global_avgpool2d_backward"],
        "grad_output",
        shapes((2, 3), (2, 3, 4, 5), (1, 3, 1, 1), (2, 3, 1), (2, 1, 1, 1)),
        V,
    ),
]


@pytest.mark.parametrize("name", RIGHT)
def test_the_call_that_is_spoilt_below_is_right(name):
    getattr(odyssey, name)(**RIGHT[name])


@pytest.mark.parametrize(
    ("name", "change", "argument", "error"),
    [*rows_to_calls(RIGHT, ROWS), *wrong_arrays(RIGHT)],
)
def test_a_wrong_argument_is_refused_by_name(name, change, argument, error):
    assert_refused(odyssey, RIGHT, name, change, argument, error)


@pytest.mark.parametrize("name", NORMS)
def test_a_negative_running_variance_is_refused_in_evaluation_only(name):
    negative = {"running_var": np.array([1, -1e-3, 1], np.float32)}
    getattr(odyssey, name)(**{**RIGHT[name], **negative})
    change = {**negative, "training": False}
    assert_refused(odyssey, RIGHT, name, change, "running_var", V)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NORMS)
def test_an_image_without_channels_is_refused(name, training):
    none = {k: v[:0] for k, v in RIGHT[name].items() if np.shape(v) == (3,)}
    none |= {k: zeros(2, 0, 4, 5) for k in ("x", "grad_output") if k in RIGHT[name]}
    assert_refused(odyssey, RIGHT, name, {**none, "training": training}, "x", V)


@pytest.mark.parametrize("name", NORMS)
def test_one_value_a_channel_is_enough_in_evaluation(name):
    call = {**RIGHT[name], "x": zeros(1, 3, 1, 1), "training": False}
    if "grad_output" in call:
        call["grad_output"] = zeros(1, 3, 1, 1)
    getattr(odyssey, name)(**call)


@pytest.mark.parametrize("integer", [np.int64, np.int32, np.uint8])
def test_integers_of_numpy_are_integers(integer):
    one, two = integer(1), integer(2)
    odyssey.conv2d(**{**RIGHT["conv2d"], "stride": one, "padding": one})
    odyssey.avgpool2d(IMAGES["x"], two, one, one)
    odyssey.maxpool2d(IMAGES["x"], two, one, one)


def test_a_stride_beyond_the_image_leaves_one_place():
    out = odyssey.conv2d(CONV["x"], CONV["kernel"], stride=2**40)
    assert out.shape == (2, 3, 1, 1)
    assert odyssey.avgpool2d(IMAGES["x"], 2, 2**40).shape == (2, 3, 1, 1)


def test_absurd_padding_fails_at_once():
    for padding in (2**40, 2**62, 2**70):
        with pytest.raises((ValueError, MemoryError, OverflowError)):
            odyssey.conv2d(CONV["x"], CONV["kernel"], padding=padding)
