"""A synthetic image set that needs no download: ten shapes and textures.

Every image shows one of ten shapes (``synthetic_shapes.py``) with random position,
size, rotation and colour on an uneven background, with random bars and with noise in
every pixel.  The set is drawn in seconds, and a convolutional network learns it in
minutes.  A classifier of single pixels learns nothing: the colours of shape and
background are exchanged at random, so the mean of each pixel is the same grey in every
class.  ``docs/synthetic.md`` has the figures.

Each image is a pure function of (seed, split, index).  The random numbers are a hash of
these, splitmix64 [1]_, rather than those of a generator with a state.  Drawing uses
only arithmetic that IEEE 754 rounds in one way, so every machine gets the same bits.

.. [1] G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number
   generators", OOPSLA 2014.
"""

import numpy as np

from odyssey.checks import check_int
from odyssey.data.dataset import Dataset
from odyssey.data.synthetic_shapes import SHAPES, Shape

CLASS_NAMES = tuple(shape.__name__ for shape in SHAPES)
SIZE = 32  # pixels a side
NUM_TRAIN, NUM_TEST = 10_000, 2_000  # images of the whole set
NUM_BARS = 8  # at random places, the last FRONT_BARS of them in front of the shape
FRONT_BARS = 2
FIELD_KNOTS = 5  # the uneven light has 5 x 5 knots, 8 pixels apart
CHUNK = 64  # images drawn at once: few enough for the cache

# All lengths are in pixels, all colours from 0 to 1.
RADIUS = (7.0, 12.0)
GAP = (0.3, 0.7)  # difference of shape and ground, in each of the three channels
FIELD_STRENGTH = 0.15
NOISE_STRENGTH = 0.15
BAR_LENGTH = (1.5, 5.0)  # half the length
BAR_WIDTH = (0.5, 1.2)

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, splitmix64's stride


def _mix(words: np.ndarray) -> np.ndarray:
    """Return splitmix64's finaliser of ``words`` (uint64): each bit affects all."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _stream(keys: np.ndarray, start: int, count: int) -> np.ndarray:
    """Return words ``start`` to ``start + count`` of every key's stream, (n, count)."""
    steps = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    return _mix(keys[:, None] + steps * GOLDEN)


def _keys(seed: int, split: int, indices: np.ndarray) -> np.ndarray:
    """Return a key, which determines a stream of random words, for every index."""
    seed_key = _mix(np.array([seed], np.uint64) + GOLDEN)
    split_key = _stream(seed_key, split, 1)[0]
    return _mix(split_key + (indices.astype(np.uint64) + np.uint64(1)) * GOLDEN)


class _Draws:
    """The random words of n images, drawn in turn as uniform numbers or bytes."""

    def __init__(self, keys: np.ndarray):
        self.keys, self.used = keys, 0

    def words(self, count: int) -> np.ndarray:
        """Return the next ``count`` words of every image, (n, count) uint64."""
        words = _stream(self.keys, self.used, count)
        self.used += count
        return words

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Return numbers in [low, high), (n, *shape) float32."""
        words = self.words(int(np.prod(shape)))
        unit = (words >> np.uint64(40)).astype(np.float32) * 2.0**-24
        return (low + (high - low) * unit).reshape(len(words), *shape)

    def coin(self, *shape: int) -> np.ndarray:
        """Return true or false with probability 1/2, (n, *shape)."""
        return self.uniform(*shape) < 0.5

    def direction(self) -> tuple[np.ndarray, np.ndarray]:
        """Return cosine and sine of a random angle, each (n, 1, 1).

        With t = tan(a / 2) they are (1 - t^2) / (1 + t^2) and 2 t / (1 + t^2).  The
        angle a is within 45 degrees, with a density that is uniform to a sixth; zero to
        three quarter turns are added.
        """
        t = self.uniform(1, 1, low=-0.41421356, high=0.41421356)
        scale = 1.0 / (1.0 + t * t)
        cosine, sine = (1.0 - t * t) * scale, 2.0 * t * scale
        swap, sign = self.coin(1, 1), np.where(self.coin(1, 1), 1.0, -1.0)
        sign = sign.astype(np.float32)
        cosine, sine = np.where(swap, -sine, cosine), np.where(swap, cosine, sine)
        return cosine * sign, sine * sign

    def noise(self, *shape: int) -> np.ndarray:
        """Return sums of two bytes: triangular distribution on [-1, 1], (n, *shape)."""
        count = int(np.prod(shape))
        # Little-endian on every machine, so that the bytes have one order.
        octets = self.words(count // 4).astype("<u8").view(np.uint8)
        octets = octets.reshape(len(octets), 2, *shape).astype(np.float32)
        return (octets[:, 0] + octets[:, 1] - 255.0) * (1.0 / 255.0)


def _turned_grid(
    draws: _Draws, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's coordinates about (x, y), rotated randomly, (n, 32, 32)."""
    pixels = np.arange(SIZE, dtype=np.float32) + 0.5
    cosine, sine = draws.direction()
    x, y = pixels[None, None, :] - x, pixels[None, :, None] - y
    return cosine * x + sine * y, cosine * y - sine * x


def _paint(images: np.ndarray, distance: np.ndarray, colour: np.ndarray) -> None:
    """Fill ``images`` where ``distance`` (pixels) is negative, with smooth edges."""
    cover = np.clip(0.5 - distance, 0.0, 1.0)[:, None]  # (n, 1, 32, 32)
    images += cover * (colour - images)


