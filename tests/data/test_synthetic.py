import hashlib

import numpy as np
import pytest

from odyssey.data import synthetic, synthetic_shapes
from odyssey.data.synthetic import make_synthetic
from odyssey.layout import is_channels_last

# Of 60 training and 20 test images of seed 0, in channels-last order.  Hashing and
# drawing round in one way only (see the module), so this holds for any NumPy and CPU.
# Another value means that every accuracy measured on the set has to be measured again.
GOLDEN_SHA256 = "e71a4299f2e79c511776bc7bc82bb60f6c40ed9e927ad6933c7f284d2c9918c9"


@pytest.fixture(scope="module")
def data():
    return make_synthetic(3000, 1000, seed=0)


def pixels(images):
    return images.transpose(0, 2, 3, 1).tobytes()


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a[:4], b[:4], strict=True))


def centres(images, size):
    """Return mean colours of ``size`` by ``size`` fields a side, one row an image."""
    fields = images.reshape(len(images), 3, size, 32 // size, size, 32 // size)
    return fields.mean(axis=(3, 5)).reshape(len(images), -1) / 255


def linear_accuracy(data, size):
    """Fit least squares from field colours to one-hot labels; score the test set."""
    train, test = centres(data.train_images, size), centres(data.test_images, size)
    design = np.column_stack([train, np.ones(len(train))])
    weights, *_ = np.linalg.lstsq(design, np.eye(10)[data.train_labels], rcond=None)
    scores = np.column_stack([test, np.ones(len(test))]) @ weights
    return (scores.argmax(axis=1) == data.test_labels).mean()


def test_shapes_dtypes_layout_and_names(data):
    assert data.train_images.shape == (3000, 3, 32, 32)
    assert data.test_images.shape == (1000, 3, 32, 32)
    for images, labels in (data[:2], data[2:4]):
        assert images.dtype == np.uint8 and is_channels_last(images)
        assert images.flags.writeable
        assert labels.dtype == np.int64 and labels.shape == (len(images),)
    assert len(set(data.class_names)) == 10
    assert data.class_names[:2] == ("disc", "ring")


def test_default_sizes():
    defaults = make_synthetic.__defaults__
    assert defaults == (10_000, 2_000, 0)


def test_same_bits_twice_without_touching_the_global_generator():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = make_synthetic(130, 30, seed=5)
    np.random.default_rng(0).random(7)
    assert equal(first, make_synthetic(130, 30, seed=5))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_golden_bits():
    small = make_synthetic(60, 20)
    digest = hashlib.sha256(pixels(small.train_images) + pixels(small.test_images))
    digest.update(bytes(small.train_labels.tolist() + small.test_labels.tolist()))
    assert digest.hexdigest() == GOLDEN_SHA256


def test_smaller_set_is_prefix_of_larger(data):
    for count in (1, 9, 137):
        small = make_synthetic(count, count + 3)
        assert np.array_equal(small.train_images, data.train_images[:count])
        assert np.array_equal(small.train_labels, data.train_labels[:count])
        assert np.array_equal(small.test_images, data.test_images[: count + 3])
        assert np.array_equal(small.test_labels, data.test_labels[: count + 3])


def test_each_image_depends_on_its_own_key_and_label_alone(data):
    keys = synthetic._keys(0, 1, np.arange(3000))
    for index in (0, 1, 1234, 2999):
        shape = synthetic_shapes.SHAPES[data.train_labels[index]]
        alone = synthetic._draw_images(keys[index : index + 1], shape)[0]
        assert np.array_equal(alone.transpose(2, 0, 1), data.train_images[index])


def test_seeds_and_splits_and_images_all_differ(data):
    other = make_synthetic(500, 500, seed=1)
    parts = [data.train_images, data.test_images, other.train_images, other.test_images]
    whole = [image.tobytes() for part in parts for image in part]
    assert len(set(whole)) == len(whole) == 5000
    # Nor are they the same labels in the same order.
    assert not np.array_equal(data.train_labels[:500], other.train_labels)
    assert not np.array_equal(data.train_labels[:500], data.test_labels[:500])


def test_neighbouring_and_largest_seeds():
    firsts = [
        pixels(make_synthetic(1, 1, seed=s).train_images)
        for s in (0, 1, 2, 2**63, 2**64 - 2, 2**64 - 1)
    ]
    assert len(set(firsts)) == 6


@pytest.mark.parametrize("count", [1, 10, 25, 200])
def test_classes_are_balanced_to_within_one(count):
    for labels in make_synthetic(count, count, seed=3)[1:4:2]:
        sizes = np.bincount(labels, minlength=10)
        assert sizes.max() - sizes.min() <= 1 and len(sizes) == 10


def test_labels_are_shuffled_evenly(data):
    # Each class is as likely at each of the ten places: 300 tens, 30 expected.
    counts = np.zeros((10, 10))
    np.add.at(counts, (np.arange(3000) % 10, data.train_labels), 1)
    # chi squared with 81 degrees of freedom: mean 81, deviation 12.7
    assert ((counts - 30) ** 2 / 30).sum() < 81 + 5 * 12.7


def test_no_class_has_a_mean_colour_of_its_own(data):
    colours = centres(data.train_images, 1)
    means = np.stack([colours[data.train_labels == c].mean(0) for c in range(10)])
    error = colours.std(axis=0) / np.sqrt(300)
    assert (np.abs(means - colours.mean(axis=0)) < 4 * error).all()
    # 1000 test images: chance is 10 % with a deviation of 0.95 %.
    assert linear_accuracy(data, 1) < 0.14


def test_linear_classifier_on_coarse_pixels_stays_low(data):
    assert linear_accuracy(data, 8) < 0.20


def test_shape_and_ground_contrast_and_follow_one_law():
    draws = synthetic._Draws(synthetic._keys(0, 9, np.arange(4000)))
    colour, ground = (part.reshape(-1) for part in synthetic._draw_colours(draws))
    low, high = synthetic.GAP
    gap = np.abs(colour - ground)
    assert low - 1e-6 <= gap.min() < low + 0.01 and high - 0.01 < gap.max() <= high
    assert min(colour.min(), ground.min()) >= 0
    assert max(colour.max(), ground.max()) <= 1
    # Kolmogorov and Smirnov: sqrt(n / 2) * distance exceeds 1.95 once in a thousand.
    grid = np.linspace(0, 1, 201)
    rise = [np.searchsorted(np.sort(part), grid) / 12000 for part in (colour, ground)]
    assert np.abs(rise[0] - rise[1]).max() < 1.95 * np.sqrt(2 / 12000)


def test_uniform_numbers_directions_and_noise_follow_their_laws():
    draws = synthetic._Draws(synthetic._keys(7, 0, np.arange(20_000)))
    unit = draws.uniform(1).ravel()
    assert unit.dtype == np.float32 and unit.min() >= 0 and unit.max() < 1
    assert np.abs(np.bincount((unit * 10).astype(int)) / 2000 - 1).max() < 0.12
    cosine, sine = (part.ravel() for part in draws.direction())
    np.testing.assert_allclose(cosine**2 + sine**2, 1, atol=1e-6)
    eighths = np.floor((np.arctan2(sine, cosine) / np.pi + 1) * 4 - 1e-9).astype(int)
    assert np.bincount(eighths, minlength=8).min() > 0.9 * 2500
    noise = draws.noise(4, 4)
    assert noise.dtype == np.float32 and np.abs(noise).max() <= 1
    assert abs(noise.mean()) < 0.01 and abs(noise.var() - 1 / 6) < 0.01


@pytest.mark.parametrize("shape", synthetic_shapes.SHAPES, ids=lambda s: s.__name__)
def test_shapes_are_distances(shape):
    rng = np.random.default_rng(0)
    x, y, dx, dy = rng.uniform(-1.5, 1.5, (4, 20_000))
    dx, dy = dx * 0.02, dy * 0.02
    change = np.abs(shape(x + dx, y + dy) - shape(x, y))
    assert (change <= np.hypot(dx, dy) + 1e-6).all()  # smooth edges rely on it
    inside = shape(x, y) < 0
    assert 0.1 < inside.mean() < 0.35  # of nine units of area
    assert (np.hypot(x, y)[inside] < 1.3).all()


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("disc", [(0, 0), (0.8, 0)], [(0.9, 0), (0.7, 0.7)]),
        ("ring", [(0.72, 0), (0, -0.72)], [(0, 0), (1, 0)]),
        ("square", [(0, 0), (0.7, 0.7)], [(0.8, 0), (0, -0.8)]),
        ("triangle", [(0, 0), (0, -0.9)], [(0, 0.6), (0.5, -0.5)]),
        ("star", [(0, 0), (0, 1.05)], [(0, -0.6), (0.6, 0.6)]),
        ("cross", [(0, 0), (0.9, 0), (0, -0.9)], [(0.5, 0.5), (-0.5, 0.5)]),
        ("crescent", [(-0.6, 0), (0, 0.8)], [(0.2, 0), (0.8, 0)]),
        ("stripes", [(0, 0), (0, 0.9), (0.64, 0)], [(0.32, 0), (0.32, 0.9)]),
        ("checkerboard", [(0.22, 0.22), (-0.22, -0.22)], [(0.22, -0.22), (0.95, 0)]),
        ("dots", [(0, 0), (0.7, 0.7), (-0.7, 0)], [(0.35, 0.35), (1.4, 0)]),
    ],
)
def test_shapes_at_known_points(name, inside, outside):
    shape = getattr(synthetic_shapes, name)
    for points, sign in ((inside, -1), (outside, 1)):
        x, y = np.array(points, dtype=float).T
        assert (np.sign(shape(x, y)) == sign).all()


@pytest.mark.parametrize("argument", ["num_train", "num_test", "seed"])
@pytest.mark.parametrize(
    ("value", "error"),
    [(-1, ValueError), (2.0, TypeError), ("10", TypeError), (True, TypeError)],
)
def test_bad_arguments_are_refused_by_name(argument, value, error):
    with pytest.raises(error, match=f"make_synthetic: {argument} must be"):
        make_synthetic(**{"num_train": 1, "num_test": 1, argument: value})


def test_empty_splits_and_too_large_seeds_are_refused():
    for argument, value in (("num_train", 0), ("num_test", 0), ("seed", 2**64)):
        with pytest.raises(ValueError, match=argument):
            make_synthetic(**{argument: value})
