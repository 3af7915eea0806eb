"""NumPy's archives, held against NumPy in both directions; nothing is unpickled."""

import io
import pickle
import sys
import zipfile

import numpy as np
import pytest
from kept_arrays import BFLOAT16, DTYPES, MEMORIES, as_read, is_as_read, numbers, same

from odyssey.formats.npz import FREE_BYTES, decode_npy, is_npz, read_npz, write_npz
from odyssey.formats.tensor_file import FormatError


def npy(descr="'<f4'", order="False", shape="(2,)", data=bytes(8), version=1):
    """Return an array's file with such words in its header."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"
    width = 2 if version == 1 else 4
    head = text.encode("latin-1")
    return (
        b"\x93NUMPY%c\0" % version + len(head).to_bytes(width, "little") + head + data
    )


def archive(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)


def refused(path):
    with pytest.raises(FormatError) as error:
        read_npz(path)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_any_memory_are_read_by_numpy(tmp_path, dtype, memory):
    x = MEMORIES[memory](numbers(dtype))
    assert write_npz(tmp_path / "x.npz", {"a.b/c": x, "one": x[0, 0, 0, 0]}, {}) == ()
    found = np.load(tmp_path / "x.npz")
    assert found.files == ["a.b/c", "one"]
    assert same(found["a.b/c"], as_read(x))
    assert same(found["one"], as_read(x)[0, 0, 0, 0])
    found = read_npz(tmp_path / "x.npz").tensors
    assert same(found["a.b/c"], as_read(x)) and is_as_read(found["a.b/c"])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_numpy_writes_is_read(tmp_path, save, dtype):
    x = numbers(dtype)
    tensors = {name: change(x) for name, change in MEMORIES.items()}
    tensors |= {"empty": x[:, :0], "one": x[0, 0, 0, 0]}
    save(tmp_path / "x.npz", **tensors)
    kind, found, metadata, notes = read_npz(tmp_path / "x.npz")
    assert (kind, metadata, notes) == ("NumPy (npz)", {}, ())
    assert list(found) == list(tensors)
    for name, x in tensors.items():
        assert same(found[name], as_read(x)) and is_as_read(found[name])


def test_metadata_lies_in_the_comment_of_the_archive(tmp_path):
    metadata = {"classes": ["ä", "b"], "odyssey": {"model": "mine", "step": 3}}
    path = tmp_path / "x.npz"
    assert write_npz(path, {"a": np.ones(2)}, metadata) == ()
    assert read_npz(path).metadata == metadata
    assert np.load(path).files == ["a"]
    assert write_npz(path, {"a": np.ones(2)}, {"k": "x" * 65_530}) == (
        "metadata left out: 65539 bytes, over 65535",
    )
    assert read_npz(path).metadata == {}


@pytest.mark.parametrize(
    "comment, metadata",
    [
        (b"made by hand", {"comment": "made by hand"}),
        (b"[1]", {"comment": "[1]"}),
        (b"[" * 60_000, {"comment": "[" * 60_000}),
    ],
    ids=["text", "JSON", "deep"],
)
def test_a_comment_of_another_program_is_text(tmp_path, comment, metadata):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("a.npy", npy())
        file.comment = comment
    assert read_npz(tmp_path / "x.npz").metadata == metadata


def test_bfloat16_becomes_float32(tmp_path):
    x = numbers(BFLOAT16)
    notes = write_npz(tmp_path / "x.npz", {"x": x, "y": numbers("float16")}, {})
    assert notes == ("1 bfloat16 tensors became float32, which is exact",)
    assert same(np.load(tmp_path / "x.npz")["x"], x.astype(np.float32))


@pytest.mark.parametrize("x", [np.zeros(2, complex), np.array([None]), np.array(["a"])])
def test_dtypes_that_are_not_written_are_refused_by_name(tmp_path, x):
    with pytest.raises(FormatError) as error:
        write_npz(tmp_path / "x.npz", {"a": np.zeros(1), "b": x}, {})
    assert str(error.value) == f"{tmp_path}/x.npz: b: {x.dtype} is not possible in npz"
    assert list(tmp_path.iterdir()) == []


class Trap:
    """An object whose unpickling would be seen."""

    def __reduce__(self):
        return sys.intern, ("a trap",)


@pytest.mark.parametrize(
    "x, kind",
    [
        (np.array([Trap()]), "objects, which only pickle can read"),
        (np.array(["a", "b"]), "text"),
        (np.array([b"a"]), "text as bytes"),
        (np.zeros(2, complex), "complex numbers"),
        (np.zeros(2, "datetime64[s]"), "dates"),
        (np.zeros(2, "timedelta64[s]"), "lengths of time"),
        (np.zeros(2, [("a", "<f4"), ("b", "<i8")]), "a table of columns"),
        (
            np.zeros(2, BFLOAT16),
            "raw bytes of an unknown dtype, as NumPy writes bfloat16",
        ),
    ],
)
def test_other_elements_are_refused_by_name(tmp_path, monkeypatch, x, kind):
    np.savez(tmp_path / "x.npz", **{"a": np.ones(2), "layer.b": x})
    monkeypatch.setattr(pickle, "load", None)  # neither called nor there to be called
    assert refused(tmp_path / "x.npz") == (
        f"layer.b: it holds {kind}; bool, integers and floats of up to 64 bits are read"
    )


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "not an array of NumPy"),
        (b"\x93NUMPY\1", "its header is not NumPy's: ''"),
        (b"\x93NUMPY\4\0" + bytes(20), "not an array of NumPy"),
        (npy("'<f16'"), "dtype '<f16' is not read; bool, integers and floats"),
        (npy("'<f4,<f4'"), "dtype '<f4,<f4' is not read"),
        (npy("'float32'"), "dtype 'float32' is not read"),
        (npy("__import__('os')"), "its header is not NumPy's: "),
        (npy(shape="(1 + 1,)"), "its header is not NumPy's: "),
        (npy(shape="[2]"), "its header is not NumPy's: "),
        (npy(shape="(-2,)"), "its header is not NumPy's: "),
        (npy(shape="(" * 3000), "its header is not NumPy's: "),
        (npy(order="'no'"), "its header is not NumPy's: "),
        (npy(shape="(2,), 'shape': (2,)"), "its header is not NumPy's: "),
        (npy(shape="(2 3,)"), "its header is not NumPy's: "),
        (npy(shape="(,)"), "its header is not NumPy's: "),
        (npy(shape="(3,)"), "float32 of shape (3,) takes 12 bytes, 8 are there"),
        (npy(shape="(1,)"), "float32 of shape (1,) takes 4 bytes, 8 are there"),
        (npy(shape="()"), "float32 of shape () takes 4 bytes, 8 are there"),
        (npy(shape=f"({2**63},)"), "its shape is too large"),
        (npy(shape=f"({2**62}, 0, 4)", data=b""), "its shape is too large"),
        (npy(shape=f"({'9' * 5000},)"), "its header is not NumPy's: "),
        (npy(shape=f"({'1, ' * 33})"), "it has 33 dimensions, more than 32"),
        (npy("'|b1'", data=b"\1\2"), "a bool that is neither 0 nor 1"),
        (npy(shape="(2,)" + " " * 10_000), "is too long"),
        (npy()[:40], "its header is not NumPy's: "),
        (npy()[:-1], "float32 of shape (2,) takes 8 bytes, 7 are there"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_damaged_arrays_are_named(tmp_path, content, reason):
    archive(tmp_path / "x.npz", {"a.npy": npy(), "layer.b.npy": content})
    assert f"layer.b: {reason}" in refused(tmp_path / "x.npz") or (
        reason == "is too long" and refused(tmp_path / "x.npz").endswith(reason)
    )


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }", (2, 1)),
        ('{"shape":(1,2),"descr":"<f4","fortran_order":True}   \n', (1, 2)),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 1L)}", (2, 1)),
        ("{'descr': '>f4', 'fortran_order': False, 'shape': (2,)}\n", (2,)),
    ],
)
def test_headers_of_other_writers_are_read(text, expected):
    data = np.array([1, 2], ">f4" if ">" in text else "<f4").tobytes()
    head = b"\x93NUMPY\2\0" + len(text).to_bytes(4, "little") + text.encode()
    content = np.frombuffer(bytearray(head + data), np.uint8)
    found = decode_npy(content)
    assert found.shape == expected and found.ravel().tolist() == [1, 2]
    assert is_as_read(found) and found.flags.aligned


def test_what_is_no_array_is_refused(tmp_path):
    archive(tmp_path / "x.npz", {"a.npy": npy(), "b.txt": b"b"})
    assert refused(tmp_path / "x.npz") == "b.txt: not an array (.npy)"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("a.npy", npy())
        file.writestr("a.npy", npy())
    assert "'a.npy'" in refused(tmp_path / "x.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_file_cut_short_anywhere_is_refused(tmp_path, method):
    archive(tmp_path / "whole", {"a.npy": npy(), "b.npy": npy()}, method)
    content = (tmp_path / "whole").read_bytes()
    for length in range(len(content)):
        (tmp_path / "x").write_bytes(content[:length])
        refused(tmp_path / "x")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_changed_byte_of_an_array_is_found(tmp_path, method):
    archive(tmp_path / "x", {"a.npy": npy(data=b"unlikely")}, method)
    content = bytearray((tmp_path / "x").read_bytes())
    place = content.index(b"PK\1\2") - 3
    content[place] ^= 4
    (tmp_path / "x").write_bytes(content)
    assert "a.npy" in refused(tmp_path / "x")


def test_zeros_may_be_packed_but_not_without_bound(tmp_path, peak):
    path = tmp_path / "x"
    zeros = {f"a{i}": np.zeros(1 << 20, np.uint8) for i in range(2)}
    np.savez_compressed(path, **zeros)
    assert read_npz(tmp_path / "x.npz").tensors["a1"].size == 1 << 20
    count = 1 + FREE_BYTES // (1 << 20)
    np.savez_compressed(path, **{f"a{i}": zeros["a0"] for i in range(count)})
    assert (tmp_path / "x.npz").stat().st_size < FREE_BYTES / 500
    assert "far larger than the file" in refused(tmp_path / "x.npz")
    assert peak(lambda: refused(tmp_path / "x.npz")) < 1.1 * FREE_BYTES


def test_pickled_arrays_and_other_archives_are_not_taken_for_it():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data.pkl", b"")
    assert not is_npz(stream.getvalue())
    stream = io.BytesIO()
    np.savez(stream, a=np.ones(1))
    assert is_npz(stream.getvalue()[:512])
    assert not is_npz(b"") and not is_npz(b"PK\3\4")
