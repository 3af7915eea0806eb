#!/usr/bin/env bash
# PyTorch 2.13.0 on a CPU: the mean of batch norm is some 90 times less exact for
# channels-last tensors than for the same numbers in the default layout.
#
# Expected: the memory layout changes the speed only; both means are as exact as float32
#   allows.
# Seen: in the default layout the error of the mean is 6e-8.  In channels-last, where the
#   sum is a simple running sum in float32, it is 5e-6 (mean 1, deviation 1, 131,072
#   numbers in each channel).  A constant 1e4, which batch norm should turn into 0, becomes
#   0.03 in the default layout and 1 in the other.
#
# On Linux PyPI's own wheel comes with CUDA; PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL can name
# a place with the wheel for CPUs.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'PYTHON' || { echo "changed" >&2; exit 1; }
import sys

import torch

torch.manual_seed(0)
torch.set_num_threads(1)
x = 1 + torch.randn(128, 8, 32, 32)
right = x.double().mean((0, 2, 3))
errors = {}
for layout in (torch.contiguous_format, torch.channels_last):
    mean, var = torch.zeros(8), torch.ones(8)
    given = x.contiguous(memory_format=layout)
    torch.nn.functional.batch_norm(given, mean, var, training=True, momentum=1.0)
    errors[layout] = (mean - right).abs().max().item()
    constant = torch.full((128, 4, 32, 32), 1e4).contiguous(memory_format=layout)
    out = torch.nn.functional.batch_norm(constant, None, None, training=True)
    print(
        f"{layout}: mean off by {errors[layout]:.1e}, "
        f"a constant image off by {out.abs().max().item():.2g}"
    )
default, channels_last = errors.values()
sys.exit(not channels_last > 20 * default)
PYTHON
