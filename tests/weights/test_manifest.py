"""Every part of a manifest is checked before it is used."""

import contextlib
import hashlib
import json
import os
import signal

import numpy as np
import pytest

from odyssey.weights.files import WeightsError
from odyssey.weights.folder import PENDING, load_folder, save_folder, verify_folder
from odyssey.weights.manifest import CHECKSUM, decode_manifest, encode_manifest


@pytest.fixture
def folder(tmp_path):
    save_folder({"a": np.ones(2), "b": np.zeros(1)}, tmp_path / "run", metadata={})
    return tmp_path / "run"


TEXTS = {
    "empty": "",
    "no object": "[]",
    "null": "null",
    "cut off": '{"format": "odyssey-hex", ',
    "not UTF-8": b"\xff\xfe{}",
    "NaN": '{"lr": NaN}',
    "deep": "[" * 100_000,
    "long number": '{"version": ' + "9" * 5000 + "}",
    "double key": '{"kind": "weights", "kind": "weights"}',
    "other format": '{"format": "safetensors"}',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_damaged_text(folder, text):
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "manifest.json").write_bytes(data)
    with pytest.raises(WeightsError, match=r"manifest\.json: damaged manifest"):
        load_folder(folder)


def test_tensor_listed_twice(folder):
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"b": {', '"a": {'))
    with pytest.raises(WeightsError, match="'a' is there twice"):
        load_folder(folder)


ENTRY = {"file": "a.weights", "dtype": "float64", "shape": [2], "bytes": 45}

CHANGES = {
    "version": lambda m: m.update(version=2),
    "version bool": lambda m: m.update(version=True),
    "no version": lambda m: m.pop("version"),
    "kind": lambda m: m.update(kind=3),
    "kind surrogate": lambda m: m.update(kind="\ud800"),
    "kind with escapes": lambda m: m.update(kind="\x1b[31mweights"),
    "kind of lines": lambda m: m.update(kind="weights\nall there"),
    "kind empty": lambda m: m.update(kind=""),
    "tensors a list": lambda m: m.update(tensors=[]),
    "no tensors": lambda m: m.pop("tensors"),
    "tensors empty": lambda m: m["tensors"].clear(),
    "entry no object": lambda m: m["tensors"].update(a=[]),
    "entry without digest": lambda m: m["tensors"].update(a=ENTRY),
    "entry with more": lambda m: m["tensors"]["a"].update(offset=0),
    "file outside": lambda m: m["tensors"]["a"].update(file="../a.weights"),
    "file of another": lambda m: m["tensors"]["a"].update(file="b.weights"),
    "file absolute": lambda m: m["tensors"]["a"].update(file="/etc/passwd"),
    "name outside": lambda m: m["tensors"].update({"../x": m["tensors"]["a"]}),
    "name hidden": lambda m: m["tensors"].update({".x": m["tensors"]["a"]}),
    "name twice but for case": lambda m: m["tensors"].update(A=m["tensors"]["a"]),
    "dtype": lambda m: m["tensors"]["a"].update(dtype="bool"),
    "dtype no string": lambda m: m["tensors"]["a"].update(dtype=["float32"]),
    "shape negative": lambda m: m["tensors"]["a"].update(shape=[-2]),
    "shape of floats": lambda m: m["tensors"]["a"].update(shape=[2.0]),
    "shape of bools": lambda m: m["tensors"]["a"].update(shape=[True]),
    "shape no list": lambda m: m["tensors"]["a"].update(shape=2),
    "bytes negative": lambda m: m["tensors"]["a"].update(bytes=-1),
    "bytes text": lambda m: m["tensors"]["a"].update(bytes="45"),
    "digest short": lambda m: m["tensors"]["a"].update(sha256="00"),
    "digest upper case": lambda m: m["tensors"]["a"].update(sha256="A" * 64),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_damaged_part(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    del manifest["manifest_sha256"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(WeightsError, match=r"manifest\.json: damaged manifest: "):
        load_folder(folder)


def test_every_flipped_byte_is_noticed(tmp_path):
    folder, path = tmp_path, tmp_path / "manifest.json"
    metadata = {"classes": ["cat", "dög"], "width": 64, "drop_path": 1e-3, "x": [None]}
    save_folder({"a": np.ones(2)}, folder, metadata=metadata)
    text = path.read_bytes()
    manifest = json.loads(text)
    key = text.index(CHECKSUM.encode())
    for place in range(len(text)):
        if chr(text[place]).isspace():
            continue  # blanks between the parts of JSON mean nothing
        if key <= place < key + len(CHECKSUM):
            continue  # without the checksum's name there is none, as in an old one
        path.write_bytes(text[:place] + bytes([text[place] ^ 1]) + text[place + 1 :])
        with pytest.raises(WeightsError, match="manifest"):
            load_folder(folder)
    path.write_bytes(text)
    assert load_folder(folder).manifest == manifest


def test_checksum_is_over_the_rest_with_sorted_keys(tmp_path):
    metadata = {"model": "m", "options": {"b": (1, 2), 3: 0.1}}
    save_folder({"a": np.ones(2)}, tmp_path, metadata=metadata)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert list(manifest)[3:] == ["model", "options", CHECKSUM, "tensors"]
    said = manifest.pop(CHECKSUM)
    text = json.dumps(manifest, sort_keys=True)
    assert said == hashlib.sha256(text.encode()).hexdigest()


def test_manifest_laid_out_otherwise_is_the_same(folder):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    text = json.dumps(dict(reversed(manifest.items())), indent=4).replace("\n", "\r\n")
    path.write_bytes(text.encode())
    assert load_folder(folder).manifest == manifest


def test_changed_value_is_said(folder):
    save_folder({"a": np.ones(2)}, folder, metadata={"classes": ["cat", "dog"]})
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("cat", "bat"))
    with pytest.raises(WeightsError) as caught:
        load_folder(folder)
    assert str(caught.value) == (
        f"{path}: damaged manifest: its contents changed, "
        '"manifest_sha256" is not theirs'
    )


def test_checksum_of_what_the_writer_had_read_before(folder):
    header = load_folder(folder).manifest
    tensors = header.pop("tensors")
    for key in ("format", "version", "kind"):
        del header[key]
    data = encode_manifest("weights", {**header, "more": 1}, tensors)
    assert decode_manifest(data, folder)["more"] == 1


def test_absurdly_large_manifest_is_not_read(folder):
    os.truncate(folder / "manifest.json", 1 << 34)
    with pytest.raises(WeightsError, match="over 67108864 bytes"):
        load_folder(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("place", [".", PENDING])
def test_pipe_in_place_of_a_manifest_does_not_hang(folder, place):
    (folder / place).mkdir(exist_ok=True)
    (folder / place / "manifest.json").unlink(missing_ok=True)
    os.mkfifo(folder / place / "manifest.json")
    for read in (load_folder, verify_folder):
        with within(10), pytest.raises(WeightsError, match=r"t\.json: not a regular"):
            read(folder)


@contextlib.contextmanager
def within(seconds):
    """Interrupt a test that hangs."""

    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
