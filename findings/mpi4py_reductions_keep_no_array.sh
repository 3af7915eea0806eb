#!/usr/bin/env bash
# mpi4py 4.1.2: the request of a nonblocking reduction does not keep its arrays.
#
# Expected: arrays live as long as the request that reads and writes them, as with Isend,
#   Ibcast and Iallgather.
# Seen: Ireduce, Iallreduce and Iscan keep neither the sent array nor the one for the
#   result.  If nothing else keeps them, MPI writes into memory that is free: the process
#   ends by SIGSEGV, in a call that has nothing to do with it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 mpi4py==4.1.2 mpich==5.0.2
cat > kept.py <<'PYTHON'
import sys
import weakref

import numpy as np
from mpi4py import MPI


class Array(np.ndarray):
    """An array whose end a weak reference sees."""


requests, found = [], {}
for name in ("Isend", "Ibcast", "Iallgather", "Ireduce", "Iallreduce", "Iscan"):
    arrays = [np.zeros(4).view(Array) for _ in range(2)]
    if name in ("Isend", "Ibcast"):
        del arrays[1:]
    seen = [weakref.ref(array) for array in arrays]
    root = [0] if len(arrays) == 1 else []
    requests.append(getattr(MPI.COMM_SELF, name)(*arrays, *root))
    del arrays
    found[name] = [array() is not None for array in seen]
    print(name, "keeps", found[name])
lost = {name for name, kept in found.items() if not any(kept)}
sys.exit(lost != {"Ireduce", "Iallreduce", "Iscan"})
PYTHON
venv/bin/python kept.py || { echo "changed" >&2; exit 1; }
