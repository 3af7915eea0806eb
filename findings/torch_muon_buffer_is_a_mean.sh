#!/usr/bin/env bash
# PyTorch 2.13.0, torch.optim.Muon: the momentum buffer is a running mean of gradients, not
# the running sum that the documentation's formula gives and that torch.optim.SGD keeps.
#
# Expected: B = momentum * B + gradient, as the class's documentation writes it: after one
#   step the buffer is the gradient, after many equal gradients g it nears g / (1 - momentum).
# Seen: the buffer is (1 - momentum) times that: after one step 0.05 g with momentum 0.95.
#   The step does not show it, because orthogonalising takes the scale away; a momentum
#   buffer that is moved to or from another implementation of Muon is off by a factor of 20.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    torch==2.13.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PY'
import torch

momentum, gradient = 0.95, torch.tensor([[3.0, -1.0], [2.0, 5.0]])
buffers = {}
for kind, options in (("SGD", {}), ("Muon", {"weight_decay": 0.0})):
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = getattr(torch.optim, kind)([weight], lr=0.1, momentum=momentum, **options)
    ratios = []
    for _ in range(3):
        weight.grad = gradient.clone()
        optimizer.step()
        buffer = optimizer.state[weight]["momentum_buffer"]
        ratio = buffer / gradient
        assert torch.allclose(ratio, ratio[0, 0].expand(2, 2), rtol=1e-5)
        ratios.append(ratio[0, 0].item())
    buffers[kind] = ratios
    print(f"{kind:4} buffer / gradient after steps 1, 2, 3: "
          + ", ".join(f"{ratio:.4f}" for ratio in ratios))

sums = [1.0, 1.0 + momentum, 1.0 + momentum + momentum**2]
close = lambda seen, wanted: all(abs(s - w) < 1e-4 for s, w in zip(seen, wanted))
assert close(buffers["SGD"], sums), buffers
assert close(buffers["Muon"], [(1 - momentum) * s for s in sums]), buffers
assert "mu B_{t-1} + g_t" in torch.optim.Muon.__doc__, torch.optim.Muon.__doc__
print("as described")
PY
