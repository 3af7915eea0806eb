"""CIFAR-10's pickles are read, and everything else a pickle can do is refused."""

import contextlib
import os
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from tiny_cifar import make_records, python2_pickle, write_tiny_cifar

from odyssey.data.cifar10 import load_cifar10
from odyssey.data.dataset import DataError
from odyssey.data.pickled_arrays import as_pixels
from odyssey.data.unpickle import MAX_INSTRUCTIONS, UnpickleError, read_batch

PIXELS, LABELS = make_records(5, seed=1)
ARRAY = python2_pickle(PIXELS)[2:-1]  # without the protocol and the stop


def batch_of(key_type=bytes):
    """Return a batch whose keys and file names are bytes or str."""
    names = [f"image_{i}.png" for i in range(5)]
    batch = {"data": PIXELS, "labels": LABELS, "filenames": names, "batch_label": ""}
    if key_type is str:
        return batch
    batch["filenames"] = [name.encode() for name in names]
    batch["batch_label"] = b"training batch 1 of 5"
    return {key.encode(): value for key, value in batch.items()}


def assert_reads(raw):
    batch = read_batch(raw)
    assert batch["labels"] == LABELS
    np.testing.assert_array_equal(as_pixels(batch["data"]), PIXELS)


def test_reads_what_python_2_wrote():
    assert_reads(python2_pickle(batch_of()))


@pytest.mark.parametrize("key_type", [bytes, str])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_reads_what_python_3_writes(key_type, protocol):
    assert_reads(pickle.dumps(batch_of(key_type), protocol))


def test_keeps_the_strings_of_python_2_as_bytes():
    batch = read_batch(python2_pickle({b"filenames": [b"caf\xe9.png"]}))
    assert batch == {"filenames": [b"caf\xe9.png"]}


# The programs below run a command that creates a file, if they run at all.
SYSTEM = b"cposix\nsystem\n" if os.name == "posix" else b"cnt\nsystem\n"


