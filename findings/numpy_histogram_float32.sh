#!/usr/bin/env bash
# NumPy 2.4.6: np.histogram refuses finite float32 arrays whose numbers lie close together.
#
# Expected: a histogram of finite numbers can always be drawn; equal numbers get a range
#   of 1 around them.
# Seen: edges are computed in the dtype of the array.  Where fewer float32 numbers than
#   bins lie between minimum and maximum there is a ValueError, for weights that were all
#   set to one number and moved by one tiny update, say.  The same numbers in float64
#   pass.
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
