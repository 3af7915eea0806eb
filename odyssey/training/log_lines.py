"""The one reader of a run's two logs, line by line.

Other programs write these files too: a spreadsheet changes line ends, adds a byte order
mark, quotes or columns.  Lines with the same meaning are still read; any other line is
reported with its number and the reason, and does not affect the rest.
"""

import csv
import errno
import io
import json
import math
import os
import re
import stat
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from odyssey.weights.strict_json import parse_json

METRICS = (
    "epoch",
    "lr",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "seconds",
    "images_per_second",
)
VALIDATION = ("val_loss", "val_accuracy")

_BOM = b"\xef\xbb\xbf"
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_HEADER = ",".join((*METRICS, *VALIDATION)).encode()
_BEGUN_STEP = re.compile(rb'\{("(s(t(e(p(".{,300})?)?)?)?)?)?')
_BEGUN_ROW = re.compile(rb"[-+.,;eE\t\d]{,300}")
_LONGEST = 40  # characters quoted of a wrong value


class Line(NamedTuple):
    """An intact line of a log."""

    number: int  # of the line in the file, from 1
    place: int  # its step or epoch
    text: bytes  # as the trainer writes it, with the line end
    values: dict[str, Any]


class Damage(NamedTuple):
    """A line that cannot be used."""

    number: int  # of the line in the file, from 1
    reason: str


class Log(NamedTuple):
    """The content of a log."""

    lines: list[Line]  # intact; their steps or epochs rise
    damaged: list[Damage]
    torn: Damage | None = None  # the last line, if it is incomplete: being written


def read_log(path: str | os.PathLike) -> bytes:
    """Return the bytes of a log.

    Raises
    ------
    OSError
        If it cannot be read, or is a pipe or device, whose reading may never end.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    with open(path, "rb") as file:
        return file.read()


def read_steps(data: bytes) -> Log:
    """Parse ``steps.jsonl``: step, epoch, lr, loss and loss_hex of each line."""
    return _read(data.removeprefix(_BOM), _step, 1, _BEGUN_STEP)


def read_metrics(data: bytes, columns: Sequence[str] = METRICS) -> Log:
    """Parse ``metrics.csv``; unknown columns are ignored.

    Parameters
    ----------
    data : content of the file
    columns : required ones; without one of them no row is intact.  The ``text`` of a
        line has exactly these.
    """
    first, _, rest = data.removeprefix(_BOM).partition(b"\n")
    try:
        header = first.decode("utf-8")
        delimiter = next((d for d in ",;\t" if d in header), ",")
        names = [name.strip() for name in _cells(header, delimiter)]
        for name in columns:
            if name not in names:
                raise ValueError(f"no column {name}")
        known = [name for name in (*METRICS, *VALIDATION) if name in names]
        for name in known:
            if names.count(name) > 1:
                raise ValueError(f"two columns {name}")
    except ValueError as error:
        damage = Damage(1, _reason(error))
        if b"\n" not in data and _HEADER.startswith(first):
            return Log([], [], damage)  # the header is being written
        return Log([], [damage])
    row = partial(_row, names=names, known=known, columns=columns, delimiter=delimiter)
    return _read(rest, row, 2, _BEGUN_ROW)


def csv_line(values: Iterable[object]) -> str:
    """Return a line of ``metrics.csv``."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def missing(places: Iterable[int], done: int) -> list[int]:
    """Return the steps or epochs from 1 to ``done`` that are not among ``places``."""
    return sorted(set(range(1, done + 1)).difference(places))


def describe(damaged: Sequence[Damage], most: int = 3) -> str:
    """Return the numbers of damaged lines and the reasons; the first few of them."""
    text = "; ".join(f"line {number}: {reason}" for number, reason in damaged[:most])
    if (more := len(damaged) - most) > 0:
        text += f"; and {more} more, to line {damaged[-1].number}"
    return text


def first_and_last(places: Sequence[int], most: int = 5) -> str:
    """Return numbers as text; if there are many, the first few and the last."""
    text = ", ".join(map(str, places[:most]))
    return text if len(places) <= most else f"{text} ... {places[-1]}"


