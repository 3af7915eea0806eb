"""Readers of files that are damaged at random: an answer, or a `FormatError`."""

import io
import json
import zipfile

import numpy as np
import pytest
from damaging import damaged, fuzzed, numbers
from hypothesis import given
from hypothesis import strategies as st

from odyssey.formats.files import read_tensors
from odyssey.formats.hex_folder import read_hex_folder, write_hex_folder
from odyssey.formats.npz import decode_npy, read_npz, write_npz
from odyssey.formats.safetensors import read_safetensors, write_safetensors
from odyssey.weights.files import WeightsError

TENSORS = {
    "conv.weight": np.arange(12, dtype=np.float32).reshape(2, 3, 2),
    "mask": np.array([True, False]),
    "steps": np.array(3, np.int64),
    "empty": np.zeros((0, 2), np.float16),
}
METADATA = {"format": "pt", "odyssey": {"model": "mine"}}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def whole(place):
    """Intact files by format."""
    files = {"safetensors": write_safetensors, "npz": write_npz}
    for name, write in files.items():
        write(place / name, TENSORS, METADATA)
    return {name: (place / name).read_bytes() for name in files}


def answer(read, path, content):
    """Read a file; return the bytes of its tensors, or None if it is refused."""
    path.write_bytes(content)
    try:
        found = read(path)
    except WeightsError as error:
        assert str(error).startswith(f"{path}: ")
        return None
    for tensor in found.tensors.values():
        assert tensor.flags.c_contiguous and tensor.dtype.isnative
    json.dumps(found.metadata)
    return sum(tensor.nbytes for tensor in found.tensors.values())


@fuzzed
@given(data=st.data())
def test_safetensors(place, whole, data):
    content = data.draw(damaged(whole["safetensors"]))
    size = answer(read_safetensors, place / "x", content)
    assert size is None or size <= len(content)


ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(
            ["F32", "BOOL", "BF16", "U8", "F8_E4M3", "x", 1, None]
        ),
        "shape": st.one_of(st.lists(numbers(4), max_size=4), st.none(), numbers()),
        "data_offsets": st.one_of(
            st.lists(numbers(4, 8, 16), min_size=2, max_size=2), st.none(), st.text()
        ),
    }
)
HEADERS = st.dictionaries(
    st.one_of(st.sampled_from(["a", "__metadata__"]), st.text(max_size=3)),
    st.one_of(ENTRIES, st.dictionaries(st.text(max_size=3), st.text(max_size=3))),
    max_size=4,
)


@fuzzed
@given(header=HEADERS, size=st.integers(0, 64))
def test_headers_of_safetensors(place, header, size):
    text = json.dumps(header).encode()
    content = len(text).to_bytes(8, "little") + text + bytes(size)
    found = answer(read_safetensors, place / "x", content)
    assert found in (None, size)


@fuzzed
@given(data=st.data())
def test_npz(place, whole, data):
    content = data.draw(damaged(whole["npz"]))
    size = answer(read_npz, place / "x", content)
    assert size is None or size <= len(content)


@fuzzed
@given(data=st.data())
def test_compressed_npz(place, data):
    stream = io.BytesIO()
    np.savez_compressed(stream, **TENSORS)
    answer(read_npz, place / "x", data.draw(damaged(stream.getvalue())))


@fuzzed
@given(data=st.data())
def test_arrays_of_npz(place, data):
    """The archive is intact, and its checksums are those of the damaged array."""
    stream = io.BytesIO()
    np.save(stream, TENSORS["conv.weight"])
    with zipfile.ZipFile(place / "x", "w") as archive:
        archive.writestr("a.npy", data.draw(damaged(stream.getvalue())))
    answer(read_npz, place / "x", (place / "x").read_bytes())


@fuzzed
@given(
    descr=st.sampled_from(["'<f4'", "'>i2'", "'|O'", "[('a', '<f4')]", "f4", "'<f99'"]),
    order=st.sampled_from(["True", "False", "None", "1"]),
    shape=st.lists(numbers(4), max_size=4).map(tuple),
    size=st.integers(0, 64),
)
def test_headers_of_npz(descr, order, shape, size):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    head = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text.encode()
    content = np.frombuffer(bytearray(head + bytes(size)), np.uint8)
    try:
        assert decode_npy(content).nbytes == size
    except ValueError:
        pass


@fuzzed
@given(data=st.data())
def test_hex_folders(place, data):
    folder = place / "hex"
    if not folder.exists():
        write_hex_folder(folder, TENSORS, METADATA)
    files = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    path = data.draw(st.sampled_from(list(files)))
    path.write_bytes(data.draw(damaged(files[path])))
    try:
        found = read_hex_folder(folder)
    except WeightsError as error:
        assert str(folder) in str(error)
    else:
        assert found.tensors.keys() == TENSORS.keys()
    finally:
        path.write_bytes(files[path])


@fuzzed
@given(data=st.data())
def test_any_file(place, whole, data):
    start = data.draw(st.sampled_from(list(whole.values())))
    content = data.draw(st.one_of(damaged(start), st.binary(max_size=600)))
    answer(read_tensors, place / "x", content)
