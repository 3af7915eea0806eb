import numpy as np
import pytest

from odyssey import conv2d
from odyssey.init import dirac, he_normal, initialize_by_name, uniform_fan_in


def test_he_normal_has_the_variance_of_its_fan_in():
    values = he_normal((256, 64, 3, 3), np.random.default_rng(0), np.float64)
    n, variance = values.size, 2 / (64 * 3 * 3)
    # five standard errors of the mean and of the variance of n normal numbers
    assert abs(values.mean()) < 5 * np.sqrt(variance / n)
    assert abs(values.var() / variance - 1) < 5 * np.sqrt(2 / n)
    # the share beyond two deviations tells it from a uniform distribution
    assert abs((abs(values) > 2 * np.sqrt(variance)).mean() - 0.0455) < 0.003


def test_signals_keep_their_size_through_layers():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((500, 256))
    start = (x**2).mean()
    for _ in range(10):
        x = np.maximum(x @ he_normal((256, 256), rng, np.float64).T, 0)
    assert 0.5 < (x**2).mean() / start < 2


def test_uniform_fills_its_interval():
    values = uniform_fan_in((100, 512), np.random.default_rng(2), np.float64)
    bound = 1 / np.sqrt(512)
    assert abs(values).max() <= bound
    assert values.max() > 0.999 * bound and values.min() < -0.999 * bound
    assert abs(values.var() / (bound**2 / 3) - 1) < 0.03


def test_bias_takes_the_fan_in_of_its_layer():
    values = uniform_fan_in((10,), np.random.default_rng(3), fan_in=512)
    assert values.shape == (10,) and abs(values).max() <= 512**-0.5


@pytest.mark.parametrize("draw", [he_normal, uniform_fan_in])
def test_same_numbers_in_both_dtypes(draw):
    wide = draw((5, 4), np.random.default_rng(4), np.float64)
    narrow = draw((5, 4), np.random.default_rng(4))
    assert narrow.dtype == np.float32 and wide.dtype == np.float64
    np.testing.assert_array_equal(narrow, wide.astype(np.float32))
    assert (draw((5, 4), np.random.default_rng(5)) != narrow).any()


@pytest.mark.parametrize("draw", [he_normal, uniform_fan_in])
def test_errors(draw):
    rng = np.random.default_rng(6)
    for shape in ((5,), (), (0, 3), (3, -1)):
        with pytest.raises(ValueError, match=f"{draw.__name__}: shape"):
            draw(shape, rng)
    for shape in (5, (2.0, 3), (True, 3)):
        with pytest.raises(TypeError, match=f"{draw.__name__}: shape"):
            draw(shape, rng)
    for wrong in (None, 3, np.random.RandomState(0)):
        with pytest.raises(TypeError, match="rng"):
            draw((2, 3), wrong)
    for dtype in (np.float16, int, complex):
        with pytest.raises(TypeError, match="dtype"):
            draw((2, 3), rng, dtype)


SHAPES = {
    "conv1_kernel": (4, 3, 3, 3),
    "conv1_bias": (4,),
    "bn1_gamma": (4,),
    "bn1_running_mean": (4,),
    "bn1_running_var": (4,),
    "bn1_beta": (4,),
    "fc1_weights": (5, 8),
    "fc1_bias": (5,),
    "fc2_weights": (2, 5),
    "fc2_bias": (2,),
}


def test_a_network_is_initialized_by_the_names_of_its_parameters():
    params = initialize_by_name(SHAPES, 7, np.float64)
    rng = np.random.default_rng(7)
    want = {
        "conv1_kernel": he_normal((4, 3, 3, 3), rng, np.float64),
        "conv1_bias": np.zeros(4),
        "bn1_gamma": np.ones(4),
        "bn1_running_mean": np.zeros(4),
        "bn1_running_var": np.ones(4),
        "bn1_beta": np.zeros(4),
        "fc1_weights": uniform_fan_in((5, 8), rng, np.float64),
        "fc1_bias": uniform_fan_in((5,), rng, np.float64, fan_in=8),
        "fc2_weights": uniform_fan_in((2, 5), rng, np.float64),
        "fc2_bias": uniform_fan_in((2,), rng, np.float64, fan_in=5),
    }
    assert list(params) == list(want) == list(SHAPES)
    for name, array in want.items():
        assert params[name].dtype == np.float64
        np.testing.assert_array_equal(params[name], array)


def test_a_network_is_the_same_numbers_in_both_dtypes():
    wide, narrow = (
        initialize_by_name(SHAPES, 7, np.float64),
        initialize_by_name(SHAPES, 7),
    )
    for name, array in wide.items():
        assert narrow[name].dtype == np.float32
        np.testing.assert_array_equal(narrow[name], array.astype(np.float32))
    other = initialize_by_name(SHAPES, 8)
    assert (other["conv1_kernel"] != narrow["conv1_kernel"]).any()


@pytest.mark.parametrize("K, C", [(3, 5), (4, 4), (6, 2)])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_dirac_hands_on_the_first_channels(K, C, size):
    rng = np.random.default_rng(7)
    drawn = uniform_fan_in((K, C, size, size), rng)
    kept = drawn.copy()
    kernel = dirac(drawn)
    assert kernel.dtype == np.float32 and kernel.flags.c_contiguous
    np.testing.assert_array_equal(drawn, kept)
    count = min(K, C)
    np.testing.assert_array_equal(kernel[count:], drawn[count:])
    x = rng.standard_normal((2, C, 6, 5), np.float32)
    out = conv2d(x, kernel, padding=size // 2, method="direct")
    np.testing.assert_array_equal(out[:, :count], x[:, :count])


def test_the_centre_of_an_even_kernel_is_the_one_behind_the_middle():
    kernel = dirac(np.full((1, 2, 2, 4), 7.0))
    np.testing.assert_array_equal(
        kernel, [[[[0, 0, 0, 0], [0, 0, 1, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]]]
    )


def test_dirac_refuses_what_is_no_kernel():
    for wrong in (np.ones((3, 3)), np.ones(3), np.ones((1, 2, 3, 3, 3))):
        with pytest.raises(
            ValueError, match=r"dirac: kernel must be 4-D \(K, C, R, S\)"
        ):
            dirac(wrong)
    for wrong in (np.ones((1, 1, 3, 3), int), [[[[1.0]]]], None):
        with pytest.raises(TypeError, match="dirac: kernel must be"):
            dirac(wrong)
