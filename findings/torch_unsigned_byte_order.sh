#!/usr/bin/env bash
# PyTorch 2.13.0, torch.load: of a file from a machine of the other byte order, numbers of
# uint16, uint32 and uint64 come back with their bytes in the wrong order, without a word;
# those of all other types come back right.
#
# Expected: each file says its byte order in a record, "byteorder", and torch.load swaps the
#   bytes where it is not the machine's: 7 stays 7.
# Seen: 7 becomes 1792 as uint16. The storages of these types are untyped, torch.load takes
#   them for bytes, and of single bytes there is nothing to swap. No such machine is needed:
#   the script writes the file that it would write, the same but for the order of the bytes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PY'
import io
import sys
import zipfile

import torch

other = {"little": b"big", "big": b"little"}[sys.byteorder]


def from_other_machine(tensor):
    """Return the file that a machine of the other byte order writes for a tensor."""
    own, file = io.BytesIO(), io.BytesIO()
    torch.save(tensor, own)
    size = tensor.element_size()
    with zipfile.ZipFile(own) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            raw = old.read(name)
            if name.endswith("/byteorder"):
                raw = other
            if name.endswith("/data/0"):
                raw = b"".join(raw[i : i + size][::-1] for i in range(0, len(raw), size))
            new.writestr(name, raw)
    file.seek(0)
    return file


wrong = []
for dtype in ("float16", "bfloat16", "float32", "float64", "int16", "int32", "int64",
              "uint16", "uint32", "uint64"):
    tensor = torch.tensor([1, 7]).to(getattr(torch, dtype))
    loaded = torch.load(from_other_machine(tensor), weights_only=True)
    print(f"{dtype:9} {tensor.tolist()} is loaded as {loaded.tolist()}")
    if loaded.tolist() != tensor.tolist():
        wrong.append(dtype)
assert wrong == ["uint16", "uint32", "uint64"], wrong
print("as described")
PY