def _read(
    data: bytes,
    parse: Callable[[str], tuple[str, dict[str, Any]]],
    first: int,
    begun: re.Pattern,
) -> Log:
    """Return the lines of ``data``.

    Parameters
    ----------
    parse : returns a line as the trainer writes it and its values, of which the first
        is the step or epoch; raises ``ValueError`` if it is damaged
    first : number of the first line in the file
    begun : matches a last line that may be still being written
    """
    lines, damaged, torn = [], [], None
    *whole, last = data.split(b"\n")
    for number, raw in enumerate(whole, first):
        if not raw.strip():
            continue
        try:
            text, values = parse(raw.decode("utf-8").removesuffix("\r"))
        except (ValueError, RecursionError) as error:
            damaged.append(Damage(number, _reason(error)))
        else:
            place = next(iter(values.values()))
            lines.append(Line(number, place, text.encode(), values))
    if last.strip():
        torn = Damage(first + len(whole), "no end of line, cut short")
        if not begun.fullmatch(last):
            damaged.append(torn)
            torn = None
    ordered = _rising([line.place for line in lines])
    kept = [lines[i] for i in ordered]
    if len(kept) < len(lines):
        places, indices = {line.place for line in kept}, set(ordered)
        for i, line in enumerate(lines):
            if i not in indices:
                name = next(iter(line.values))
                fault = "a duplicate" if line.place in places else "out of order"
                damaged.append(Damage(line.number, f"{name} {line.place} is {fault}"))
        damaged.sort()
    return Log(kept, damaged, torn)


def _rising(values: Sequence[int]) -> list[int]:
    """Return the indices of a longest rising subsequence of ``values``.

    So one wrong number, too large or too small, removes one line only.
    """
    if all(a < b for a, b in pairwise(values)):
        return list(range(len(values)))
    ends: list[int] = []  # for each length, the least last value of a subsequence
    at: list[int] = []  # for each length, the index of that value
    before: list[int] = []  # for each value, the index of its predecessor
    for i, value in enumerate(values):
        length = bisect_left(ends, value)
        ends[length : length + 1] = [value]
        at[length : length + 1] = [i]
        before.append(at[length - 1] if length else -1)
    found, i = [], at[-1]
    while i >= 0:
        found.append(i)
        i = before[i]
    return found[::-1]


def _step(line: str) -> tuple[str, dict[str, Any]]:
    """Parse a line of ``steps.jsonl``, see `_read`."""
    try:
        record = parse_json(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg}") from None
    if not isinstance(record, dict):
        raise ValueError("not a JSON object")
    values = {}
    for name in ("step", "epoch"):
        value = values[name] = _get(record, name)
        if type(value) is not int or not 0 < value < 1 << 53:
            raise ValueError(f"{name} is {_quoted(value)}, not an integer from 1 on")
    for name in ("lr", "loss"):
        value = _get(record, name)
        if type(value) not in (int, float) or not abs(value) <= 1e308:
            raise ValueError(f"{name} is {_quoted(value)}, not a finite number")
        values[name] = float(value)
    written = _get(record, "loss_hex")
    if written != values["loss"].hex():
        raise ValueError(
            f"loss {values['loss']!r} contradicts loss_hex {_quoted(written)}"
        )
    return line + "\n", {**values, "loss_hex": written}


def _row(
    line: str,
    names: Sequence[str],
    known: Sequence[str],
    columns: Sequence[str],
    delimiter: str,
) -> tuple[str, dict[str, Any]]:
    """Parse a row of ``metrics.csv``, see `_read`."""
    cells = [cell.strip() for cell in _cells(line, delimiter)]
    if len(cells) != len(names):
        raise ValueError(f"{len(cells)} values under {len(names)} columns")
    texts = dict(zip(names, cells, strict=True))
    values: dict[str, Any] = {}
    for name in known:
        text = texts[name]
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not math.isfinite(value):
            raise ValueError(f"{name} is {_quoted(text)}, not a finite number")
        if name.endswith("_accuracy") and not 0 <= value <= 1 + 1e-6:
            raise ValueError(f"{name} is {_quoted(text)}, not from 0 to 1")
        values[name] = value
    epoch = values["epoch"]
    if not 0 < epoch < 1 << 53 or epoch != int(epoch):
        raise ValueError(
            f"epoch is {_quoted(texts['epoch'])}, not an integer from 1 on"
        )
    values["epoch"] = int(epoch)
    return csv_line(texts[name] for name in columns), values


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        (cells,) = csv.reader([line], delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise ValueError(f"not CSV: {error}") from None
    return cells


def _get(record: Mapping[str, Any], name: str) -> Any:
    if name not in record:
        raise ValueError(f"no {name}")
    return record[name]


def _quoted(value: object) -> str:
    """Return a value as text, shortened if it is long."""
    text = ascii(value) if not isinstance(value, int) or abs(value) < 1e40 else "huge"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return str(error)[: 3 * _LONGEST]