class Runs:
    """Pickles as a call of ``function(argument)``."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def hostile(marker):
    command = f"touch {marker}"
    text = b"X" + struct.pack("<I", len(command)) + command.encode()
    code = f"__import__('os').system({command!r})"
    shown = b"X" + struct.pack("<I", len(code)) + code.encode()
    state = b"(K\x01K\x01K\x02\x86"  # of an array: version 1, shape (1, 2), ...
    return {
        "os.system": pickle.dumps({"data": Runs(os.system, command)}, 2),
        "os.system, text": pickle.dumps({"data": Runs(os.system, command)}, 0),
        "os.system, 4": pickle.dumps({"data": Runs(os.system, command)}, 4),
        "eval": pickle.dumps({b"labels": [Runs(eval, code)]}, 2),
        "exec": pickle.dumps({b"labels": [Runs(exec, code)]}, 4),
        "getattr": pickle.dumps(Runs(getattr, np.ndarray, "tofile"), 4),
        "nested in the array": b"\x80\x02}U\x04data" + ARRAY[:-1] + SYSTEM
        + text + b"\x85Rbs.",
        "nested in its state": b"\x80\x02}U\x04data" + ARRAY[: ARRAY.index(b"(K\x01")]
        + state + SYSTEM + text + b"\x85R\x89U\x02abtbs.",
        "as a key": b"\x80\x02}" + SYSTEM + text + b"\x85RK\x01s.",
        "INST": b"\x80\x02(" + text + b"i" + SYSTEM[1:] + b".",
        "OBJ": b"\x80\x02(" + SYSTEM + text + b"o.",
        "NEWOBJ": b"\x80\x02" + SYSTEM + text + b"\x85\x81.",
        "NEWOBJ_EX": b"\x80\x04" + SYSTEM + text + b"\x85}\x92.",
        "dropped": b"\x80\x02" + SYSTEM + text + b"\x85R0}.",
        "after a stop": b"\x80\x02" + SYSTEM + text + b"\x85R.}.",
        "dotted": b"\x80\x04X\x05\0\0\0numpyX\x0e\0\0\0ndarray.tofile\x93" + text
        + b"\x85R.",
        "extension": b"\x80\x02\x82\x01" + text + b"\x85R.",
        "persistent": b"\x80\x02" + text + b"Q.",
        "_codecs.encode": b"\x80\x02}U\x04datac_codecs\nencode\n" + shown
        + b"X\x05\0\0\0rot13\x86Rs.",
        "numpy.load": b"\x80\x02}U\x04datacnumpy\nload\n" + text + b"\x85Rs.",
    }  # fmt: skip


#: Those that do run when ``pickle.load`` reads them; the others fail there too.
LIVE = ("os.system", "os.system, text", "os.system, 4", "eval", "exec", "as a key")
LIVE += ("nested in the array", "nested in its state", "INST", "OBJ", "dropped")


@pytest.mark.parametrize("name", sorted(hostile("x")))
def test_nothing_that_the_file_says_is_run(tmp_path, name):
    marker = tmp_path / "marker"
    raw = hostile(marker)[name]
    folder = tmp_path / "data"
    write_tiny_cifar(folder, records=2)
    path = folder / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(raw)
    with pytest.raises(DataError, match="data_batch_2"):
        load_cifar10(folder)
    with pytest.raises(UnpickleError):
        as_pixels(read_batch(raw)["data"])
    assert not marker.exists()


def test_the_hostile_files_are_live_ammunition(tmp_path):
    marker = tmp_path / "marker"
    for name in LIVE:
        with contextlib.suppress(Exception):
            pickle.loads(hostile(marker)[name], encoding="bytes")
        assert marker.exists(), name
        marker.unlink()


BOMBS = {
    "memo index": b"}r\xff\xff\xff\x7f.",
    "long string": b"T\xff\xff\xff\x7f.",
    "negative length": b"T\xff\xff\xff\xff.",
    "8-byte length": b"\x8e" + b"\xff" * 7 + b"\x0f.",
    "bytearray": b"\x96" + b"\0" * 5 + b"\1\0\0.",
    "many lists": b"]" * (MAX_INSTRUCTIONS + 10) + b".",
    "deep nesting": b"]" * 400_000 + b"a" * 90_000 + b".",
    "endless number": b"I" + b"9" * 100_000 + b"\n.",
    # Each tuple holds the one before twice: hashing the last would take 2^60 steps.
    "tuple as a key": b"})" + b"q\0h\0\x86" * 60 + b"K\1s.",
    "list in itself": b"]q\0h\0a.",
    "doubling": b"}U\4data]" + b"q\0]h\0ah\0a" * 60 + b"s.",
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_bombs_do_not_go_off(name):
    with pytest.raises(UnpickleError) as caught:
        as_pixels(read_batch(b"\x80\x02" + BOMBS[name]).get("data"))
    assert len(str(caught.value)) < 300


def test_one_text_encoded_again_and_again_takes_no_memory():
    text = b"X" + struct.pack("<I", 100_000) + b"x" * 100_000
    parts = b"c_codecs\nencode\nq\0" + text + b"q\1X\6\0\0\0latin1q\2"
    raw = b"\x80\x02](" + parts + b"h\0h\1h\2\x86R" * 1000 + b"e."
    tracemalloc.start()
    try:
        with pytest.raises(UnpickleError, match="bytes"):
            read_batch(raw)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(raw)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "old, new, reason",
    [
        (b"U\x02u1", b"U\x02O8", "uint8"),
        (b"U\x02u1", b"U\x02i1", "uint8"),
        (b"K\x00K\x01\x87R", b"\x88\x88\x87\x85", "not an array"),
        (b"J\x05\0\0\0", b"J\x06\0\0\0", "as many bytes"),
        (b"J\x05\0\0\0", b"J\xff\xff\xff\xff", "N >= 1"),
        (b"J\x05\0\0\0", b"\x8a\x08\0\0\0\0\0\0\0\x40", "as many bytes"),
        (b"J\x05\0\0\0", b"\x88", "proper shape"),
        (b"NNN\x4a\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89", b"NNNtb\x88", "C-or"),
        (b"_reconstruct", b"_deconstruct", "refused"),
        (b"cnumpy\ndtype\n", b"c_codecs\nencode\n", "damaged|encodes"),
        (b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", "uint8"),
    ],
)
def test_arrays_are_checked_before_they_are_made(old, new, reason):
    raw = python2_pickle({b"data": PIXELS})
    assert old in raw
    with pytest.raises(UnpickleError, match=reason):
        as_pixels(read_batch(raw.replace(old, new, 1))["data"])


def test_every_truncation_is_an_error_of_ours():
    raw = python2_pickle({b"data": PIXELS[:1], b"labels": LABELS})
    cuts = [*range(150), *range(150, len(raw), 97), len(raw) - 1]
    for cut in cuts:
        with pytest.raises(UnpickleError):
            read_batch(raw[:cut])


# pickletools decodes the text of instructions that are then refused.
@pytest.mark.filterwarnings("ignore:invalid escape:DeprecationWarning")
def test_random_damage_is_an_error_of_ours_or_harmless():
    rng = np.random.default_rng(7)
    raw = python2_pickle({b"data": PIXELS[:1], b"labels": LABELS})
    head = [i for i in range(len(raw)) if i < 160 or i > len(raw) - 60]
    for _ in range(2000):
        changed = bytearray(raw)
        for place in rng.choice(head, rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        with contextlib.suppress(UnpickleError):
            pixels = as_pixels(read_batch(bytes(changed)).get("data"))
            assert pixels.shape == (1, 3072) and pixels.dtype == np.uint8
