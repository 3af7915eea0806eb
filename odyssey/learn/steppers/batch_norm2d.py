"""The stepper of batch_norm2d: its first values, and what they give."""

import numpy as np

from odyssey.learn.steppers.stepper import Arrays, Options, Stepper
from odyssey.reference.batch_norm import (
    _normalize,
    batch_norm2d,
    batch_norm2d_backward,
)

AXES = (0, 2, 3)


def results(values: Arrays, options: Options) -> dict[str, np.ndarray]:
    """Return the statistics, xhat, out, the gradients, and what is between them."""
    training, eps = options["mode"] == "training", options["eps"]
    x, gamma, grad_output = values["x"], values["gamma"], values["grad_output"]
    running = values["running_mean"], values["running_var"]
    arguments = (x, gamma, values["beta"], *running, training)
    xhat, rstd, mean, var = _normalize(x, *running, training, eps)
    out, new_mean, new_var = batch_norm2d(*arguments, eps=eps)
    gradients = batch_norm2d_backward(grad_output, *arguments, eps=eps)
    grad_xhat = grad_output * gamma[:, None, None]
    found = {"mean": mean, "var": var, "rstd": rstd, "xhat": xhat, "out": out}
    names = ("grad_input", "grad_gamma", "grad_beta")
    found |= {"grad_xhat": grad_xhat, **dict(zip(names, gradients, strict=True))}
    if training:
        found |= {"new_running_mean": new_mean, "new_running_var": new_var}
        found["shift"] = grad_xhat.mean(axis=AXES)
        found["stretch"] = (grad_xhat * xhat).mean(axis=AXES)
    return found


def _images(*channels: list[float]) -> np.ndarray:
    """Return two images of 1x2 pixels, from the four values of each channel."""
    return np.array(channels, float).reshape(-1, 2, 1, 2).transpose(1, 0, 2, 3)


STEPPER = Stepper(
    title="Batch normalisation",
    about="Each channel is shifted and stretched to mean 0 and variance 1, over all"
    " images of the batch; gamma and beta stretch and shift it anew. Every x moves mean"
    " and var, so its gradient has three paths: directly, through mean, through var.",
    values={
        # Channel 0 is the example of docs/derivations/batch_norm.md.
        "x": _images([1, 3, 5, 7], [0, 2, -1, 1]),
        "gamma": np.array([2.0, 1.0]),
        "beta": np.array([3.0, 0.0]),
        "running_mean": np.array([0.0, 1.0]),
        "running_var": np.array([1.0, 2.0]),
        "grad_output": _images([1, 0, 0, 3], [2, -1, 0, 1]),
    },
    options={"mode": "training", "eps": 4},
    results=results,
    functions=(batch_norm2d, batch_norm2d_backward, _normalize),
    lines={
        "mean": "mean = x.mean(axis=(0, 2, 3))",
        "var": "var = ((x - mean[:, None, None]) ** 2)",
        "running": "mean, var = running_mean.astype",
        "rstd": "rstd = 1 / np.sqrt(var + eps)",
        "xhat": "return (x - mean[:, None, None]) * rstd[:, None, None]",
        "out": "out = gamma[:, None, None] * xhat + beta",
        "new_mean": "running_mean = (1 - momentum)",
        "new_var": "running_var = (1 - momentum)",
        "grad_beta": "grad_beta = grad_output.sum",
        "grad_gamma": "grad_gamma = (grad_output * xhat).sum",
        "grad_xhat": "grad_xhat = grad_output * gamma",
        "shift": "shift = grad_xhat.mean",
        "stretch": "stretch = (grad_xhat * xhat).mean",
        "paths": "grad_xhat = grad_xhat - shift - stretch * xhat",
        "grad_input": "grad_input = grad_xhat * rstd",
    },
)
