import pickle
import tracemalloc

import numpy as np
import pytest
from tiny_cifar import BATCHES, CLASSES, python2_pickle, write_tiny_cifar

from odyssey.data.cifar10 import holds_cifar10, load_cifar10
from odyssey.data.dataset import CIFAR10_CLASSES, CIFAR10_MEAN, CIFAR10_STD, DataError

FORMS = ("python", "binary", "idx")
FOLDERS = {"python": "cifar-10-batches-py", "binary": "cifar-10-batches-bin"}


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


def test_every_form_gives_the_same_data_set(tmp_path, form):
    batches = write_tiny_cifar(tmp_path, form, records=7)
    data = load_cifar10(tmp_path)
    pixels = np.concatenate([batches[name][0] for name in BATCHES[:5]])
    np.testing.assert_array_equal(data.train_images.reshape(35, 3072), pixels)
    np.testing.assert_array_equal(
        data.test_images.reshape(7, 3072), batches["test_batch"][0]
    )
    labels = [label for name in BATCHES[:5] for label in batches[name][1]]
    assert data.train_labels.tolist() == labels
    assert data.test_labels.tolist() == batches["test_batch"][1]
    assert data.class_names == CIFAR10_CLASSES
    assert data.train_images.shape == (35, 3, 32, 32)
    assert data.train_images.dtype == np.uint8
    assert data.train_images.transpose(0, 2, 3, 1).flags.c_contiguous
    assert data.train_images.flags.writeable


def test_the_folder_itself_may_be_handed_over(tmp_path, form):
    write_tiny_cifar(tmp_path, form, records=2)
    folder = tmp_path / FOLDERS.get(form, ".")
    assert len(load_cifar10(str(folder)).train_images) == 10
    assert holds_cifar10(folder)


def test_batches_may_differ_in_size(tmp_path):
    write_tiny_cifar(tmp_path, "binary", records=3)
    path = tmp_path / FOLDERS["binary"] / "data_batch_2.bin"
    path.write_bytes(path.read_bytes()[:3073])
    assert len(load_cifar10(tmp_path).train_labels) == 13


@pytest.mark.parametrize("form", ["python", "binary"])
def test_all_missing_files_are_named_at_once(tmp_path, form):
    write_tiny_cifar(tmp_path, form)
    suffix = ".bin" if form == "binary" else ""
    gone = [f"{name}{suffix}" for name in ("data_batch_2", "data_batch_5")]
    for name in gone:
        (tmp_path / FOLDERS[form] / name).unlink()
    with pytest.raises(DataError, match=", ".join(gone)):
        load_cifar10(tmp_path)
    assert not holds_cifar10(tmp_path)


def test_a_complete_form_is_preferred_to_an_incomplete_one(tmp_path):
    write_tiny_cifar(tmp_path, "python", records=2)
    write_tiny_cifar(tmp_path, "binary", records=3)
    (tmp_path / FOLDERS["python"] / "test_batch").unlink()
    assert len(load_cifar10(tmp_path).test_images) == 3


@pytest.mark.parametrize("place", ["nothing", "empty", "file"])
def test_where_there_is_no_data(tmp_path, place):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=place):
        load_cifar10(tmp_path / place)


def damaged(tmp_path, form, name, change):
    """Write a folder with one file changed; return what loading it raises."""
    write_tiny_cifar(tmp_path, form, records=2)
    path = tmp_path / FOLDERS.get(form, ".") / name
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        load_cifar10(tmp_path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "form, name, change, reason",
    [
        ("binary", "data_batch_3.bin", lambda raw: raw[:-1], "6145 bytes"),
        ("binary", "data_batch_3.bin", lambda raw: raw + b"\0", "6147 bytes"),
        ("binary", "test_batch.bin", lambda raw: b"", "0 bytes"),
        ("binary", "test_batch.bin", lambda raw: b"\x0a" + raw[1:], "label 10"),
        ("idx", "train_images.idx", lambda raw: raw[:-1], "promises 30720"),
        ("idx", "train_images.idx", lambda raw: raw + b"\0", "promises 30720"),
        ("idx", "train_images.idx", lambda raw: raw[:19], "too few"),
        ("idx", "train_images.idx", lambda raw: raw[::-1], "magic number"),
        ("idx", "test_images.idx", lambda raw: b"\0\0\x08\x03" + raw[4:], "2051"),
        ("idx", "test_images.idx", lambda raw: raw[:11] + b"\1" + raw[12:], "images"),
        ("idx", "test_images.idx", lambda raw: raw[:4] + b"\xff" * 4 + raw[8:], "prom"),
        ("idx", "test_images.idx", lambda raw: raw[:4] + bytes(4) + raw[8:], "no rec"),
        ("idx", "test_labels.idx", lambda raw: b"", "too few"),
        ("idx", "test_labels.idx", lambda raw: raw[:-1] + b"\xff", "label 255"),
        (
            "idx",
            "test_labels.idx",
            lambda raw: raw[:7] + b"\1" + raw[8:-1],
            "1 labels, but test_images.idx has 2",
        ),
        ("python", "data_batch_1", lambda raw: b"", "damaged"),
        ("python", "data_batch_1", lambda raw: raw[:-40], "damaged"),
        ("python", "data_batch_1", lambda raw: raw[: len(raw) // 2], "damaged"),
        ("python", "data_batch_1", lambda raw: b"<html>", "damaged|refused"),
    ],
)
def test_damaged_files_are_named_with_the_reason(tmp_path, form, name, change, reason):
    message = damaged(tmp_path, form, name, change)
    assert any(part in message for part in reason.split("|")), message


@pytest.mark.parametrize(
    "batch, reason",
    [
        ({b"labels": [1]}, "data"),
        ({b"data": np.zeros((1, 3072), np.uint8)}, "labels"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [1, 2]}, "2 labels"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, "label 10"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [-1]}, "label -1"),
        ({b"data": np.zeros((1, 3072), np.uint8), b"labels": [b"1"]}, "labels"),
        ({b"data": np.zeros((0, 3072), np.uint8), b"labels": []}, "N >= 1"),
        ({b"data": np.zeros((1, 3073), np.uint8), b"labels": [1]}, "(N, 3072)"),
        ({b"data": np.zeros(3072, np.uint8), b"labels": [1]}, "(N, 3072)"),
        ({b"data": b"\0" * 3072, b"labels": [1]}, "not an array"),
        ([b"data"], "dict"),
    ],
)
def test_batches_of_the_wrong_content(tmp_path, batch, reason):
    raw = python2_pickle(batch)
    assert reason in damaged(tmp_path, "python", "data_batch_4", lambda _: raw)


