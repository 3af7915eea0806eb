#!/usr/bin/env bash
# NumPy 2.4.6: np.histogram refuses finite float32 arrays whose numbers are close together.
#
# Expected: there is a histogram of any finite numbers; equal numbers get a range of 1
#   around them.
# Seen: the edges are computed in the dtype of the array.  If there are fewer float32
#   numbers than bins between minimum and maximum, it raises a ValueError.  This happens,
#   for example, to weights that all began as one number and were changed by one tiny
#   update.  The same numbers in float64 are accepted.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6
venv/bin/python - <<'PYTHON' || { echo "changed" >&2; exit 1; }
import sys

import numpy as np

gamma = np.ones(64, np.float32)
equal, _ = np.histogram(gamma, 64)
gamma -= np.float32(1e-6) * np.random.default_rng(0).random(64).astype(np.float32)
print(f"64 finite numbers from {gamma.min():.9g} to {gamma.max():.9g}")
in_double, _ = np.histogram(gamma.astype(np.float64), 64)
refused = False
try:
    np.histogram(gamma, 64)
except ValueError as error:
    refused = True
    print(f"ValueError: {error}")
sys.exit(not (equal.sum() == in_double.sum() == 64 and refused))
PYTHON
