"""What came out of a run: figures, curves, and what became of each class."""

from html import escape
from pathlib import Path

import numpy as np

from odyssey.report import stored
from odyssey.report.charts import Series, line_chart
from odyssey.report.stored import Absent, Part
from odyssey.report.tables import Shaded, percent, table


def summary(folder: Path) -> str:
    """Return the figures that one looks for first."""
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
    seconds = sum(row["seconds"] for row in rows)
    figures += [
        ("test loss", f"{last['test_loss']:.4f}"),
        ("epochs", f"{len(rows)}"),
        ("time of all epochs", duration(seconds)),
        ("training images/s", f"{last['images_per_second']:,.0f}"),
    ]
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in figures
    )
    return f'<p>After the last epoch:</p><dl class="figures">{items}</dl>'


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def curves(folder: Path) -> str:
    """Return the curves of loss, accuracy and learning rate, and their numbers."""
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
        '<p class="note">Training loss and accuracy are of images and labels as they '
        "were trained on, augmented, mixed or smoothed, over an epoch in which the "
        "weights moved; the others are of whole images after it.</p>"
    )
    return (
        f'<div class="charts">{loss}{accuracy}{rate}</div>{note}'
        f"<details><summary>All numbers</summary>{numbers}</details>"
    )


def confusion_of(part: Part, K: int) -> np.ndarray:
    """Return how many images of each class (rows) were taken for which (columns)."""
    cells = part.labels.astype(np.int64) * K + part.predicted
    return np.bincount(cells, minlength=K * K).reshape(K, K)


def confusion(folder: Path) -> str:
    """Return the confusion matrices, coloured by the share in the true class."""
    run = stored.evaluated(folder)
    names = run.class_names
    tables = []
    for title, part in run.parts.items():
        counts = confusion_of(part, len(names))
        totals = counts.sum(axis=1, keepdims=True)
        shares = counts / np.maximum(totals, 1)
        rows = (
            [name, *map(Shaded, counts[k], shares[k])] for k, name in enumerate(names)
        )
        caption = f"{title}: true classes in rows, answers in columns"
        tables.append(table(caption, ["", *names], rows, "confusion"))
    note = f'<p class="note">After epoch {run.epoch}.</p>'
    return note + f'<div class="side">{"".join(tables)}</div>'


def classes(folder: Path) -> str:
    """Return precision, recall and F1 of each class."""
    run = stored.evaluated(folder)
    K, tables = len(run.class_names), []
    for title, part in run.parts.items():
        counts = confusion_of(part, K)
        right, count, answers = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
        rows = [
            [
                name,
                _ratio(right[k], answers[k]),
                _ratio(right[k], count[k]),
                _ratio(2 * right[k], count[k] + answers[k]),
                f"{count[k]:,}",
            ]
            for k, name in enumerate(run.class_names)
        ]
        head = ["class", "precision", "recall", "F1", "images"]
        tables.append(table(title, head, rows))
    note = (
        '<p class="note">Precision: of the images taken for the class, the share that '
        "is of it. Recall: of the images of the class, the share that was taken for "
        "it. F1: the harmonic mean of both.</p>"
    )
    return note + f'<div class="side">{"".join(tables)}</div>'


def _ratio(part: int, whole: int) -> str:
    return percent(part / whole) if whole else "none"
