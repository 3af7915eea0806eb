#!/usr/bin/env bash
# Numba 0.68.1: a loop that calls a helper with arrays is a hundred times slower than the
# same loop with the helper's lines in its place, once it is itself called in a loop.
#
# Expected: helpers are inlined, and references that are taken and given back around a
#   call are removed, as they are when the loop stands alone: the same speed.
# Seen: the pairs are left, two atomic operations for each array and call.  A branch in
#   the helper is enough for it.  The setting NUMBA_LLVM_REFPRUNE_PASS is on.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numba==0.68.1

cat > helpers.py <<'PY'
import sys
import time

import numba
import numpy as np


@numba.njit
def put(a, b, out, i):
    if i >= 0:
        value = a[i]
        if b.size > 0:
            value += b[i]
        out[i] = value


@numba.njit
def put_all(a, b, out, places):
    for i in range(len(places)):
        put(a, b, out, places[i])


@numba.njit
def with_helper(a, b, out, places, times):
    for _ in range(times):
        put_all(a, b, out, places)


@numba.njit
def written_out(a, b, out, places, times):
    for _ in range(times):
        for i in range(len(places)):
            place = places[i]
            if place >= 0:
                value = a[place]
                if b.size > 0:
                    value += b[place]
                out[place] = value


a, b, out = np.ones(4096), np.ones(4096), np.zeros(4096)
places, times = np.arange(0, 4096, 256), 20_000
seconds = {}
for function in (written_out, with_helper):
    function(a, b, out, places, 1)
    runs = []
    for _ in range(5):
        start = time.perf_counter()
        function(a, b, out, places, times)
        runs.append(time.perf_counter() - start)
    seconds[function.__name__] = 1e9 * min(runs) / (times * len(places))
    counts = next(iter(function.inspect_llvm().values())).count("call void @NRT_incref")
    print(f"{function.__name__}: {seconds[function.__name__]:.1f} ns an element, "
          f"references are taken at {counts} places")
ratio = seconds["with_helper"] / seconds["written_out"]
print(f"numba {numba.__version__}, numpy {np.__version__}: {ratio:.0f} times as long")
sys.exit(0 if ratio > 10 else "changed: no longer slow")
PY
venv/bin/python helpers.py
