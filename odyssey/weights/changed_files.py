"""Recognise how another program has changed a text file that was written here.

Weights are text, so programs that handle text may change them: git's autocrlf, editors,
PowerShell.  Git LFS replaces files by pointers.
"""

from collections.abc import Sequence
from pathlib import Path

from odyssey.data.file_kinds import kind_of
from odyssey.weights.files import WeightsError

HEAD_BYTES = 4096  # number of first bytes that `changed_how` needs

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
    """A file that another program has changed or replaced."""

    def __init__(self, path: Path, reason: str, line: int = 1) -> None:
        super().__init__(f"{path}: line {line}: {reason}")
        self.path, self.reason = path, reason


def changed_how(head: bytes) -> str:
    """Return how an unreadable file with these first bytes was changed, "" if unknown.

    Call it only for a file that cannot be read: a tensor can have any name, and the
    name comes first, so that a good file may look changed.
    """
    for mark, change in _MARKS:
        if head.startswith(mark):
            return change
    if b"\r\n" in head[: head.find(b"\n") + 1]:
        return CARRIAGE_RETURN
    return kind_of(head)


def listed(names: Sequence[str], most: int = 5, separator: str = ", ") -> str:
    """Return the first names, and the number of the others."""
    more = len(names) - most
    return separator.join(names[:most]) + (f" and {more} more" if more > 0 else "")


def summed_up(errors: Sequence[WeightsError]) -> list[str]:
    """Return messages about damaged files; files changed in one way share a message."""
    groups: dict[str, list[str]] = {}
    for error in errors:
        if isinstance(error, ChangedFileError):
            groups.setdefault(error.reason, []).append(error.path.name)
    said = [f"{listed(names, 3)}: {reason}" for reason, names in groups.items()]
    others = [str(e) for e in errors if not isinstance(e, ChangedFileError)]
    return said + ([listed(others, separator="; ")] if others else [])
