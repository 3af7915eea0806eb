"""Pixels and labels in every form in which NumPy 1 and 2 pickle them."""

import contextlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
from tiny_cifar import make_records, write_tiny_cifar

from odyssey.data.cifar10 import load_cifar10
from odyssey.data.pickled_arrays import as_labels, as_pixels
from odyssey.data.unpickle import UnpickleError, read_batch

PIXELS, LABELS = make_records(5, seed=1)


def pickled(batch, protocol, core):
    """Pickle a batch as the NumPy does whose modules lie in ``core``."""
    raw = pickle.dumps(batch, protocol)
    here = b"numpy._core" if b"numpy._core" in raw else b"numpy.core"
    for module in (b".multiarray", b".numeric"):
        old, new = here + module, core + module
        raw = raw.replace(b"c%s\n" % old, b"c%s\n" % new)
        raw = raw.replace(b"\x8c%c" % len(old) + old, b"\x8c%c" % len(new) + new)
    # Frames say how long they are; the reader of instructions can do without.
    return raw[:2] + raw[11:] if protocol >= 4 else raw


@pytest.fixture(params=[b"numpy.core", b"numpy._core"])
def core(request):
    return request.param


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("frozen", [False, True])
def test_pixels(protocol, frozen, core):
    pixels = PIXELS.copy()
    pixels.flags.writeable = not frozen  # which protocol 5 pickles as bytes
    raw = pickled({"data": pixels}, protocol, core)
    assert raw.count(core + b".") == 1
    np.testing.assert_array_equal(as_pixels(read_batch(raw)["data"]), PIXELS)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "labels",
    [
        *(
            np.array(LABELS, dtype)
            for dtype in ("u1", "i1", "<i2", ">u4", "<i8", ">i8")
        ),
        np.array(LABELS).reshape(-1, 1),
        list(np.array(LABELS, "<i8")),
        list(np.array(LABELS, ">u2")),
        list(np.array(LABELS, "u1")),
        [np.int64(LABELS[0]), *LABELS[1:]],
        tuple(LABELS),
        [np.uint64(2**64 - 1), -(2**63)],
    ],
)
def test_labels(labels, protocol, core):
    found = as_labels(read_batch(pickled({"labels": labels}, protocol, core))["labels"])
    expected = [int(label) for label in np.ravel(np.array(labels, object))]
    assert found.ndim == 1 and [int(label) for label in found] == expected


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "labels, reason",
    [
        (np.array([1.0]), "not an array of integers"),
        (np.array([True]), "not an array of integers"),
        (np.array(["1"]), "not an array of integers"),
        (np.zeros((2, 2), int), r"not an array \(N,\)"),
        (np.array(3), r"not an array \(N,\)|not an array as NumPy writes it"),
        ([np.float32(1)], "not a list of integers"),
        ([np.bool_(1)], "not a list of integers"),
        ([np.array([1])], "not a list of integers"),
        ([True], "not a list of integers"),
        ([None], "not a list of integers"),
        (None, "not a list of integers"),
        ("12", "not a list of integers"),
    ],
)
def test_labels_that_are_no_integers(labels, reason, protocol):
    batch = read_batch(pickle.dumps({"labels": labels}, protocol))
    with pytest.raises(UnpickleError, match=reason):
        as_labels(batch["labels"])


def test_labels_with_too_few_bytes():
    raw = pickle.dumps({"labels": np.arange(5, dtype="<i8")}, 4)
    changed = raw.replace(b"K\x05\x85", b"K\x06\x85")
    with pytest.raises(UnpickleError, match="not as many bytes"):
        as_labels(read_batch(changed)["labels"])
    changed = raw.replace(b"i8", b"i4")
    with pytest.raises(UnpickleError, match="not as many bytes"):
        as_labels(read_batch(changed)["labels"])
    changed = raw.replace(b"\x8c\x01<", b"\x8c\x01?")
    with pytest.raises(UnpickleError, match="not an array as NumPy writes it"):
        as_labels(read_batch(changed)["labels"])


@pytest.mark.parametrize(
    "pixels, reason",
    [
        (PIXELS.T.copy(), r"\(N, 3072\)"),
        (np.asfortranarray(PIXELS), "C-ordered"),
        (PIXELS.astype("i1"), "uint8"),
        (PIXELS.astype("<u2"), "uint8"),
        (PIXELS.astype(float), "uint8"),
        (PIXELS[:0], "N >= 1"),
        (np.uint8(1), "not an array"),
    ],
)
def test_pixels_of_another_form_in_protocol_5(pixels, reason):
    batch = read_batch(pickle.dumps({"data": pixels}, 5))
    with pytest.raises(UnpickleError, match=reason):
        as_pixels(batch["data"])


