import os
import re
from pathlib import Path

import numpy as np
import pytest
from archives import md5_of, tar_gz
from downloading import News
from http_server import Server, ranged
from tiny_cifar import python2_pickle, write_tiny_cifar
from tiny_cifar100 import FOLDERS, write_tiny_cifar100

from odyssey.data.cifar10 import CIFAR10, load_cifar10
from odyssey.data.cifar100 import (
    CIFAR100,
    CIFAR100_CLASSES,
    CIFAR100_MEAN,
    CIFAR100_STD,
    holds_cifar100,
    load_cifar100,
)
from odyssey.data.dataset import DataError
from odyssey.data.download import ARCHIVES, download_cifar10, download_cifar100
from odyssey.data.sets import load_dataset


@pytest.fixture(params=FOLDERS)
def form(request):
    return request.param


#: Some of the coarse classes, with the fine labels that make them up.
COARSE = {
    "people": {2: "baby", 11: "boy", 35: "girl", 46: "man", 98: "woman"},
    "trees": {
        47: "maple_tree",
        52: "oak_tree",
        56: "palm_tree",
        59: "pine_tree",
        96: "willow_tree",
    },
    "vehicles 1": {
        8: "bicycle",
        13: "bus",
        48: "motorcycle",
        58: "pickup_truck",
        90: "train",
    },
}


@pytest.mark.parametrize("coarse", COARSE)
def test_the_hundred_names(coarse):
    for label, name in COARSE[coarse].items():
        assert CIFAR100_CLASSES[label] == name
    assert sorted(set(CIFAR100_CLASSES)) == list(CIFAR100_CLASSES)
    assert len(CIFAR100_CLASSES) == CIFAR100.num_classes == 100


def test_both_forms_give_the_same_data_set(tmp_path, form):
    parts = write_tiny_cifar100(tmp_path, form)
    data = load_cifar100(tmp_path)
    for name in ("train", "test"):
        pixels, labels, _ = parts[name]
        images = getattr(data, f"{name}_images")
        np.testing.assert_array_equal(images.reshape(-1, 3072), pixels)
        assert images.dtype == np.uint8
        assert images.transpose(0, 2, 3, 1).flags.c_contiguous
        assert getattr(data, f"{name}_labels").tolist() == labels
        assert getattr(data, f"{name}_labels").dtype == np.int64
    assert max(parts["train"][1]) > 20  # none of the coarse ones
    assert (data.image_shape, data.num_classes) == ((3, 32, 32), 100)
    assert data.class_names == CIFAR100_CLASSES
    assert (data.mean, data.std) == (CIFAR100_MEAN, CIFAR100_STD)
    assert repr(data) == "Dataset(100 training, 20 test images, 100 classes)"


def test_data_sets_by_name(tmp_path):
    write_tiny_cifar100(tmp_path / "100")
    write_tiny_cifar(tmp_path / "10")
    assert load_dataset("cifar100", tmp_path / "100").mean == CIFAR100_MEAN
    assert load_dataset("cifar10", tmp_path / "10").mean == CIFAR10.mean
    with pytest.raises(ValueError, match="'cifar1000'"):
        load_dataset("cifar1000", tmp_path)


def test_the_folder_itself_may_be_handed_over(tmp_path, form):
    write_tiny_cifar100(tmp_path, form)
    assert len(load_cifar100(str(tmp_path / FOLDERS[form])).train_images) == 100
    assert holds_cifar100(tmp_path / FOLDERS[form])


def test_class_names_are_the_folders_own(tmp_path, form):
    own = [f"class {n}" for n in range(100)]
    write_tiny_cifar100(tmp_path, form, names=own)
    assert load_cifar100(tmp_path).class_names == tuple(own)
    write_tiny_cifar100(tmp_path, form, names=own[:-1])
    name = {"python": "meta", "binary": "fine_label_names.txt"}[form]
    path = tmp_path / FOLDERS[form] / name
    words = f"{path}: not 100 different names; using the standard class names"
    with pytest.warns(UserWarning, match=re.escape(words)):
        assert load_cifar100(tmp_path).class_names == CIFAR100_CLASSES


def said_of(root, load=load_cifar100):
    with pytest.raises(DataError) as caught:
        load(root)
    return str(caught.value)


def test_missing_files_are_named(tmp_path, form):
    write_tiny_cifar100(tmp_path, form)
    (gone,) = (tmp_path / FOLDERS[form]).glob("test*")
    gone.unlink()
    assert said_of(tmp_path) == f"{gone.parent}: missing {gone.name}"
    assert not holds_cifar100(tmp_path)


BATCH = {b"data": np.zeros((1, 3072), np.uint8)}


@pytest.mark.parametrize(
    "form, name, content, reason",
    [
        ("binary", "train.bin", bytes(3073), "3073 bytes are not one or more records"),
        ("binary", "test.bin", b"", "0 bytes are not one or more records of 3074"),
        ("binary", "test.bin", b"\x13\x64" + bytes(3072), "label 100 of record 0"),
        ("binary", "test.bin", b"\x14\x63" + bytes(3072), "coarse label 20 of record"),
        ("python", "train", b"", "damaged pickle"),
        ("python", "train", python2_pickle(BATCH), "labels are not a list"),
        (
            "python",
            "test",
            python2_pickle({**BATCH, b"labels": [1]}),  # as CIFAR-10 has them
            "labels are not a list",
        ),
        (
            "python",
            "test",
            python2_pickle({**BATCH, b"fine_labels": [100]}),
            "label 100 of record 0 is not 0 to 99",
        ),
        (
            "python",
            "test",
            python2_pickle({**BATCH, b"fine_labels": [1, 2]}),
            "1 images, but 2 labels",
        ),
        (
            "python",
            "test",
            b"\x80\x02cos\nsystem\nU\x04trueR.",
            "asks for os.system, which is refused",
        ),
    ],
)
def test_damaged_files_are_named_with_the_reason(tmp_path, form, name, content, reason):
    write_tiny_cifar100(tmp_path, form)
    path = tmp_path / FOLDERS[form] / name
    path.write_bytes(content)
    assert said_of(tmp_path).startswith(f"{path}: {reason}")


