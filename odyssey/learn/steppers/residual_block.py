"""The stepper of a residual block: its first values, and what they give."""

import numpy as np

from odyssey.learn.steppers.residual import residual_block, residual_block_backward
from odyssey.learn.steppers.stepper import Arrays, Options, Stepper
from odyssey.reference.batch_norm import _normalize

PARAMETERS = ("kernel1", "gamma1", "beta1", "kernel2", "gamma2", "beta2")


def results(values: Arrays, options: Options) -> dict[str, np.ndarray]:
    """Return every array of the forward and of the backward."""
    x, grad_output, eps = values["x"], values["grad_output"], options["eps"]
    parameters = {name: values[name] for name in PARAMETERS}
    found = residual_block(x, **parameters, eps=eps)
    gradients = residual_block_backward(grad_output, found, x, **parameters, eps=eps)
    for i in ("1", "2"):
        none = np.zeros(1)
        _, rstd, mean, _ = _normalize(found[f"conv{i}"], none, none, True, eps)
        found |= {f"mean{i}": mean, f"rstd{i}": rstd}
    return found | gradients


def _image(*rows: list[float]) -> np.ndarray:
    """Return an image of one channel, (1, 1, H, W)."""
    return np.array(rows, float)[None, None]


STEPPER = Stepper(
    title="Residual block",
    about="The image goes two ways: through two convolutions, and past them on the"
    " shortcut. In the backward the gradient splits where the ways met, and at the"
    " image the two gradients add up.",
    values={
        "x": _image([1, 2], [0, -1]),
        "kernel1": _image([0, 1, 0], [1, 2, -1], [0, 1, 1]),
        "gamma1": np.array([1.0]),
        "beta1": np.array([0.5]),
        "kernel2": _image([1, 0, -1], [0, 1, 2], [1, -1, 0]),
        "gamma2": np.array([1.0]),
        "beta2": np.array([0.0]),
        "grad_output": _image([1, 2], [3, -1]),
    },
    options={"eps": 0.00001},
    results=results,
    functions=(residual_block, residual_block_backward),
    lines={
        "conv1": "conv1 = conv2d(x",
        "bn1": "bn1 = batch_norm2d(conv1",
        "relu1": "relu1 = relu(",
        "conv2": "conv2 = conv2d(relu1",
        "branch": "branch = batch_norm2d(conv2",
        "sum": "sum_ = branch + x",
        "out": "out = relu(",
        "grad_sum": "grad_sum = relu_backward(",
        "fork": "grad_branch, grad_shortcut = ",
        "grad_conv2": "grad_conv2, grad_gamma2, grad_beta2 = ",
        "grad_relu1": "grad_relu1, grad_kernel2, _ = ",
        "grad_bn1": "grad_bn1 = relu_backward(",
        "grad_conv1": "grad_conv1, grad_gamma1, grad_beta1 = ",
        "grad_by_branch": "grad_by_branch, grad_kernel1, _ = ",
        "grad_input": "grad_input = grad_by_branch + grad_shortcut",
    },
)
