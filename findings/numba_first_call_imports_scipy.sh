#!/usr/bin/env bash
# Numba 0.68.1 imports SciPy's linear algebra in every process, where it is installed.
#
# Expected: a function that is loaded from Numba's cache is ready at once.  SciPy is no
#   requirement of Numba; a function that has no linear algebra in it needs none of it.
# Seen: before the first function is compiled *or loaded from the cache*, Numba imports
#   its implementations of all of NumPy, and finds out whether there is a BLAS by importing
#   scipy.linalg.cython_blas.  That brings 85 modules of SciPy into the process, and takes
#   about as long as all else that the first call does.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
export NUMBA_CACHE_DIR=$work/cache

cat > first_call.py <<'PYTHON'
import sys
import time
import numba


@numba.njit(cache=True)
def increased(x):
    return x + 1


started = time.process_time()
increased(1)
took = time.process_time() - started
scipy = sum(name.partition(".")[0] == "scipy" for name in sys.modules)
print(f"{1000 * took:.0f} {scipy} {sum(increased.stats.cache_hits.values())}")
PYTHON

fastest() { for _ in 1 2 3 4 5 6; do venv/bin/python first_call.py; done | sort -n | head -n 1; }
fastest > /dev/null # compiles
read -r without none loaded < <(fastest)
venv/bin/pip install --quiet --disable-pip-version-check scipy==1.17.1
fastest > /dev/null # compiles SciPy's own modules to bytecode
read -r with some still_loaded < <(fastest)
echo "the first call of a function from the cache: $without ms of processor time;" \
    "$with ms where SciPy is installed, $some modules of which are imported"
venv/bin/python - "$without" "$with" "$none" "$some" "$loaded" "$still_loaded" <<'PYTHON' ||
import sys
without, with_scipy, none, some, loaded, still_loaded = map(int, sys.argv[1:])
sys.exit(not (none == 0 and some > 50 and loaded == still_loaded == 1
              and with_scipy > 1.3 * without))
PYTHON
    { echo "changed" >&2; exit 1; }
