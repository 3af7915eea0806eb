"""The options of a run on several ranks, under mpiexec; alone they have no effect."""

from types import SimpleNamespace

import click

from odyssey.cli.option import RUN, option, with_options
from odyssey.data.loader import BatchLoader
from odyssey.distributed.data_parallel import DataParallel
from odyssey.distributed.ranks import Ranks
from odyssey.distributed.wire import WIRE_DTYPES

_OPTIONS = [
    option(
        "--sync-batch-norm",
        is_flag=True,
        help="Under mpiexec: normalise with the statistics of the whole batch, as one "
        "process does, not with those of each rank's part of it.",
    ),
    option(
        "--deterministic-allreduce",
        is_flag=True,
        help="Under mpiexec: sum gradients in the order of the ranks, so that no bit "
        "depends on the library of MPI.",
    ),
    option(
        "--allreduce-dtype",
        group=RUN,
        type=click.Choice(WIRE_DTYPES),
        default=WIRE_DTYPES[0],
        help="Under mpiexec: what gradients are sent as; they are summed in float32.",
    ),
]
rank_options = with_options(_OPTIONS)


def data_parallel(
    ranks: Ranks, loader: BatchLoader, options: SimpleNamespace
) -> DataParallel:
    """Return how the ranks share the batches of a loader."""
    return DataParallel(
        ranks,
        loader.images_in,
        sync_batch_norm=options.sync_batch_norm,
        wire=options.allreduce_dtype,
        ordered=options.deterministic_allreduce,
    )
