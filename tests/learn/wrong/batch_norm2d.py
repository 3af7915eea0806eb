"""Wrong tries of batch norm."""

from tries import Try

from odyssey.learn.grading import CASES, DTYPE, EDGES, HAND

TRIES = [
    Try(
        "a mean for each image",
        "mean = x.mean(axis=(0, 2, 3))\n"
        "        var = ((x - mean[:, None, None]) ** 2).mean(axis=(0, 2, 3))",
        "mean = x.mean(axis=(2, 3))[0]\n"
        "        var = ((x - mean[:, None, None]) ** 2).mean(axis=(2, 3))[0]",
        "batch_norm2d",
        HAND,
        "1, 3 of image 0 and 5, 3 of image 1",
    ),
    Try(
        "a mean of all channels",
        "mean = x.mean(axis=(0, 2, 3))",
        "mean = np.full(x.shape[1], x.mean())",
        "batch_norm2d",
        CASES,
        "two channels",
    ),
    Try(
        "eps outside of the root",
        "1 / np.sqrt(var + eps)",
        "1 / (np.sqrt(var) + eps)",
        "batch_norm2d",
        HAND,
        "sqrt(var + eps) = sqrt(2 + 2) = 2",
    ),
    Try(
        "unbiased variance for xhat",
        "((x - mean[:, None, None]) ** 2).mean(axis=(0, 2, 3))",
        "x.var(axis=(0, 2, 3), ddof=1)",
        "batch_norm2d",
        HAND,
        "var  = (4 + 0 + 4 + 0) / 4 = 2",
    ),
    Try(
        "biased running variance",
        "momentum * var * M / (M - 1)",
        "momentum * var",
        "batch_norm2d",
        HAND,
        "running_var is wrong in its one element",
    ),
    Try(
        "momentum the other way round",
        "(1 - momentum) * running_mean + momentum * mean",
        "momentum * running_mean + (1 - momentum) * mean",
        "batch_norm2d",
        HAND,
        "running_mean is wrong in its one element",
    ),
    Try(
        "the batch's statistics in inference",
        "    if training:\n        mean",
        "    if True:\n        mean",
        "batch_norm2d",
        CASES,
        "inference",
    ),
    Try(
        "mean of squares minus square of the mean",
        "((x - mean[:, None, None]) ** 2).mean(axis=(0, 2, 3))",
        "(x**2).mean(axis=(0, 2, 3)) - mean**2",
        "batch_norm2d",
        EDGES,
        "a mean of 100,000",
    ),
    Try(
        "computed in float32",
        "x = x.astype(np.float64)",
        "x = x.copy()",
        "batch_norm2d",
        DTYPE,
        "a mean of 100,000",
    ),
    Try(
        "results stay float64",
        "tuple(result.astype(x.dtype) for result in (out, running_mean, running_var))",
        "out, running_mean, running_var",
        "batch_norm2d",
        DTYPE,
        "and dtype float32; yours is an array of shape (1, 1, 1, 1) and dtype float64",
    ),
]
