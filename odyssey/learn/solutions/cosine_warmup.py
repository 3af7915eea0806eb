"""A learning rate that rises in a line, then falls along half a cosine wave."""

import math


def cosine_warmup(step, lr, total_steps, warmup_steps):
    """Return the learning rate of the update after ``step`` others."""
    if step < warmup_steps:
        return lr * (0.01 + 0.99 * step / warmup_steps)
    fraction = (step - warmup_steps) / (total_steps - warmup_steps)
    return lr * (1 + math.cos(math.pi * min(fraction, 1))) / 2
