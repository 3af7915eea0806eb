#!/usr/bin/env bash
# Numba 0.68.1, fastmath=True: the same sum of the same numbers has different bits if the
# loop's other result is written in place.
#
# Expected: with fastmath LLVM may sum in an order of its own, but a compiled function
#   has one order: same numbers in, same bits out.
# Seen: a loop that sums and writes is compiled twice: once with SIMD and several partial
#   sums, and once number by number, for arrays that overlap in memory.  At each call the
#   addresses decide which of the two runs: `f(x, out)` and `f(x, x)` return different
#   sums.  Without fastmath they are equal.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
venv/bin/python - <<'PYTHON' || { echo "changed" >&2; exit 1; }
import sys

import numba
import numpy as np


def double_and_sum_squares(x, out):
    total = x.dtype.type(0)
    for i in range(len(x)):
        value = x[i]
        total += value * value
        out[i] = value + value
    return total


x = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
equal = []
for fastmath in (True, False):
    f = numba.njit(fastmath=fastmath)(double_and_sum_squares)
    itself = x.copy()
    apart, in_place = f(x, np.empty_like(x)), f(itself, itself)
    equal.append(apart == in_place)
    print(f"fastmath={fastmath}: apart {apart:.10g}, in place {in_place:.10g}")
sys.exit(equal != [False, True])
PYTHON
