"""The options that say where a run is kept, and where it begins and ends."""

from collections.abc import Callable

import click

from odyssey.cli.option import option, with_options
from odyssey.cli.option_types import FiniteFloat, WholeNumber

_OPTIONS = [
    option(
        "--resume",
        is_flag=True,
        help="Continue the run in --weights-dir from its newest checkpoint.",
    ),
    option(
        "--overwrite",
        is_flag=True,
        help="Delete the run in --weights-dir and start again.",
    ),
    option(
        "--keep",
        type=WholeNumber(1),
        default=2,
        help="Number of newest checkpoints to keep.",
    ),
    option(
        "--checkpoint-minutes",
        type=FiniteFloat(min=0.0),
        default=10.0,
        help="Also save one within an epoch when the newest is this old; 0 for none.",
    ),
    option(
        "--max-steps",
        type=WholeNumber(1),
        help="Stop after N updates in all, those before a resume included.",
    ),
    option(
        "--recompute",
        is_flag=True,
        help="Keep only the input of each block of the network, and run the block "
        "again for its gradients: less memory, more time, the same result.",
    ),
    option(
        "--allow-nonfinite",
        is_flag=True,
        help="Resume even from a checkpoint that contains NaN or infinity.",
    ),
]


def run_options(weights_dir: str) -> Callable[[Callable], Callable]:
    """Return a decorator that adds the options; runs go to ``weights_dir``."""
    folder = option(
        "--weights-dir",
        type=click.Path(file_okay=False),
        default=weights_dir,
        help="Folder for all that the run writes: weights, checkpoints and logs.",
    )
    return with_options([folder, *_OPTIONS])
