"""Sections with the results of a run: figures, curves, classes."""

from pathlib import Path

import numpy as np

from odyssey.report import stored
from odyssey.report.charts import Series, line_chart
from odyssey.report.stored import Absent
from odyssey.report.tables import Shaded, definitions, percent, table
from odyssey.training.evaluation import confusion_matrix
from odyssey.training.log_lines import first_and_last, missing

#: Most classes for which the columns of a confusion matrix have room for names.
MOST_ROOMY = 12


def summary(folder: Path) -> str:
    """Return the most important figures."""
    rows = stored.metrics(folder)
    last = rows[-1]
    figures = [
        (f"{name} accuracy", percent(last[f"{key}_accuracy"]))
        for key, name in (
            ("test", "test"),
            ("val", "validation"),
            ("train", "training"),
        )
        if f"{key}_accuracy" in last
    ]
    lost = missing((row["epoch"] for row in rows), last["epoch"])
    which = f"{len(rows)} of the epochs" if lost else "all epochs"
    figures += [
        ("test loss", f"{last['test_loss']:.4f}"),
        ("epochs", f"{last['epoch']}"),
        (f"time of {which}", duration(sum(row["seconds"] for row in rows))),
        ("training images/s", f"{last['images_per_second']:,.0f}"),
    ]
    note = (
        f"<p>metrics.csv has no row of epoch {first_and_last(lost)}.</p>"
        if lost
        else ""
    )
    return f"<p>After the last epoch:</p>{definitions(figures, 'figures')}{note}"


def duration(seconds: float) -> str:
    """Return a duration as text: "3 min 20 s"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def curves(folder: Path) -> str:
    """Return the curves of loss, accuracy and learning rate, and a table of metrics."""
    rows = stored.metrics(folder)
    kinds = [
        kind
        for kind in ("test", "train", "val")
        if {f"{kind}_loss", f"{kind}_accuracy"} <= rows[0].keys()
    ]

    def of(quantity: str) -> list[Series]:
        return [
            Series(k, [(row["epoch"], row[f"{k}_{quantity}"]) for row in rows])
            for k in kinds
        ]

    loss = line_chart("Loss", of("loss"), "epoch")
    accuracy = line_chart(
        "Accuracy",
        of("accuracy"),
        "epoch",
        lambda share: f"{100 * share:.4g}\N{NO-BREAK SPACE}%",
    )
    try:
        rates, unit = stored.learning_rates(folder), "step"
    except Absent:
        rates, unit = [(row["epoch"], row["lr"]) for row in rows], "epoch"
    lr = [Series("lr", rates)]
    rate = line_chart("Learning rate", lr, unit, mark=unit == "epoch", from_zero=True)
    numbers = table(
        "Metrics by epoch",
        [name.replace("_", " ") for name in rows[0]],
        ([f"{value:.5g}" for value in row.values()] for row in rows),
    )
    note = (
        '<p class="note">Training loss and accuracy are means over the epoch, while '
        "the weights changed, on augmented images and mixed or smoothed labels. The "
        "others are measured after the epoch on unchanged images.</p>"
    )
    return (
        f'<div class="charts">{loss}{accuracy}{rate}</div>{note}'
        f"<details><summary>All numbers</summary>{numbers}</details>"
    )


def confusion(folder: Path) -> str:
    """Return the confusion matrices, coloured by the share of the true class.

    Mistakes have a scale of their own, up to the most frequent one: on the scale of the
    correct answers they would be invisible.
    """
    run = stored.evaluated(folder)
    names = run.class_names
    tables = []
    for title, part in run.parts.items():
        counts = confusion_matrix(part.labels, part.predicted, len(names))
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        wrong = shares * ~np.eye(len(names), dtype=bool)
        wrong /= wrong.max() or 1.0
        cells = [
            [Shaded(n, share, "wrong") for n, share in zip(*row, strict=True)]
            for row in zip(counts, wrong, strict=True)
        ]
        for k in range(len(names)):
            cells[k][k] = Shaded(counts[k, k], shares[k, k])
        rows = ([name, *row] for name, row in zip(names, cells, strict=True))
        caption = f"{title}: true classes in rows, answers in columns"
        roomy = " roomy" if len(run.parts) == 1 and len(names) <= MOST_ROOMY else ""
        tables.append(table(caption, ["", *names], rows, f"confusion{roomy}"))
    note = (
        f'<p class="note">After epoch {run.epoch}. The stronger the colour, the larger '
        "the share of the true class. Correct answers are blue. Mistakes are orange; "
        "the most frequent one has the full colour.</p>"
    )
    return note + f'<div class="side">{"".join(tables)}</div>'


def classes(folder: Path) -> str:
    """Return precision, recall and F1 of each class."""
    run = stored.evaluated(folder)
    K, tables = len(run.class_names), []
    for title, part in run.parts.items():
        counts = confusion_matrix(part.labels, part.predicted, K)
        right, count, answers = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
        rows = [
            [
                name,
                _bar(right[k], answers[k]),
                _bar(right[k], count[k]),
                _bar(2 * right[k], count[k] + answers[k]),
                f"{count[k]:,}",
            ]
            for k, name in enumerate(run.class_names)
        ]
        head = ["class", "precision", "recall", "F1", "images"]
        tables.append(table(title, head, rows, "bars"))
    note = (
        '<p class="note">Precision: of the images predicted as the class, the share '
        "that is of it. Recall: of the images of the class, the share that was "
        "predicted as it. F1: the harmonic mean of both.</p>"
    )
    return note + f'<div class="side">{"".join(tables)}</div>'


def _bar(part: int, whole: int) -> Shaded:
    return Shaded(percent(part / whole), part / whole) if whole else Shaded("none", 0)
