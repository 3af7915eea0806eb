"""Write muon.npz: steps of PyTorch's Muon, for tests/test_muon.py.

Needs PyTorch (2.13 was used); the tests only read the file.  Run from the project's
root:

    python tests/golden/make_golden_muon.py

PyTorch computes the iteration in bfloat16.  Here the conversion to it is taken away, so
that the same code computes in float64.
"""

from pathlib import Path

import numpy as np
import torch

PATH = Path(__file__).with_name("muon.npz")
SHAPES = {"wide": (5, 8), "square": (6, 6), "tall": (8, 5)}
LRS = (0.1, 0.1, 0.02, 0.004)


def steps(shape, nesterov, ns_steps):
    """Four steps with a falling learning rate, weight decay and momentum."""
    rng = np.random.default_rng(44)
    param = torch.nn.Parameter(torch.from_numpy(rng.standard_normal(shape)))
    yield "start", param.detach().numpy().copy()
    optimizer = torch.optim.Muon(
        [param],
        lr=1.0,
        momentum=0.9,
        weight_decay=0.05,
        nesterov=nesterov,
        ns_steps=ns_steps,
    )
    for step, lr in enumerate(LRS):
        grad = rng.standard_normal(shape)
        optimizer.param_groups[0]["lr"] = lr
        param.grad = torch.from_numpy(grad.copy())
        optimizer.step()
        velocity = optimizer.state[param]["momentum_buffer"]
        yield f"grad{step}", grad
        yield f"param{step}", param.detach().numpy().copy()
        yield f"velocity{step}", velocity.numpy().copy()


def main():
    torch.Tensor.bfloat16 = torch.Tensor.clone
    arrays = {
        f"{label}/{nesterov}/{name}": value
        for label, shape in SHAPES.items()
        for nesterov, ns_steps in ((True, 5), (False, 3))
        for name, value in steps(shape, nesterov, ns_steps)
    }
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH}: {len(arrays)} arrays, {PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
