"""The results of a series: a table as text, Markdown and CSV, and a figure.

The accuracy of a run is that of its last epoch on the test set.  "Best" is its best
accuracy on a validation set; without one there is no best, because choosing an epoch by
the test set would be fitting to the test set.
"""

import csv
import io
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from odyssey.errors import InputError
from odyssey.output import say
from odyssey.report.figures import new_figure, png_bytes
from odyssey.series.rows import Published
from odyssey.training.log_lines import describe, read_log, read_metrics
from odyssey.weights.files import atomic_write_bytes, atomic_write_text

Epochs = list[dict[str, Any]]  # the rows of a run's metrics.csv
COLUMNS = ("epoch", "train_loss", "test_accuracy", "seconds")  # required ones

HEADER = (
    "row",
    "runs",
    "best on validation, %",
    "last on test, %",
    "time a run",
    "published last, %",
    "published best, %",
)
#: Columns of the CSV after the row's name and its seeds.
NUMBERS = (
    "val_best_mean",
    "val_best_deviation",
    "test_last_mean",
    "test_last_deviation",
    "seconds_mean",
    "published_last",
    "published_best",
)


NOTES = """\
Mean ± sample standard deviation over the seeds whose run is finished. The time is that
of all epochs of a run, training and evaluation.
"""


class Result(NamedTuple):
    """A row of the series and its finished runs, by seed."""

    name: str
    wanted: int  # runs asked for
    runs: dict[int, Epochs]
    published: Published | None = None

    def numbers(self) -> list[float | None]:
        """Return the values of `NUMBERS`, None where there is none."""
        runs = self.runs.values()
        best = [
            max(epoch["val_accuracy"] for epoch in run)
            for run in runs
            if "val_accuracy" in run[-1]
        ]
        last = [run[-1]["test_accuracy"] for run in runs]
        seconds = [sum(epoch["seconds"] for epoch in run) for run in runs]
        return [
            *mean_and_deviation(best),
            *mean_and_deviation(last),
            mean_and_deviation(seconds)[0],
            *(self.published or (None, None)),
        ]


def read_epochs(folder: Path) -> Epochs:
    """Return the complete rows of a run's ``metrics.csv``.

    Raises
    ------
    InputError
        If a row is damaged or a column is missing; names the file, the line and the
        reason.
    OSError
        If the file does not exist or cannot be read.
    """
    path = folder / "metrics.csv"
    log = read_metrics(read_log(path), COLUMNS)
    if log.damaged:
        raise InputError(f"{path}: {describe(log.damaged)}")
    return [line.values for line in log.lines]


def mean_and_deviation(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return mean and sample deviation, sqrt(sum((x - mean)^2) / (n - 1)).

    The deviation of one value is None; for no values both are None.
    """
    return (
        mean(values) if values else None,
        stdev(values) if len(values) > 1 else None,
    )


def cells(results: Sequence[Result]) -> list[list[str]]:
    """Return the table's cells as text: the header, then a list for each row."""
    table = [list(HEADER)]
    for result in results:
        best, best_deviation, last, last_deviation, seconds, *published = (
            result.numbers()
        )
        missing = len(result.runs) < result.wanted
        table.append(
            [
                result.name,
                f"{len(result.runs)}{f' of {result.wanted}' if missing else ''}",
                _percent(best, best_deviation, digits=2),
                _percent(last, last_deviation, digits=2),
                "-" if seconds is None else str(timedelta(seconds=round(seconds))),
                *(_percent(value, digits=1) for value in published),
            ]
        )
    return table


def _percent(
    value: float | None, deviation: float | None = None, *, digits: int
) -> str:
    if value is None:
        return "-"
    text = f"{100 * value:.{digits}f}"
    return text if deviation is None else f"{text} ± {100 * deviation:.{digits}f}"


def text_table(table: list[list[str]]) -> str:
    """Return a table of cells as lines of text, numbers aligned to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for name, *others in table:
        line = [name.ljust(widths[0])]
        line += [cell.rjust(w) for cell, w in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(line))
    return "\n".join(lines) + "\n"


def markdown_table(table: list[list[str]]) -> str:
    """Return a table of cells in Markdown."""
    header, *rows = (f"| {' | '.join(row)} |" for row in table)
    return "\n".join([header, "|---" + "|---:" * len(table[0][1:]) + "|", *rows]) + "\n"


def csv_table(results: Sequence[Result]) -> str:
    """Return the unrounded numbers as CSV; accuracies are fractions, None is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "seeds", *NUMBERS))
    for result in results:
        seeds = " ".join(map(str, result.runs))
        writer.writerow([result.name, seeds, *result.numbers()])
    return text.getvalue()


def report(
    results: Sequence[Result], folder: Path, options: str, source: str = ""
) -> None:
    """Print the table; write the table and the figure into ``folder``.

    Parameters
    ----------
    options : options of all runs, for the heading
    source : of the published figures
    """
    table = cells(results)
    notes = NOTES + (f"\nPublished figures: {source}.\n" if source else "")
    say(f"\n{text_table(table)}\n{notes}")
    text = f"Runs with `{options}`.\n\n{markdown_table(table)}\n{notes}"
    atomic_write_text(folder / "results.md", text)
    atomic_write_text(folder / "results.csv", csv_table(results))
    picture = partial(figure, results) if any(r.runs for r in results) else None
    finish_report(folder, ["results.md", "results.csv"], "curves.png", picture)


def finish_report(
    folder: Path, tables: list[str], name: str, picture: Callable[[], bytes] | None
) -> None:
    """Write a figure beside tables, if there is one, and say which files are there."""
    *others, last = tables
    try:
        if picture is not None:
            atomic_write_bytes(folder / name, picture())
            others, last = tables, name
    except InputError as error:  # the tables are written nevertheless
        say(f"no {name}: {error}")
    say(f"{', '.join(others)} and {last} are in {folder}")


def figure(results: Sequence[Result]) -> bytes:
    """Return a PNG of training loss and test accuracy, each the mean over the seeds.

    With several seeds a lighter band goes from the lowest to the highest value.
    `InputError` is raised without Matplotlib.
    """
    picture = new_figure(11)
    panels = picture.subplots(1, 2)
    for panel, (column, label) in zip(
        panels,
        [("train_loss", "training loss"), ("test_accuracy", "test accuracy")],
        strict=True,
    ):
        for number, result in enumerate(results):
            curves = [[epoch[column] for epoch in e] for e in result.runs.values()]
            if not curves:
                continue
            by_epoch = list(zip(*curves, strict=True))
            first, *_ = result.runs.values()
            epochs = [epoch["epoch"] for epoch in first]
            color, dots = f"C{number % 10}", "." if len(by_epoch) < 3 else ""
            panel.plot(
                epochs,
                [mean(values) for values in by_epoch],
                "-" if number < 10 else "--",  # there are ten colours
                color=color,
                marker=dots,
                label=result.name,
            )
            if len(curves) > 1:
                low, high = (list(map(bound, by_epoch)) for bound in (min, max))
                panel.fill_between(epochs, low, high, color=color, alpha=0.2, lw=0)
        panel.set(xlabel="epoch", ylabel=label)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
    panels[1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return png_bytes(picture)
