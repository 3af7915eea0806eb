"""Write ops.npz: what PyTorch makes of the cases in odyssey/op_specs.py, in float64.

Needs PyTorch (2.13 was used); the tests only read the file.  Run from the project's
root after a change of cases:

    PYTHONPATH=.:tests python tests/golden/make_golden_ops.py
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from golden_cases import golden_cases

from odyssey import reference
from odyssey.op_specs import OPS

PATH = Path(__file__).with_name("ops.npz")


def batch_norm2d(x, gamma, beta, mean, var, training=True, momentum=0.1, eps=1e-5):
    mean, var = mean.detach().clone(), var.detach().clone()
    out = F.batch_norm(x, mean, var, gamma, beta, training, momentum, eps)
    return out, mean, var


def cross_entropy(logits, labels, label_smoothing=0.0):
    if not labels.is_floating_point():
        labels = labels.long()
    return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)


def golden_op(spec, case):
    """Inputs, upstream gradient, results and gradients of one case."""
    inputs = case.make()
    grad_output = spec.grad_output(reference, inputs, case.options)
    tensors = [torch.from_numpy(np.array(x)) for x in inputs]
    wanted = tensors[: spec.num_grads]
    for tensor in wanted:
        tensor.requires_grad_()
    results = eval(spec.pytorch)(*tensors, **case.options)
    results = results if isinstance(results, tuple) else (results,)
    upstream = torch.as_tensor(grad_output, dtype=torch.float64)
    grads = torch.autograd.grad(results[0], wanted, upstream)

    yield "grad_output", grad_output
    for kind, arrays in (("input", inputs), ("result", results), ("grad", grads)):
        for i, array in enumerate(arrays):
            array = array.detach().numpy() if torch.is_tensor(array) else array
            yield f"{kind}{i}", array


def golden_sgd(nesterov):
    """Four steps with a falling learning rate, weight decay and momentum."""
    rng = np.random.default_rng(40)
    lrs = np.array([0.1, 0.1, 0.02, 0.004])
    param = torch.nn.Parameter(torch.from_numpy(rng.standard_normal((3, 4))))
    yield "lrs", lrs
    yield "start", param.detach().numpy().copy()
    optimizer = torch.optim.SGD(
        [param], lr=1.0, momentum=0.9, weight_decay=0.05, nesterov=nesterov
    )
    for step, lr in enumerate(lrs):
        grad = rng.standard_normal((3, 4))
        optimizer.param_groups[0]["lr"] = float(lr)
        param.grad = torch.from_numpy(grad.copy())
        optimizer.step()
        velocity = optimizer.state[param]["momentum_buffer"]
        yield f"grad{step}", grad
        yield f"param{step}", param.detach().numpy().copy()
        yield f"velocity{step}", velocity.numpy().copy()


def golden_clip(max_norm):
    rng = np.random.default_rng(41)
    arrays = [rng.standard_normal(shape) for shape in [(3, 4), (5,), ()]]
    tensors = [torch.nn.Parameter(torch.zeros(np.shape(a))) for a in arrays]
    tensors = [torch.nn.Parameter(t.detach().double()) for t in tensors]
    for tensor, array in zip(tensors, arrays, strict=True):
        tensor.grad = torch.tensor(array, dtype=torch.float64)
    norm = torch.nn.utils.clip_grad_norm_(tensors, max_norm)
    yield "max_norm", max_norm
    yield "norm", norm.numpy()
    for i, (tensor, array) in enumerate(zip(tensors, arrays, strict=True)):
        yield f"grad{i}", np.asarray(array)
        yield f"clipped{i}", tensor.grad.numpy()


def main():
    groups = {f"{s.name}/{c.label}": golden_op(s, c) for s, c in golden_cases(OPS)}
    groups["sgd/plain"] = golden_sgd(nesterov=False)
    groups["sgd/nesterov"] = golden_sgd(nesterov=True)
    groups["clip/scaled"] = golden_clip(1.5)
    groups["clip/left alone"] = golden_clip(150.0)
    arrays = {
        f"{group}/{name}": np.asarray(value)
        for group, values in groups.items()
        for name, value in values
    }
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH}: {len(arrays)} arrays, {PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
