import numba
import numpy as np
import pytest

from odyssey.data.augment import AUGMENT_STREAM, augment_batch
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD
from odyssey.kernels.augment import philox

#: Normalisation that keeps pixel values, so that a result shows where it is from.
PLAIN = {"mean": (0.0, 0.0), "std": (1 / 255, 1 / 255)}


def make_images(shape=(20, 3, 32, 32), seed=0):
    """Return random images of this shape in channels-last memory."""
    N, C, H, W = shape
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (N, H, W, C), dtype=np.uint8)
    return pixels.transpose(0, 3, 1, 2)


def draw(seed, epoch, index):
    """Return three words of the random numbers of one sample, by NumPy's Philox."""
    key = np.array([seed % 2**64, AUGMENT_STREAM], np.uint64)
    counter = np.array([0, index, epoch, 0], np.uint64)
    return [int(w) for w in np.random.Philox(key=key, counter=counter).random_raw(3)]


def twin(
    images, indices, dtype=np.float32, *, seed, epoch, padding=4, mode="zero", flip=True
):
    """Pad, slice, flip and normalise with NumPy, an image at a time."""
    _, C, H, W = images.shape
    mean, std = (np.array(m[:C])[:, None, None] for m in (CIFAR10_MEAN, CIFAR10_STD))
    out = []
    for i in indices:
        words = draw(seed, epoch, i)
        top, left = (word % (2 * padding + 1) for word in words[:2])
        margins = [(0, 0), (padding, padding), (padding, padding)]
        how = {"zero": "constant", "reflect": "reflect"}[mode]
        image = np.pad(images[i], margins, how)[:, top : top + H, left : left + W]
        if flip and words[2] >= 2**63:
            image = image[:, :, ::-1]
        out.append((image / 255 - mean) / std)
    return np.array(out).astype(dtype)


def augment(images, indices, dtype=np.float32, **options):
    """Return what `augment_batch` writes, into a channels-last buffer."""
    _, C, H, W = images.shape
    out = np.full((len(indices), H, W, C), np.nan, dtype).transpose(0, 3, 1, 2)
    augment_batch(images, np.asarray(indices), out, **options)
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["zero", "reflect"])
@pytest.mark.parametrize("padding", [0, 1, 4, 40])
def test_equals_padding_slicing_and_flipping(dtype, mode, padding):
    images = make_images()
    options = {"seed": 3, "epoch": 5, "padding": padding, "mode": mode}
    indices = [7, 0, 19, 7, *range(20)]
    got = augment(images, indices, dtype, **options)
    np.testing.assert_array_equal(got, twin(images, indices, dtype, **options))
    assert got.dtype == dtype


@pytest.mark.parametrize("mode", ["zero", "reflect"])
@pytest.mark.parametrize("shape", [(9, 1, 5, 8), (9, 2, 1, 3), (9, 3, 7, 1)])
def test_any_size_of_image(shape, mode):
    C = shape[1]
    images, options = make_images(shape), {"seed": 1, "epoch": 0, "mode": mode}
    stats = {"mean": CIFAR10_MEAN[:C], "std": CIFAR10_STD[:C]}
    got = augment(images, range(9), **options, **stats)
    np.testing.assert_array_equal(got, twin(images, range(9), **options))


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1, 2**64 - 1, -(2**63)])
@pytest.mark.parametrize("epoch", [0, 2**64 - 1])
def test_seeds_and_epochs_of_64_bits(seed, epoch):
    images = make_images()
    got = augment(images, range(20), seed=seed, epoch=epoch)
    np.testing.assert_array_equal(got, twin(images, range(20), seed=seed, epoch=epoch))


def test_philox_gives_the_published_known_answers():
    """Vectors of the authors' own library, Random123, tests/kat_vectors."""
    words = [  # counter (4), key (2), result (4)
        "0 0 0 0 0 0 16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b "
        "7e68b68aec7ba23b",
        "243f6a8885a308d3 13198a2e03707344 a4093822299f31d0 082efa98ec4e6c89 "
        "452821e638d01377 be5466cf34e90c6c "
        "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
    ]
    for line in words:
        word = tuple(np.uint64(int(w, 16)) for w in line.split())
        with np.errstate(over="ignore"):  # where NUMBA_DISABLE_JIT makes it NumPy's
            assert philox(word[:4], word[4:6]) == word[6:]


