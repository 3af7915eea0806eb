"""The results of a comparison of networks: a table, a JSON file and a figure.

The accuracy is that of the last epoch on the test set.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import odyssey
from odyssey.output import say
from odyssey.report.figures import new_figure, png_bytes
from odyssey.series.results import Epochs, finish_report, markdown_table, text_table
from odyssey.weights.files import atomic_write_text

HEADER = (
    "network",
    "parameters",
    "multiply-adds",
    "epochs",
    "time an epoch, s",
    "time, min",
    "last on test, %",
)
#: The panels of the figure: a key of `Outcome.numbers`, its label, the form of a value,
#: and whether the axis is logarithmic.
PANELS = (
    ("parameters", "parameters", "{:,}", True),
    ("multiply_adds", "multiply-adds an image", "{:,}", True),
    ("seconds_per_epoch", "seconds an epoch", "{:.1f}", True),
    ("test_accuracy", "test accuracy, last epoch", "{:.2%}", False),
)

NOTES = """\
Multiply-adds are those of the forward for one image. Times are those of whole epochs,
training and evaluation; kernels are compiled before. The accuracy is that of the last
epoch.
"""


class Outcome(NamedTuple):
    """A network of the comparison, and the epochs of its run."""

    name: str  # resnet18, or with a width resnet18:16
    model: str
    recipe: str
    parameters: int
    multiply_adds: int
    metrics: Epochs  # empty if the run is not finished

    def numbers(self) -> dict[str, Any]:
        """Return what the JSON file says of the network; times are in seconds."""
        found = self._asdict()
        metrics = found.pop("metrics")
        found["epochs"] = len(metrics)
        if not metrics:
            return found
        seconds = [epoch["seconds"] for epoch in metrics]
        last = metrics[-1]
        return found | {
            "seconds": sum(seconds),
            "seconds_per_epoch": sum(seconds) / len(seconds),
            "train_loss": last["train_loss"],
            "test_accuracy": last["test_accuracy"],
        }


def cells(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Return the table's cells as text: the header, then a list for each network."""
    table = [list(HEADER)]
    for outcome in outcomes:
        found = outcome.numbers()
        row = [found["name"], f"{found['parameters']:,}", f"{found['multiply_adds']:,}"]
        if outcome.metrics:
            row += [
                str(found["epochs"]),
                f"{found['seconds_per_epoch']:.1f}",
                f"{found['seconds'] / 60:.1f}",
                f"{100 * found['test_accuracy']:.2f}",
            ]
        table.append(row + ["-"] * (len(HEADER) - len(row)))
    return table


def write_results(
    outcomes: Sequence[Outcome], folder: Path, settings: Mapping[str, Any]
) -> None:
    """Write ``comparison.json`` and ``comparison.md``.

    Parameters
    ----------
    outcomes : of all networks, finished or not
    folder : where to write
    settings : what all runs share: the budget, the data
    """
    found = {
        "odyssey": odyssey.__version__,
        **settings,
        "networks": [outcome.numbers() for outcome in outcomes],
    }
    atomic_write_text(folder / "comparison.json", json.dumps(found, indent=1) + "\n")
    shared = ", ".join(f"{name} {value}" for name, value in settings.items() if value)
    text = f"Each network with {shared}.\n\n{markdown_table(cells(outcomes))}\n{NOTES}"
    atomic_write_text(folder / "comparison.md", text)


def report(outcomes: Sequence[Outcome], folder: Path) -> None:
    """Print the table and draw the figure, ``comparison.png``."""
    say(f"\n{text_table(cells(outcomes))}\n{NOTES}")
    finished = [outcome for outcome in outcomes if outcome.metrics]
    picture = partial(figure, finished) if finished else None
    tables = ["comparison.json", "comparison.md"]
    finish_report(folder, tables, "comparison.png", picture)


def figure(outcomes: Sequence[Outcome]) -> bytes:
    """Return a PNG of parameters, multiply-adds, time and accuracy, a row for each.

    `InputError` is raised without Matplotlib.
    """
    picture = new_figure(11)
    panels = picture.subplots(1, len(PANELS), sharey=True)
    rows = range(len(outcomes))
    for panel, (key, label, form, logarithmic) in zip(panels, PANELS, strict=True):
        values = [outcome.numbers()[key] for outcome in outcomes]
        for row, value in zip(rows, values, strict=True):
            panel.plot(value, row, "o", color=f"C{row % 10}")
            place = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
            panel.annotate(form.format(value), (value, row), fontsize=8, **place)
        if logarithmic:
            panel.set(xscale="log", xlim=(min(values) / 10, max(values) * 10))
            panel.minorticks_off()
        else:
            panel.set(xlim=(0, 1.1))
        panel.set(xlabel=label)
        panel.grid(alpha=0.3)
    names = [outcome.name for outcome in outcomes]
    last = len(names) - 0.5
    panels[0].set(yticks=rows, yticklabels=names, ylim=(last, -0.5))  # first on top
    return png_bytes(picture)
