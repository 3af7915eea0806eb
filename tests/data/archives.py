"""Small archives like the published ones, and functions to damage them."""

import gzip
import hashlib
import io
import tarfile

import pytest
from tiny_cifar import write_tiny_cifar

from odyssey.data.archive import recover, unpack
from odyssey.data.dataset import DataError

FOLDER = "cifar-10-batches-py"


def tiny_files(root, form="python", records=2):
    """Return {member name: content} of a data set of a few records."""
    write_tiny_cifar(root, form, records)
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def plain(name, content=b"", kind=tarfile.REGTYPE, **fields):
    """Return a member: its header, with any field set, and its content."""
    header = tarfile.TarInfo(name)
    header.type, header.size = kind, len(content)
    for field, value in fields.items():
        setattr(header, field, value)
    return header, content


def tar_gz(files, *more):
    """Pack files {name: content}, then further members made by `plain`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for header, content in [*(plain(*item) for item in files.items()), *more]:
            tar.addfile(header, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), 1, mtime=0)


def md5_of(content):
    return hashlib.md5(content).hexdigest()


def listing(root):
    """Return {relative path: content} of all there is below a folder."""
    paths = sorted(root.rglob("*"))
    return {str(p.relative_to(root)): p.is_file() and p.read_bytes() for p in paths}


def unpacked(content, data_dir, tmp_path):
    """Unpack an archive whose MD5 sum is right, whatever is in it."""
    path = tmp_path / "archive.tar.gz"
    path.write_bytes(content)
    recover(data_dir)
    return unpack(path, md5_of(content), data_dir)


def refused(content, data_dir, tmp_path, match):
    """Expect that an archive is refused and that nothing has changed."""
    around = data_dir.parent
    before = listing(around)
    with pytest.raises(DataError, match=match) as caught:
        unpacked(content, data_dir, tmp_path)
    assert "archive.tar.gz: " in str(caught.value)
    assert ".tmp-" not in str(caught.value)
    assert listing(around) == before
