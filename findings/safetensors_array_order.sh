#!/usr/bin/env bash
# safetensors 0.8.0: NumPy arrays that are not in C order come back in the wrong order.
#
# Expected: save_file and load_file of safetensors.numpy give an array back as it was,
#   whatever its strides, or refuse it.
# Seen: the bytes are written in the order in which they are in memory, but the shape is
#   not changed.  A transposed array, and every image batch in channels-last memory, comes
#   back with the right shape and its numbers in the wrong places.  With 0.7.0 they came
#   back right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > try.py <<'PYTHON'
import sys

import numpy as np
from safetensors import __version__
from safetensors.numpy import load_file, save_file

images = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 4, 5, 3)
x = images.transpose(0, 3, 1, 2)  # (N, C, H, W) in channels-last memory
save_file({"x": x}, "x.safetensors")
back = load_file("x.safetensors")["x"]
wrong = int((back != x).sum())
print(f"safetensors {__version__}: shape {back.shape}, {wrong} of {x.size} wrong")
sys.exit(not back.shape == x.shape or (wrong > 0) != (sys.argv[1] == "scrambled"))
PYTHON
for version in 0.8.0:scrambled 0.7.0:right; do
    python3 -m venv --clear venv
    venv/bin/pip install --quiet --disable-pip-version-check \
        "safetensors==${version%:*}" numpy==2.4.6
    venv/bin/python try.py "${version#*:}" || { echo "changed" >&2; exit 1; }
done
