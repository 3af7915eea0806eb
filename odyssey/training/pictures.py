"""Pictures of what training sees and does, as pixels (height, width, 3) uint8."""

from collections.abc import Sequence

import numpy as np

from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD

MARGIN = 2  # pixels between the images of a sheet
CELL_HEIGHT, CELL_WIDTH = 24, 68  # pixels of a cell of the confusion matrix
DARKEST = np.array([8, 48, 107])  # blue, of a cell that has all of its row


def denormalize(
    x: np.ndarray,
    mean: Sequence[float] = CIFAR10_MEAN,
    std: Sequence[float] = CIFAR10_STD,
) -> np.ndarray:
    """Return normalised images (N, C, H, W) as uint8 again."""
    shift, scale = (np.array(m)[:, None, None] for m in (mean, std))
    return np.rint((x * scale + shift) * 255).clip(0, 255).astype(np.uint8)


def contact_sheet(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return images side by side on white.

    Parameters
    ----------
    columns : arrays (N, 3, H, W) uint8 of one shape
    """
    N, C, H, W = columns[0].shape
    sheet = np.full(
        (N * (H + MARGIN) + MARGIN, len(columns) * (W + MARGIN) + MARGIN, C),
        255,
        np.uint8,
    )
    for j, column in enumerate(columns):
        left = MARGIN + j * (W + MARGIN)
        for i, image in enumerate(column.transpose(0, 2, 3, 1)):
            top = MARGIN + i * (H + MARGIN)
            sheet[top : top + H, left : left + W] = image
    return sheet


def confusion_picture(confusion: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """Return a confusion matrix as a table of counts, the darker the more of its row.

    Needs Pillow, for the text.

    Parameters
    ----------
    confusion : (K, K) integers; row the true class, column the predicted
    class_names : K names, written before the rows and above the columns
    """
    from PIL import Image, ImageDraw

    K = len(confusion)
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    table = np.zeros((K + 1, K + 1))  # a row and a column of names, on white
    table[1:, 1:] = share
    pixels = np.rint(255 + table[..., None] * (DARKEST - 255)).astype(np.uint8)
    pixels = pixels.repeat(CELL_HEIGHT, axis=0).repeat(CELL_WIDTH, axis=1)
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)

    def write(row: int, column: int, text: str, color: str = "black") -> None:
        center = (column + 0.5) * CELL_WIDTH, (row + 0.5) * CELL_HEIGHT
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
