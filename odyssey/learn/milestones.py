"""Milestones: a network trained with the student's functions, then with the library's.

The same images, initial values and updates are used for both, so the losses must agree.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from odyssey.data.dataset import Dataset
from odyssey.learn import child, course, networks
from odyssey.learn.networks import LENET, LINEAR, RESNET8
from odyssey.learn.training import Milestone, Run, train

FIRST = ("relu", "linear", "softmax_cross_entropy")
CONVOLUTION = ("conv2d", "conv2d_grad_kernel", "conv2d_grad_input")
MILESTONES = {
    milestone.name: milestone
    for milestone in (
        Milestone("linear", LINEAR, FIRST, lr=0.002),
        Milestone("lenet", LENET, (*FIRST, *CONVOLUTION, "maxpool2d"), lr=0.003),
        Milestone(
            "resnet8",
            RESNET8,
            (
                *FIRST,
                *CONVOLUTION,
                "avgpool2d",
                "batch_norm2d",
                "batch_norm2d_backward",
                "residual_block",
                "he_normal",
                "sgd_momentum",
                "cosine_warmup",
            ),
            lr=0.02,
            own_update=True,
        ),
    )
}


def students_operations(folder: Path, milestone: Milestone) -> SimpleNamespace:
    """Return the functions of the student's files, as the networks call them."""
    found: dict[str, Any] = {}
    for name in milestone.needs:
        defined = child.load(folder, name)
        for function in course.load(name).functions:
            found[function.name] = defined[function.name]
    return completed(found)


def completed(found: dict[str, Any]) -> SimpleNamespace:
    """Return operations; the backward of convolution is put together of its parts."""
    if "conv2d_grad_kernel" in found:

        def conv2d_backward(
            grad_output: np.ndarray,
            x: np.ndarray,
            kernel: np.ndarray,
            stride: int = 1,
            padding: int = 0,
        ) -> tuple[Any, Any, Any]:
            call = (grad_output, x, kernel, stride, padding)
            grad_kernel, grad_bias = found["conv2d_grad_kernel"](*call)
            return found["conv2d_grad_input"](*call), grad_kernel, grad_bias

        found = {**found, "conv2d_backward": conv2d_backward}
    return SimpleNamespace(**found)


def library_operations(milestone: Milestone) -> SimpleNamespace:
    """Return the library's functions, as the networks call them.

    What the library does not have under that name is that of the exercise's solution.
    """
    import odyssey

    right: dict[str, Any] = {}
    for name in milestone.needs:
        right |= course.load(name).right()
    fast = {name: getattr(odyssey, name) for name in odyssey.__all__}
    ops = SimpleNamespace(**{**right, **fast})
    ops.residual_block = lambda *call, **options: networks.residual_block(
        ops, *call, **options
    )[0]
    ops.residual_block_backward = partial(networks.residual_block_backward, ops)
    return ops


def compare(
    milestone: Milestone,
    data: Dataset,
    yours: Run,
    after_step: Callable[[Run], None] = lambda run: None,
) -> Run:
    """Train the same with the library's functions on one thread; return its run.

    The first step is taken twice: the first time kernels may be compiled.
    """
    import numba

    threads = numba.get_num_threads()
    numba.set_num_threads(1)  # as NumPy's loops; these networks are small
    try:
        ops = library_operations(milestone)
        train(milestone, ops, data, 1, channels_last=True)
        steps = len(yours.losses)
        run = train(milestone, ops, data, steps, after_step, channels_last=True)
    finally:
        numba.set_num_threads(threads)
    return run
