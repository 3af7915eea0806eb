"""Wrong tries of dropout."""

from tries import Try

from odyssey.learn.grading import CASES, DTYPE, HAND

MASK = "((rng.random(x.shape) >= p) / (1 - p)).astype(x.dtype)"

TRIES = [
    Try(
        "no scaling",
        MASK,
        "(rng.random(x.shape) >= p).astype(x.dtype)",
        "dropout",
        HAND,
        "1 / (1 - 0.25)",
    ),
    Try(
        "divided by p",
        "/ (1 - p)",
        "/ p",
        "dropout",
        HAND,
        "1 / (1 - 0.25)",
    ),
    Try(
        "p as the probability to stay",
        ">= p",
        "< p",
        "dropout",
        HAND,
        "At least p = 0.25 are",
    ),
    Try(
        "in inference too",
        "    if training:\n",
        "    if True:\n",
        "dropout",
        CASES,
        "inference",
    ),
    Try(
        "another mask for the result than the one returned",
        "return x * mask, mask",
        "return x * (rng.random(x.shape) >= p) / (1 - p), mask",
        "dropout",
        HAND,
        "out is wrong in",
    ),
    Try(
        "only out",
        "return x * mask, mask",
        "return x * mask",
        "dropout",
        HAND,
        "it must return 2 results, out, mask; yours returns one result",
    ),
    Try(
        "a mask of float64",
        MASK,
        "(rng.random(x.shape) >= p) / (1 - p)",
        "dropout",
        DTYPE,
        "dtype float32",
    ),
    Try(
        "the backward without the scaling",
        "grad_output * mask",
        "grad_output * (mask > 0)",
        "dropout_backward",
        HAND,
        "Here p was 1/3",
    ),
    Try(
        "the backward without the mask",
        "grad_output * mask",
        "grad_output.copy()",
        "dropout_backward",
        HAND,
        "0, ",
    ),
]
