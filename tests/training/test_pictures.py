import numpy as np
import pytest

from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD
from odyssey.training.pictures import (
    CELL_HEIGHT,
    CELL_WIDTH,
    DARKEST,
    confusion_picture,
    contact_sheet,
    denormalize,
)


def test_denormalize_gives_every_value_of_a_pixel_back():
    images = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16).repeat(3, axis=1)
    mean, std = (np.array(m, "f4")[:, None, None] for m in (CIFAR10_MEAN, CIFAR10_STD))
    x = (images.astype("f4") / 255 - mean) / std
    np.testing.assert_array_equal(denormalize(x), images)
    assert denormalize(x).dtype == np.uint8


def test_contact_sheet():
    columns = np.random.default_rng(1).integers(0, 255, (3, 2, 3, 4, 5), np.uint8)
    sheet = contact_sheet(list(columns))
    assert sheet.shape == (2 * 6 + 2, 3 * 7 + 2, 3)
    np.testing.assert_array_equal(sheet[8:12, 16:21], columns[2, 1].transpose(1, 2, 0))
    assert (sheet[:2] == 255).all() and (sheet[6:8] == 255).all()


def cell(picture, i, j):
    top, left = (i + 1) * CELL_HEIGHT, (j + 1) * CELL_WIDTH
    return picture[top : top + CELL_HEIGHT, left : left + CELL_WIDTH]


def test_confusion_picture():
    pytest.importorskip("PIL")
    confusion = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 100]])
    picture = confusion_picture(confusion, ["cat", "dog", "ship"])
    assert picture.shape == (4 * CELL_HEIGHT, 4 * CELL_WIDTH, 3)
    for (i, j), count in np.ndenumerate(confusion):
        share = count / max(1, confusion[i].sum())
        background = 255 + np.rint(share * (DARKEST - 255))
        found = cell(picture, i, j)
        assert np.abs(found[0, 0] - background).max() <= 1
        written = (found != found[0, 0]).any()
        assert written == (count > 0)
    names = [cell(picture, k, -1) for k in range(3)]
    assert all((name < 128).any() for name in names)
    assert (names[0] != names[1]).any()
    np.testing.assert_array_equal(names[2], cell(picture, -1, 2))
