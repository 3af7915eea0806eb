#!/usr/bin/env bash
# PyTorch 2.13.0: clip_grad_norm_ turns finite gradients into zeros, without a warning.
#
# Expected: gradients with a norm above the limit are scaled to that norm, whatever their
#   size; `error_if_nonfinite=True` is for NaN and Inf in the gradients.
# Seen: the norm is the root of a float32 sum of squares, which is Inf for gradients above
#   2e19.  The factor is limit / Inf = 0, so the gradients become zero, as if training had
#   converged.  With error_if_nonfinite=True they are refused as not finite, although all
#   of them are finite.
#
# On Linux PyPI's own wheel comes with CUDA; PIP_FIND_LINKS or PIP_EXTRA_INDEX_URL can name
# a place with the wheel for CPUs.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
venv/bin/python -W error - <<'PYTHON' || { echo "changed" >&2; exit 1; }
import sys

import torch

clip = torch.nn.utils.clip_grad_norm_
kept = []
for size in (1e18, 1e20):
    parameter = torch.zeros(2, requires_grad=True)
    parameter.grad = torch.tensor([3 * size, 4 * size])
    norm = clip([parameter], max_norm=1.0)
    kept.append(parameter.grad.tolist())
    print(f"gradient ({3 * size:g}, {4 * size:g}): norm {norm:g}, becomes {kept[-1]}")
parameter.grad = torch.tensor([3e20, 4e20])
try:
    clip([parameter], max_norm=1.0, error_if_nonfinite=True)
    refused = False
except RuntimeError as error:
    refused = True
    print(f"error_if_nonfinite=True: {error}")
small, large = kept
sys.exit(not (abs(small[0] - 0.6) < 1e-6 and large == [0.0, 0.0] and refused))
PYTHON
