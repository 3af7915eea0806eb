"""Steps of ResNet-18 on one or several ranks, timed; run by bench_ranks.py.

    mpiexec -n 2 python benchmarks/ranks_odyssey.py --threads 1

Every step is `odyssey.training.step.training_step` on the same batch.  Rank 0 prints
JSON: the losses, the seconds of each step, the share of them that went to sums over the
ranks, and each rank's peak memory in MiB.  With ``--turns`` the steps are done again in
each turn (`turns.py`), for which each rank writes the seconds of its steps, those of
them in sums, and its peak memory.
"""

import json
import time
from functools import partial
from pathlib import Path

import click
import numba
import numpy as np
from measuring import peak_memory_mib, tensors
from odyssey_model import model_inputs
from resnet18_cifar10.example import EXAMPLE
from turns import turns

from odyssey.distributed.data_parallel import DataParallel
from odyssey.distributed.join import join
from odyssey.distributed.rows import rows_of
from odyssey.training.recipe import Recipe
from odyssey.training.state import TrainingState
from odyssey.training.step import training_step


def batch_of(arrays, ranks):
    """Return this rank's rows of the images (n, C, H, W), channels-last, and labels."""
    rows = rows_of(len(arrays["labels"]), ranks.rank, ranks.size)
    images = np.ascontiguousarray(arrays["images"][rows])
    return images.transpose(0, 3, 1, 2), arrays["labels"][rows]


@click.command()
@click.option("--batch", default=128)
@click.option("--threads", default=1)
@click.option("--steps", default=12)
@click.option("--warmup", default=3, help="Steps before, which are not timed.")
@click.option("--overlap/--no-overlap", default=True)
@click.option("--sync-batch-norm", is_flag=True)
@click.option("--ordered", is_flag=True)
@click.option("--wire", default="float32")
@click.option("--bucket-kib", default=4096)
@click.option("--width", default=64)
@click.option(
    "--turns", "folder", type=click.Path(path_type=Path), help="Their folder."
)
def main(batch, threads, steps, warmup, bucket_kib, width, folder, **options):
    ranks = join()
    numba.set_num_threads(threads)
    network = EXAMPLE.network
    config = network.models["resnet18"]._replace(width=width)
    arrays = model_inputs(batch, config)
    x, labels = batch_of(arrays, ranks)
    recipe = Recipe("resnet18", "random", "none", batch_size=batch, lr=0.001)
    state = TrainingState.fresh(tensors(arrays, "params/"), tensors(arrays, "state/"))
    parallel = DataParallel(
        ranks, lambda number: batch, bucket_bytes=bucket_kib << 10, **options
    )
    step = partial(
        training_step, network=network, config=config, recipe=recipe, parallel=parallel
    )
    ranks.wait()

    def timed(steps):
        losses, seconds, in_sums = [], [], []
        for _ in range(steps):
            before, start = parallel.seconds, time.perf_counter()
            losses.append(step(state, x, labels, 0.001).loss)
            seconds.append(time.perf_counter() - start)
            in_sums.append(parallel.seconds - before)
        return {"loss": losses, "seconds": seconds, "in_sums": in_sums}

    first = timed(warmup)
    if folder:
        for end in turns(folder, ranks.rank):
            end(timed(steps) | {"mib": peak_memory_mib()})
        return
    found = timed(steps)
    found["sums"] = sum(found.pop("in_sums")) / sum(found["seconds"])
    found["loss"] = first["loss"] + found["loss"]
    found["mib"] = ranks.gather_objects(peak_memory_mib())
    if ranks.first:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
