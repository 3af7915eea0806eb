"""Wrong tries of Winograd's convolution in one dimension."""

from tries import Try

from odyssey.learn.grading import CASES, HAND

TRIES = [
    Try(
        "not halved",
        "(f[0] + f[1] + f[2]) / 2",
        "f[0] + f[1] + f[2]",
        "transform_kernel",
        HAND,
        "(2 - 1 + 1) / 2 = 1",
    ),
    Try(
        "sign of the last product",
        "m[1] - m[2] + m[3]",
        "m[1] - m[2] - m[3]",
        "transform_output",
        HAND,
        "y[1] = 5 + 2 + 2 = 9",
    ),
    Try(
        "d[1] - d[2] the wrong way round",
        "d[2] - d[1]",
        "d[1] - d[2]",
        "transform_input",
        HAND,
        "take f = 1, 0, 0, then 0, 1, 0 and 0, 0, 1",
    ),
    Try(
        "the other convention, with the minus in the kernel",
        "d[0] - d[2], d[1]",
        "d[2] - d[0], d[1]",
        "transform_input",
        HAND,
        "take f = 1, 0, 0",
    ),
    Try(
        "a flat list of numbers",
        "np.stack([d[0] - d[2], d[1] + d[2], d[2] - d[1], d[3] - d[1]])",
        "np.hstack([d[0] - d[2], d[1] + d[2], d[2] - d[1], d[3] - d[1]])",
        "transform_input",
        CASES,
        "must be an array of shape (4, 2)",
    ),
    Try(
        "the filter turned",
        "transform_kernel(f) * transform_input(d)",
        "transform_kernel(f[::-1]) * transform_input(d)",
        "winograd_1d",
        HAND,
        "Directly:",
    ),
    Try(
        "the filter is not transformed",
        "transform_output(transform_kernel(f) * transform_input(d))",
        "transform_output(f * transform_input(d))",
        "winograd_1d",
        HAND,
        "ValueError",
    ),
]
