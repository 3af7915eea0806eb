"""Wrong backwards of batch_norm2d."""

import numpy as np

from odyssey.op_specs import Case, positive
from odyssey.reference import batch_norm2d_backward
from zoo.wrong import wrong

SMALL = Case("training", ((4, 3, 5, 2), (3,), (3,), (3,), positive(3)))
AXES = (0, 2, 3)


def normalised(x, eps, *, ddof=0):
    var = x.var(axis=AXES, keepdims=True, ddof=ddof)
    rstd = 1 / np.sqrt(var + eps)
    return (x - x.mean(axis=AXES, keepdims=True)) * rstd, rstd


def mean(values):
    return values.mean(axis=AXES, keepdims=True)


@wrong("batch_norm2d", "mean and variance taken for constants",
       "path through the mean and the variance left out", case=SMALL)  # fmt: skip
def batch_norm_constants(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    xhat, rstd = normalised(x, eps)
    grad_gamma, grad_beta = (grad_output * xhat).sum(AXES), grad_output.sum(AXES)
    return grad_output * gamma[:, None, None] * rstd, grad_gamma, grad_beta


@wrong("batch_norm2d", "term of the mean forgotten",
       "path through the mean left out", case=SMALL)  # fmt: skip
def batch_norm_without_mean(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    xhat, rstd = normalised(x, eps)
    g = grad_output * gamma[:, None, None]
    grad_input = (g - xhat * mean(g * xhat)) * rstd
    return grad_input, (grad_output * xhat).sum(AXES), grad_output.sum(AXES)


@wrong("batch_norm2d", "term of the variance forgotten",
       "path through the variance left out", case=SMALL)  # fmt: skip
def batch_norm_without_variance(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    xhat, rstd = normalised(x, eps)
    g = grad_output * gamma[:, None, None]
    grad_input = (g - mean(g)) * rstd
    return grad_input, (grad_output * xhat).sum(AXES), grad_output.sum(AXES)


@wrong("batch_norm2d", "sums in the place of means in both terms",
       "sum instead of mean", case=SMALL)  # fmt: skip
def batch_norm_sums(grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5):
    xhat, rstd = normalised(x, eps)
    g = grad_output * gamma[:, None, None]
    total = g.sum(AXES, keepdims=True)
    stretch = (g * xhat).sum(AXES, keepdims=True)
    grad_input = (g - total - xhat * stretch) * rstd
    return grad_input, (grad_output * xhat).sum(AXES), grad_output.sum(AXES)


@wrong("batch_norm2d", "unbiased variance in the backward, biased in the forward",
       "biased or unbiased variance", case=SMALL)  # fmt: skip
def batch_norm_unbiased(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    xhat, rstd = normalised(x, eps, ddof=1)
    g = grad_output * gamma[:, None, None]
    grad_input = (g - mean(g) - xhat * mean(g * xhat)) * rstd
    grads = batch_norm2d_backward(
        grad_output, x, gamma, beta, running_mean, running_var, eps=eps
    )
    return grad_input, *grads[1:]


@wrong("batch_norm2d", "gamma forgotten",
       "factor left out", case=SMALL)  # fmt: skip
def batch_norm_without_gamma(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    xhat, rstd = normalised(x, eps)
    g = grad_output
    grad_input = (g - mean(g) - xhat * mean(g * xhat)) * rstd
    return grad_input, (grad_output * xhat).sum(AXES), grad_output.sum(AXES)


@wrong("batch_norm2d", "division by the variance, not by its root",
       "factor left out", case=SMALL)  # fmt: skip
def batch_norm_without_root(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    xhat, _ = normalised(x, eps)
    g = grad_output * gamma[:, None, None]
    var = x.var(axis=AXES, keepdims=True)
    grad_input = (g - mean(g) - xhat * mean(g * xhat)) / (var + eps)
    return grad_input, (grad_output * xhat).sum(AXES), grad_output.sum(AXES)


@wrong("batch_norm2d", "gradient of gamma with x, not with the normalised x",
       "not normalised", input=1, case=SMALL)  # fmt: skip
def batch_norm_gamma_of_x(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    grads = batch_norm2d_backward(
        grad_output, x, gamma, beta, running_mean, running_var, eps=eps
    )
    return grads[0], (grad_output * x).sum(AXES), grads[2]


@wrong("batch_norm2d", "running statistics in the backward of training",
       "statistics of the wrong values", case=SMALL)  # fmt: skip
def batch_norm_running(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    return batch_norm2d_backward(
        grad_output, x, gamma, beta, running_mean, running_var, training=False, eps=eps
    )


@wrong("batch_norm2d", "backward of training in evaluation",
       "statistics of the wrong values", case="evaluation")  # fmt: skip
def batch_norm_training_in_evaluation(
    grad_output, x, gamma, beta, running_mean, running_var, training=True, eps=1e-5
):
    return batch_norm2d_backward(
        grad_output, x, gamma, beta, running_mean, running_var, eps=eps
    )


@wrong("batch_norm2d", "gradient of beta averaged",
       "mean instead of sum", input=2, case=SMALL)  # fmt: skip
def batch_norm_beta_averaged(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    grads = batch_norm2d_backward(
        grad_output, x, gamma, beta, running_mean, running_var, eps=eps
    )
    return *grads[:2], grad_output.mean(AXES)


@wrong("batch_norm2d", "gradient of beta summed over the batch only",
       "summed over too few axes", input=2, case=SMALL)  # fmt: skip
def batch_norm_beta_over_the_batch(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    grads = batch_norm2d_backward(
        grad_output, x, gamma, beta, running_mean, running_var, eps=eps
    )
    return *grads[:2], grad_output.sum(0)


@wrong("batch_norm2d", "gamma forgotten, and the term of the mean",
       "factor left out", "path through the mean left out", case=SMALL)  # fmt: skip
def batch_norm_two_faults(
    grad_output, x, gamma, beta, running_mean, running_var, eps=1e-5
):
    xhat, rstd = normalised(x, eps)
    grad_input = (grad_output - xhat * mean(grad_output * xhat)) * rstd
    return grad_input, (grad_output * xhat).sum(AXES), grad_output.sum(AXES)
