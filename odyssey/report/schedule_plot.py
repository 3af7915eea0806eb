"""Curves of learning rates, drawn as text or by Matplotlib."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from odyssey.output import say
from odyssey.report.figures import new_figure, png_bytes
from odyssey.training.learning_rate import LearningRate
from odyssey.weights.files import atomic_write_bytes

#: Description of each schedule, for the line above its drawing.
MEANING = {
    "constant": "lr at every step",
    "step": "lr * lr_decay_factor ** (epochs done // lr_decay_epochs)",
    "multistep": "lr * lr_gamma ** (number of lr_milestones reached)",
    "cosine": "half a cosine wave from lr to lr_min at the end of the run",
    "cosine-restarts": "half cosine waves, each lr_restart_mult times longer",
    "one-cycle": "up to lr linearly, then down to lr_min linearly",
}
#: Most steps that are evaluated: all of 200 epochs of CIFAR-10 with batches of 128.
MOST_STEPS = 100_000
#: Lines of a drawing, from the highest rate to zero.
ROWS = 13
#: Columns for the numbers beside a drawing, and its own least width.
LABEL, NARROWEST = 9, 16


def show(
    choices: Sequence[LearningRate], steps_per_epoch: int, image: Path | None = None
) -> None:
    """Print the curves of ``choices``, which have the same ``epochs``.

    Parameters
    ----------
    image : file for a PNG of all curves, or None

    Raises
    ------
    InputError
        If an image is wanted and Matplotlib is not installed.
    OSError
        If the image cannot be written.
    """
    epochs = choices[0].epochs
    steps = sample_steps(epochs * steps_per_epoch)
    columns = shutil.get_terminal_size().columns
    curves = {
        choice.lr_scheduler: [choice.lr_at(step, steps_per_epoch) for step in steps]
        for choice in choices
    }
    if image is not None:  # first, because printing may end the program
        atomic_write_bytes(image, png(curves, [s / steps_per_epoch for s in steps]))
    for choice in choices:
        rates = curves[choice.lr_scheduler]
        say(f"{choice.lr_scheduler}: {MEANING[choice.lr_scheduler]}")
        say("\n".join(draw(rates, epochs, columns)))
        say(
            f"{steps_per_epoch} steps an epoch; first step {rates[0]:.6g}, "
            f"highest {max(rates):.6g}, last step {rates[-1]:.6g}\n"
        )
    if image is not None:
        say(f"image written to {image}")


def sample_steps(total: int, most: int = MOST_STEPS) -> list[int]:
    """Return the steps from 0 to ``total - 1``, or ``most`` of them, evenly spaced.

    They always include the first and the last.
    """
    if total <= most:
        return list(range(total))
    return [i * (total - 1) // (most - 1) for i in range(most)]


def draw(rates: Sequence[float], epochs: int, columns: int) -> list[str]:
    """Draw the rates of a run as lines of text.

    A column is a span of time, marked from its lowest to its highest rate, so that a
    drop is a vertical line and a short peak is visible.

    Parameters
    ----------
    rates : learning rates at evenly spaced updates, from the first to the last
    epochs : length of the run
    columns : most characters of a line; at least 27 are used
    """
    width = max(NARROWEST, columns - LABEL - 2)
    highest = max(rates) or 1.0
    rows = [[" "] * width for _ in range(ROWS)]
    for column in range(width):
        start, stop = (n * len(rates) // width for n in (column, column + 1))
        span = rates[start : max(stop, start + 1)]
        low, high = (round(r / highest * (ROWS - 1)) for r in (min(span), max(span)))
        for level in range(low, high + 1):
            rows[ROWS - 1 - level][column] = "*"
    lines = []
    for index, row in enumerate(rows):
        label = f"{highest * (1 - index / (ROWS - 1)):.3g}" if index % 4 == 0 else ""
        lines.append(f"{label:>{LABEL}} |{''.join(row)}".rstrip())
    lines.append(" " * LABEL + " +" + "-" * width)
    lines.append(" " * LABEL + "  " + _epoch_axis(epochs, width))
    return lines


def _epoch_axis(epochs: int, width: int) -> str:
    """Return the axis: numbers of epochs, each under the column where it begins."""
    end = f"{epochs} epochs"
    axis = [" "] * (width - len(end)) + list(end)
    for quarter in range(4):
        text, column = f"{epochs * quarter / 4:g}", quarter * width // 4
        if column + len(text) < width - len(end):
            axis[column : column + len(text)] = text
    return "".join(axis)


def png(curves: Mapping[str, Sequence[float]], epochs: Sequence[float]) -> bytes:
    """Return a PNG of all ``curves``, with a legend.

    Parameters
    ----------
    curves : learning rates by the name of their schedule
    epochs : time of each rate, in epochs done
    """
    figure = new_figure(8)
    axes = figure.add_subplot(xlabel="epochs done", ylabel="learning rate")
    for name, rates in curves.items():
        axes.plot(epochs, rates, label=name)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    return png_bytes(figure)
