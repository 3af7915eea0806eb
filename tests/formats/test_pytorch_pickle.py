"""Hostile pickles: nothing is run, and little time and memory are taken."""

import os
import pickle

import numpy as np
import pytest
from pytorch_goldens import (
    bits,
    of_pickle,
    read,
    reason,
    tensor,
    text,
)

from odyssey.formats.tensor_file import FormatError

FREE = 16 << 20  # bytes that may always be taken, see odyssey/formats/pytorch.py


class Runs:
    """Pickles as a call of ``function(argument)``."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 4])
def test_nothing_that_the_file_says_is_run(protocol, tmp_path):
    marker = tmp_path / "marker"
    code = f"open({str(marker)!r}, 'w').close()"
    for value in (
        {"w": Runs(exec, code)},
        {"state_dict": {}, "w": [Runs(os.system, f"touch {marker}")]},
        Runs(eval, code),
        Runs(getattr, np.ndarray, "tofile"),
    ):
        raw = pickle.dumps(value, protocol)
        said = reason(tmp_path, of_pickle(raw[2:-1]))
        assert said.startswith("its pickle asks for ") and "which is refused" in said
    assert not marker.exists()


@pytest.mark.parametrize(
    "module, name",
    [
        ("torch", "load"),
        ("torch.hub", "load"),
        ("torch._utils", "_rebuild_wrapper_subclass"),
        ("torch._utils", "_rebuild_device_tensor_from_numpy"),
        ("torch.nn.parameter", "UninitializedParameter"),
        ("collections", "namedtuple"),
        ("builtins", "getattr"),
        ("argparse", "ArgumentParser"),
        ("builtins", "eval"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ],
)
def test_other_names_are_refused(module, name, tmp_path):
    said = f"its pickle asks for {module}.{name}, which is refused: only tensors and "
    raw = of_pickle(f"c{module}\n{name}\n".encode())
    assert reason(tmp_path, raw).startswith(said)
    raw = of_pickle(text(module) + text(name) + b"\x93")
    assert reason(tmp_path, raw).startswith(said)


def test_an_allowed_name_called_with_something_else(tmp_path):
    for call in (b"N\x85R", b")R", tensor() + b"\x85R", b"](K\1K\2e\x85R", b"}\x85R"):
        for name in (
            b"ctorch._utils\n_rebuild_tensor_v2\n",
            b"ctorch._utils\n_rebuild_tensor_v3\n",
            b"ctorch._tensor\n_rebuild_from_type_v2\n",
            b"ctorch._utils\n_rebuild_parameter_with_state\n",
            b"ctorch.nn.parameter\nParameter\n",
            b"ctorch\nSize\n",
            b"ccollections\nOrderedDict\n",
            b"ctorch\ndevice\n",
        ):
            raw = of_pickle(b"}" + text("w") + name + call + b"s")
            try:
                tensors = read(tmp_path, raw).tensors
            except FormatError:
                continue
            assert bits(tensors["w"]) == bits(np.arange(6, dtype=np.float32))


def parameters_within(count):
    wrap = b"ctorch._utils\n_rebuild_parameter\n("
    return wrap * count + tensor() + b"\x89NtR" * count


W = b"}" + text("w")
STORED = tensor() + b"q\0"
BOMBS = {
    "many lists": b"]" * 1_000_010,
    "deep lists": b"]" * 40_000 + b"a" * 39_999,
    "deep dicts": W * 20_000 + b"N" + b"s" * 20_000,
    "deep tuples": b")" + b"\x85" * 40_000,
    "deep parameters": b"}" + text("w") + parameters_within(20_000) + b"s",
    "list in itself": b"]q\0h\0a",
    "dict in itself": b"}q\0" + text("w") + b"h\0s",
    # Each list holds the one before twice: a tree of 2^60 leaves.
    "doubling": STORED + b"]q\0" + b"](h\0h\0eq\0" * 60,
    "doubling dicts": tensor() + b"q\0" + (b"}(" + text("a") + b"h\0" + text("b")
        + b"h\0uq\0") * 60,
    "doubling metadata": b"}(" + text("w") + tensor() + text("m") + b"](]q\0"
        + b"](h\0h\0eq\0" * 60 + b"eu",
    "one tensor as often": b"](" + STORED + b"h\0" * 60_000 + b"e",
    "names": b"}" + text("n" * 100_000) + tensor() + b"s",
    "names together": b"}" + text("n" * 480) + b"](" + STORED + b"h\0" * 60_000
        + b"es",
    "pairs again": b"ccollections\nOrderedDict\nq\1](" + b"(" + text("a") + b"K\1t" * 1
        + b"eq\0\x85R" + b"h\1h\0\x85R" * 20_000,
    "encoded again": b"c_codecs\nencode\nq\1" + text("x" * 10_000) + text("latin1")
        + b"\x86q\0R" + b"h\1h\0R" * 100_000,
    "numbers as keys": b"}(" + b"".join(
        b"\x8a\x09" + (k * (2**61 - 1)).to_bytes(9, "little") + b"N"
        for k in range(1, 500)) + b"u",
    "tuple as a key": b"})" + b"q\0h\0\x86" * 60 + b"K\1s",
    "a key twice": b"}(" + (text("w") + tensor()) * 2 + b"u",
    "8-byte length": b"\x8e" + b"\xff" * 7 + b"\x0f",
    "long string": b"X\xff\xff\xff\xff",
    "memo index": b"}r\xff\xff\xff\x7f",
    "endless number": b"I" + b"9" * 100_000 + b"\n",
    "device": b"}(" + text("w") + b"ctorch\ndevice\n" + b"]" * 10_000 + b"a" * 9_999
        + b"\x85Ru",
    "half a character": b"}" + b"X\3\0\0\0\xed\xa0\x80" + tensor() + b"s",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_do_not_go_off(name, tmp_path):
    raw = of_pickle(BOMBS[name])
    reason(tmp_path, raw)


def test_a_dict_of_one_name_twice(tmp_path):
    assert "a key twice" in reason(tmp_path, of_pickle(BOMBS["a key twice"]))
    twice = b"}(" + text("1") + tensor() + b"K\1" + tensor() + b"u"
    assert reason(tmp_path, of_pickle(twice)) == "two tensors are called 1"
    inner = b"}" + text("b") + tensor() + b"s"
    twice = b"}(" + text("a") + inner + text("a.b") + tensor() + b"u"
    assert reason(tmp_path, of_pickle(twice)) == "two tensors are called a.b"


def test_metadata_is_bounded(tmp_path):
    many = b"](" + b"N" * 10_000 + b"eq\0"
    beside = b"".join(text(f"k{i}") + b"h\0" for i in range(50))
    raw = of_pickle(b"}(" + text("m") + many + beside + text("w") + tensor() + b"u")
    file = read(tmp_path, raw)
    assert list(file.tensors) == ["w"] and file.metadata == {}


def test_a_file_without_tensors(tmp_path):
    for instructions in (b"N", b"}", b"]", text("w"), b"}" + text("a") + b"K\1s"):
        assert reason(tmp_path, of_pickle(instructions)) == "holds no tensors"
