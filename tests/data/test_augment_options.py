"""Alternating flips, cutout and RandAugment as parts of `augment_batch`."""

import numba
import numpy as np
import pytest
from augmentation_twins import choices, crop_flip_cutout, operate, words

from odyssey.data.augment import augment_batch
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD
from odyssey.data.randaugment import make_tables
from odyssey.kernels.randaugment import draw_operations

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
EVERYTHING = {"cutout": 9, "randaugment_ops": 2, "flip": "alternating"}
#: Normalisation that gives the pixel values back, less 1 so that none of them is 0.
SHIFTED = {"mean": (-1 / 255,) * 3, "std": (1 / 255,) * 3}


def augment(
    images=IMAGES, indices=None, dtype=np.float32, *, seed=3, epoch=5, **options
):
    indices = np.arange(len(images)) if indices is None else np.asarray(indices)
    _, C, H, W = images.shape
    out = np.full((len(indices), H, W, C), np.nan, dtype).transpose(0, 3, 1, 2)
    augment_batch(images, indices, out, seed=seed, epoch=epoch, **options)
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["zero", "reflect"])
@pytest.mark.parametrize("flip", ["none", "random", "alternating"])
@pytest.mark.parametrize("num_ops, cutout", [(0, 8), (1, 0), (3, 5)])
@pytest.mark.parametrize("epoch", [0, 7])
def test_equals_plain_numpy(dtype, mode, flip, num_ops, cutout, epoch):
    images = IMAGES[:, :, :, 3:27]
    drawn = {"seed": -5, "epoch": epoch}
    options = {"padding": 3, "mode": mode, "flip": flip, "cutout": cutout}
    got = augment(
        images,
        dtype=dtype,
        randaugment_ops=num_ops,
        randaugment_magnitude=14,
        **drawn,
        **options,
    )
    tables = make_tables(14, *images.shape[2:])
    for i, image in enumerate(images):
        operations = choices(i, num_ops, **drawn)
        expected = crop_flip_cutout(
            image,
            i,
            **drawn,
            **options,
            between=lambda pixels, operations=operations: operate(
                pixels, operations, tables
            ),
        )
        np.testing.assert_array_equal(got[i], expected.astype(dtype))


def mirrored(epoch, **options):
    """Return whether each image was mirrored, a bool array."""
    plain = augment(padding=0, flip="none", epoch=epoch)
    got = augment(padding=0, epoch=epoch, **options)
    same = (got == plain).all(axis=(1, 2, 3))
    flipped = (got == plain[..., ::-1]).all(axis=(1, 2, 3))
    assert (same ^ flipped).all()
    return flipped


def test_alternating_flips_show_the_other_side_in_every_second_epoch():
    first = mirrored(0, flip="alternating")
    assert 3 < first.sum() < 17
    np.testing.assert_array_equal(first, mirrored(0, flip="random"))
    for epoch in range(1, 6):
        expected = first ^ bool(epoch % 2)
        np.testing.assert_array_equal(mirrored(epoch, flip="alternating"), expected)
    other_seed = mirrored(0, flip="alternating", seed=4)
    assert (other_seed != first).any()


def test_bools_mean_random_and_none():
    np.testing.assert_array_equal(augment(flip=True), augment(flip="random"))
    np.testing.assert_array_equal(augment(flip=False), augment(flip="none"))
    assert mirrored(5, flip=True).any() and not mirrored(5, flip=False).any()


@pytest.mark.parametrize("side", [1, 2, 7, 8, 16, 31, 64, 2**31 - 1])
def test_cutout_leaves_out_a_square_clipped_at_the_border(side):
    plain = augment(**SHIFTED)
    got = augment(**SHIFTED, cutout=side)
    assert (plain > 0).all()
    for i in range(len(IMAGES)):
        y, x = (word % 32 for word in words(3, 5, i, 6)[4:])
        top, left = y - side // 2, x - side // 2
        square = np.zeros((32, 32), bool)
        square[max(top, 0) : top + side, max(left, 0) : left + side] = True
        assert square[y, x]
        height = min(top + side, 32) - max(top, 0)
        width = min(left + side, 32) - max(left, 0)
        assert (got[i] == 0).sum() == 3 * height * width
        assert (got[i][:, square] == 0).all()
        np.testing.assert_array_equal(got[i][:, ~square], plain[i][:, ~square])


def test_the_hole_has_the_mean_colour():
    got = augment(cutout=64)  # 32 pixels each way from the centre
    pixels = got * np.array(CIFAR10_STD)[:, None, None]
    pixels += np.array(CIFAR10_MEAN)[:, None, None]
    np.testing.assert_allclose(pixels.mean(axis=(0, 2, 3)), CIFAR10_MEAN, rtol=1e-6)


