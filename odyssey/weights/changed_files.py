"""What has become of a text file that was written here: named for what it is.

Weights are text, so programs that handle text change them: git's autocrlf, editors,
PowerShell; and Git LFS puts pointers in the place of files.
"""

from collections.abc import Sequence
from pathlib import Path

from odyssey.data.file_kinds import kind_of
from odyssey.weights.files import WeightsError

HEAD_BYTES = 4096  # enough for `changed_how`

CARRIAGE_RETURN = (
    "Windows line ends (carriage returns), as editors make them, and git unless "
    ".gitattributes has '*.weights -text'"
)
_MARKS = (
    (b"\xef\xbb\xbf", "a byte-order mark (BOM) at its start, put there by an editor"),
    (b"\xff\xfe", "UTF-16, as PowerShell's > writes it"),
    (b"\xfe\xff", "UTF-16"),
)


class ChangedFileError(WeightsError):
    """A file that some other program has put something into, or in the place of."""

    def __init__(self, path: Path, reason: str, line: int = 1) -> None:
        super().__init__(f"{path}: line {line}: {reason}")
        self.path, self.reason = path, reason


def changed_how(head: bytes) -> str:
    """Return in a few words what a file is now that cannot be read and begins so.

    That is "" if it is not known.  A good file may be taken for another: a tensor can
    have any name, and that stands first.
    """
    for mark, what in _MARKS:
        if head.startswith(mark):
            return what
    if b"\r\n" in head[: head.find(b"\n") + 1]:
        return CARRIAGE_RETURN
    return kind_of(head)


def listed(names: Sequence[str], most: int = 5, separator: str = ", ") -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - most
    return separator.join(names[:most]) + (f" and {more} more" if more > 0 else "")


def summed_up(errors: Sequence[WeightsError]) -> list[str]:
    """Return what is to be said of damaged files, once for all that changed alike."""
    groups: dict[str, list[str]] = {}
    for error in errors:
        if isinstance(error, ChangedFileError):
            groups.setdefault(error.reason, []).append(error.path.name)
    said = [f"{listed(names, 3)}: {reason}" for reason, names in groups.items()]
    others = [str(e) for e in errors if not isinstance(e, ChangedFileError)]
    return said + ([listed(others, separator="; ")] if others else [])
