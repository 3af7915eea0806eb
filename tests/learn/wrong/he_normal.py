"""Wrong tries of initial values."""

from tries import Try

from odyssey.learn.grading import CASES, HAND

SCALE = "math.sqrt(2 / fan_in)"

TRIES = [
    Try("variance for deviation", SCALE, "(2 / fan_in)", "he_normal", HAND, "sqrt"),
    Try("without the 2", SCALE, "math.sqrt(1 / fan_in)", "he_normal", HAND, "= 0.5"),
    Try("fan-out", "shape[1:]", "shape[:1]", "he_normal", HAND, "2 * 2 * 2 = 8"),
    Try(
        "channels only",
        "math.prod(shape[1:])",
        "shape[1]",
        "he_normal",
        HAND,
        "fan_in = 2 * 2 * 2 = 8",
    ),
    Try(
        "all sizes",
        "math.prod(shape[1:])",
        "math.prod(shape)",
        "he_normal",
        CASES,
        "weights of a linear layer",
    ),
    Try(
        "float64",
        "values.astype(np.float32)",
        "values",
        "he_normal",
        HAND,
        "values must be an array of shape (1, 2, 2, 2) and dtype float32",
    ),
    Try(
        "a generator of its own",
        "rng.standard_normal(shape)",
        "np.random.default_rng(1).standard_normal(shape)",
        "he_normal",
        HAND,
        "rng.standard_normal(shape) gives",
    ),
    Try(
        "uniform",
        "rng.standard_normal(shape)",
        "rng.uniform(-1, 1, shape)",
        "he_normal",
        HAND,
        "rng.standard_normal(shape) gives",
    ),
]