def test_cutout_changes_no_place_and_no_flip():
    plain, holed = augment(**SHIFTED), augment(**SHIFTED, cutout=6)
    changed = (plain != holed).any(axis=1)
    assert (changed.sum(axis=(1, 2)) <= 36).all() and changed.any()


def test_centres_are_any_pixel():
    centres = np.array([words(0, 0, i, 6)[4:] for i in range(400)], object) % 32
    holes = augment(
        np.zeros((400, 3, 32, 32), np.uint8), seed=0, epoch=0, cutout=1, **SHIFTED
    )
    found = np.argwhere(holes[:, 0] == 0)
    assert found.tolist() == [
        [i, *map(int, centre)] for i, centre in enumerate(centres)
    ]
    assert len({y for _, y, _ in found}) == len({x for *_, x in found}) == 32


def test_golden_operations():
    """A run can be resumed by a later version only if these numbers stay."""
    drawn = np.empty((3, 2, 2), np.int64)
    key = (np.uint64(42), np.uint64(1))
    draw_operations(np.arange(3, dtype=np.uint64), key, np.uint64(7), drawn)
    assert drawn[0].tolist() == [[9, 0], [1, 0]]  # Sharpness, ShearX
    assert drawn[1].tolist() == [[11, 1], [5, 1]]  # Solarize, Rotate
    assert drawn[2].tolist() == [[5, 1], [5, 0]]


def test_operations_and_signs_are_equally_frequent():
    drawn = np.empty((7000, 2, 2), np.int64)
    key = (np.uint64(0), np.uint64(1))
    draw_operations(np.arange(7000, dtype=np.uint64), key, np.uint64(0), drawn)
    pairs = drawn[:, 0, 0] * 14 + drawn[:, 1, 0]
    counts = np.bincount(pairs, minlength=196)  # the two know nothing of each other
    # Each is binomial, 35.7 on average; chance leaves five deviations 1 in 10,000.
    assert len(counts) == 196 and abs(counts - 7000 / 196).max() < 5 * 35.7**0.5
    assert abs(drawn[..., 1].mean() - 0.5) < 4 * 0.5 / 14000**0.5


def test_a_sample_comes_out_the_same_in_any_company():
    together = augment(**EVERYTHING)
    shuffled = RNG.permutation(20)
    np.testing.assert_array_equal(
        augment(indices=shuffled, **EVERYTHING), together[shuffled]
    )
    alone = [augment(indices=[i], **EVERYTHING)[0] for i in range(20)]
    np.testing.assert_array_equal(alone, together)


def test_the_number_of_threads_does_not_matter():
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = augment(**EVERYTHING)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(augment(**EVERYTHING), one)


def test_images_of_any_memory_order_stay_as_they_were():
    expected = augment(**EVERYTHING)
    read_only = IMAGES.copy()
    read_only.flags.writeable = False
    for images in (np.ascontiguousarray(IMAGES), read_only, np.asfortranarray(IMAGES)):
        before = images.copy()
        np.testing.assert_array_equal(augment(images, **EVERYTHING), expected)
        np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize(
    "changed, error, named",
    [
        ({"flip": "sometimes"}, ValueError, "flip"),
        ({"flip": None}, TypeError, "flip"),
        ({"cutout": -1}, ValueError, "cutout"),
        ({"cutout": 2**31}, ValueError, "cutout"),
        ({"cutout": 8.0}, TypeError, "cutout"),
        ({"cutout": True}, TypeError, "cutout"),
        ({"randaugment_ops": -1}, ValueError, "randaugment_ops"),
        ({"randaugment_ops": 2**40}, ValueError, "randaugment_ops"),
        ({"randaugment_ops": 2.0}, TypeError, "randaugment_ops"),
        ({"randaugment_magnitude": 31}, ValueError, "randaugment_magnitude"),
        ({"randaugment_magnitude": -1}, ValueError, "randaugment_magnitude"),
        ({"randaugment_magnitude": 9.5}, TypeError, "randaugment_magnitude"),
    ],
)
def test_wrong_options_are_named_and_nothing_is_written(changed, error, named):
    out = np.full((2, 3, 32, 32), 99.0)
    with pytest.raises(error, match=f"augment_batch: {named} must"):
        augment_batch(IMAGES, np.arange(2), out, seed=0, epoch=0, **changed)
    assert (out == 99).all()


def test_grey_images_have_no_randaugment():
    with pytest.raises(ValueError, match="augment_batch: images must have 3 channels"):
        augment(IMAGES[:, :1], randaugment_ops=1, mean=(0.5,), std=(0.5,))
    assert augment(IMAGES[:, :1], cutout=4, mean=(0.5,), std=(0.5,)).shape[1] == 1
