"""Random numbers: words of Philox, determined by a key and a counter.

A key is (seed, stream), a counter (0, number, epoch, 0), with the number of a sample or
a batch.  So each sample, batch and epoch has its own sequence, which can be drawn
without drawing any other.  Each use of randomness has its own stream, so that no two
uses get the same numbers.  NumPy promises that `random_raw` never changes.
"""

import numpy as np

from odyssey.checks import check_int

AUGMENT_STREAM = 1  # of each sample in each epoch
SHUFFLE_STREAM = 2  # of each epoch
SPLIT_STREAM = 3
MIX_STREAM = 4  # of each batch in each epoch
NOISE_STREAM = 16  # of each update: numbers that a model draws in training


def as_word(op: str, name: str, value: int) -> np.uint64:
    """Return an integer of 64 bits, signed or unsigned, as the word with its bits."""
    value = check_int(op, name, value, minimum=-(2**63))
    if value >= 2**64:
        raise ValueError(f"{op}: {name} must be less than 2**64, got {value}")
    return np.uint64(value % 2**64)


def as_counter(op: str, name: str, value: int) -> np.uint64:
    """Return an integer from 0 to 2**64 - 1 as a word."""
    return as_word(op, name, check_int(op, name, value, minimum=0))


def random_words(
    count: int,
    seed: np.uint64,
    stream: int | np.uint64,
    number: np.uint64,
    epoch: np.uint64,
) -> np.ndarray:
    """Return the first words of the sequence with this key and counter, uint64."""
    key = np.array([seed, stream], np.uint64)
    counter = np.array([0, number, epoch, 0], np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(count)
