"""The manifest of a folder of tensors: the list of its files, with checksums.

``manifest.json`` is one JSON object::

    {"format": "odyssey-hex", "version": 1, "kind": "weights", "model": "resnet18", ...,
     "manifest_sha256": "...",
     "tensors": {"fc_bias": {"file": "fc_bias.weights", "dtype": "float32",
                             "shape": [10], "bytes": 103, "sha256": "..."}, ...}}

The writer chooses the keys between ``kind`` and ``tensors``: the model and its options,
the step of a checkpoint.  ``manifest_sha256`` is the checksum of all other keys, as
``json.dumps(rest, sort_keys=True)`` writes them.  Manifests of earlier versions have no
checksum, and one that was edited by hand may leave it out; then the keys about the
model are not verified.  Older readers ignore the checksum, so ``version`` is still 1:
it grows only if an older reader would read something wrong.

A manifest may come from anywhere, so everything in it is checked before it is used, and
no name in it can lead out of its folder.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from odyssey.weights.changed_files import HEAD_BYTES, changed_how
from odyssey.weights.files import WeightsError, file_size
from odyssey.weights.hexfile import DTYPES, MAX_NDIM
from odyssey.weights.strict_json import parse_json

MANIFEST = "manifest.json"
SUFFIX = ".weights"
FORMAT = "odyssey-hex"
VERSION = 1
RESERVED = ("format", "version", "kind", "tensors")
CHECKSUM = "manifest_sha256"
MAX_BYTES = 64 << 20
_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,120}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


def check_names(names: Iterable[Any], where: str) -> None:
    """Raise ``WeightsError`` unless the names can be file names on every system."""
    by_lower_case: dict[str, str] = {}
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise WeightsError(
                f"{where}: tensor name {ascii(name)[:200]} must be 1 to 120 of the "
                "characters A-Z a-z 0-9 . _ - and not begin with a dot"
            )
        twin = by_lower_case.setdefault(name.lower(), name)
        if twin != name:
            raise WeightsError(
                f"{where}: tensor names {twin!r} and {name!r} differ only in case"
            )


def encode_manifest(
    kind: str, header: Mapping[str, Any], tensors: Mapping[str, dict]
) -> bytes:
    """Return the text of a manifest; ``header`` holds the writer's own keys.

    Raises
    ------
    TypeError, ValueError, RecursionError
        If JSON cannot represent ``header``, such as the keys 1 and "1" in one mapping,
        or the text is too long to be read.
    """
    manifest = {"format": FORMAT, "version": VERSION, "kind": kind, **header}
    # The digest is of what a reader gets: JSON has only text as keys, and no tuples.
    found = parse_json(_json({**manifest, "tensors": dict(tensors)}))
    manifest[CHECKSUM] = _digest(found)  # header may hold that of another manifest
    data = _json({**manifest, "tensors": dict(tensors)})
    if len(data) > MAX_BYTES:
        raise ValueError(f"a manifest of {len(data)} bytes, over {MAX_BYTES}")
    return data


def read_manifest_bytes(path: Path) -> bytes:
    """Return the content of a manifest file; refuse one that is too large."""
    if file_size(path) > MAX_BYTES:
        raise WeightsError(f"{path}: damaged manifest: over {MAX_BYTES} bytes")
    return path.read_bytes()


def decode_manifest(data: bytes, path: Path) -> dict[str, Any]:
    """Return the manifest that ``data`` holds, checked.

    Raises
    ------
    WeightsError
        If it is damaged; names the file ``path`` and the reason.
    """
    try:
        manifest = parse_json(data)
    except ValueError as error:
        # JSON allows any line ends, so they are not the reason.
        reason = changed_how(data[:HEAD_BYTES].replace(b"\r\n", b"\n")) or error
        raise WeightsError(f"{path}: damaged manifest: {reason}") from None

    def check(condition: bool, reason: str) -> None:
        if not condition:
            raise WeightsError(f"{path}: damaged manifest: {reason}")

    check(isinstance(manifest, dict), "not a JSON object")
    check(manifest.get("format") == FORMAT, f'"format" is not "{FORMAT}"')
    version = manifest.get("version")
    check(_is_count(version), '"version" is not a number')
    check(version == VERSION, f'"version" is {version}, this program reads {VERSION}')
    kind, tensors = manifest.get("kind"), manifest.get("tensors")
    check(isinstance(kind, str) and bool(_NAME.fullmatch(kind)), '"kind" is no word')
    check(isinstance(tensors, dict), '"tensors" is not an object')
    check(len(tensors) > 0, '"tensors" is empty')  # an empty set is never written
    check_names(tensors, f"{path}: damaged manifest")
    for name, entry in tensors.items():
        check(isinstance(entry, dict), f"{name}: not an object")
        keys = {"file", "dtype", "shape", "bytes", "sha256"}
        check(set(entry) == keys, f"{name}: must have just {', '.join(sorted(keys))}")
        file, dtype, shape = entry["file"], entry["dtype"], entry["shape"]
        check(file == name + SUFFIX, f'{name}: "file" is not {name + SUFFIX}')
        check(isinstance(dtype, str) and dtype in DTYPES, f'{name}: unknown "dtype"')
        check(
            isinstance(shape, list)
            and len(shape) <= MAX_NDIM
            and all(_is_count(dim) for dim in shape),
            f'{name}: "shape" is not a list of dimensions',
        )
        check(_is_count(entry["bytes"]), f'{name}: "bytes" is not a number of bytes')
        check(
            isinstance(entry["sha256"], str)
            and bool(_SHA256.fullmatch(entry["sha256"])),
            f'{name}: "sha256" is not 64 hex digits',
        )
    if CHECKSUM in manifest:
        try:
            same = manifest[CHECKSUM] == _digest(manifest)
        except RecursionError:  # nested too deeply to be one of ours
            same = False
        check(same, f'its contents changed, "{CHECKSUM}" is not theirs')
    return manifest


def _json(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=1, allow_nan=False) + "\n").encode()


def _digest(manifest: Mapping[str, Any]) -> str:
    """Return the checksum of a manifest as it was read, without its own checksum."""
    rest = {key: value for key, value in manifest.items() if key != CHECKSUM}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0  # True and False are not counts
