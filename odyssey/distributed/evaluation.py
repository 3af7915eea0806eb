"""An evaluation whose batches are split over the ranks.

Rank r takes the batches r, r + p, r + 2p ... of p ranks.  These are the batches of a
single process, and their results are summed in the order of the batches: so the result
is that of a single process with the same weights, to the bit.
"""

from collections.abc import Callable, Iterator
from itertools import zip_longest

import numpy as np

from odyssey.data.loader import BatchLoader
from odyssey.distributed.ranks import Ranks
from odyssey.training.evaluation import Evaluation, combine, evaluate_batch


def batches_of_rank(
    loader: BatchLoader, ranks: Ranks, before_batch: Callable[[], None]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the batches of an evaluation that this rank takes.

    ``before_batch`` is called as often on every rank, before each round of batches; it
    may be collective, and may raise on all ranks to stop.
    """
    first = min(ranks.rank, loader.num_batches)
    batches = loader.epoch(0, start_batch=first, every=ranks.size)
    for _ in range(-(-loader.num_batches // ranks.size)):
        before_batch()
        batch = next(batches, None)  # in the last round some ranks have none
        if batch is not None:
            yield batch


def evaluate_together(
    predict: Callable[[np.ndarray], np.ndarray],
    loader: BatchLoader,
    ranks: Ranks,
    before_batch: Callable[[], None],
) -> Evaluation:
    """Evaluate a model on the batches of a loader, on all ranks.  Collective.

    Parameters
    ----------
    predict : maps images (N, C, H, W) to logits (N, K); the same on all ranks
    loader : of all batches
    ranks : those of the run
    before_batch : see `batches_of_rank`

    Returns
    -------
    Evaluation
        Of all batches, the same on all ranks.
    """
    own = [
        evaluate_batch(predict, images, labels)
        for images, labels in batches_of_rank(loader, ranks, before_batch)
    ]
    rounds = zip_longest(*ranks.gather_objects(own))  # the batches in their order
    return combine([result for row in rounds for result in row if result is not None])
