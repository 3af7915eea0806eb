#!/usr/bin/env bash
# Numba 0.68.1 keeps unoptimised code for later runs that want it optimised.
#
# Expected: compiled functions that `cache=True` keeps on disk are used again only if
#   they would be compiled in the same way.  A run with NUMBA_OPT=0 (for debugging, say)
#   keeps code of its own.
# Seen: the key of the cache has the CPU, but no setting of the compiler.  After one run
#   with NUMBA_OPT=0, all later runs without it load its code without a warning, and are
#   some 80 times slower.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
export NUMBA_CACHE_DIR=$work/cache

cat > kernel.py <<'PYTHON'
import time
import numba
import numpy as np


@numba.njit(cache=True)
def scale_add(x, y):
    for i in range(x.size):
        y[i] += 3 * x[i]


x, y = np.ones(10_000, np.float32), np.ones(10_000, np.float32)
scale_add(x, y)
times = []
for _ in range(200):
    started = time.perf_counter()
    scale_add(x, y)
    times.append(time.perf_counter() - started)
loaded = sum(scale_add.stats.cache_hits.values())
print(f"{1e6 * min(times):.2f} {loaded}")
PYTHON

measure() { env "$@" venv/bin/python kernel.py; }
read -r slow _ < <(measure NUMBA_OPT=0)
read -r stale loaded < <(measure NUMBA_OPT=3)
rm -rf "$NUMBA_CACHE_DIR"
read -r fresh _ < <(measure NUMBA_OPT=3)
echo "10,000 numbers: $slow us with NUMBA_OPT=0, then $stale us with NUMBA_OPT=3" \
    "(functions loaded: $loaded), $fresh us once the cache was deleted"
venv/bin/python - "$stale" "$fresh" "$loaded" <<'PYTHON' || { echo "changed" >&2; exit 1; }
import sys
stale, fresh, loaded = map(float, sys.argv[1:])
sys.exit(not (loaded == 1 and stale > 3 * fresh))
PYTHON
