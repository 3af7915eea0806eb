"""Draw the curves of several runs into one figure.

    python examples/resnet18_cifar10/plot_runs.py RUN_DIR... --png curves.png

A run is a folder with a ``metrics.csv``; its name is that of the folder.
"""

from pathlib import Path

import click

from odyssey.cli.command import Command
from odyssey.cli.next_steps import ODYSSEY, say_next
from odyssey.cli.option import option
from odyssey.cli.program import exit_statuses
from odyssey.errors import InputError, os_reason
from odyssey.series.results import Result, figure, read_epochs
from odyssey.weights.files import atomic_write_bytes


def results_of(folders: tuple[Path, ...]) -> list[Result]:
    """Return the runs in some folders, one `Result` for each.

    Raises
    ------
    InputError
        If a folder has no ``metrics.csv``, or the file has no epoch or a damaged line.
    """
    results = []
    for folder in folders:
        try:
            epochs = read_epochs(folder)
        except OSError as error:
            raise InputError(os_reason(error)) from None
        if not epochs:
            raise InputError(f"{folder / 'metrics.csv'}: expected a row for each epoch")
        results.append(Result(folder.resolve().name, 1, {0: epochs}))
    return results


@click.command(
    "plot", cls=Command, short_help="Draw the curves of several runs into a PNG."
)
@click.argument(
    "folders",
    nargs=-1,
    required=True,
    metavar="RUN_DIR...",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@option(
    "--png",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="PNG file to write.",
)
def main(folders: tuple[Path, ...], png: Path) -> None:
    """Draw training loss and test accuracy of runs, epoch by epoch, into a PNG.

    Needs Matplotlib (the extra odyssey-by-hand[plot]).

    \b
    Examples:
      python -m odyssey plot resnet18_weights --png curves.png
      python -m odyssey plot runs/first runs/second --png curves.png
    """  # noqa: D301  (click wants the backspace itself)
    with exit_statuses(debug=False):
        atomic_write_bytes(png, figure(results_of(folders)))
        click.echo(f"{png}: {len(folders)} runs")
        say_next(*((*ODYSSEY, "report", str(folder)) for folder in folders[:1]))
