"""Write bfloat16.npz: what PyTorch makes of some cases of the operations in bfloat16.

The cases are those of golden_cases.py.  Needs PyTorch (2.14 was used) and ml_dtypes;
the tests only read the file, in which bfloat16 numbers are kept as uint16.  Run from
the project's root after a change of cases:

    PYTHONPATH=.:tests python tests/golden/make_golden_bfloat16.py
"""

from pathlib import Path

import ml_dtypes
import numpy as np
import torch
import torch.nn.functional as F
from golden_cases import BFLOAT16_GOLDENS

from odyssey import reference

PATH = Path(__file__).with_name("bfloat16.npz")


def batch_norm2d(x, gamma, beta, mean, var):
    mean, var = mean.detach().clone(), var.detach().clone()
    out = F.batch_norm(x, mean, var, gamma, beta, True, 0.1, 1e-5)
    return out, mean, var


def tensor(array):
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


def bits(array):
    if not torch.is_tensor(array):
        array = tensor(array)
    array = array.detach()
    if array.dtype == torch.bfloat16:
        return array.view(torch.int16).numpy().view(np.uint16)
    return array.numpy()


def golden_op(spec, case):
    """Inputs, upstream gradient, results and gradients of one case."""
    # PyTorch wants convolutions in one dtype, and batch norm's parameters in float32
    parameters = np.float32 if spec.name == "batch_norm2d" else ml_dtypes.bfloat16
    inputs = [
        x.astype(ml_dtypes.bfloat16 if i in spec.batched else parameters)
        for i, x in enumerate(case.make())
    ]
    grad_output = spec.grad_output(reference, inputs, case.options)
    tensors = [tensor(x) for x in inputs]
    wanted = tensors[: spec.num_grads]
    for array in wanted:
        array.requires_grad_()
    results = eval(spec.pytorch)(*tensors, **case.options)
    results = results if isinstance(results, tuple) else (results,)
    grads = torch.autograd.grad(results[0], wanted, tensor(grad_output))
    yield "grad_output", bits(grad_output)
    for kind, arrays in (("input", inputs), ("result", results), ("grad", grads)):
        for i, array in enumerate(arrays):
            yield f"{kind}{i}", bits(array)


def main():
    arrays = {
        f"{spec.name}/{case.label}/{name}": value
        for spec, case in BFLOAT16_GOLDENS
        for name, value in golden_op(spec, case)
    }
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH}: {len(arrays)} arrays, {PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