def _paint_bar(images: np.ndarray, draws: _Draws) -> None:
    """Paint one bar of random colour at a random position."""
    place = draws.uniform(2, 1, 1, high=float(SIZE))
    x, y = _turned_grid(draws, place[:, 0], place[:, 1])
    length = draws.uniform(1, 1, low=BAR_LENGTH[0], high=BAR_LENGTH[1])
    width = draws.uniform(1, 1, low=BAR_WIDTH[0], high=BAR_WIDTH[1])
    distance = np.maximum(np.abs(x) - length, np.abs(y) - width)
    _paint(images, distance, draws.uniform(3, 1, 1))


def _uneven_light(draws: _Draws) -> np.ndarray:
    """Return a smooth random field in (-1, 1), interpolated knots, (n, 3, 32, 32)."""
    knots = draws.uniform(3, FIELD_KNOTS, FIELD_KNOTS, low=-1.0)
    place = np.arange(SIZE, dtype=np.float32) * ((FIELD_KNOTS - 1) / SIZE)
    left = np.floor(place).astype(np.intp)
    weight = place - left.astype(np.float32)
    rows = knots[:, :, left] * (1.0 - weight)[:, None]
    rows += knots[:, :, left + 1] * weight[:, None]  # (n, 3, 32, 5)
    return rows[..., left] * (1.0 - weight) + rows[..., left + 1] * weight


def _draw_colours(draws: _Draws) -> tuple[np.ndarray, np.ndarray]:
    """Return the colours of shape and background, each (n, 3, 1, 1).

    Both have the same distribution.  In every channel they differ by ``GAP``, and
    either is brighter with probability 1/2: so their difference has mean zero, and no
    class has its own colour or brightness.
    """
    gap = draws.uniform(3, 1, 1, low=GAP[0], high=GAP[1])
    dark = draws.uniform(3, 1, 1) * (1.0 - gap)
    shape_is_dark = draws.coin(3, 1, 1)
    colour = np.where(shape_is_dark, dark, dark + gap)
    ground = np.where(shape_is_dark, dark + gap, dark)
    return colour, ground


def _draw_images(keys: np.ndarray, shape: Shape) -> np.ndarray:
    """Return one image of ``shape`` for every key, (n, 32, 32, 3) uint8."""
    draws = _Draws(keys)
    colour, ground = _draw_colours(draws)
    images = np.repeat(np.repeat(ground, SIZE, 2), SIZE, 3)  # (n, 3, 32, 32)
    for _ in range(NUM_BARS - FRONT_BARS):
        _paint_bar(images, draws)
    radius = draws.uniform(1, 1, low=RADIUS[0], high=RADIUS[1])
    place = radius + draws.uniform(2, 1, 1).swapaxes(0, 1) * (SIZE - 2.0 * radius)
    x, y = _turned_grid(draws, place[0], place[1])
    _paint(images, shape(x / radius, y / radius) * radius, colour)
    for _ in range(FRONT_BARS):
        _paint_bar(images, draws)

    images += FIELD_STRENGTH * _uneven_light(draws)
    images += NOISE_STRENGTH * draws.noise(3, SIZE, SIZE)
    levels = np.floor(np.clip(images, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return levels.transpose(0, 2, 3, 1)


def _draw_labels(seed: int, split: int, count: int) -> np.ndarray:
    """Return ``count`` labels; every ten in a row hold each class once, shuffled."""
    tens = np.arange(-(-count // len(SHAPES)))
    lots = _stream(_keys(seed, split, tens), 0, len(SHAPES))
    return np.argsort(lots, axis=1, kind="stable").ravel()[:count].astype(np.int64)


def _draw_split(seed: int, split: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images (count, 3, 32, 32), channels-last, and labels (count,)."""
    # Two kinds of keys for each split: labels and images get different numbers.
    labels = _draw_labels(seed, 2 * split, count)
    keys = _keys(seed, 2 * split + 1, np.arange(count))
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    for label, shape in enumerate(SHAPES):
        members = np.flatnonzero(labels == label)
        for start in range(0, len(members), CHUNK):
            chunk = members[start : start + CHUNK]
            images[chunk] = _draw_images(keys[chunk], shape)
    return images.transpose(0, 3, 1, 2), labels


def make_synthetic(
    num_train: int = NUM_TRAIN, num_test: int = NUM_TEST, seed: int = 0
) -> Dataset:
    """Draw the synthetic set; a smaller set is the beginning of a larger one.

    Parameters
    ----------
    num_train, num_test : int
        Numbers of images, at least 1.  The sizes of the classes differ by at most one.
    seed : int
        Number of the set, 0 to 2**64 - 1.

    Returns
    -------
    Dataset
        Images (n, 3, 32, 32) uint8 with channels-last memory, labels (n,) int64, and
        the ten class names.  Mean and deviation are those of CIFAR-10.

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If one is out of range.
    """
    num_train = check_int("make_synthetic", "num_train", num_train, 1)
    num_test = check_int("make_synthetic", "num_test", num_test, 1)
    seed = check_int("make_synthetic", "seed", seed, 0)
    if seed >= 2**64:
        raise ValueError(f"make_synthetic: seed must be below 2**64, got {seed}")
    train_images, train_labels = _draw_split(seed, 0, num_train)
    test_images, test_labels = _draw_split(seed, 1, num_test)
    return Dataset(train_images, train_labels, test_images, test_labels, CLASS_NAMES)
