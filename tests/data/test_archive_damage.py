"""Archives that are cut short, have flipped bits, or would fill memory and disk."""

import gzip
import re
import tarfile

import numpy as np
import pytest
from archives import FOLDER, plain, refused, tar_gz, tiny_files

from odyssey.data import archive as archive_module

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


def test_damage_amid_a_large_member(files, data_dir, tmp_path):
    text = bytes(400_000)
    content = gzip.decompress(tar_gz({f"{FOLDER}/readme.html": text, **files}))
    rest = bytearray(gzip.compress(content[200_000:], 1))
    rest[10] |= 6  # a kind of block that does not exist
    content = gzip.compress(content[:200_000], 1) + rest
    refused(content, data_dir, tmp_path, "damaged archive: .*invalid block type")


def test_the_last_sum_counts_however_far_it_is(files, data_dir, tmp_path):
    content = bytearray(gzip.compress(gzip.decompress(tar_gz(files)) + bytes(10**6), 1))
    content[-8] ^= 1
    refused(bytes(content), data_dir, tmp_path, "damaged archive: CRC")


def test_an_archive_without_a_batch(files, data_dir, tmp_path):
    few = {name: files[name] for name in files if name.endswith("meta")}
    refused(tar_gz(few), data_dir, tmp_path, "archive.tar.gz: no CIFAR-10 here; exp")


def test_what_is_no_gzip_is_refused(data_dir, tmp_path):
    refused(bytes(2000), data_dir, tmp_path, "damaged archive: Not a gzipped file")
    for content, kind in {
        b"<html>log in</html>": "a web page (HTML)",
        b"PK\3\4" + bytes(100): "a ZIP archive",
        b"\xfd7zXZ\0" + bytes(100): "xz data (.xz)",
    }.items():
        match = f"archive.tar.gz: {re.escape(kind)}, not a .tar.gz$"
        refused(content, data_dir, tmp_path, match)


@pytest.mark.parametrize(
    ("name", "size"), [(BATCH, 64 * 2**20 + 1), (BATCH, 2**33), ("other", 2**62)]
)
def test_members_that_claim_too_much(name, size, files, data_dir, tmp_path):
    files.pop(BATCH)
    header = plain(name, size=size)[0].tobuf(tarfile.GNU_FORMAT)
    content = gzip.compress(header + gzip.decompress(tar_gz(files)), 1)
    refused(content, data_dir, tmp_path, f"claims {size:,} bytes")


def test_endless_names_and_numbers_are_not_repeated(files, data_dir, tmp_path):
    files.pop(BATCH)
    for field, value in {"path": "x" * 9000, "size": "9" * 4000}.items():
        record = f"{field}={value}\n"
        record = f"{len(record) + 5} {record}".encode()
        assert len(record) == int(record[:4])
        header = plain("x", record, kind=tarfile.XHDTYPE)[0].tobuf(tarfile.GNU_FORMAT)
        padded = record.ljust(-len(record) // 512 * -512, b"\0")
        member = plain("y", size=2**33)[0].tobuf(tarfile.GNU_FORMAT)
        content = header + padded + member + gzip.decompress(tar_gz(files))
        match = r"archive.tar.gz: member '\w{1,200}' claims [\d,]{1,30} bytes$"
        refused(gzip.compress(content, 1), data_dir, tmp_path, match)


def test_bombs_stop_at_the_limit(files, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_UNPACKED_BYTES", 2**20)
    header = plain("x", kind=tarfile.XHDTYPE, size=2**22)[0].tobuf(tarfile.GNU_FORMAT)
    for content in (
        tar_gz({"1": bytes(700_000), "2": bytes(700_000), **files}),
        tar_gz(files) + gzip.compress(bytes(2**22)),
        gzip.compress(header + bytes(2**22)),
    ):
        refused(content, data_dir, tmp_path, "more than 1,048,576 bytes")


def test_too_many_members(files, data_dir, tmp_path):
    more = (plain(f"{i}") for i in range(archive_module.MAX_MEMBERS))
    refused(tar_gz(files, *more), data_dir, tmp_path, "more than 1000 members")


def test_headers_of_headers(files, data_dir, tmp_path):
    record = b"12 path=a\n\n\n"
    header = plain("x", record, kind=tarfile.XHDTYPE)[0].tobuf(tarfile.GNU_FORMAT)
    content = gzip.compress((header + record.ljust(512, b"\0")) * 5000)
    refused(content, data_dir, tmp_path, "damaged archive")
