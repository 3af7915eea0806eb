"""Commands of the library itself: ``python -m odyssey --help``."""

from pathlib import Path

import click

from odyssey import __version__
from odyssey.weights.files import WeightsError
from odyssey.weights.verify import find_sets, verify_set


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Tools for what Odyssey writes to disk."""


@main.command()
@click.argument(
    "directory",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.pass_context
def verify(ctx: click.Context, directory: Path) -> None:
    """Check that a folder of weights or checkpoints is whole.

    DIR is a folder of weights, a checkpoint, the folder "checkpoints" of a run, or the
    whole folder of a run.  Every file that a manifest lists must be there with the
    size, SHA-256, name, dtype and shape that it says, and no other weight file beside
    it.  A save that a crash cut short is completed first.

    \b
    Exit status:
      0    all there and matching
      1    something missing, unexpected or damaged (said on stderr), or no manifest
      2    no such folder
      130  stopped by Ctrl-C
    """  # noqa: D301  (click wants the backspace itself)
    failed = False
    try:
        for folder in find_sets(directory):
            try:
                _say(f"{folder}: {verify_set(folder)}")
            except (WeightsError, OSError) as error:
                _say(f"Error: {error}", err=True)
                failed = True
    except OSError as error:
        _say(f"Error: {error}", err=True)
        failed = True
    except KeyboardInterrupt:
        ctx.exit(130)
    ctx.exit(1 if failed else 0)


def _say(text: str, *, err: bool = False) -> None:
    """Print one line; what cannot stand in a line, as a path may hold, is escaped."""
    click.echo("".join(c if c.isprintable() else ascii(c)[1:-1] for c in text), err=err)


if __name__ == "__main__":
    main(prog_name="python -m odyssey")
