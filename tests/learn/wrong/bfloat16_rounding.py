"""Wrong tries of rounding to bfloat16."""

from tries import Try

from odyssey.learn.grading import CASES, EDGES, HAND

ROUNDED = "(bits + 0x7FFF + last) & 0xFFFF0000"
NAN = "np.where(np.isnan(x), np.float32(np.nan), rounded.view(np.float32))"

TRIES = [
    Try(
        "cut off",
        ROUNDED,
        "bits & 0xFFFF0000",
        "bfloat16_rounding",
        HAND,
        "nearer to 3F81",
    ),
    Try(
        "halves up",
        ROUNDED,
        "(bits + 0x8000) & 0xFFFF0000",
        "bfloat16_rounding",
        HAND,
        "3F80 is even",
    ),
    Try(
        "halves down",
        ROUNDED,
        "(bits + 0x7FFF) & 0xFFFF0000",
        "bfloat16_rounding",
        HAND,
        "3F82 is even",
    ),
    Try(
        "the odd one",
        "last = (bits >> 16) & 1",
        "last = 1 - ((bits >> 16) & 1)",
        "bfloat16_rounding",
        HAND,
        "3F80 is even",
    ),
    Try(
        "the last bit of all",
        "last = (bits >> 16) & 1",
        "last = bits & 1",
        "bfloat16_rounding",
        HAND,
        "3F82 is even",
    ),
    Try(
        "NaN becomes Inf or 0",
        NAN,
        "rounded.view(np.float32)",
        "bfloat16_rounding",
        EDGES,
        "NaN",
    ),
    Try(
        "Inf becomes NaN",
        "np.isnan(x)",
        "~np.isfinite(x)",
        "bfloat16_rounding",
        EDGES,
        '"Inf"',
    ),
    Try(
        "too large a number becomes NaN",
        "np.isnan(x)",
        "np.isnan(x) | np.isinf(rounded.view(np.float32)) & np.isfinite(x)",
        "bfloat16_rounding",
        EDGES,
        "too large: becomes Inf",
    ),
    Try(
        "the bits as integers",
        NAN,
        "rounded",
        "bfloat16_rounding",
        HAND,
        "rounded must be an array of shape (4,) and dtype float32; yours is an array "
        "of shape (4,) and dtype uint32",
    ),
    Try(
        "seven digits after the point",
        NAN,
        "(np.round(x * 128) / 128).astype(np.float32)",
        "bfloat16_rounding",
        CASES,
    ),
]
