"""Wrong tries of the schedule."""

from tries import Try

from odyssey.learn.grading import CASES, EDGES, HAND

TRIES = [
    Try(
        "the cosine counts from the first step",
        "(step - warmup_steps) / (total_steps - warmup_steps)",
        "step / total_steps",
        "cosine_warmup",
        HAND,
        "It lasts from step 4 to step 16",
    ),
    Try(
        "the cosine ends too late",
        "(total_steps - warmup_steps)",
        "total_steps",
        "cosine_warmup",
        HAND,
        "fraction = 2 / 12",
    ),
    Try(
        "a whole wave",
        "math.pi * min",
        "2 * math.pi * min",
        "cosine_warmup",
        HAND,
        "cos(pi / 6)",
    ),
    Try(
        "degrees",
        "math.pi * min",
        "180 * min",
        "cosine_warmup",
        HAND,
        "cos(pi / 6)",
    ),
    Try(
        "a warmup from 0",
        "(0.01 + 0.99 * step / warmup_steps)",
        "(step / warmup_steps)",
        "cosine_warmup",
        CASES,
        "the first step",
    ),
    Try(
        "the warmup counts from 1",
        "0.99 * step / warmup_steps",
        "0.99 * (step + 1) / warmup_steps",
        "cosine_warmup",
        CASES,
        "the first step",
    ),
    Try(
        "rises again",
        "min(fraction, 1)",
        "fraction",
        "cosine_warmup",
        EDGES,
        "long after total_steps",
    ),
    Try(
        "0 / 0 without a warmup",
        "    if step < warmup_steps:\n"
        "        return lr * (0.01 + 0.99 * step / warmup_steps)\n",
        "    warm = min(1, step / warmup_steps)\n"
        "    if step < warmup_steps:\n"
        "        return lr * (0.01 + 0.99 * warm)\n",
        "cosine_warmup",
        EDGES,
        "ZeroDivisionError",
    ),
]
