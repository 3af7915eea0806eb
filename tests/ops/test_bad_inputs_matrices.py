"""Wrong arguments of the other operations, the loss, the optimiser and batches."""

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

LINEAR = {"x": zeros(4, 5), "weights": zeros(3, 5)}
SUMMANDS = {"a": zeros(2, 3), "b": zeros(2, 3)}
LOSS = {
    "logits": zeros(4, 3),
    "labels": np.array([0, 2, 1, 2]),
    "label_smoothing": 0.0,
}
BATCH = {
    "data": zeros(5, 2),
    "labels": np.arange(5),
    "start_idx": 0,
    "batch_size": 2,
}

RIGHT = {
    "linear": {**LINEAR, "bias": zeros(3)},
    "linear_backward": {"grad_output": zeros(4, 3), **LINEAR},
    "relu": {"x": zeros(4, 3)},
    "relu_backward": {"grad_output": zeros(4, 3), "x": zeros(4, 3)},
    "gelu": {"x": zeros(4, 3), "approximate": "none"},
    "gelu_backward": {
        "grad_output": zeros(4, 3),
        "x": zeros(4, 3),
        "approximate": "tanh",
    },
    "add": SUMMANDS,
    "add_backward": {"grad_output": zeros(2, 3), **SUMMANDS},
    "dropout": {"x": zeros(4, 3), "p": 0.5, "rng": np.random.default_rng(0)},
    "dropout_backward": {"grad_output": zeros(4, 3), "mask": zeros(4, 3)},
    "softmax": {"logits": zeros(4, 3)},
    "softmax_backward": {"grad_output": zeros(4, 3), "logits": zeros(4, 3)},
    "cross_entropy": LOSS,
    "cross_entropy_backward": {"grad_output": 1.0, **LOSS},
    "sgd_momentum_update_inplace": {
        "param": zeros(3),
        "grad": zeros(3),
        "velocity": zeros(3),
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.0,
    },
    "muon_update_inplace": {
        "param": zeros(3, 2),
        "grad": zeros(3, 2),
        "velocity": zeros(3, 2),
        "lr": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "steps": 5,
    },
    "orthogonalize": {"x": zeros(3, 2), "steps": 5},
    "scale_to_norm_inplace": {"param": zeros(3), "norm": 1.0},
    "clip_grad_norm_inplace": {"grads": [zeros(3)], "max_norm": 1.0},
    "extract_batch_pair": BATCH,
    "compute_num_batches": {"num_samples": 5, "batch_size": 2},
}

LOSSES = ["cross_entropy", "cross_entropy_backward"]
GELUS = ["gelu", "gelu_backward"]
LINEARS = ["linear", "linear_backward"]
SGD = ["sgd_momentum_update_inplace"]
MUON = ["muon_update_inplace"]
UPDATES = [*SGD, *MUON]


def shapes(*all_shapes):
    return [zeros(*shape) for shape in all_shapes]


def distribution(*rows):
    return np.array(rows, np.float32)


EVEN = [1 / 3] * 3

