"""The exercises in order: each uses only what is before it.

These are the functions that each writes; milestones call them with these arguments:

    relu                    relu, relu_backward
    linear                  linear, linear_backward
    softmax_cross_entropy   softmax, softmax_backward, cross_entropy,
                            cross_entropy_backward
    gradient_check          numerical_gradient, relative_error, gradient_check
    conv2d                  conv2d
    conv2d_grad_kernel      conv2d_grad_kernel(grad_output, x, kernel, stride=1,
                            padding=0) -> grad_kernel, grad_bias
    conv2d_grad_input       conv2d_grad_input(the same arguments) -> grad_input
    maxpool2d               maxpool2d, maxpool2d_backward
    avgpool2d               avgpool2d, avgpool2d_backward, global_avgpool2d,
                            global_avgpool2d_backward
    batch_norm2d            batch_norm2d
    batch_norm2d_backward   batch_norm2d_backward
    dropout                 dropout, dropout_backward
    residual_block          residual_block(x, kernel1, gamma1, beta1, kernel2, gamma2,
                            beta2, kernel_proj=None, stride=1) -> out, in training;
                            residual_block_backward(grad_output, the same arguments)
                            -> grad_input, then the gradients of the seven (None for
                            kernel_proj where that is None)
    he_normal               he_normal(shape, rng) -> float32, fan-in from shape[1:]
    sgd_momentum            sgd_momentum_update_inplace
    cosine_warmup           cosine_warmup(step, lr, total_steps, warmup_steps) -> float
    winograd_1d             transform_kernel, transform_output, transform_input,
                            winograd_1d
    winograd_2d             winograd_tile, winograd_2d
    bfloat16_rounding       bfloat16_rounding
"""

import functools
import importlib

from odyssey.learn.exercise import Exercise

#: The names of the exercises, in the order of the course.
ORDER = (
    "relu",
    "linear",
    "softmax_cross_entropy",
    "gradient_check",
    "conv2d",
    "conv2d_grad_kernel",
    "conv2d_grad_input",
    "maxpool2d",
    "avgpool2d",
    "batch_norm2d",
    "batch_norm2d_backward",
    "dropout",
    "residual_block",
    "he_normal",
    "sgd_momentum",
    "cosine_warmup",
    "winograd_1d",
    "winograd_2d",
    "bfloat16_rounding",
)


@functools.cache
def load(name: str) -> Exercise:
    """Return an exercise by its name."""
    return importlib.import_module(f"odyssey.learn.exercises.{name}").EXERCISE


def course() -> list[Exercise]:
    """Return all exercises, in order."""
    return [load(name) for name in ORDER]


def writers(before: str | None = None) -> dict[str, str]:
    """Return which exercise writes each function, of all or those ``before`` one."""
    names = ORDER if before is None else ORDER[: ORDER.index(before)]
    return {function.name: name for name in names for function in load(name).functions}
