"""Wrong tries of the backward of batch norm."""

from tries import Try

from odyssey.learn.grading import CASES, HAND

BOTH = "grad_xhat = grad_xhat - shift - stretch * xhat"
BETA = "grad_output.sum(axis=(0, 2, 3))"

TRIES = [
    Try(
        "mean and variance as constants",
        BOTH,
        "pass",
        "batch_norm2d_backward",
        HAND,
        "grad_input: path through the mean and the variance left out",
    ),
    Try(
        "no path through the variance",
        BOTH,
        "grad_xhat = grad_xhat - shift",
        "batch_norm2d_backward",
        HAND,
        "grad_input: path through the variance left out",
    ),
    Try(
        "no path through the mean",
        BOTH,
        "grad_xhat = grad_xhat - stretch * xhat",
        "batch_norm2d_backward",
        HAND,
        "grad_input: path through the mean left out",
    ),
    Try(
        "sums in place of means",
        "shift = grad_xhat.mean(",
        "shift = grad_xhat.sum(",
        "batch_norm2d_backward",
        HAND,
        "a sum for the mean in the",
    ),
    Try(
        "gamma left out",
        "grad_xhat = grad_output * gamma[:, None, None]",
        "grad_xhat = grad_output + 0.0",
        "batch_norm2d_backward",
        HAND,
        "the factor gamma left out",
    ),
    Try(
        "not multiplied with rstd",
        "grad_xhat * rstd[:, None, None]",
        "grad_xhat",
        "batch_norm2d_backward",
        HAND,
        "grad_input = 0.5 * that",
    ),
    Try(
        "grad_gamma with x in place of xhat",
        "(grad_output * xhat).sum(axis=(0, 2, 3))",
        "(grad_output * x).sum(axis=(0, 2, 3))",
        "batch_norm2d_backward",
        HAND,
        "grad_gamma is wrong in its one element",
    ),
    Try(
        "grad_beta of the mean",
        BETA,
        "grad_output.mean(axis=(0, 2, 3))",
        "batch_norm2d_backward",
        HAND,
        "grad_beta: mean instead of sum",
    ),
    Try(
        "only the first image",
        BETA,
        "grad_output.sum(axis=(2, 3))[0]",
        "batch_norm2d_backward",
        HAND,
        "grad_beta: only a part of the batch",
    ),
    Try(
        "as in training, always",
        "    if training:\n        # Mean and rstd",
        "    if True:\n        # Mean and rstd",
        "batch_norm2d_backward",
        CASES,
        "inference",
    ),
]
