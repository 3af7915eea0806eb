"""The kind of a file by its first bytes, for messages about a wrong file."""

import os
import re

HEAD_BYTES = 512  # number of first bytes that `kind_of` needs

TAR, GZIP = "a tar archive that is not compressed", "gzip data (.gz)"

_GIT_LFS = b"version https://git-lfs.github.com/spec/"
_WEB_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html)", re.IGNORECASE)
_PHOTO = re.compile(rb"....ftyp(hei[cxms]|hev[cx]|mif1)", re.DOTALL)
_KINDS = (
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", GZIP),
    (b"\xfd7zXZ\0", "xz data (.xz)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive (.7z)"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"PAR1", "a table in Parquet's format"),
    (b"\x89HDF\r\n\x1a\n", "a file of HDF5 (.h5)"),
    (b"MATLAB 5.0 MAT-file", "a file of Matlab (.mat)"),
    (b"%PDF-", "a PDF document"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
)


def kind_of_file(path: str | os.PathLike) -> str:
    """Return the kind of a file in a few words, "" if not known."""
    if not os.path.isfile(path):  # opening a pipe may block
        return ""
    try:
        with open(path, "rb") as file:
            return kind_of(file.read(HEAD_BYTES))
    except OSError:
        return ""


def kind_of(head: bytes) -> str:
    """Return the kind of a file with these first bytes, "" if not known.

    No file of CIFAR-10 is taken for one of these kinds: records begin with a label of 0
    to 9, IDX files with 0, and pickles with 0x80.
    """
    if head.startswith(_GIT_LFS):
        return "a pointer of Git LFS, not the file itself; git lfs pull fetches that"
    if _WEB_PAGE.match(head):
        return "a web page (HTML)"
    if _PHOTO.match(head):
        return "a HEIC photo"
    if head.startswith(b"PK\3\4") and head[30:].partition(b".npy")[1]:
        return "NumPy arrays (.npz)"
    if head[257:262] == b"ustar" and 32 < head[0] < 127:
        return TAR
    return next((kind for magic, kind in _KINDS if head.startswith(magic)), "")
