"""Twenty steps on one, two and three ranks of the same job, as JSON by rank 0.

    mpiexec -n 3 python one_function.py

Batch norm is synchronised, so the losses should be those of one process.  The batch has
25 images, which neither two nor three ranks share evenly.  It is the same in all steps,
and the rate is low: where they learn fast, a difference of one rounding of a weight, in
a single process, grows to 1e-3 within 20 steps as well.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

import numba
import numpy as np
from resnet18_cifar10.example import EXAMPLE

from odyssey.data.loader import BatchLoader
from odyssey.distributed.data_parallel import DataParallel
from odyssey.distributed.evaluation import evaluate_together
from odyssey.distributed.join import join
from odyssey.distributed.ranks import ALONE, Ranks
from odyssey.training.evaluation import evaluate
from odyssey.training.recipe import Recipe
from odyssey.training.state import TrainingState
from odyssey.training.step import predictor, training_step

STEPS = 20
FEW = 5  # where orders of sums are compared
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (25, 32, 32, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
LABELS = RNG.integers(0, 10, 25)


def losses(ranks, steps=STEPS, **options):
    """Return the losses of the steps, and of the evaluation after them."""
    network = EXAMPLE.network
    config = network.models["resnet20"]._replace(width=8, blocks=(1, 1, 1))
    recipe = Recipe("resnet8", "random", "none", batch_size=25, label_smoothing=0.1)
    whole = BatchLoader(IMAGES, LABELS, 25)
    loader = whole.part_of(ranks.rank, ranks.size)
    parallel = DataParallel(ranks, whole.images_in, sync_batch_norm=True, **options)
    state = TrainingState.fresh(*network.initialize(config, 1))
    found = []
    while True:
        for x, labels in loader.epoch(state.epoch):
            result = training_step(
                state,
                x,
                labels,
                0.0005,
                network=network,
                config=config,
                recipe=recipe,
                parallel=parallel,
            )
            found.append(result.loss)
            state.count_step(result.loss, result.correct, result.images)
            if state.step == steps:
                predict = predictor(state, network=network, config=config)
                test = BatchLoader(IMAGES, LABELS, 10, shuffle=False)
                together = evaluate_together(predict, test, ranks, lambda: None)
                alone = evaluate(predict, test.epoch(0))
                same = all(
                    np.array_equal(*pair) for pair in zip(together, alone, strict=True)
                )
                return found, same
        state.finish_epoch()


def main():
    numba.set_num_threads(1)
    every, results = join(), {}
    for size in (1, 2, 3):
        comm = every.comm.Split(every.rank < size)
        ranks = Ranks(comm) if size > 1 else ALONE
        if every.rank < size:
            results[str(size)] = losses(ranks)
            if size == 3:
                small = {"bucket_bytes": 1000}
                results["ordered"] = losses(ranks, FEW, ordered=True)
                results["ordered again"] = losses(ranks, FEW, ordered=True, **small)
                results["bf16"] = losses(ranks, FEW, wire="bf16")
        every.wait()
    if every.first:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