def places(indices, **options):
    """Return (top, left, flipped) of samples, read off the pixels of the results."""
    images = np.empty((max(indices) + 1, 17, 17, 2), np.uint8).transpose(0, 3, 1, 2)
    images[:, 0], images[:, 1] = np.arange(17)[:, None], np.arange(17)
    pixels = augment(images, indices, **PLAIN, **options).round().astype(int)
    top, left = pixels[:, :, 8, 8].T - 8  # the centre is its own mirror image
    flipped = pixels[:, 1, 8, 9] < pixels[:, 1, 8, 8]
    return top, left, flipped.astype(int)


def test_golden_places():
    """A run can be resumed by a later version only if these numbers stay."""
    top, left, flipped = places(range(6), seed=42, epoch=7)
    assert top.tolist() == [3, -4, -3, 0, 1, -2]
    assert left.tolist() == [-1, 3, -4, -2, -4, 4]
    assert flipped.tolist() == [1, 1, 1, 1, 0, 0]


def is_uniform(cells, number):
    """Tell whether counts are equal but for chance (chance fails 1 in 16,000).

    Pearson's statistic, brought to a standard normal variable by its cube root
    (Wilson and Hilferty, PNAS 1931), has to lie within four standard deviations.
    """
    counts = np.bincount(cells, minlength=number)
    expected = len(cells) / number
    k = number - 1
    ratio = ((counts - expected) ** 2 / expected).sum() / k
    normal = (ratio ** (1 / 3) - (1 - 2 / (9 * k))) / np.sqrt(2 / (9 * k))
    return len(counts) == number and abs(normal) < 4


def pairs_are_uniform(a, b, number):
    """Tell whether all pairs (a, b) of 0 ... number-1 are as likely as another."""
    return is_uniform(number * a + b, number * number)


@pytest.mark.parametrize("seed, epoch", [(0, 0), (0, 1), (1, 0), (2**40, 199)])
def test_places_and_flips_are_uniform_and_independent(seed, epoch):
    top, left, flipped = places(range(16_200), seed=seed, epoch=epoch)
    assert is_uniform(18 * (top + 4) + 2 * (left + 4) + flipped, 162)
    # Neighbouring samples are independent too.
    assert pairs_are_uniform(top[::2] + 4, top[1::2] + 4, 9)
    assert pairs_are_uniform(left[::2] + 4, left[1::2] + 4, 9)
    assert pairs_are_uniform(flipped[::2], flipped[1::2], 2)


def test_a_sample_meets_every_place_over_the_epochs():
    epochs = [places(range(100), seed=0, epoch=epoch) for epoch in range(82)]
    top, left, flipped = np.swapaxes(epochs, 0, 1).reshape(3, 41, 2, 100)
    assert is_uniform((18 * (top + 4) + 2 * (left + 4) + flipped).ravel(), 162)
    for values, number in ((top + 4, 9), (left + 4, 9), (flipped, 2)):
        this, following = values[:, 0].ravel(), values[:, 1].ravel()
        assert pairs_are_uniform(this, following, number)


def test_a_sample_comes_out_the_same_in_any_company():
    images, options = make_images(), {"seed": 8, "epoch": 2}
    together = augment(images, range(20), **options)
    shuffled = np.random.default_rng(1).permutation(20)
    np.testing.assert_array_equal(
        augment(images, shuffled, **options), together[shuffled]
    )
    alone = [augment(images, [i], **options)[0] for i in range(20)]
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(augment(images, range(20), **options), together)


def test_the_number_of_threads_does_not_matter():
    images, options = make_images(), {"seed": 8, "epoch": 2, "mode": "reflect"}
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = augment(images, range(20), **options)
    finally:
        numba.set_num_threads(threads)
    np.testing.assert_array_equal(augment(images, range(20), **options), one)


def test_seed_epoch_and_index_each_change_the_outcome():
    base = np.array(places(range(50), seed=0, epoch=0))
    assert (base != places(range(50), seed=1, epoch=0)).any()
    assert (base != places(range(50), seed=0, epoch=1)).any()
    assert (base[:, :-1] != base[:, 1:]).any()
    # The words of the key and the counter do not run into each other.
    assert (base != places(range(50), seed=2**32, epoch=0)).any()
    assert (base != places(range(50), seed=0, epoch=2**32)).any()


def test_flips_can_be_turned_off():
    _, _, flipped = places(range(200), seed=0, epoch=0, flip=False)
    assert not flipped.any()
    _, _, flipped = places(range(200), seed=0, epoch=0)
    assert 50 < flipped.sum() < 150
