import numpy as np
import pytest

from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD
from odyssey.training.pictures import (
    CELL_HEIGHT,
    CELL_WIDTH,
    DARKEST,
    SMALL_CELL,
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


def test_denormalize_with_other_statistics():
    images = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    x = (images.astype("f4") / 255 - 0.1307) / 0.3081
    np.testing.assert_array_equal(denormalize(x, [0.1307], [0.3081]), images)


def test_contact_sheet_of_greys():
    columns = np.random.default_rng(1).integers(0, 255, (3, 2, 1, 4, 5), np.uint8)
    sheet = contact_sheet(list(columns))
    assert sheet.shape == (2 * 6 + 2, 3 * 7 + 2, 3)
    for channel in range(3):
        np.testing.assert_array_equal(sheet[8:12, 16:21, channel], columns[2, 1, 0])
    with pytest.raises(ValueError, match="columns must have 1 or 3 channels, got 2"):
        contact_sheet([np.zeros((1, 2, 4, 4), np.uint8)])


def test_cells_have_room_for_long_names():
    pytest.importorskip("PIL")
    names = ["cat", "a long name of sixty letters".ljust(60, "!")]
    picture = confusion_picture(np.eye(2, dtype=int), names)
    height, width, _ = picture.shape
    assert height == 3 * CELL_HEIGHT and width % 3 == 0 and width > 3 * CELL_WIDTH
    cells = [
        picture[i * CELL_HEIGHT : (i + 1) * CELL_HEIGHT, j : j + width // 3]
        for i in range(3)
        for j in range(0, width, width // 3)
    ]
    for cell_found in cells:  # the outermost columns of pixels have no text
        assert (cell_found[:, :2] == cell_found[0, 0]).all()
        assert (cell_found[:, -2:] == cell_found[0, 0]).all()
    np.testing.assert_array_equal(cells[2], cells[6])


def test_many_classes_have_colours_alone():
    pytest.importorskip("PIL")
    confusion = np.random.default_rng(2).integers(0, 9, (100, 100))
    picture = confusion_picture(confusion, [f"class {k}" for k in range(100)])
    assert picture.shape == (100 * SMALL_CELL, 100 * SMALL_CELL, 3)
    share = confusion / confusion.sum(axis=1, keepdims=True)
    wanted = np.rint(255 + share[..., None] * (DARKEST - 255))
    for i in range(SMALL_CELL):
        np.testing.assert_array_equal(picture[i::SMALL_CELL, i::SMALL_CELL], wanted)
