"""The statistics that a convolution finds of its result, beside those of batch norm."""

import ml_dtypes
import numpy as np
import pytest

from odyssey import batch_statistics, conv2d
from odyssey.layers import norm, synchronized
from odyssey.layers.context import Context
from odyssey.layers.conv_norm import conv_norm
from odyssey.ops.conv import winograd_domain
from odyssey.ops.conv.convolution import conv2d_and_statistics

# N, C, K, side, stride: one tile, part of a chunk, several chunks and a part of one,
# kernels in one block, in several, and filling none
SHAPES = [
    (1, 3, 5, 4, 1),
    (3, 20, 18, 12, 1),
    (9, 8, 70, 16, 1),
    (2, 3, 5, 8, 2),
    (9, 20, 34, 24, 2),
]


def make(shape, dtype, offset=0.0):
    N, C, K, side, _ = shape
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, C, side, side)) + offset
    return x.astype(dtype), rng.standard_normal((K, C, 3, 3)).astype(dtype)


def both(x, kernel, stride, **options):
    """Return the statistics that the convolution found, and batch norm's of its result.

    The result must be the convolution's, to the bit.
    """
    given = {"stride": stride, "padding": 1, "method": "winograd", **options}
    out, found = conv2d_and_statistics(x, kernel, **given)
    np.testing.assert_array_equal(out, conv2d(x, kernel, **given))
    return found, batch_statistics(out)


@pytest.mark.parametrize(("dtype", "bound"), [(np.float64, 1e-12), (np.float32, 1e-6)])
@pytest.mark.parametrize("offset", [0, 100])  # a mean far above the deviations
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_they_are_those_of_the_result(shape, offset, dtype, bound):
    found, expected = both(*make(shape, dtype, offset), shape[4])
    deviation = np.sqrt(expected.var)
    # means of tiles are rounded to dtype, as the results are
    spacing = np.abs(expected.mean) * np.finfo(dtype).eps / deviation
    assert (np.abs(found.mean - expected.mean) / deviation <= bound + spacing).all()
    assert (np.abs(found.var / expected.var - 1) <= bound + spacing).all()
    assert found.count is None


def test_by_hand():
    """Two tiles of the results 1 and 3: mean 2, variance 1."""
    x = np.repeat(np.float64([1, 3]), 16).reshape(2, 1, 4, 4)
    kernel = np.zeros((1, 1, 3, 3))
    kernel[0, 0, 1, 1] = 1
    found, _ = both(x, kernel, 1)
    np.testing.assert_allclose((found.mean[0], found.var[0]), (2, 1), rtol=1e-14)


def test_a_constant_channel_has_no_variance():
    x, kernel = make(SHAPES[2], np.float32)
    kernel[3] = 0
    found, _ = both(x, kernel, 1)
    assert found.mean[3] == found.var[3] == 0
    assert (np.delete(found.var, 3) > 0).all()


@pytest.mark.parametrize("stride", [1, 2])
def test_bits_do_not_depend_on_threads(monkeypatch, stride):
    bits = set()
    x, kernel = make((9, 20, 70, 24, stride), np.float32)
    for threads in (1, 2, 5, 40):
        monkeypatch.setattr(winograd_domain, "num_threads", lambda n=threads: n)
        found, _ = both(x, kernel, stride)
        bits.add(found.mean.tobytes() + found.var.tobytes())
    assert len(bits) == 1


@pytest.mark.parametrize(
    "options", [{"method": "direct"}, {"bias": np.ones(18, np.float32)}], ids=str
)
def test_where_there_are_none(options):
    x, kernel = make(SHAPES[1], np.float32)
    assert both(x, kernel, 1, **options)[0] is None


def test_none_for_tiles_that_are_cut_off_for_bfloat16_and_for_no_images():
    x, kernel = make(SHAPES[1], np.float32)
    for images in (x[:, :, :10], x[:, :, :, :11], x.astype(ml_dtypes.bfloat16)):
        assert both(images, kernel, 1)[0] is None
    out, found = conv2d_and_statistics(x[:0], kernel, padding=1, method="winograd")
    assert found is None and out.shape == (0, 18, 12, 12)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_none_where_a_result_is_not_finite(value):
    x, kernel = make(SHAPES[1], np.float32)
    x[1, 2, 3, 4] = value
    given = {"padding": 1, "method": "winograd"}
    out, found = conv2d_and_statistics(x, kernel, **given)
    assert found is None
    np.testing.assert_array_equal(out, conv2d(x, kernel, **given))


@pytest.mark.parametrize(("dtype", "factor"), [(np.float32, 1e22), (np.float64, 1e160)])
def test_none_where_squares_overflow(dtype, factor):
    x, kernel = make(SHAPES[1], dtype)
    found, expected = both(x * dtype(factor), kernel, 1)
    assert found is None
    assert np.isfinite(expected.var).all() == (dtype == np.float32)


def test_a_batch_norm_after_a_convolution_does_not_read_its_result_again(monkeypatch):
    x, kernel = make((8, 16, 16, 16, 1), np.float32)
    ones, zeros = np.ones(16, np.float32), np.zeros(16, np.float32)
    params = {"c_kernel": kernel, "b_gamma": ones, "b_beta": zeros}
    state = {"b_running_mean": zeros, "b_running_var": ones}

    def forward():
        context = Context(params, state, training=True)
        out, cache = conv_norm(context, "c", "b", x, relu=False)
        return out, context.new_state, cache

    monkeypatch.setattr(
        norm, "statistics_over_ranks", lambda x, own: batch_statistics(x)
    )
    slow, slow_state, _ = forward()
    monkeypatch.undo()

    def read(x):
        raise AssertionError("read again")

    monkeypatch.setattr(synchronized, "batch_statistics", read)
    out, new_state, _ = forward()
    np.testing.assert_allclose(out, slow, rtol=0, atol=1e-5)
    for name, value in slow_state.items():
        np.testing.assert_allclose(new_state[name], value, rtol=1e-5, atol=1e-6)
