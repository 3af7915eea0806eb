"""The blocks of a network, one after another, and what is kept of each in between.

    run_blocks            the forwards in order; returns a cache of each
    run_blocks_backward   the backwards in reverse order

A block is a forward ``(context, block, x) -> out, cache`` and a backward
``(grads, block, grad_output, cache, reuse=...) -> grad_input``; ``block`` says what the
network tells the two of its options.

The caches are most of what training occupies.  Two things keep the peak low:

- The backward gives up each cache once it has used it, if the call allows it, by
  ``reuse=caches``: gradients come to lie where the activations of later blocks were.
- With ``recompute`` only the input of each block is kept.  The backward runs the
  block's forward again, which gives the same cache to the bit: the same random numbers
  are drawn, and the running statistics of the second time are thrown away.  The price
  is a second forward of all blocks but the last, whose cache is needed at once.

Chen, Xu, Zhang & Guestrin 2016, arXiv:1604.06174.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from odyssey.layers.context import Context, Gradients


class Again(NamedTuple):
    """What to run a block's forward with once more, in place of its cache."""

    context: Context
    x: np.ndarray


def run_blocks(
    context: Context,
    forward: Callable[..., tuple[np.ndarray, Any]],
    blocks: Sequence[Any],
    x: np.ndarray,
    *,
    recompute: bool = False,
) -> tuple[np.ndarray, list[Any]]:
    """Return the last block's result, and in training the caches for the backward."""
    caches = []
    for number, block in enumerate(blocks, 1):
        again = None
        if recompute and context.training and number < len(blocks):
            again = Again(context.again(), x)  # before the block draws random numbers
        x, cache = forward(context, block, x)
        if context.training:
            caches.append(again or cache)
        del cache  # not kept while the next block runs
    return x, caches


def run_blocks_backward(
    grads: Gradients,
    forward: Callable[..., tuple[np.ndarray, Any]],
    backward: Callable[..., np.ndarray],
    blocks: Sequence[Any],
    grad_output: np.ndarray,
    caches: list[Any],
    *,
    reuse: list[Any] | None = None,
) -> np.ndarray:
    """Put the gradients of all blocks into ``grads``; return that of their input.

    ``grad_output`` is overwritten.  ``reuse`` is ``caches``, if they may be emptied.
    """
    if len(caches) != len(blocks):
        raise ValueError(
            f"run_blocks_backward: caches must be those of {len(blocks)} blocks, "
            f"got {len(caches)}"
        )
    grad = grad_output
    for number in reversed(range(len(blocks))):
        block = blocks[number]
        cache = caches[number] if reuse is None else caches.pop()
        spare = reuse is not None
        if isinstance(cache, Again):
            cache = forward(cache.context.again(), block, cache.x)[1]
            spare = True
        with grads.overwriting(spare):
            grad = backward(grads, block, grad, cache, reuse=grad)
        del cache  # its memory is free for the next block's gradients
    return grad
