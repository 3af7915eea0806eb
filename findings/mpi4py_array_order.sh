#!/usr/bin/env bash
# mpi4py 4.1.2: arrays of another memory order are sent as they lie, and mixed up.
#
# Expected: a Fortran-ordered array arrives as the same array, or is refused, as an array
#   with gaps is.
# Seen: nothing is said.  The numbers arrive in the order in which they lie in memory, in
#   an array of the other order: at other indices.  A sum over ranks adds numbers that do
#   not belong together.  Channels-last views, such as the gradients of this library, are
#   arrays of this kind.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 mpi4py==4.1.2 mpich==5.0.2
cat > order.py <<'PYTHON'
import sys

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
x = np.arange(6.0).reshape(2, 3)
mixed = []
for name, own in (("C", x), ("Fortran", np.asfortranarray(x))):
    total = np.empty((2, 3))
    comm.Allreduce(own if comm.rank == 0 else x, total)
    mixed.append(not np.array_equal(total, 2 * x))
    if comm.rank == 0:
        print(f"rank 0 sends {name} order: sums {total.tolist()}")
try:
    comm.Allreduce(x[:, ::2], np.empty((2, 2)))
except (ValueError, BufferError) as error:
    if comm.rank == 0:
        print("an array with gaps:", error)
if comm.rank == 0:
    sys.exit(mixed != [False, True])
PYTHON
venv/bin/mpiexec -n 2 venv/bin/python order.py || { echo "changed" >&2; exit 1; }
