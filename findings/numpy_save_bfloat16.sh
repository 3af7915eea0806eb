#!/usr/bin/env bash
# NumPy 2.4.6, ml_dtypes 0.6.0: np.save stores bfloat16 and float8 as raw bytes.
#
# Expected: np.load gives the array back, or np.save refuses it.
# Seen: nothing is said.  The dtype in the file is "V2" or "V1", and the array comes back
#   as pieces of two bytes or one, which cannot be added or compared with a number.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6 ml_dtypes==0.6.0
venv/bin/python - <<'PYTHON' || { echo "changed" >&2; exit 1; }
import sys

import ml_dtypes
import numpy as np

lost = True
for dtype, raw in ((ml_dtypes.bfloat16, "V2"), (ml_dtypes.float8_e4m3fn, "V1")):
    x = np.array([1, 2.5], dtype)
    np.save("x.npy", x)
    back = np.load("x.npy")
    print(f"{x.dtype} [1, 2.5] comes back as {back.dtype}: {back}")
    lost &= back.dtype == np.dtype(raw)
sys.exit(not lost)
PYTHON
