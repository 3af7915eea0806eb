"""Curves of learning rates, drawn in characters or by Matplotlib."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from odyssey.output import say
from odyssey.report.figures import new_figure, png_bytes
from odyssey.training.learning_rate import LearningRate
from odyssey.weights.files import atomic_write_bytes

#: What each schedule does, for the line above its drawing.
MEANING = {
    "constant": "lr throughout",
    "step": "lr * lr_decay_factor ** (epochs done // lr_decay_epochs)",
    "multistep": "lr * lr_gamma ** (how many of lr_milestones have been reached)",
    "cosine": "half a cosine wave from lr to lr_min at the end of the run",
    "cosine-restarts": "half cosine waves, each lr_restart_mult times as long",
    "one-cycle": "straight up to lr, straight down to lr_min",
}
#: Steps of a run that are looked at: all of 200 epochs of CIFAR-10 by 128.
MOST_STEPS = 100_000
#: Lines of a drawing, from its highest rate to zero.
ROWS = 13
#: Columns for the numbers beside a drawing; and how narrow it may become itself.
LABEL, NARROWEST = 9, 16


def show(
    choices: Sequence[LearningRate], steps_per_epoch: int, image: Path | None = None
) -> None:
    """Print the curves of ``choices``, which have the same ``epochs``.

    Parameters
    ----------
    image : file to write a PNG of them all to, or None

    Raises
    ------
    InputError
        If there is to be an image and Matplotlib is not there.
    OSError
        If it cannot be written.
    """
    epochs = choices[0].epochs
    steps = sample_steps(epochs * steps_per_epoch)
    columns = shutil.get_terminal_size().columns
    curves = {
        choice.lr_scheduler: [choice.lr_at(step, steps_per_epoch) for step in steps]
        for choice in choices
    }
    if image is not None:  # first, for printing may end with its reader
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
    """Return all steps from 0 to ``total - 1``, or ``most`` of them spread evenly.

    The first and the last are always among them.
    """
    if total <= most:
        return list(range(total))
    return [i * (total - 1) // (most - 1) for i in range(most)]


def draw(rates: Sequence[float], epochs: int, columns: int) -> list[str]:
    """Return lines of plain text that show the rates of a run.

    A column stands for a span of time and is marked from its lowest rate to its
    highest, so that a drop is a vertical line and a short peak can be seen.

    Parameters
    ----------
    rates : learning rates at even distances from the first to the last update
    epochs : length of the run
    columns : characters a line may have; at least 27 are used
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
    """Return numbers of epochs, each under the column where its epoch begins."""
    end = f"{epochs} epochs"
    axis = [" "] * (width - len(end)) + list(end)
    for quarter in range(4):
        text, place = f"{epochs * quarter / 4:g}", quarter * width // 4
        if place + len(text) < width - len(end):
            axis[place : place + len(text)] = text
    return "".join(axis)


def png(curves: Mapping[str, Sequence[float]], epochs: Sequence[float]) -> bytes:
    """Return a PNG image of all ``curves``, named in its legend.

    Parameters
    ----------
    curves : learning rates by the name of their schedule
    epochs : when each of them holds, in epochs done

    Raises
    ------
    InputError
        Without Matplotlib.
    """
    figure = new_figure("a figure", 8)
    axes = figure.add_subplot(xlabel="epochs done", ylabel="learning rate")
    for name, rates in curves.items():
        axes.plot(epochs, rates, label=name)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    return png_bytes(figure)