def test_the_largest_file_that_is_published_can_be_read(tmp_path):
    """50,000 records, of which Python 3 writes more instructions than Python 2."""
    import pickle

    from odyssey.data.unpickle import read_batch

    names = [f"{i:06d}.png".encode() for i in range(50_000)]
    labels = [i % 100 for i in range(50_000)]
    batch = {b"filenames": names, b"fine_labels": labels, b"coarse_labels": labels}
    assert read_batch(pickle.dumps(batch, 2))["fine_labels"] == labels


def test_one_set_in_the_place_of_the_other(tmp_path, form):
    write_tiny_cifar100(tmp_path / "100", form, names=CIFAR100_CLASSES)
    write_tiny_cifar(tmp_path / "10", form)
    ten, hundred = "CIFAR-10", "CIFAR-100"
    for root, load, words in (
        (tmp_path / "10", load_cifar100, f"holds {ten}, not {hundred}"),
        (tmp_path / "100", load_cifar10, f"holds {hundred}, not {ten}"),
    ):
        for folder in (root, next(root.iterdir())):
            assert said_of(folder, load).startswith(f"{folder}: {words}")
    assert said_of(tmp_path) == f"{tmp_path}: no {hundred} here, but in {root}"


def test_folders_of_images_are_no_cifar100(tmp_path):
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            (tmp_path / part / name / "1.png").touch()
    where = os.path.join("train", "cat", "")
    words = f"holds images in a folder for each class ({where}, ...)"
    assert said_of(tmp_path).startswith(f"{tmp_path}: {words}")


def test_an_empty_folder(tmp_path):
    assert said_of(tmp_path) == (
        f"{tmp_path}: no CIFAR-100 here; expected cifar-100-python/ or "
        "cifar-100-binary/"
    )


@pytest.fixture
def packed(tmp_path):
    write_tiny_cifar100(tmp_path / "source", names=CIFAR100_CLASSES)
    files = sorted((tmp_path / "source" / FOLDERS["python"]).iterdir())
    return tar_gz({f"{FOLDERS['python']}/{f.name}": f.read_bytes() for f in files})


def test_download(tmp_path, packed):
    with Server(ranged(packed)) as server:
        options = {"urls": [server.url], "md5": md5_of(packed)}
        data = download_cifar100(tmp_path / "data", **options)
        again = News()
        download_cifar100(tmp_path / "data", **options, observer=again)
        assert len(server.paths) == 1
    assert again.lines == [f"{tmp_path / 'data'}: already there"]
    assert (len(data.train_labels), data.num_classes) == (100, 100)
    assert sorted(
        p.name for p in (tmp_path / "data" / FOLDERS["python"]).iterdir()
    ) == [
        "meta",
        "test",
        "train",
    ]


def test_an_archive_of_the_other_set_is_refused(tmp_path, packed):
    archive = tmp_path / "archive.tar.gz"
    archive.write_bytes(packed)
    words = "holds neither cifar-10-batches-py/ nor cifar-10-batches-bin/"
    with pytest.raises(DataError, match=words):
        download_cifar10(tmp_path / "data", from_file=archive, md5=md5_of(packed))
    assert list((tmp_path / "data").iterdir()) == []


def test_the_published_archive_is_the_default(tmp_path, packed):
    known = ARCHIVES["cifar100"]
    assert known.md5 == "eb9058c3a382ffc7106e4002c42a8d85"
    assert known.published is CIFAR100
    for url in known.urls:
        assert url.startswith("https://") and url.endswith(f"/{known.name}")
    archive = tmp_path / known.name
    archive.write_bytes(packed)
    words = f"expected MD5 {known.md5} (169,001,437 bytes), got {md5_of(packed)} "
    with pytest.raises(DataError, match=re.escape(words)):
        download_cifar100(tmp_path / "data", from_file=archive)


def test_normalisation_constants_are_those_of_the_training_images():
    places = [os.environ.get("ODYSSEY_CIFAR100"), "datasets/cifar100"]
    places = [Path(place) for place in filter(None, places) if holds_cifar100(place)]
    if not places:
        pytest.skip("no CIFAR-100 in $ODYSSEY_CIFAR100 or datasets/cifar100")
    data = load_cifar100(places[0])
    assert np.bincount(data.train_labels).tolist() == [500] * 100
    assert data.class_names == CIFAR100_CLASSES
    pixels = data.train_images.transpose(1, 0, 2, 3)
    mean = [channel.mean(dtype=np.float64) / 255 for channel in pixels]
    std = [channel.std(dtype=np.float64) / 255 for channel in pixels]
    assert tuple(np.round(mean, 4)) == CIFAR100_MEAN
    assert tuple(np.round(std, 4)) == CIFAR100_STD
