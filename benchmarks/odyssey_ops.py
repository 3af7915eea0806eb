"""Odyssey's operations at the shapes of ResNet-18, as tasks to time."""

import numba
import numpy as np
import op_cases
from measuring import Task
from op_cases import LR, MOMENTUM

from odyssey.ops.activation import relu, relu_backward
from odyssey.ops.addition import add
from odyssey.ops.batch_norm import batch_norm2d, batch_norm2d_backward
from odyssey.ops.conv import conv2d, conv2d_backward
from odyssey.ops.linear import linear, linear_backward
from odyssey.ops.loss import cross_entropy, cross_entropy_backward
from odyssey.ops.pooling import global_avgpool2d, global_avgpool2d_backward
from odyssey.optim import sgd_momentum_update_inplace


def prepare(job: str, contender: str, batch: int, threads: int) -> dict[str, Task]:
    """Return the tasks of one of ``op_cases.JOBS``."""
    numba.set_num_threads(threads)
    if conv := op_cases.conv_named(job):
        return _conv(conv, batch)
    return _SMALL_OPS[job](batch)


def _task(run, *names):
    """Return a task whose first results have these names."""

    def results(done):
        arrays = done if isinstance(done, tuple) else (done,)
        return dict(zip(names, map(np.asarray, arrays), strict=False))

    return Task(run, results)


def _conv(conv, batch):
    x, kernel, grad_output = op_cases.conv_inputs(conv, batch).values()
    sizes = conv.stride, conv.padding

    def both():
        return conv2d_backward(grad_output, x, kernel, *sizes)

    def kernel_only():
        return conv2d_backward(grad_output, x, kernel, *sizes, needs_grad_input=False)

    return {
        f"{conv.name}: forward": _task(lambda: conv2d(x, kernel, None, *sizes), "out"),
        f"{conv.name}: grad_input": Task(
            both, lambda done: {"grad_input": done[0]}, minus=kernel_only
        ),
        f"{conv.name}: grad_kernel": Task(
            kernel_only, lambda done: {"grad_kernel": done[1]}
        ),
    }


def _every_stage(name, make):
    """Return a function that makes the tasks of all stages, ``make`` those of one."""

    def tasks(batch):
        return {
            f"{name}, {C} channels, {H}x{H}: {part}": task
            for C, H in op_cases.STAGES
            for part, task in make(**op_cases.stage_inputs(batch, C, H)).items()
        }

    return tasks


def _batch_norm(x, other, grad_output, fused=(), **statistics):
    vectors = tuple(statistics.values())
    passes = {"relu": True} if "relu" in fused else {}
    added = {"addend": other} if "add" in fused else {}
    parts = {
        "forward": _task(lambda: batch_norm2d(x, *vectors, **passes, **added), "out")
    }
    if not added:  # else relu's backward and then the plain one, both timed apart
        parts["backward"] = _task(
            lambda: batch_norm2d_backward(grad_output, x, *vectors, **passes),
            "grad_input",
            "grad_gamma",
            "grad_beta",
        )
    return parts


def _relu(x, grad_output, **_):
    return {
        "forward": _task(lambda: relu(x), "out"),
        "backward": _task(lambda: relu_backward(grad_output, x), "grad_input"),
    }


def _add(x, other, **_):
    return {"forward": _task(lambda: add(x, other), "out")}


def _average_pool(batch):
    given = op_cases.head_inputs(batch)
    x, grad_pooled = given["x"], given["grad_pooled"]
    return {
        "average pool: forward": _task(lambda: global_avgpool2d(x), "out"),
        "average pool: backward": _task(
            lambda: global_avgpool2d_backward(grad_pooled, x), "grad_input"
        ),
    }


def _linear(batch):
    given = op_cases.head_inputs(batch)
    x, weights, bias = (given[name] for name in ("features", "weights", "bias"))
    grad_logits = given["grad_logits"]
    return {
        "linear: forward": _task(lambda: linear(x, weights, bias), "out"),
        "linear: backward": _task(
            lambda: linear_backward(grad_logits, x, weights),
            "grad_input",
            "grad_weights",
            "grad_bias",
        ),
    }


def _cross_entropy(batch):
    given = op_cases.head_inputs(batch)
    logits, labels = given["logits"], given["labels"]
    return {
        "cross entropy: forward": _task(lambda: cross_entropy(logits, labels), "loss"),
        "cross entropy: backward": _task(
            lambda: cross_entropy_backward(1.0, logits, labels), "grad_input"
        ),
    }


def _update(batch):
    params, grads = op_cases.update_inputs()
    velocities = [np.zeros_like(param) for param in params]

    def update():
        for param, grad, velocity in zip(params, grads, velocities, strict=True):
            sgd_momentum_update_inplace(param, grad, velocity, LR, MOMENTUM)

    return {
        "update of all parameters": Task(
            update, lambda _: {f"parameter {i}": p for i, p in enumerate(params)}
        )
    }


_SMALL_OPS = {
    "batch norm": _every_stage("batch norm", _batch_norm),
    "batch norm, relu": _every_stage(
        "batch norm, relu", lambda **given: _batch_norm(**given, fused=("relu",))
    ),
    "batch norm, add, relu": _every_stage(
        "batch norm, add, relu",
        lambda **given: _batch_norm(**given, fused=("add", "relu")),
    ),
    "relu": _every_stage("relu", _relu),
    "add": _every_stage("add", _add),
    "average pool": _average_pool,
    "linear": _linear,
    "cross entropy": _cross_entropy,
    "update": _update,
}