@pytest.mark.parametrize(
    "dtype",
    [
        b"cnumpy\ndtype\n)R",  # without its arguments
        b"cnumpy\ndtype\nU\2i8\x85R",  # without its state
        b"cnumpy\ndtype\nU\2i8\x85R}b",  # with a state that is no tuple
        b"cnumpy\ndtype\nU\2i8\x85R(tb",  # with an empty one
        b"cnumpy\ndtype\n]\x85R",
        b"N",
    ],
)
def test_dtypes_that_are_cut_short(dtype):
    array = b"cnumpy.core.numeric\n_frombuffer\n(U\0%sK\0\x85U\1Ct" % dtype
    raw = b"\x80\x02}(U\6labels%sRU\4data%sRu." % (array, array)
    batch = read_batch(raw)
    with pytest.raises(UnpickleError, match="not an array as NumPy writes it"):
        as_labels(batch["labels"])
    with pytest.raises(UnpickleError, match="not an array as NumPy writes it"):
        as_pixels(batch["data"])


def test_strings_and_bytes_mixed_are_refused_where_python_forbids_it():
    keys = b"\x80\2}(U\4dataK\1X\4\0\0\0dataK\2u."
    one = b"\x96\1" + bytes(7) + b"C"  # a bytearray in the place of a string
    order = b"\x80\2}U\4datacnumpy.core.numeric\n_frombuffer\n(U\0N)%stRs." % one
    code = f"""
from odyssey.data.pickled_arrays import as_pixels
from odyssey.data.unpickle import UnpickleError, read_batch
for raw in ({keys!r}, {order!r}):
    try:
        as_pixels(read_batch(raw)["data"])
    except UnpickleError as error:
        print(error)
"""
    command = [sys.executable, "-bb", "-c", code]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "damaged pickle (BytesWarning)",
        "data is not an array as NumPy writes it",
    ]


def test_arrays_outside_of_the_file_are_refused_by_name():
    raw = pickle.dumps({"data": PIXELS}, 5, buffer_callback=lambda buffer: None)
    with pytest.raises(UnpickleError, match="buffers outside of the file"):
        read_batch(raw)


def test_the_oldest_protocol_is_refused_by_name():
    with pytest.raises(UnpickleError, match="refused; protocols 2 to 5 are read"):
        read_batch(pickle.dumps({"labels": LABELS}, 0))


@pytest.mark.parametrize(
    "module, name",
    [
        ("numpy._core.numeric", "fromfile"),
        ("numpy._core.multiarray", "_frombuffer"),
        ("numpy._core.multiarray", "fromfile"),
        ("numpy.numeric", "_frombuffer"),
        ("builtins", "bytearray"),
    ],
)
def test_other_names_of_numpy_are_refused(module, name):
    raw = b"\x80\x02}U\x04datac%s\n%s\nU\x01x\x85Rs." % (module.encode(), name.encode())
    with pytest.raises(UnpickleError, match=f"{module}.{name}, which is refused"):
        read_batch(raw)


def test_folders_written_again_by_python_3_are_read(tmp_path):
    batches = write_tiny_cifar(tmp_path, records=3)
    for name, (pixels, labels) in batches.items():
        batch = {"data": pixels, "labels": np.array(labels)}
        with open(tmp_path / "cifar-10-batches-py" / name, "wb") as file:
            pickle.dump(batch, file, 5)
    data = load_cifar10(tmp_path)
    assert data.test_labels.tolist() == batches["test_batch"][1]
    assert data.test_labels.dtype == np.int64
    np.testing.assert_array_equal(
        data.test_images.reshape(3, 3072), batches["test_batch"][0]
    )


# pickletools decodes the text of instructions that are then refused.
@pytest.mark.filterwarnings("ignore:invalid escape:DeprecationWarning")
@pytest.mark.parametrize("protocol", [4, 5])
def test_random_damage_is_an_error_of_ours_or_harmless(protocol):
    rng = np.random.default_rng(protocol)
    batch = {"data": PIXELS[:1], "labels": [*np.arange(2), 3], "names": np.arange(3)}
    raw = pickle.dumps(batch, protocol)
    start = raw.index(PIXELS[:1].tobytes())
    head = [i for i in range(len(raw)) if not start <= i < start + 3000]
    for _ in range(2000):
        changed = bytearray(raw)
        for place in rng.choice(head, rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        with contextlib.suppress(UnpickleError):
            found = read_batch(bytes(changed))
            assert as_labels(found.get("labels")).ndim == 1
            assert as_labels(found.get("names")).ndim == 1
            pixels = as_pixels(found.get("data"))
            assert pixels.shape == (1, 3072) and pixels.dtype == np.uint8