ROWS = [
    (LINEARS, "x", shapes((5,), (), (4, 4), (4, 5, 1), (2, 5, 4, 4)), V),
    (LINEARS, "weights", shapes((5,), (3, 4), (5, 3), (3, 5, 1), (3, 1)), V),
    (["linear"], "bias", shapes((4,), (1,), (), (1, 3), (4, 3)), V),
    (["linear_backward"], "grad_output", shapes((4, 4), (3, 3), (4,), (1, 3)), V),
    (["relu_backward"], "grad_output", shapes((4, 1), (3,), (), (3, 4), (1, 4, 3)), V),
    (["gelu_backward"], "grad_output", shapes((4, 1), (3,), (), (3, 4), (1, 4, 3)), V),
    (GELUS, "approximate", ["", "erf", "Tanh", None, True, 0, ["tanh"]], V),
    (["dropout_backward"], "grad_output", shapes((4, 1), (3,), (), (3, 4)), V),
    (["softmax_backward"], "grad_output", shapes((4, 1), (3,), (), (3, 4)), V),
    (["add", "add_backward"], "b", shapes((2, 4), (3, 3), (2,), (0, 3)), V),
    (["add_backward"], "grad_output", shapes((2, 1), (3,), (), (1, 2, 3)), V),
    (["dropout"], "p", [-0.1, 1.0, 1.5, *NOT_FINITE], V),
    (["dropout"], "p", NOT_NUMBERS, T),
    (["dropout"], "rng", [None, 0, np.random, np.random.RandomState(0)], T),
    (["softmax", *LOSSES], "logits", shapes((3,), (), (4, 3, 1), (4, 0)), V),
    (LOSSES, "logits", shapes((0, 3)), V),
    (LOSSES, "labels", [np.array(x) for x in ([0, 1], [[0], [1], [2], [0]], 1)], V),
    (LOSSES, "labels", [np.array([0, bad, 1, 2]) for bad in (3, -1, -100, 2**40)], V),
    (LOSSES, "labels", [np.array([0, bad, 1, 2], "u1") for bad in (3, 255)], V),
    (LOSSES, "labels", [np.eye(4, 3, dtype=np.int64)], V),
    (LOSSES, "labels", [np.zeros(4, dtype) for dtype in ("f4", "f8", "?", "O")], T),
    (LOSSES, "labels", [[0, 1, 2, 0], (0, 1, 2, 0)], T),
    (LOSSES, "labels", [np.ones((4, 3), "f8") / 3, np.ones((4, 3), "?")], T),
    (
        LOSSES,
        "labels",
        [
            distribution(EVEN, EVEN, EVEN, [0.5, 0.5, 0.1]),
            distribution(EVEN, EVEN, EVEN, [0, 0, 0]),
            distribution(EVEN, EVEN, EVEN, [1.5, -0.5, 0]),
            distribution(EVEN, EVEN, EVEN, [np.nan, 0.5, 0.5]),
            distribution(EVEN, EVEN, EVEN),
        ],
        V,
    ),
    (LOSSES, "label_smoothing", [-0.1, 1.1, 1.5, *NOT_FINITE], V),
    (LOSSES, "label_smoothing", NOT_NUMBERS, T),
    (LOSSES[1:], "grad_output", shapes((1,), (4,), (4, 3)), V),
    (LOSSES[1:], "grad_output", [None, "1", 1j], T),
    (SGD, "grad", shapes((4,), (1,), (), (1, 3)), V),
    (SGD, "velocity", shapes((4,), (1,), (), (1, 3)), V),
    (MUON, "param", shapes((3,), ()), V),
    (MUON, "grad", shapes((3, 1), (6,), (), (2, 3)), V),
    (MUON, "velocity", shapes((3, 1), (6,), (), (2, 3)), V),
    (UPDATES, "lr", [-1.0, *NOT_FINITE], V),
    (UPDATES, "momentum", [-0.1, 1.0, 2.0, *NOT_FINITE], V),
    (UPDATES, "weight_decay", [-1.0, *NOT_FINITE], V),
    *[(UPDATES, name, NOT_NUMBERS, T) for name in ("lr", "momentum", "weight_decay")],
    (["orthogonalize"], "x", shapes((3,), ()), V),
    ([*MUON, "orthogonalize"], "steps", [0, -1], V),
    ([*MUON, "orthogonalize"], "steps", NOT_INTEGERS, T),
    (["scale_to_norm_inplace"], "norm", [-1.0, 1e39, *NOT_FINITE], V),
    (["scale_to_norm_inplace"], "norm", NOT_NUMBERS, T),
    (["clip_grad_norm_inplace"], "max_norm", [0.0, -1.0, -np.inf, np.nan], V),
    (["clip_grad_norm_inplace"], "max_norm", NOT_NUMBERS, T),
    (["extract_batch_pair"], "start_idx", [5, 6, -1, 2**62], V),
    (["extract_batch_pair"], "start_idx", NOT_INTEGERS, T),
    (["extract_batch_pair"], "labels", [np.arange(4), np.arange(6)], V),
    (["extract_batch_pair"], "data", shapes((4, 2), ()), V),
    (["extract_batch_pair", "compute_num_batches"], "batch_size", [0, -1], V),
    (["extract_batch_pair", "compute_num_batches"], "batch_size", NOT_INTEGERS, T),
    (["compute_num_batches"], "num_samples", [-1], V),
    (["compute_num_batches"], "num_samples", NOT_INTEGERS, T),
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


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
def test_labels_of_any_integer_dtype_mean_the_same(dtype):
    logits = np.random.default_rng(0).standard_normal((4, 3))
    labels = LOSS["labels"]
    loss = odyssey.cross_entropy(logits, labels.astype(dtype))
    assert loss == odyssey.cross_entropy(logits, labels)


def test_the_label_out_of_range_is_named_with_its_place():
    with pytest.raises(ValueError, match=r"0\.\.2.* 7 .*\b1\b"):
        odyssey.cross_entropy(LOSS["logits"], np.array([0, 7, 1, 2]))


def test_a_feature_map_given_to_linear_is_told_to_be_flattened():
    with pytest.raises(ValueError, match=r"x must be 2-D"):
        odyssey.linear(zeros(2, 5, 4, 4), zeros(3, 5))
