"""Hostile pickles: nothing is run, and little time and memory are taken."""

import os
import pickle

import numpy as np
import pytest
from pytorch_goldens import (
    bits,
    golden,
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
        assert said.startswith("its pickle: asks for ") and "which is refused" in said
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
    said = f"its pickle: asks for {module}.{name}, which is refused: only tensors and "
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
PAIRS = b"](" + b"".join(b"(" + text(f"{i}") + b"Nt" for i in range(100)) + b"eq\0"
NESTED = "nested more than 64 deep"
NAMES = "names are too long, such as "
BOMBS = {
    "many lists": (b"]" * 1_000_010, "its pickle: more than 1000000 instructions"),
    "deep lists": (b"]" * 40_000 + b"a" * 39_999, NESTED),
    "deep dicts": (W * 20_000 + b"N" + b"s" * 20_000, NESTED),
    "deep tuples": (b")" + b"\x85" * 40_000, NESTED),
    "deep parameters": (W + parameters_within(20_000) + b"s", "w: not described as"),
    "list in itself": (b"]q\0h\0a", NESTED),
    "dict in itself": (b"}q\0" + text("w") + b"h\0s", NESTED),
    # Each container holds the one before twice: a tree of 2^60 leaves.
    "doubling": (b"]q\0" + b"](h\0h\0eq\0" * 60, NAMES),
    "doubling dicts": (
        STORED + (b"}(" + text("a") + b"h\0" + text("b") + b"h\0uq\0") * 60, NAMES),
    "doubling metadata": (
        b"}(" + text("w") + tensor() + text("m") + b"](]q\0"
        + b"](h\0h\0eq\0" * 60 + b"eu", NAMES),
    "long list again": (
        b"](](" + b"N" * 10_000 + b"eq\0" + b"h\0" * 300 + b"e",
        "holds the same containers again and again"),
    "one tensor again": (
        b"](" + STORED + b"h\0" * 50_000 + b"e", "more than 50000 tensors"),
    "a long name": (b"}" + text("n" * 100_000) + tensor() + b"s", NAMES + "nnn"),
    "long names together": (
        b"](" + b"}" + text("n" * 480) + b"](" + STORED + b"h\0" * 40_000 + b"ese",
        NAMES + "0.nnn"),
    "pairs again": (
        b"ccollections\nOrderedDict\nq\1" + PAIRS + b"\x85R" + b"h\1h\0\x85R" * 10_000,
        "its pickle: more than 1000000 pairs"),
    "encoded again": (
        b"c_codecs\nencode\nq\1" + text("x" * 10_000) + text("latin1") + b"\x86q\0R"
        + b"h\1h\0R" * 100, "its pickle: makes more bytes than it holds"),
    "numbers of one hash as keys": (
        b"}" + b"\x8a\x09" + (9 * (2**61 - 1)).to_bytes(9, "little") + b"Ns",
        "its pickle: has a key that is too large a number"),
    "tuple as a key": (
        b"})" + b"q\0h\0\x86" * 60 + b"K\1s", "its pickle: has a key that is none of"),
    "a key twice": (
        b"}(" + (text("w") + tensor()) * 2 + b"u",
        "its pickle: has a key twice in one dict"),
    "8-byte length": (b"\x8e" + b"\xff" * 7 + b"\x0f", "its pickle: damaged pickle"),
    "long string": (b"X\xff\xff\xff\xff", "its pickle: damaged pickle"),
    "memo index": (b"}r\xff\xff\xff\x7f", "holds no tensors"),
    "endless number": (b"I" + b"9" * 100_000 + b"\n", "its pickle: damaged pickle"),
    "deep device": (
        W + b"ctorch\ndevice\n" + b"]" * 10_000 + b"a" * 9_999 + b"\x85Rs",
        "holds no tensors"),
    "half a character": (
        b"}" + b"X\3\0\0\0\xed\xa0\x80" + tensor() + b"s",
        "\\ud800: half a character in its name"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_do_not_go_off(name, tmp_path):
    instructions, said = BOMBS[name]
    assert reason(tmp_path, of_pickle(instructions)).startswith(said)


@pytest.mark.parametrize("length", [b"X\xf0\xff\xff\xff", b"\x8d\0\0\0\0\0\1\0\0"])
def test_no_memory_is_taken_for_what_is_not_there(length, tmp_path, peak):
    """The older format is read from the file itself, not from its bytes."""
    legacy = golden("model_legacy.pth")
    raw = legacy[: legacy.index(b"\x80\x02ccollections")] + b"\x80\x02" + length
    assert peak(lambda: reason(tmp_path, raw)) < 1 << 18


def test_a_dict_of_one_name_twice(tmp_path):
    assert "a key twice" in reason(tmp_path, of_pickle(BOMBS["a key twice"][0]))
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
