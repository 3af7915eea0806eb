"""safetensors, held against the package of that name in both directions."""

import json
import sys

import numpy as np
import pytest
import safetensors.numpy
from kept_arrays import BFLOAT16, DTYPES, MEMORIES, as_read, is_as_read, numbers, same

from odyssey.formats.safetensors import (
    FREE_HEADER,
    is_safetensors,
    read_safetensors,
    write_safetensors,
)
from odyssey.formats.tensor_file import FormatError


def raw(header, data=b""):
    """Return a file with this header, a text or what becomes JSON."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def read(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    return read_safetensors(path)


def refused(tmp_path, content):
    with pytest.raises(FormatError) as error:
        read(tmp_path, content)
    prefix = f"{tmp_path}/x.safetensors: "
    assert str(error.value).startswith(prefix)
    return str(error.value).removeprefix(prefix)


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16], ids=str)
def test_arrays_of_any_memory_are_read_by_the_package(tmp_path, dtype, memory):
    x = MEMORIES[memory](numbers(dtype))
    path = tmp_path / "x.safetensors"
    assert write_safetensors(path, {"x": x, "one": x[0, 0, 0, 0]}, {}) == ()
    found = safetensors.numpy.load_file(path)
    assert same(found["x"], as_read(x))
    assert same(found["one"], as_read(x)[0, 0, 0, 0][()])


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16], ids=str)
def test_arrays_of_any_memory_come_back(tmp_path, dtype, memory):
    x = MEMORIES[memory](numbers(dtype))
    write_safetensors(tmp_path / "x", {"x": x}, {})
    found = read_safetensors(tmp_path / "x").tensors["x"]
    assert same(found, as_read(x)) and is_as_read(found)


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16], ids=str)
def test_what_the_package_writes_is_read(tmp_path, dtype):
    tensors = {
        "x": numbers(dtype),
        "empty": numbers(dtype)[:0],
        "one": numbers(dtype)[1, 1, 1, 1],
    }
    tensors = {
        name: np.ascontiguousarray(x).reshape(x.shape) for name, x in tensors.items()
    }
    safetensors.numpy.save_file(tensors, tmp_path / "x", {"format": "pt", "é": "ü\n"})
    kind, found, metadata, notes = read_safetensors(tmp_path / "x")
    assert (kind, metadata, notes) == ("safetensors", {"format": "pt", "é": "ü\n"}, ())
    assert found.keys() == tensors.keys()
    for name, x in tensors.items():
        assert same(found[name], x) and is_as_read(found[name])


def test_order_and_metadata_are_kept_and_elements_are_aligned(tmp_path):
    tensors = {
        "b": numbers("uint8", (3,)),
        "a": numbers("float64", (2,)),
        "é.1": numbers("int16", (1,)),
    }
    metadata = {"epoch": 3, "classes": ["ä", "b"]}
    write_safetensors(tmp_path / "x", tensors, metadata)
    _, found, text, _ = read_safetensors(tmp_path / "x")
    assert list(found) == list(tensors)
    assert all(same(found[name], x) for name, x in tensors.items())
    assert text == {"format": "pt", "epoch": "3", "classes": '["\\u00e4", "b"]'}
    content = (tmp_path / "x").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert length % 8 == 0
    assert [header[n]["data_offsets"] for n in tensors] == [[18, 21], [0, 16], [16, 18]]
    with safetensors.safe_open(tmp_path / "x", "numpy") as file:
        assert file.metadata() == text


def test_metadata_says_pt_as_loaders_of_hugging_face_want_unless_it_says_another(
    tmp_path,
):
    tensors = {"a": np.ones(2)}
    for said, found in (
        ({}, {}),  # taken without
        ({"odyssey": {"step": 3}}, {"format": "pt", "odyssey": '{"step": 3}'}),
        ({"epoch": 3, "format": "np"}, {"format": "np", "epoch": "3"}),
    ):
        write_safetensors(tmp_path / "x", tensors, said)
        assert read_safetensors(tmp_path / "x").metadata == found
        with safetensors.safe_open(tmp_path / "x", "numpy") as file:
            assert (file.metadata() or {}) == found


def test_bfloat16_is_widened_without_ml_dtypes(tmp_path, monkeypatch):
    x = numbers(BFLOAT16)
    write_safetensors(tmp_path / "x", {"x": x, "y": numbers("float32")}, {})
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    _, found, _, notes = read_safetensors(tmp_path / "x")
    assert same(found["x"], x.astype(np.float32))
    assert notes == (
        "bfloat16 numbers are given as float32, which is exact: "
        "ml_dtypes is not installed",
    )


@pytest.mark.parametrize(
    "x, reason",
    [
        (np.zeros(2, np.complex64), "complex64"),
        (np.zeros(2, np.longdouble), str(np.dtype(np.longdouble))),
        (np.array(["a"]), "<U1"),
        (np.array([None]), "object"),
    ],
)
def test_dtypes_that_the_format_lacks_are_refused_by_name(tmp_path, x, reason):
    with pytest.raises(FormatError, match=f"b.weight: {reason}, not possible"):
        write_safetensors(tmp_path / "x", {"a": np.zeros(1), "b.weight": x}, {})
    assert list(tmp_path.iterdir()) == []


def test_the_name_of_the_metadata_is_no_tensor_s(tmp_path):
    with pytest.raises(FormatError, match="__metadata__: a name that the format keeps"):
        write_safetensors(tmp_path / "x", {"__metadata__": np.zeros(1)}, {})


@pytest.mark.parametrize(
    "code",
    ["F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "C64", "f32", "", 3, None],
)
def test_dtypes_that_are_not_read_are_refused_by_name(tmp_path, code):
    header = {"a": entry(), "b.weight": entry(code, (8,), (8, 16))}
    reason = refused(tmp_path, raw(header, bytes(16)))
    assert reason.startswith(f"b.weight: dtype {code!r} is not read, only BOOL, F16, ")


@pytest.mark.parametrize(
    "header, size, reason",
    [
        (
            {"a": entry(offsets=(0, 4))},
            4,
            "a: F32 of shape (2,) takes 8 bytes, its data_offsets 0 to 4 hold 4",
        ),
        (
            {"a": entry(offsets=(8, 0))},
            8,
            "a: its data_offsets are not two numbers, the first at most",
        ),
        ({"a": entry(offsets=(-8, 0))}, 8, "a: its data_offsets are not two numbers"),
        ({"a": entry(offsets=(0,))}, 8, "a: its data_offsets are not two numbers"),
        ({"a": entry(offsets=(0, 8.0))}, 8, "a: its data_offsets are not two numbers"),
        (
            {"a": entry(offsets=(False, 8))},
            8,
            "a: its data_offsets are not two numbers",
        ),
        ({"a": entry(), "b": entry(offsets=(4, 12))}, 12, "b: begins at 4, overlaps a"),
        ({"a": entry(), "b": entry()}, 8, "b: begins at 0, overlaps a"),
        (
            {"a": entry(), "b": entry(offsets=(9, 17))},
            17,
            "b: begins at 9, leaves a gap after a",
        ),
        (
            {"a": entry(offsets=(8, 16))},
            16,
            "a: begins at 8, leaves a gap after the header",
        ),
        ({"a": entry()}, 9, "1 bytes belong to no tensor"),
        ({"a": entry()}, 7, "a: ends at byte 8 of 7: the file is cut short"),
        ({"a": entry(shape=(-2,))}, 8, "a: its shape (-2,) has a negative number"),
        ({"a": entry(shape=(2.0,))}, 8, "a: its shape is not a list of whole numbers"),
        (
            {"a": entry(shape=(True, 2))},
            8,
            "a: its shape is not a list of whole numbers",
        ),
        (
            {"a": {**entry(), "shape": "22"}},
            8,
            "a: its shape is not a list of whole numbers",
        ),
        (
            {"a": {**entry(), "shape": None}},
            8,
            "a: its shape is not a list of whole numbers",
        ),
        ({"a": entry(shape=[1] * 33)}, 4, "a: it has 33 dimensions, more than 32"),
        ({"a": entry(shape=[2**62, 4])}, 8, "a: its shape is too large"),
        (
            {"a": entry(shape=[2**62, 2**62, 0], offsets=(0, 0))},
            0,
            "a: its shape is too large",
        ),
        ({"a": entry(shape=[10**999])}, 8, "a: its shape is too large"),
        ({"a": entry(offsets=(0, 10**999))}, 8, "a: F32 of shape (2,) takes 8 bytes"),
        ({"a": [1]}, 8, "a: its entry does not have just data_offsets, dtype, shape"),
        (
            {"a": {**entry(), "more": 1}},
            8,
            "a: its entry does not have just data_offsets",
        ),
        ({"a": {"dtype": "F32"}}, 8, "a: its entry does not have just data_offsets"),
        (
            {"__metadata__": {"a": 1}},
            0,
            "damaged header: __metadata__ is not text by key",
        ),
        ({"__metadata__": []}, 0, "damaged header: __metadata__ is not text by key"),
        (
            {"__metadata__": {"a": "\ud800"}},
            0,
            "damaged header: __metadata__ is not text",
        ),
        ({"\udfff": entry()}, 8, "\udfff: half a character in its name"),
        ([], 0, "damaged header: not a JSON object"),
        (b"{} x", 0, "damaged header: Extra data"),
        (b"{\xff}", 0, "damaged header: not UTF-8"),
        (b'{"a": NaN}', 0, "damaged header: NaN is no JSON"),
        (b'{"a": -1e999}', 0, "damaged header: -1e999 is too large a number"),
        (
            b'{"a": {}, "a": {}}',
            0,
            "damaged header: key 'a' is there twice in one object",
        ),
        (
            b'{"a": {"dtype": 1, "dtype": 2}}',
            0,
            "damaged header: key 'dtype' is there twice",
        ),
        (b'{"a": 1' + b"0" * 9999 + b"}", 0, "damaged header: Exceeds the limit"),
        (b"[" * 100_000, 0, "damaged header: nested too deeply"),
        (b'{"a":' * 100_000, 0, "damaged header: nested too deeply"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_damage_is_named(tmp_path, header, size, reason):
    assert refused(tmp_path, raw(header, bytes(size))).startswith(reason)


def test_a_bool_that_is_neither_is_refused(tmp_path):
    header = {"mask": entry("BOOL", (3,), (0, 3))}
    assert read(tmp_path, raw(header, b"\0\1\1")).tensors["mask"].tolist() == [
        False,
        True,
        True,
    ]
    assert "mask: BOOL holds a byte" in refused(tmp_path, raw(header, b"\0\1\2"))


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    path = tmp_path / "x"
    write_safetensors(
        path, {"a": numbers("float32", (3, 2)), "b": numbers("int8", (5,))}, {"k": "v"}
    )
    content = path.read_bytes()
    for length in range(len(content)):
        refused(tmp_path, content[:length])


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 100_000_001, 9])
def test_the_length_of_the_header_is_not_believed(tmp_path, length):
    reason = refused(tmp_path, length.to_bytes(8, "little") + b"{}      ")
    assert reason.startswith(f"a header of {length} bytes in a file of 16: cut short")


def test_a_long_header_needs_four_times_as_much_data(tmp_path):
    text = b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}'
    for size, fits in ((4 * FREE_HEADER + 4, True), (4 * FREE_HEADER, False)):
        header = (text % (size, size)).ljust(FREE_HEADER + 1)
        if fits:
            assert read(tmp_path, raw(header, bytes(size))).tensors["a"].size == size
        else:
            assert refused(tmp_path, raw(header, bytes(size))).endswith("is too long")


def test_a_dense_header_takes_a_bounded_multiple_of_its_bytes(tmp_path, peak):
    dense = b'{"a":[' + b"{}," * 100_000 + b"{}]}"
    assert peak(lambda: refused(tmp_path, raw(dense))) < 30 * len(dense)


def test_only_a_plausible_beginning_is_taken_for_it():
    begin = (2).to_bytes(8, "little")
    assert is_safetensors(begin + b"{}", 10)
    assert not is_safetensors(begin + b"[]", 10)
    assert not is_safetensors(begin + b"{}", 9)
    assert not is_safetensors(b"", 0)
