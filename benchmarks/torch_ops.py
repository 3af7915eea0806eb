"""PyTorch's operations at the shapes of ResNet-18, as tasks to time.

Backwards run through autograd on a graph that is kept.  Where the comparison asks for
one gradient at a time, PyTorch is asked for this one alone, and computes no other.
"""

import op_cases
import torch
from measuring import Task
from op_cases import LR, MOMENTUM
from torch.nn import functional as F

_layout = torch.contiguous_format


def prepare(job: str, contender: str, batch: int, threads: int) -> dict[str, Task]:
    """Return the tasks of one of ``op_cases.JOBS``, in the contender's layout."""
    global _layout
    torch.set_num_threads(threads)
    if contender == "pytorch-channels-last":
        _layout = torch.channels_last
    if conv := op_cases.conv_named(job):
        return _conv(conv, batch)
    return _SMALL_OPS[job](batch)


def _tensor(array, needs_grad=False):
    tensor = torch.tensor(array)
    if tensor.ndim == 4:
        tensor = tensor.contiguous(memory_format=_layout)
    return tensor.requires_grad_(needs_grad)


def _forward(name, function):
    @torch.no_grad()
    def run():
        return function()

    return Task(run, lambda out: {name: out.numpy()})


def _backward(out, grad_output, **wanted):
    """Return the task that computes the gradients of ``out`` for some tensors."""

    def run():
        return torch.autograd.grad(
            out, tuple(wanted.values()), grad_output, retain_graph=True
        )

    return Task(
        run,
        lambda grads: {
            name: grad.numpy() for name, grad in zip(wanted, grads, strict=True)
        },
    )


def _conv(conv, batch):
    given = op_cases.conv_inputs(conv, batch)
    x, kernel = _tensor(given["x"], True), _tensor(given["kernel"], True)
    grad_output = _tensor(given["grad_output"])

    def forward():
        return F.conv2d(x, kernel, None, conv.stride, conv.padding)

    out = forward()
    return {
        f"{conv.name}: forward": _forward("out", forward),
        f"{conv.name}: grad_input": _backward(out, grad_output, grad_input=x),
        f"{conv.name}: grad_kernel": _backward(out, grad_output, grad_kernel=kernel),
    }


def _every_stage(name, make, **options):
    """Return a function that makes the tasks of all stages, ``make`` those of one."""

    def tasks(batch):
        return {
            f"{name}, {C} channels, {H}x{H}: {part}": task
            for C, H in op_cases.STAGES
            for part, task in make(
                **op_cases.stage_inputs(batch, C, H), **options
            ).items()
        }

    return tasks


def _batch_norm(
    x, other, grad_output, gamma, beta, running_mean, running_var, fused=()
):
    x, gamma, beta = (_tensor(array, True) for array in (x, gamma, beta))
    other, grad_output = _tensor(other), _tensor(grad_output)
    statistics = _tensor(running_mean), _tensor(running_var)

    def forward():
        out = F.batch_norm(x, *statistics, gamma, beta, training=True)
        if "add" in fused:
            out += other
        return F.relu(out, inplace=True) if "relu" in fused else out

    parts = {"forward": _forward("out", forward)}
    if "add" not in fused:
        wanted = {"grad_input": x, "grad_gamma": gamma, "grad_beta": beta}
        parts["backward"] = _backward(forward(), grad_output, **wanted)
    return parts


def _relu(x, grad_output, **_):
    x, grad_output = _tensor(x, True), _tensor(grad_output)
    return {
        "forward": _forward("out", lambda: F.relu(x)),
        "backward": _backward(F.relu(x), grad_output, grad_input=x),
    }


def _add(x, other, **_):
    x, other = _tensor(x), _tensor(other)
    return {"forward": _forward("out", lambda: x + other)}


def _average_pool(batch):
    given = op_cases.head_inputs(batch)
    x, grad_pooled = _tensor(given["x"], True), _tensor(given["grad_pooled"])

    def forward():
        return x.mean((2, 3), keepdim=True)

    return {
        "average pool: forward": _forward("out", forward),
        "average pool: backward": _backward(forward(), grad_pooled, grad_input=x),
    }


def _linear(batch):
    given = op_cases.head_inputs(batch)
    x, weights, bias = (
        _tensor(given[name], True) for name in ("features", "weights", "bias")
    )
    wanted = {"grad_input": x, "grad_weights": weights, "grad_bias": bias}
    grad_logits = _tensor(given["grad_logits"])
    return {
        "linear: forward": _forward("out", lambda: F.linear(x, weights, bias)),
        "linear: backward": _backward(
            F.linear(x, weights, bias), grad_logits, **wanted
        ),
    }


def _cross_entropy(batch):
    given = op_cases.head_inputs(batch)
    logits, labels = _tensor(given["logits"], True), _tensor(given["labels"])
    loss = F.cross_entropy(logits, labels)
    return {
        "cross entropy: forward": _forward(
            "loss", lambda: F.cross_entropy(logits, labels)
        ),
        "cross entropy: backward": _backward(loss, None, grad_input=logits),
    }


def _update(batch):
    arrays, grads = op_cases.update_inputs()
    params = [_tensor(array, True) for array in arrays]
    optimizer = torch.optim.SGD(params, lr=LR, momentum=MOMENTUM)
    for param, grad in zip(params, grads, strict=True):
        param.grad = _tensor(grad)

    return {
        "update of all parameters": Task(
            optimizer.step,
            lambda _: {
                f"parameter {i}": param.detach().numpy()
                for i, param in enumerate(params)
            },
        )
    }


_SMALL_OPS = {
    "batch norm": _every_stage("batch norm", _batch_norm),
    "batch norm, relu": _every_stage("batch norm, relu", _batch_norm, fused=("relu",)),
    "batch norm, add, relu": _every_stage(
        "batch norm, add, relu", _batch_norm, fused=("add", "relu")
    ),
    "relu": _every_stage("relu", _relu),
    "add": _every_stage("add", _add),
    "average pool": _average_pool,
    "linear": _linear,
    "cross entropy": _cross_entropy,
    "update": _update,
}
