"""Plain NumPy twins of the augmentation kernels, an image at a time."""

import numpy as np

from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD
from odyssey.data.streams import AUGMENT_STREAM
from odyssey.kernels.randaugment import OPERATIONS


def words(seed, epoch, index, count):
    """Return the first random words of a sample, as Python's integers."""
    key = np.array([seed % 2**64, AUGMENT_STREAM], np.uint64)
    counter = np.array([0, index, epoch, 0], np.uint64)
    drawn = np.random.Philox(key=key, counter=counter).random_raw(count)
    return [int(word) for word in drawn]


def crop_flip_cutout(
    image, index, *, seed, epoch, padding, mode, flip, cutout, between=lambda x: x
):
    """Return a sample (C, H, W) in float64; ``between`` is done to its uint8 pixels."""
    C, H, W = image.shape
    drawn = words(seed, epoch, index, 6)
    top, left = (word % (2 * padding + 1) for word in drawn[:2])
    margins = [(0, 0), (padding, padding), (padding, padding)]
    how = {"zero": "constant", "reflect": "reflect"}[mode]
    image = np.pad(image, margins, how)[:, top : top + H, left : left + W]
    heads = drawn[2] >= 2**63
    if flip == "alternating":
        heads = (words(seed, 0, index, 3)[2] >= 2**63) != epoch % 2
    if heads and flip != "none":
        image = image[:, :, ::-1]
    mean, std = (np.array(m)[:C, None, None] for m in (CIFAR10_MEAN, CIFAR10_STD))
    out = (between(image) / 255 - mean) / std
    y, x = np.arange(H) - drawn[4] % H, np.arange(W) - drawn[5] % W
    rows, columns = ((-(cutout // 2) <= d) & (d < cutout - cutout // 2) for d in (y, x))
    out[:, rows[:, None] & columns] = 0
    return out


def choices(index, num_ops, *, seed, epoch):
    """Return the operations and signs of a sample, (num_ops, 2)."""
    drawn = words(seed, epoch, index, 8 + 4 * num_ops)[8:]
    return [(drawn[4 * k] % 14, drawn[4 * k + 1] >> 63) for k in range(num_ops)]


def operate(image, choices, tables):
    """Return an image (3, H, W) uint8 after its operations."""
    for number, sign in choices:
        name = OPERATIONS[number]
        if name in MADE_OF:
            other = MADE_OF[name](image.astype(np.int64))
            image = tables.blend[sign][other, image]
        elif name in ("Posterize", "Solarize"):
            image = tables.levels[int(name == "Solarize")][image]
        elif name in ("AutoContrast", "Equalize"):
            look_up = stretched if name == "AutoContrast" else equalized
            image = np.array([look_up(plane, tables)[plane] for plane in image])
        else:
            image = moved(image, tables.affine[number, sign], name)
    return image


def moved(image, matrix, name):
    if name == "Identity":
        return image
    _, H, W = image.shape
    y, x = np.indices((H, W))
    a, b, c, d, e, f = (int(v) for v in matrix)
    column, row = (a * x + b * y + c) // 65536, (d * x + e * y + f) // 65536
    inside = (column >= 0) & (column < W) & (row >= 0) & (row < H)
    return np.where(inside, image[:, row.clip(0, H - 1), column.clip(0, W - 1)], 0)


def grey(image):
    red, green, blue = image
    return (19595 * red + 38470 * green + 7471 * blue + 32768) // 65536


def smooth(image):
    """Return the mean of nine pixels, the middle one five times; borders stay."""
    _, H, W = image.shape
    out = image.copy()
    if H > 2 and W > 2:
        nine = sum(
            image[:, i : H - 2 + i, j : W - 2 + j] for i in range(3) for j in range(3)
        )
        middle = image[:, 1:-1, 1:-1]
        out[:, 1:-1, 1:-1] = np.rint((nine + 4 * middle) / 13)
    return out


#: The image that is mixed in; without channels where those are all alike.
MADE_OF = {
    "Brightness": lambda image: 0,
    "Color": grey,
    "Contrast": lambda image: int(grey(image).mean() + 0.5),
    "Sharpness": smooth,
}


def stretched(plane, tables):
    low, high = int(plane.min()), int(plane.max())
    table = np.arange(256, dtype=np.uint8)
    if low < high:
        scale = 255.0 / (high - low)
        offset = -low * scale
        table[low : high + 1] = [int(v * scale + offset) for v in range(low, high + 1)]
    return table


def equalized(plane, tables):
    counts = np.bincount(plane.ravel(), minlength=256)
    step = (counts.sum() - counts[plane.max()]) // 255
    if step == 0:
        return np.arange(256, dtype=np.uint8)
    darker = np.cumsum(counts) - counts
    return np.minimum((darker + step // 2) // step, 255).astype(np.uint8)
