import numba
import numpy as np
import pytest

from odyssey.gradcheck import gradcheck
from odyssey.layout import is_channels_last
from odyssey.ops import pooling
from odyssey.ops.pooling import (
    avgpool2d,
    avgpool2d_backward,
    global_avgpool2d,
    global_avgpool2d_backward,
    maxpool2d,
    maxpool2d_backward,
)

POOLS = {
    "avgpool2d": (avgpool2d, avgpool2d_backward),
    "maxpool2d": (maxpool2d, maxpool2d_backward),
}
# kernel_size, stride, padding
WINDOWS = [
    (1, 1, 0),
    (2, 2, 0),
    (2, None, 1),
    (3, 2, 1),
    (3, 1, 1),
    (2, 3, 0),
    (4, 3, 2),
]
X = np.array([[[[1.0, 2, 0], [4, 3, 1], [0, 5, 2]]]])  # as docs/derivations/pooling.md
GRAD = np.array([[[[4.0, 8], [12, 16]]]])
DTYPES = [np.float32, np.float64]


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "window", "out", "grad_input"),
    [
        ("avgpool2d", (2, 1, 0), [[2.5, 1.5], [3, 2.75]],
         [[1, 3, 2], [4, 10, 6], [3, 7, 4]]),
        ("maxpool2d", (2, 1, 0), [[4, 3], [5, 5]], [[0, 0, 0], [4, 8, 0], [0, 28, 0]]),
        ("avgpool2d", (2, 2, 1), [[0.25, 0.5], [1, 2.75]],
         [[1, 2, 2], [3, 4, 4], [3, 4, 4]]),
        ("maxpool2d", (2, 2, 1), [[1, 2], [4, 5]], [[4, 8, 0], [12, 0, 0], [0, 16, 0]]),
    ],
)  # fmt: skip
def test_worked_examples(name, window, out, grad_input, dtype):
    forward, backward = POOLS[name]
    x, grad = X.astype(dtype), GRAD.astype(dtype)
    result, grad_result = forward(x, *window), backward(grad, x, *window)
    assert result.dtype == grad_result.dtype == dtype
    np.testing.assert_array_equal(result[0, 0], out)
    np.testing.assert_array_equal(grad_result[0, 0], grad_input)


@pytest.mark.parametrize("window", [(1, 1, 0), (2, None, 1)])  # not in op_specs
@pytest.mark.parametrize("name", POOLS)
def test_gradcheck(name, window):
    forward, backward = POOLS[name]
    rng = np.random.default_rng(0)
    # all values far apart, so that no step changes which is the maximum
    x = rng.permutation(2 * 3 * 7 * 5).reshape(2, 3, 7, 5) / 10.0
    gradcheck(
        lambda x: forward(x, *window),
        lambda g, x: backward(g, x, *window),
        [x],
        rng=rng,
    )


@pytest.mark.parametrize("window", WINDOWS)
def test_average_backward_is_the_adjoint(window):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 3, 8, 11))
    out = avgpool2d(x, *window)
    grad_output = rng.standard_normal(out.shape)
    grad_input = avgpool2d_backward(grad_output, x, *window)
    np.testing.assert_allclose(
        np.vdot(x, grad_input), np.vdot(out, grad_output), rtol=1e-12
    )


@pytest.mark.parametrize("name", POOLS)
def test_pixels_out_of_reach_get_nothing(name):
    forward, backward = POOLS[name]
    x = np.random.default_rng(2).standard_normal((1, 2, 5, 5))
    x[:, :, 4], x[:, :, :, 4] = np.nan, np.inf  # in no window
    assert np.isfinite(forward(x, 2)).all()
    grad_input = backward(np.ones((1, 2, 2, 2)), x, 2)
    np.testing.assert_array_equal(grad_input[:, :, 4], 0)
    np.testing.assert_array_equal(grad_input[:, :, :, 4], 0)
    np.testing.assert_allclose(grad_input.sum(axis=(2, 3)), 4)


