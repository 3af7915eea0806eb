"""What programs save beside the weights: numbers of NumPy, options, paths."""

import argparse
import collections
import pathlib
import pickle
import types

import numpy as np
import pytest
from pytorch_goldens import of_pickle, read, tensor, text


def beside(value, protocol, old=b"", new=b""):
    """Return a file with a state dict, and beside it ``value``, its pickle changed."""
    raw = pickle.dumps(value, protocol)[2:-1]  # without PROTO and STOP
    raw = raw.replace(old, new) if old else raw
    weights = text("state_dict") + b"}" + text("w") + tensor() + b"s"
    # The value first, as its memo counts from 0.
    return of_pickle(b"}(" + text("beside") + raw + weights + b"u")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numbers_of_numpy_are_metadata(protocol, tmp_path):
    values = [
        np.float64(93.25),
        np.float32(0.1),
        np.float16(2.5),
        np.int64(-3),
        np.uint8(200),
        np.bool_(True),
        np.array(7, ">i4")[()],
    ]
    file = read(tmp_path, beside(values, protocol))
    expected = [93.25, float(np.float32(0.1)), 2.5, -3, 200, True, 7]
    assert file.metadata == {"beside": expected}
    assert list(map(type, file.metadata["beside"])) == list(map(type, expected))
    np.testing.assert_array_equal(file.tensors["w"].reshape(-1), np.arange(6.0))


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize(
    "value",
    [
        argparse.Namespace(lr=0.1, data=pathlib.PurePosixPath("/a"), sizes=[1, 2]),
        types.SimpleNamespace(lr=np.float32(1)),
        pathlib.PureWindowsPath("a"),
        pathlib.Path("a"),
        np.float64("nan"),
        np.complex64(1j),
        np.str_("text"),
    ],
    ids=str,
)
def test_other_values_are_passed_over(value, protocol, tmp_path):
    file = read(tmp_path, beside(value, protocol))
    assert list(file.tensors) == ["w"] and file.metadata == {}
    assert file.notes == ("the tensors of state_dict are taken",)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_of_numpy_are_left_out_and_named(protocol, tmp_path):
    file = read(tmp_path, beside(np.arange(4.0), protocol))
    assert list(file.tensors) == ["w"]
    assert file.notes[1:] == ("arrays of NumPy left out: beside",)


def test_a_dict_with_a_default(tmp_path):
    value = collections.defaultdict(list, {"losses": [0.5, 0.25]})
    file = read(tmp_path, beside(value, 2))
    assert file.metadata == {"beside": {"losses": [0.5, 0.25]}}


@pytest.mark.parametrize(
    "old, new",
    [
        (text("f8"), text("f4")),
        (text("f8"), text("O8")),
        (text("f8"), b"K\1"),
        (text("<"), text("?")),
        (text("<"), b"]"),
    ],
)
def test_damaged_numbers_of_numpy_are_passed_over(old, new, tmp_path):
    good = beside(np.float64(93.25), 2)
    assert read(tmp_path, good).metadata == {"beside": 93.25}
    file = read(tmp_path, beside(np.float64(93.25), 2, old, new))
    assert list(file.tensors) == ["w"] and file.metadata == {}
