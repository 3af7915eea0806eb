"""Pictures of training images and confusion matrices, (height, width, 3) uint8."""

import math
from collections.abc import Sequence

import numpy as np

from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD

MARGIN = 2  # pixels between the images of a sheet
CELL_HEIGHT, CELL_WIDTH = 24, 68  # least pixels of a cell of the confusion matrix
MOST_NAMED = 30  # classes up to which names and counts are written
SMALL_CELL = 8  # pixels of a cell's side without text
DARKEST = np.array([8, 48, 107])  # blue: the cell has all images of its row


def denormalize(
    x: np.ndarray,
    mean: Sequence[float] = CIFAR10_MEAN,
    std: Sequence[float] = CIFAR10_STD,
) -> np.ndarray:
    """Return normalised images (N, C, H, W) as the uint8 images that they were."""
    shift, scale = (np.array(m)[:, None, None] for m in (mean, std))
    return np.rint((x * scale + shift) * 255).clip(0, 255).astype(np.uint8)


def contact_sheet(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Arrange images in columns on a white sheet; return it in colour.

    Parameters
    ----------
    columns : arrays (N, C, H, W) uint8 of one shape; C is 3, or 1 for greys
    """
    N, C, H, W = columns[0].shape
    if C not in (1, 3):
        raise ValueError(f"contact_sheet: columns must have 1 or 3 channels, got {C}")
    sheet = np.full(
        (N * (H + MARGIN) + MARGIN, len(columns) * (W + MARGIN) + MARGIN, 3),
        255,
        np.uint8,
    )
    for j, column in enumerate(columns):
        left = MARGIN + j * (W + MARGIN)
        for i, image in enumerate(column.transpose(0, 2, 3, 1)):
            top = MARGIN + i * (H + MARGIN)
            sheet[top : top + H, left : left + W] = (
                image  # grey is repeated in all channels
            )
    return sheet


def confusion_picture(confusion: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """Draw a confusion matrix as a table; the larger a cell's share, the darker.

    The share is of the images of the row.  Text needs Pillow; with more than
    `MOST_NAMED` classes there are only colours.

    Parameters
    ----------
    confusion : (K, K) integers; row the true class, column the predicted
    class_names : K names, written before the rows and above the columns
    """
    from PIL import Image, ImageDraw

    K = len(confusion)
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    if K > MOST_NAMED:
        return _coloured(share, SMALL_CELL, SMALL_CELL)
    # The width of the names decides the size of the table, so it is measured first.
    measure = ImageDraw.Draw(Image.new("RGB", (1, 1))).textlength
    widest = max((measure(name) for name in class_names), default=0)
    cell_width = max(CELL_WIDTH, math.ceil(widest) + 4)
    table = np.zeros((K + 1, K + 1))  # the first row and column are for names, on white
    table[1:, 1:] = share
    image = Image.fromarray(_coloured(table, CELL_HEIGHT, cell_width))
    draw = ImageDraw.Draw(image)

    def write(row: int, column: int, text: str, color: str = "black") -> None:
        center = (column + 0.5) * cell_width, (row + 0.5) * CELL_HEIGHT
        box = draw.textbbox((0, 0), text)
        corner = [c - (box[i] + box[i + 2]) / 2 for i, c in enumerate(center)]
        draw.text(corner, text, fill=color)

    write(0, 0, "true \\ pred.")
    for k, name in enumerate(class_names, 1):
        write(k, 0, name)
        write(0, k, name)
    for (i, j), count in np.ndenumerate(confusion):
        if count:
            write(i + 1, j + 1, str(count), "white" if share[i, j] > 0.5 else "black")
    return np.asarray(image)


def _coloured(table: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a table of shares, 0 to 1, as cells from white to blue."""
    pixels = np.rint(255 + table[..., None] * (DARKEST - 255)).astype(np.uint8)
    return pixels.repeat(height, axis=0).repeat(width, axis=1)