def test_files_too_large_to_be_batches_are_not_parsed(tmp_path, form):
    write_tiny_cifar(tmp_path, form, records=2)
    names = {"python": "data_batch_1", "binary": "data_batch_1.bin"}
    path = tmp_path / FOLDERS.get(form, ".") / names.get(form, "train_images.idx")
    with path.open("r+b") as file:
        file.truncate(2**26 + 1)  # sparse: takes no room on the disk
    with pytest.raises(DataError, match=r"larger than|promises"):
        load_cifar10(tmp_path)


@pytest.mark.parametrize("there", [0, 2**29])  # bytes after the header
def test_no_more_memory_is_taken_than_a_file_needs(tmp_path, form, there):
    write_tiny_cifar(tmp_path, form, records=2)
    names = {"python": "data_batch_1", "binary": "data_batch_1.bin"}
    path = tmp_path / FOLDERS.get(form, ".") / names.get(form, "train_labels.idx")
    with path.open("r+b") as file:
        file.write(b"\0\0\x08\1\xff\xff\xff\xff")  # as many labels as can be said
        file.truncate(8 + there)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"^{path}: "):
            load_cifar10(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_endless_labels_are_not_repeated(tmp_path):
    batch = {b"data": np.zeros((1, 3072), np.uint8), b"labels": [10**600]}
    raw = pickle.dumps(batch, 2)
    message = damaged(tmp_path, "python", "data_batch_4", lambda _: raw)
    assert message.endswith(f": label 1{'0' * 29} of record 0 is not 0 to 9")


def test_a_folder_in_place_of_a_batch(tmp_path):
    write_tiny_cifar(tmp_path, "binary")
    path = tmp_path / FOLDERS["binary"] / "test_batch.bin"
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="not a regular file"):
        load_cifar10(tmp_path)


@pytest.mark.parametrize("form, name", [("python", "batches.meta"), ("binary", None)])
def test_class_names_are_the_folders_own(tmp_path, form, name):
    write_tiny_cifar(tmp_path, form)
    path = tmp_path / FOLDERS[form] / (name or "batches.meta.txt")
    own = [f"class {letter}" for letter in "abcdefghij"]
    names = python2_pickle({b"label_names": [n.encode() for n in own]})
    path.write_bytes(names if name else "\n".join(own).encode())
    assert load_cifar10(tmp_path).class_names == tuple(own)
    path.write_bytes(b"\x80 damaged")
    with pytest.warns(UserWarning, match=str(path)):
        assert load_cifar10(tmp_path).class_names == tuple(CLASSES)
    path.unlink()
    assert load_cifar10(tmp_path).class_names == tuple(CLASSES)


def test_normalisation_constants_are_those_of_the_training_images(cifar10_dir):
    data = load_cifar10(cifar10_dir)
    assert np.bincount(data.train_labels).tolist() == [5000] * 10
    assert np.bincount(data.test_labels).tolist() == [1000] * 10

    pixels = data.train_images.transpose(1, 0, 2, 3)
    mean = [channel.mean(dtype=np.float64) / 255 for channel in pixels]
    std = [channel.std(dtype=np.float64) / 255 for channel in pixels]
    assert tuple(np.round(mean, 4)) == CIFAR10_MEAN
    assert tuple(np.round(std, 4)) == CIFAR10_STD
