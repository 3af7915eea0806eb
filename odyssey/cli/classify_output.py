"""What the program that classifies prints: tables, or one JSON object."""

import json
import os
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click
import numpy as np

from odyssey.errors import EXIT_USAGE, one_line
from odyssey.training.classification import number
from odyssey.training.evaluation import Evaluation

#: Up to this number of classes the confusion matrix is printed; more would not fit on a
#: screen, and the most frequent mistakes are printed instead.
MOST_PRINTED = 20
MISTAKES_PRINTED = 10


def percent(value: float | None) -> str:
    """Return a fraction as a percentage; None, which stands for NaN, as "nan"."""
    return "nan" if value is None else f"{value:.2%}"


def print_evaluation(result: Evaluation, classes: Sequence[str], as_json: bool) -> None:
    """Print an evaluation, as one JSON object or as tables."""
    values = evaluation_values(result, classes)
    if as_json:
        click.echo(json.dumps(values))
    else:
        print_tables(values)


def evaluation_values(result: Evaluation, classes: Sequence[str]) -> dict[str, Any]:
    """Return an evaluation as plain JSON values."""
    rows = zip(classes, np.diag(result.confusion), result.confusion, strict=True)
    per_class = [
        {
            "class": name,
            "correct": int(correct),
            "total": int(row.sum()),
            "accuracy": float(correct / row.sum()) if row.any() else None,
        }
        for name, correct, row in rows
    ]
    return {
        "accuracy": result.accuracy,
        "correct": result.correct,
        "total": result.total,
        "loss": number(result.loss),
        "per_class": per_class,
        "confusion": result.confusion.tolist(),
    }


def print_tables(values: dict[str, Any]) -> None:
    """Print accuracy, a table by class, and the confusions of the classes."""
    loss = "not finite" if values["loss"] is None else f"{values['loss']:.4f}"
    click.echo(
        f"accuracy {values['accuracy']:.2%} ({values['correct']} of "
        f"{values['total']}), loss {loss}\n"
    )
    names = [row["class"] for row in values["per_class"]]
    width = max(map(len, names))
    click.echo(f"{'class':{width}}  correct   total  accuracy")
    for row in values["per_class"]:
        share = "-" if row["accuracy"] is None else f"{row['accuracy']:.2%}"
        click.echo(
            f"{row['class']:{width}}  {row['correct']:7}  {row['total']:6}  {share:>8}"
        )
    if len(names) > MOST_PRINTED:
        print_mistakes(names, np.array(values["confusion"]))
        return
    click.echo("\nconfusion: a row for each true class, a column for each answer")
    click.echo(
        " " * width + "".join(f"{name.removeprefix('class ')[:5]:>6}" for name in names)
    )
    for name, row in zip(names, values["confusion"], strict=True):
        click.echo(f"{name:{width}}" + "".join(f"{count:6}" for count in row))


def print_mistakes(names: Sequence[str], confusion: np.ndarray) -> None:
    """Print the largest numbers of the confusion matrix that are mistakes."""
    wrong = confusion * ~np.eye(len(names), dtype=bool)
    width = max(map(len, names))
    click.echo(
        f"\nmost frequent mistakes\n{'class':{width}}  {'answer':{width}}  images"
    )
    for cell in np.argsort(-wrong, axis=None, kind="stable")[:MISTAKES_PRINTED]:
        true, answer = divmod(int(cell), len(names))
        if count := wrong[true, answer]:
            click.echo(f"{names[true]:{width}}  {names[answer]:{width}}  {count:6}")


def right_by_folder(
    predictions: Sequence[dict], classes: Sequence[str]
) -> tuple[int, int] | None:
    """Return how many files are in the folder of their class, and of how many.

    None if a file is in a folder whose name is no class.
    """
    correct = 0
    for prediction in predictions:
        folder = os.path.basename(os.path.dirname(os.path.abspath(prediction["file"])))
        name = unicodedata.normalize("NFC", folder)
        if name not in classes:
            return None
        correct += prediction["top"][0]["class"] == name
    return (correct, len(predictions)) if predictions else None


def print_files(
    results: Iterable[dict], as_json: bool, classes: Sequence[str] = ()
) -> None:
    """Print what `classify_files` yields; exit with status 2 if there is an error.

    If all files are in folders with names of ``classes``, the accuracy comes last.
    """
    predictions: list[dict] = []
    errors: list[dict] = []
    for result in results:
        (errors if "error" in result else predictions).append(result)
        if "top" in result and not as_json:
            best = (f"{t['class']} {percent(t['probability'])}" for t in result["top"])
            click.echo(f"{result['file']}: {', '.join(best)}")
    right = right_by_folder(predictions, classes)
    if as_json:
        values: dict[str, Any] = {"predictions": predictions, "errors": errors}
        if right is not None:
            values |= {"correct": right[0], "total": right[1]}
        click.echo(json.dumps(values))
    elif right is not None and right[1] > 1:
        share = percent(right[0] / right[1])
        click.echo(
            f"accuracy {share} ({right[0]} of {right[1]}), by the folders' names"
        )
    for result in errors:
        click.echo(f"Error: {one_line(result['error'])}", err=True)
    if errors:
        raise click.exceptions.Exit(EXIT_USAGE)
