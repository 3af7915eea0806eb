"""Archives, honest and hostile, and what they may do to a data folder: all or none."""

import gzip
import os
import stat
import tarfile

import numpy as np
import pytest
from archives import FOLDER, listing, md5_of, plain, tar_gz, tiny_files
from tiny_cifar import make_batches

from odyssey.data import archive as archive_module
from odyssey.data.archive import recover, unpack
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


def unpacked(content, data_dir, tmp_path):
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(content)
    recover(data_dir)
    return unpack(path, md5_of(content), data_dir)


def refused(content, data_dir, tmp_path, match):
    around = data_dir.parent
    before = listing(around)
    with pytest.raises(DataError, match=match) as caught:
        unpacked(content, data_dir, tmp_path)
    assert "archive.tar.gz: " in str(caught.value)
    assert ".tmp-" not in str(caught.value)
    assert listing(around) == before


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


@pytest.mark.parametrize("keep", [0, 1, 10, 0.3, 0.9, -9, -1])
def test_archives_cut_short(keep, files, data_dir, tmp_path):
    content = tar_gz(files)
    stop = int(keep * len(content)) if isinstance(keep, float) else keep
    refused(content[:stop], data_dir, tmp_path, "archive.tar.gz: ")


def test_tar_cut_short_inside_a_whole_gzip(files, data_dir, tmp_path):
    content = gzip.decompress(tar_gz(files))
    for stop in (100, 512, len(content) // 2, len(content) // 2 // 512 * 512):
        refused(
            gzip.compress(content[:stop], 1), data_dir, tmp_path, "archive.tar.gz: "
        )


def test_flipped_bits_are_noticed_wherever_they_are(files, data_dir, tmp_path):
    content = bytearray(tar_gz(files))
    # Not bytes 4 to 9 of gzip's header: a time and where it was packed, in no sum.
    places = np.random.default_rng(0).integers(10, len(content), 30)
    for place in [0, 1, 2, *places, len(content) - 1, len(content) - 5]:
        content[place] ^= 4
        refused(bytes(content), data_dir, tmp_path, "archive.tar.gz: ")
        content[place] ^= 4


def test_what_is_no_gzip_is_refused(data_dir, tmp_path):
    for content in (b"<html>log in</html>", b"PK\3\4" + bytes(100), bytes(2000)):
        refused(content, data_dir, tmp_path, "damaged archive")


@pytest.mark.parametrize("size", [2**33, 64 * 2**20 + 1])
def test_members_that_claim_too_much(size, files, data_dir, tmp_path):
    files.pop(BATCH)
    header = plain(BATCH, size=size)[0].tobuf(tarfile.GNU_FORMAT)
    rest = gzip.decompress(tar_gz(files))
    content = gzip.compress(header + rest, 1)
    refused(content, data_dir, tmp_path, f"claims {size:,} bytes")


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE])
def test_bombs_stop_at_the_limit(kind, files, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_UNPACKED_BYTES", 2**20)
    header = plain("big", kind=kind, size=2**22)[0].tobuf(tarfile.GNU_FORMAT)
    content = gzip.compress(header + bytes(2**22), 1) + tar_gz(files)
    refused(content, data_dir, tmp_path, "more than 1,048,576 bytes")


def test_too_many_members(files, data_dir, tmp_path):
    more = (plain(f"{i}") for i in range(archive_module.MAX_MEMBERS))
    refused(tar_gz(files, *more), data_dir, tmp_path, "more than 1000 members")


def test_headers_of_headers(files, data_dir, tmp_path):
    record = b"12 path=a\n\n\n"
    header = plain("x", record, kind=tarfile.XHDTYPE)[0].tobuf(tarfile.GNU_FORMAT)
    content = gzip.compress((header + record.ljust(512, b"\0")) * 5000)
    refused(content, data_dir, tmp_path, "damaged archive")