@pytest.mark.parametrize("C", [3, 40])
@pytest.mark.parametrize("window", [(2, 2, 0), (3, 3, 1), (2, 4, 1), (4, 4, 2)])
def test_windows_apart_give_their_gradients_like_those_that_overlap(window, C):
    """In windows that are cut out and pooled alone, nothing can go astray."""
    R, stride, padding = window
    rng = np.random.default_rng(11)
    x = np.round(rng.standard_normal((2, C, 11, 10)), 1)  # with equal numbers
    P, Q = ((size + 2 * padding - R) // stride + 1 for size in x.shape[2:])
    g = rng.standard_normal((2, C, P, Q))
    want = np.zeros_like(x)
    for p in range(P):
        for q in range(Q):
            top, left = p * stride - padding, q * stride - padding
            cut = np.s_[:, :, max(top, 0) : top + R, max(left, 0) : left + R]
            pixels = x[cut].reshape(2, C, -1)
            first = pixels.argmax(2)[..., None]
            given = np.zeros_like(pixels)
            np.put_along_axis(given, first, g[:, :, p, q, None], 2)
            want[cut] = given.reshape(x[cut].shape)
    for dtype in DTYPES:
        got = maxpool2d_backward(g.astype(dtype), x.astype(dtype), *window)
        np.testing.assert_array_equal(got, want.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_first_maximum_takes_the_gradient(dtype):
    x = np.zeros((1, 1, 4, 4), dtype)
    x[0, 0, 2, 3] = x[0, 0, 3, 2] = 1
    grad_input = maxpool2d_backward(GRAD.astype(dtype), x, 2)[0, 0]
    expected = np.zeros((4, 4))
    expected[0, 0], expected[0, 2], expected[2, 0], expected[2, 3] = 4, 8, 12, 16
    np.testing.assert_array_equal(grad_input, expected)


@pytest.mark.parametrize("value", [-np.inf, -3.0])
def test_padding_never_wins(value):
    x = np.full((1, 2, 3, 3), value)
    np.testing.assert_array_equal(maxpool2d(x, 2, 2, 1), np.full((1, 2, 2, 2), value))
    grad_input = maxpool2d_backward(np.tile(GRAD, (1, 2, 1, 1)), x, 2, 2, 1)
    expected = [[4, 8, 0], [12, 16, 0], [0, 0, 0]]
    np.testing.assert_array_equal(grad_input, [[expected, expected]])


def test_nan_wins_its_window_only():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    x[0, 0, 0, 1] = x[0, 0, 1, 0] = np.nan
    np.testing.assert_array_equal(maxpool2d(x, 2)[0, 0], [[np.nan, 7], [13, 15]])
    assert np.isnan(avgpool2d(x, 2)[0, 0]).tolist() == [[True, False], [False, False]]
    grad_input = maxpool2d_backward(GRAD, x, 2)[0, 0]
    assert grad_input[0, 1] == 4 and grad_input[1, 0] == 0


@pytest.mark.parametrize("name", POOLS)
def test_layouts(name):
    forward, backward = POOLS[name]
    rng = np.random.default_rng(3)
    x, g = rng.standard_normal((2, 3, 6, 5)), rng.standard_normal((2, 3, 3, 3))
    out, grad_input = forward(x, 3, 2, 1), backward(g, x, 3, 2, 1)
    assert out.flags.c_contiguous and grad_input.flags.c_contiguous
    assert is_channels_last(forward(channels_last(x), 3, 2, 1))
    assert is_channels_last(backward(g, channels_last(x), 3, 2, 1))
    frozen = x.copy()
    frozen.setflags(write=False)
    for y in (channels_last(x), frozen, x.astype(">f8"), x[:, ::-1].copy()[:, ::-1]):
        np.testing.assert_array_equal(forward(y, 3, 2, 1), out)
        np.testing.assert_array_equal(backward(g.astype(">f8"), y, 3, 2, 1), grad_input)
        np.testing.assert_array_equal(global_avgpool2d(y), global_avgpool2d(x))


def test_long_sums_are_precise():
    """In float32 alone, 2**24 + 1 is 2**24, and all the ones would be lost."""
    x = np.ones((1, 2, 65, 64), np.float32)
    x[:, :, 0, 0] = 2.0**24
    exact = (2**24 + 4159) / 4160
    np.testing.assert_allclose(global_avgpool2d(x).ravel(), exact, rtol=1e-7)
    out = avgpool2d(x, 64)
    np.testing.assert_allclose(out.ravel(), (2**24 + 4095) / 4096, rtol=1e-7)
    peak = np.zeros((1, 1, 65, 65), np.float32)
    peak[0, 0, 32, 32] = 1  # in each of the 33 * 33 windows
    grad_output = np.ones((1, 1, 33, 33), np.float32)
    grad_output[0, 0, 0, 0] = 2.0**24
    assert maxpool2d_backward(grad_output, peak, 33, 1)[0, 0, 32, 32] == 2**24 + 1088


def test_global_average():
    out = global_avgpool2d(X)
    assert out.shape == (1, 1, 1, 1) and out[0, 0, 0, 0] == 2.0
    grad = np.array([[[[18.0]]]])
    np.testing.assert_array_equal(global_avgpool2d_backward(grad, X), 0 * X + 2)
    x = channels_last(np.random.default_rng(4).standard_normal((2, 3, 4, 5)))
    gradcheck(global_avgpool2d, global_avgpool2d_backward, [x])
    assert is_channels_last(global_avgpool2d_backward(np.ones((2, 3, 1, 1)), x))


@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_batch(dtype):
    x = np.empty((0, 3, 4, 4), dtype)
    for forward, backward in POOLS.values():
        out = forward(x, 2)
        assert out.shape == (0, 3, 2, 2) and out.dtype == dtype
        assert backward(out, x, 2).shape == x.shape
    assert global_avgpool2d(x).shape == (0, 3, 1, 1)
    assert global_avgpool2d_backward(global_avgpool2d(x), x).shape == x.shape


def test_same_bits_on_one_thread():
    rng = np.random.default_rng(5)
    x, g = rng.standard_normal((3, 5, 9, 9)), rng.standard_normal((3, 5, 5, 5))
    results = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        results.append([forward(x, 3, 2, 1).tobytes() for forward, _ in POOLS.values()])
        results[-1] += [b(g, x, 3, 2, 1).tobytes() for _, b in POOLS.values()]
    assert results[0] == results[1]


@pytest.mark.parametrize("name", [*POOLS, "avgpool2d_backward", "maxpool2d_backward"])
def test_errors(name):
    def call(x, *window):
        upstream = [np.ones((1, 1, 2, 2))] if name.endswith("_backward") else []
        return getattr(pooling, name)(*upstream, x, *window)

    x = np.ones((1, 1, 4, 4))
    for window in (
        (0,),
        (-1,),
        (5,),
        (2, 0),
        (2, -1),
        (2, 2, -1),
        (2, 2, 2),
        (3, 1, 2),
    ):
        with pytest.raises(ValueError, match=f"{name}: (kernel_size|stride|padding)"):
            call(x, *window)
    for bad in (2.0, True, "2", None, (2, 2), np.array([2])):
        with pytest.raises(TypeError, match=f"{name}: kernel_size"):
            call(x, bad)
    for bad in (2.0, False, "2", (2, 2)):
        with pytest.raises(TypeError, match=f"{name}: stride"):
            call(x, 2, bad)
        with pytest.raises(TypeError, match=f"{name}: padding"):
            call(x, 2, 2, bad)
    for shape in ((4, 4), (1, 4, 4), (1, 1, 1, 4, 4), (1, 0, 4, 4), (1, 1, 0, 4)):
        with pytest.raises(ValueError, match=f"{name}: x"):
            call(np.ones(shape), 2)
    for wrong in (x.astype(int), x.astype(np.float16), x.tolist(), x > 0):
        with pytest.raises(TypeError, match=f"{name}: x"):
            call(wrong, 2)
    call(x, np.int64(2), np.uint8(2), np.int32(0))


def test_sizes_beyond_any_machine_integer():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    assert maxpool2d(x, 2**70, 2**80, 2**69)[0, 0, 0, 0] == 15
    assert avgpool2d(x, 4, 2**80)[0, 0, 0, 0] == 7.5


@pytest.mark.parametrize("name", ["avgpool2d", "maxpool2d", "global_avgpool2d"])
def test_wrong_gradient(name):
    backward = getattr(pooling, f"{name}_backward")
    window = () if name.startswith("global") else (2,)
    x = np.ones((1, 3, 4, 4))
    shape = (1, 3, 1, 1) if name.startswith("global") else (1, 3, 2, 2)
    for wrong in ((1, 3, 4, 4), (3, *shape[2:]), (1, 1, 2, 1), (1, 3)):
        with pytest.raises(ValueError, match=f"{name}_backward: grad_output"):
            backward(np.ones(wrong), x, *window)
    with pytest.raises(TypeError, match=f"{name}_backward: grad_output"):
        backward(np.ones(shape, np.float32), x, *window)
