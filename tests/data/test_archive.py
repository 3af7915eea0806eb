"""Archives, intact and hostile: a data folder gets all of one or nothing."""

import os
import stat
import tarfile

import numpy as np
import pytest
from archives import (
    FOLDER,
    listing,
    md5_of,
    plain,
    refused,
    tar_gz,
    tiny_files,
    unpacked,
)
from tiny_cifar import make_batches

from odyssey.data.archive import unpack
from odyssey.data.cifar10 import load_cifar10
from odyssey.data.dataset import DataError

LINK, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
BATCH = f"{FOLDER}/data_batch_1"


@pytest.fixture
def files(tmp_path):
    return tiny_files(tmp_path / "source")


@pytest.fixture
def data_dir(tmp_path):
    """A data folder with something in it, inside one that must not be touched."""
    folder = tmp_path / "around" / "data"
    (folder / FOLDER).mkdir(parents=True)
    (folder / FOLDER / "data_batch_1").write_bytes(b"old")
    return folder


@pytest.mark.parametrize("form", ["python", "binary"])
def test_both_published_forms(form, tmp_path):
    files = tiny_files(tmp_path / "source", form)
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    dataset = unpacked(tar_gz(files), data_dir, tmp_path)
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (10, 2)
    assert {k: v for k, v in listing(data_dir).items() if v} == files
    labels = [v for name, (_, v) in make_batches(2).items() if name != "test_batch"]
    np.testing.assert_array_equal(
        load_cifar10(data_dir).train_labels, np.concatenate(labels)
    )


def test_an_incomplete_folder_is_replaced_as_a_whole(files, data_dir, tmp_path):
    (data_dir / FOLDER / "stray").write_bytes(b"old")
    unpacked(tar_gz(files), data_dir, tmp_path)
    assert [path.name for path in data_dir.iterdir()] == [FOLDER]
    assert {k: v for k, v in listing(data_dir).items() if v} == files


def test_a_link_in_place_of_the_folder_is_replaced_not_followed(files, tmp_path):
    data_dir, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data_dir.mkdir()
    elsewhere.mkdir()
    (data_dir / FOLDER).symlink_to(elsewhere)
    unpacked(tar_gz(files), data_dir, tmp_path)
    assert not (data_dir / FOLDER).is_symlink()
    assert listing(elsewhere) == {}


def test_modes_and_owners_are_not_taken_over(files, data_dir, tmp_path):
    content = files.pop(BATCH)
    member = plain(BATCH, content, mode=0o6777, uid=12345)
    unpacked(tar_gz(files, member), data_dir, tmp_path)
    status = (data_dir / BATCH).stat()
    assert stat.S_IMODE(status.st_mode) & 0o7111 == 0
    assert status.st_uid == os.getuid()


def test_other_members_are_passed_over(files, data_dir, tmp_path):
    more = [plain("README"), plain(f"{FOLDER}/sub/data_batch_1", b"x" * 2000)]
    more += [plain(f"{FOLDER}/readme.html", b"<p>"), plain("./", kind=tarfile.DIRTYPE)]
    dotted = {f"./{name}": content for name, content in files.items()}
    unpacked(tar_gz(dotted, *more), data_dir, tmp_path)
    files[f"{FOLDER}/readme.html"] = b"<p>"
    assert {k: v for k, v in listing(data_dir).items() if v} == files


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "../../evil",
        f"{FOLDER}/../../evil",
        f"{FOLDER}/..",
        "/evil",
        f"/{BATCH}",
        "..\\evil",
        "C:\\evil",
        "\\evil",
    ],
)
def test_a_name_outside_condemns_the_archive(name, files, data_dir, tmp_path):
    content = tar_gz(files, plain(name, b"evil"))
    refused(content, data_dir, tmp_path, r"would be written outside")


@pytest.mark.parametrize(
    ("kind", "target", "match"),
    [
        (LINK, "/etc/passwd", "is a link"),
        (LINK, "../../around", "is a link"),
        (LINK, "data_batch_2", "is a link"),
        (HARD, "/etc/passwd", "is a link"),
        (HARD, f"{FOLDER}/data_batch_2", "is a link"),
        (tarfile.FIFOTYPE, "", "is a special file"),
        (tarfile.CHRTYPE, "", "is a special file"),
        (tarfile.BLKTYPE, "", "is a special file"),
        (tarfile.GNUTYPE_SPARSE, "", "is a special file"),
    ],
)
@pytest.mark.parametrize("name", ["other", BATCH])
def test_links_and_devices_condemn_the_archive(
    kind, target, match, name, files, data_dir, tmp_path
):
    files.pop(BATCH)
    member = plain(name, kind=kind, linkname=target)
    refused(tar_gz(files, member), data_dir, tmp_path, f"{name}' {match}")


def test_a_file_through_a_link_goes_nowhere(files, data_dir, tmp_path):
    link = plain(FOLDER, kind=LINK, linkname="..")
    first, *rest = files.items()
    content = tar_gz({}, link, plain(*first), *(plain(*item) for item in rest))
    refused(content, data_dir, tmp_path, "is a link")


def test_duplicates_are_refused(files, data_dir, tmp_path):
    for name in (BATCH, f"./{BATCH}"):
        content = tar_gz(files, plain(name, files[BATCH]))
        refused(content, data_dir, tmp_path, "data_batch_1' comes twice")


def test_missing_batches_are_named(files, data_dir, tmp_path):
    del files[BATCH], files[f"{FOLDER}/test_batch"]
    refused(tar_gz(files), data_dir, tmp_path, "missing data_batch_1, test_batch")
    refused(tar_gz({"some/file": b"x"}), data_dir, tmp_path, "holds neither")


def test_both_forms_in_one_archive_are_refused(files, data_dir, tmp_path):
    both = {**files, **tiny_files(tmp_path / "more", "binary")}
    refused(tar_gz(both), data_dir, tmp_path, "holds both")


def test_batches_of_nonsense_are_refused(files, data_dir, tmp_path):
    files[BATCH] = b"cos\nsystem\n(S'touch evil'\ntR."
    refused(tar_gz(files), data_dir, tmp_path, f"gz: {BATCH}: ")


def test_wrong_sum_is_found_before_anything_is_read(files, data_dir, tmp_path):
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(tar_gz(files, plain("../evil")))
    before = listing(data_dir)
    size, found = path.stat().st_size, md5_of(path.read_bytes())
    match = rf"MD5 {'0' * 32} \(7 bytes\), got {found} \({size:,} bytes\)"
    with pytest.raises(DataError, match=match):
        unpack(path, "0" * 32, data_dir, 7)
    assert listing(data_dir) == before
