#!/usr/bin/env bash
# Numba 0.68.1 (LLVM 22): the same loop, for the same AVX-512 instructions, is compiled to
# vectors of 512 bits for AMD's server processors and of 256 bits for Intel's.
#
# Expected: on a processor with AVX-512, loops over float32 use 512-bit vectors; the list
#   of the processor's features decides.
# Seen: its name decides.  LLVM's tuning prefers 256 bits for skylake-avx512,
#   icelake-server, sapphirerapids and graniterapids, but not for znver4 and znver5.  With
#   the same features the code differs.  The results do not differ, if nothing is summed
#   across lanes.
#
# The code is compiled, not run, so any x86-64 machine will do.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
cat > compile.py <<'PYTHON'
import sys

import numba


def add_square(x, y):
    for i in range(len(x)):
        y[i] += x[i] * x[i]


kernel = numba.njit("void(float32[::1], float32[::1])")(add_square)
assembly = "".join(kernel.inspect_asm().values())
zmm, ymm = assembly.count("%zmm"), assembly.count("%ymm")
print(f"{numba.config.CPU_NAME}: {zmm} uses of 512-bit registers, {ymm} of 256-bit")
sys.exit(not (zmm > 0 if sys.argv[1] == "512" else zmm == 0 and ymm > 0))
PYTHON
export NUMBA_CPU_FEATURES=+avx,+avx2,+fma,+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl
for expected in skylake-avx512:256 icelake-server:256 sapphirerapids:256 \
    graniterapids:256 znver4:512 znver5:512; do
    NUMBA_CPU_NAME=${expected%:*} venv/bin/python compile.py "${expected#*:}" ||
        { echo "changed" >&2; exit 1; }
done
