"""An evaluation whose batches are split over the ranks.

Rank r takes the batches r, r + p, r + 2p ... of p ranks.  These are the batches of a
single process, and their results are summed in the order of the batches: so the result
is that of a single process with the same weights, to the bit.
"""

from collections.abc import Callable
from itertools import zip_longest

import numpy as np

from odyssey.data.loader import BatchLoader
from odyssey.distributed.agreement import AgreedStop
from odyssey.distributed.ranks import Ranks
from odyssey.training.evaluation import (
    BatchResult,
    Evaluation,
    combine,
    evaluate_batch,
)


def evaluate_together(
    predict: Callable[[np.ndarray], np.ndarray],
    loader: BatchLoader,
    ranks: Ranks,
    stop: AgreedStop,
) -> Evaluation:
    """Evaluate a model on the batches of a loader, on all ranks.  Collective.

    Parameters
    ----------
    predict : maps images (N, C, H, W) to logits (N, K); the same on all ranks
    loader : of all batches
    ranks : those of the run
    stop : asked before every batch; raises on all ranks at once

    Returns
    -------
    Evaluation
        Of all batches, the same on all ranks.
    """
    own: list[BatchResult] = []
    first = min(ranks.rank, loader.num_batches)
    batches = loader.epoch(0, start_batch=first, every=ranks.size)
    for _ in range(-(-loader.num_batches // ranks.size)):
        stop.ask_all()
        batch = next(batches, None)  # in the last round some ranks have none
        if batch is not None:
            own.append(evaluate_batch(predict, *batch))
    every = ranks.gather_objects(own)
    in_order = [r for row in zip_longest(*every) for r in row if r is not None]
    return combine(in_order)
