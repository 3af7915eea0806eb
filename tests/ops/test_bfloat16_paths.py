"""Operations on bfloat16: every way of summing, fused variants, special numbers."""

import ml_dtypes
import numba
import numpy as np
import pytest
from op_checks import nerr
from test_bfloat16 import assert_rounded, exact, same_bits

import odyssey
from odyssey import gradcheck, reference
from odyssey.kernels.ending import LARGE
from odyssey.ops.batch_norm import batch_statistics

BF16 = np.dtype(ml_dtypes.bfloat16)
#: method, kernel size, stride, padding
PATHS = [
    ("direct", 3, 1, 1),
    ("direct", 3, 2, 1),
    ("direct", 1, 1, 0),
    ("direct", 1, 2, 0),
    ("direct", 7, 2, 3),
    ("winograd", 3, 1, 0),
    ("winograd", 3, 1, 1),
    ("winograd", 3, 2, 1),
]
every_path = pytest.mark.parametrize(("method", "size", "stride", "padding"), PATHS)
#: Winograd's sums are off by this much of the rms, a bound that is far below a step.
BAR = 5e-5


def draw(*shape, seed=0, dtype=BF16):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def conv_inputs(N, C, K, H, W, size, stride, padding):
    x, kernel = draw(N, C, H, W), draw(K, C, size, size, dtype=np.float32)
    P, Q = ((L + 2 * padding - size) // stride + 1 for L in (H, W))
    return x, kernel, draw(N, K, P, Q, seed=1)


@every_path
@pytest.mark.parametrize(
    "shape", [(1, 3, 5, 33, 47), (2, 16, 40, 8, 8), (1, 1, 1, 3, 3), (5, 33, 17, 7, 9)]
)
def test_every_method_sums_and_rounds_once(method, size, stride, padding, shape):
    N, C, K, H, W = shape
    if size > min(H, W) + 2 * padding:
        pytest.skip("the kernel is larger than the image")
    x, kernel, grad_output = conv_inputs(N, C, K, H, W, size, stride, padding)
    bias, window = draw(K, seed=2, dtype=np.float32), (stride, padding)
    out = odyssey.conv2d(x, kernel, bias, *window, method=method)
    grads = odyssey.conv2d_backward(grad_output, x, kernel, *window, method=method)
    assert_rounded(out, reference.conv2d(*exact([x, kernel, bias]), *window), BAR)
    want = reference.conv2d_backward(*exact([grad_output, x, kernel]), *window)
    assert_rounded(grads[0], want[0], BAR)
    for grad, right in zip(grads[1:], want[1:], strict=True):
        assert grad.dtype == np.float32
        assert nerr(grad, right) <= BAR


@every_path
def test_bits_of_a_large_batch_do_not_depend_on_threads(method, size, stride, padding):
    x, kernel, grad_output = conv_inputs(12, 24, 40, 11, 13, size, stride, padding)
    got = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        out = odyssey.conv2d(x, kernel, None, stride, padding, method=method)
        given = grad_output, x, kernel, stride, padding
        got.append([out, *odyssey.conv2d_backward(*given, method=method)])
    assert same_bits(*got)


@every_path
def test_what_is_added_is_added_before_the_rounding(method, size, stride, padding):
    x, kernel, grad_output = conv_inputs(3, 17, 35, 9, 10, size, stride, padding)
    window, addend = (stride, padding), draw(*grad_output.shape, seed=3)
    out = odyssey.conv2d(
        x, kernel, None, *window, method=method, addend=addend, relu=True
    )
    want = reference.conv2d(*exact([x, kernel]), None, *window)
    assert_rounded(out, np.maximum(want + addend.astype(float), 0), BAR)
    addend = draw(*x.shape, seed=3)
    grad_input, _, grad_bias = odyssey.conv2d_backward(
        grad_output,
        x,
        kernel,
        *window,
        method=method,
        addend=addend,
        needs_grad_bias=False,
    )
    want = reference.conv2d_backward(*exact([grad_output, x, kernel]), *window)[0]
    assert_rounded(grad_input, want + addend.astype(float), BAR)
    assert grad_bias is None


@pytest.mark.parametrize("shape", [(2, 5, 4, 3), (1, 37, 33, 47)])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_batch_norm_is_fused_and_writes_over_its_gradient(shape, layout):
    C = shape[1]
    x, addend, grad_output = (draw(*shape, seed=seed) for seed in range(3))
    if layout == "NHWC":
        x, addend, grad_output = (
            np.ascontiguousarray(v.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
            for v in (x, addend, grad_output)
        )
    gamma, beta, mean = (draw(C, seed=seed, dtype=np.float32) for seed in range(3))
    parameters = gamma, beta, mean, gamma**2
    statistics = batch_statistics(x)
    wide = x.astype(np.float64)
    assert nerr(statistics.mean, wide.mean((0, 2, 3))) <= 1e-12
    assert nerr(statistics.var, wide.var((0, 2, 3))) <= 1e-12
    out, new_mean, new_var = odyssey.batch_norm2d(
        x, *parameters, addend=addend, relu=True, statistics=statistics
    )
    want, want_mean, want_var = reference.batch_norm2d(*exact([x, *parameters]))
    assert_rounded(out, np.maximum(want + addend.astype(float), 0), 5e-6)
    assert new_mean.dtype == new_var.dtype == np.float32
    assert nerr(new_mean, want_mean) <= 1e-6
    assert nerr(new_var, want_var) <= 1e-6

    backward = grad_output, x, *parameters
    apart = odyssey.batch_norm2d_backward(*backward, relu=True, statistics=statistics)
    gated = np.where(want > 0, grad_output.astype(float), 0)
    right = reference.batch_norm2d_backward(gated, *exact([x, *parameters]))
    for got, exact_one in zip(apart[1:], right[1:], strict=True):
        assert got.dtype == np.float32
        assert nerr(got, exact_one) <= 5e-6
    assert_rounded(apart[0], right[0], 5e-6)
    over = odyssey.batch_norm2d_backward(
        *backward, relu=True, statistics=statistics, out=grad_output
    )
    assert over[0] is grad_output
    assert same_bits(apart, over)


LARGE_ONES = [
    lambda x, g: odyssey.relu(x),
    lambda x, g: odyssey.relu_backward(g, x),
    lambda x, g: odyssey.gelu(x),
    lambda x, g: odyssey.gelu_backward(g, x, "tanh"),
    lambda x, g: odyssey.add(x, g),
    lambda x, g: odyssey.batch_norm2d(x, *VECTORS, training=False, addend=g)[0],
    lambda x, g: odyssey.batch_norm2d_backward(g, x, *VECTORS, training=False)[0],
    lambda x, g: odyssey.conv2d(x, LARGE_KERNEL, None, 1, 1, method="winograd"),
    lambda x, g: odyssey.conv2d(x, LARGE_KERNEL, None, 1, 1, method="direct"),
    lambda x, g: odyssey.conv2d_backward(g, x, LARGE_KERNEL, 1, 1)[0],
]
VECTORS = np.random.default_rng(1).random((4, 16), np.float32)
LARGE_KERNEL = draw(16, 16, 3, 3, dtype=np.float32)


@pytest.fixture(scope="module")
def large():
    """Two arrays of which each is large, and not its halves."""
    N = LARGE // (32 * 32 * 16 * 2) // 2 * 2 + 2
    return [
        draw(N, 32, 32, 16, seed=seed, dtype=BF16).transpose(0, 3, 1, 2)
        for seed in range(2)
    ]


@pytest.mark.parametrize("run", LARGE_ONES)
def test_what_is_written_past_the_caches_has_the_bits_of_what_is_not(run, large):
    whole = run(*large)
    assert whole.nbytes > LARGE
    middle = len(whole) // 2
    for part in (slice(middle), slice(middle, None)):
        half = run(*(x[part] for x in large))
        assert half.nbytes <= LARGE
        assert (whole[part].view(np.uint16) == half.view(np.uint16)).all()


def test_relu_writes_over_its_gradient():
    x, grad_output = draw(3, 5, 7), draw(3, 5, 7, seed=1)
    want = odyssey.relu_backward(grad_output, x)
    assert odyssey.relu_backward(grad_output, x, out=grad_output) is grad_output
    assert same_bits([grad_output], [want])


@every_path
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_a_finite_number_reaches_what_it_should(
    method, size, stride, padding, value
):
    x, kernel, grad_output = conv_inputs(2, 9, 11, 13, 12, size, stride, padding)
    x[1, 4, 6, 6] = grad_output[0, 3, 2, 2] = value
    with np.errstate(invalid="ignore"):
        given = exact([x, kernel])
        want = reference.conv2d(*given, None, stride, padding)
        given = exact([grad_output, x, kernel])
        grads = reference.conv2d_backward(*given, stride, padding)
    out = odyssey.conv2d(x, kernel, None, stride, padding, method=method)
    got = odyssey.conv2d_backward(
        grad_output, x, kernel, stride, padding, method=method
    )
    assert np.isinf(want).any() or np.isnan(want).any()
    for some, right in zip((out, *got), (want, *grads), strict=True):
        some = some.astype(np.float64)
        np.testing.assert_array_equal(np.isnan(some), np.isnan(right))
        np.testing.assert_array_equal(some[np.isinf(right)], right[np.isinf(right)])
        finite = np.isfinite(right)
        # the bars are in units of what is finite: one number of many is not
        bound = 2.0**-8 * np.abs(right[finite]) + 2 * BAR * np.std(right[finite])
        assert (np.abs(some[finite] - right[finite]) <= bound).all()


@every_path
def test_a_kernel_that_is_not_finite_makes_no_more_nan_than_it_should(
    method, size, stride, padding
):
    x, kernel, grad_output = conv_inputs(1, 3, 4, 9, 8, size, stride, padding)
    kernel[1, 2, 0, 0] = np.inf
    addend = draw(*x.shape, seed=4)
    got = odyssey.conv2d_backward(
        grad_output, x, kernel, stride, padding, method=method, addend=addend
    )[0]
    want = reference.conv2d_backward(*exact([grad_output, x, kernel]), stride, padding)[
        0
    ]
    want += addend.astype(float)
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
    finite = np.isfinite(want)
    assert finite.any() and not finite.all()
    np.testing.assert_array_equal(got[~finite].astype(float), want[~finite])
    assert_rounded(got[finite], want[finite], BAR)


def special():
    """Both infinities, NaN, both zeros, the least and greatest numbers, denormals."""
    bits = [0x7F80, 0xFF80, 0x7FC0, 0, 0x8000, 1, 0x8001, 0x7F, 0x80, 0x7F7F, 0xFF7F]
    return np.array(bits, np.uint16).view(BF16)


def test_special_numbers_pass_as_they_are():
    x = special()
    positive = np.where(x.astype(np.float32) <= 0, np.float32(0), x.astype(np.float32))
    np.testing.assert_array_equal(odyssey.relu(x).astype(np.float32), positive)
    ones, zeros = np.ones_like(x), np.zeros_like(x)
    image = x.reshape(1, -1, 1, 1)
    for got in (
        odyssey.relu_backward(x, ones),
        odyssey.add(x, zeros),
        odyssey.maxpool2d(image, 1),
        odyssey.maxpool2d_backward(image, image, 1),
        odyssey.avgpool2d(image, 1),
        odyssey.avgpool2d_backward(image, image, 1),
        odyssey.global_avgpool2d(image),
        odyssey.global_avgpool2d_backward(image, image),
    ):
        got = got.reshape(-1).astype(np.float32)
        np.testing.assert_array_equal(got, x.astype(np.float32))


@pytest.mark.parametrize("method", ["direct", "winograd"])
def test_denormal_sums_are_not_lost(method):
    # one tap of 1: the result is the input, whose numbers are all denormal or 0
    x = np.arange(2 * 9 * 6 * 6, dtype=np.uint16).reshape(2, 9, 6, 6) % 128
    x = x.view(BF16)
    kernel = np.zeros((9, 9, 3, 3), np.float32)
    kernel[range(9), range(9), 1, 1] = 1
    out = odyssey.conv2d(x, kernel, None, 1, 1, method=method)
    grad_input = odyssey.conv2d_backward(x, x, kernel, 1, 1, method=method)[0]
    # by Winograd's way numbers up to 36 times as large are added, which rounds
    for got in (out, grad_input):
        steps = (got.astype(float) - x.astype(float)) * 2.0**133
        assert np.abs(steps).max() <= (0 if method == "direct" else 1)


def test_sums_beyond_the_greatest_number_are_infinite():
    greatest = np.full((1, 4, 5, 5), special()[9])
    ones = np.ones((2, 4, 1, 1), np.float32)
    assert np.isposinf(odyssey.conv2d(greatest, ones).astype(np.float32)).all()
    assert np.isposinf(odyssey.add(greatest, greatest).astype(np.float32)).all()
    # sums of windows are float64, and here their mean is a number again
    assert (odyssey.avgpool2d(greatest, 2) == greatest[:, :, :2, :2]).all()
    assert (odyssey.global_avgpool2d(greatest) == greatest[:, :, :1, :1]).all()


def test_the_first_maximum_takes_the_gradient_also_among_nan():
    x = np.array([[1, 3, 3], [np.nan, 2, 3], [np.nan, 0, 1]], np.float32).astype(BF16)
    x = np.broadcast_to(x, (1, 20, 3, 3))
    out = odyssey.maxpool2d(x, 2, 1)
    grad_output = np.arange(1, 5, dtype=np.float32).reshape(2, 2).astype(BF16)
    grad_output = np.broadcast_to(grad_output, out.shape)
    grad = odyssey.maxpool2d_backward(grad_output, x, 2, 1)
    want = [[0, 2, 0], [4, 0, 4], [0, 0, 0]]
    np.testing.assert_array_equal(
        grad.astype(float), np.broadcast_to(np.array(want, float), x.shape)
    )


X, KERNEL, C = draw(2, 3, 4, 4), draw(3, 3, 3, 3, dtype=np.float32), np.ones(3, "f4")
MIXED = [
    ("conv2d", (X, KERNEL.astype(float)), "kernel", "float64"),
    ("conv2d", (X, KERNEL.astype("f2")), "kernel", "float16"),
    ("conv2d", (X, KERNEL, C.astype(float)), "bias", "float64"),
    ("conv2d", (X.astype("f4"), KERNEL.astype(BF16)), "kernel", "bfloat16"),
    ("conv2d", (X.astype("f4"), KERNEL, C.astype(BF16)), "bias", "bfloat16"),
    ("conv2d", (X.view("u2"), KERNEL), "x", "uint16"),
    ("conv2d_backward", (X.astype("f4"), X, KERNEL), "grad_output", "float32"),
    ("conv2d_backward", (X[..., :2, :2], X, KERNEL.astype(float)), "kernel", "float64"),
    ("batch_norm2d", (X, C.astype(float), C, C, C), "gamma", "float64"),
    ("batch_norm2d", (X, C, C, C, C.astype("f2")), "running_var", "float16"),
    ("batch_norm2d", (X.astype("f4"), C, C.astype(BF16), C, C), "beta", "bfloat16"),
    (
        "batch_norm2d_backward",
        (X.astype("f4"), X, C, C, C, C),
        "grad_output",
        "float32",
    ),
    ("relu", (X.view("u2"),), "x", "uint16"),
    ("relu", (X.astype("f2"),), "x", "float16"),
    ("relu", (X.astype(ml_dtypes.float8_e4m3fn),), "x", "float8_e4m3fn"),
    ("relu_backward", (X.astype("f4"), X), "grad_output", "float32"),
    ("gelu", (X.view("u2"),), "x", "uint16"),
    ("gelu_backward", (X.astype("f4"), X), "grad_output", "float32"),
    ("add", (X, X.astype("f4")), "b", "float32"),
    ("add_backward", (X.astype("f4"), X, X), "grad_output", "float32"),
    ("maxpool2d", (X.view("u2"), 2), "x", "uint16"),
    ("maxpool2d_backward", (X.astype("f4"), X, 1), "grad_output", "float32"),
    ("avgpool2d", (X.view("i2"), 2), "x", "int16"),
    ("avgpool2d_backward", (X.astype("f4"), X, 1), "grad_output", "float32"),
    ("global_avgpool2d", (X.view("u2"),), "x", "uint16"),
    ("linear", (X[0, 0], C[:, None].repeat(4, 1).astype(float)), "weights", "float64"),
    ("linear_backward", (X[0, 0].astype("f4"), X[0, 0], X[0, 1]), "grad_output", "f"),
    ("batch_statistics", (X.view("u2"),), "x", "uint16"),
    # operations for float32 and float64 alone
    ("softmax", (X[0, 0],), "logits", "bfloat16"),
    ("softmax_backward", (X[0, 0], X[0, 0]), "logits", "bfloat16"),
    ("cross_entropy", (X[0, 0], np.zeros(4, int)), "logits", "bfloat16"),
    ("cross_entropy_backward", (1.0, X[0, 0], np.zeros(4, int)), "logits", "bfloat16"),
    ("dropout", (X.view("u2"), 0.5, np.random.default_rng(0)), "x", "uint16"),
    ("sgd_momentum_update_inplace", (X, X, X, 0.1), "param", "bfloat16"),
    ("clip_grad_norm_inplace", ([X], 1.0), r"grads\[0\]", "bfloat16"),
]


@pytest.mark.parametrize(("name", "arguments", "argument", "came"), MIXED)
def test_other_dtypes_and_mixtures_are_refused_by_name(name, arguments, argument, came):
    with pytest.raises(TypeError, match=f"^{name}: {argument} must .*got {came}"):
        getattr(odyssey, name)(*arguments)


def test_gradcheck_refuses_it():
    with pytest.raises(TypeError, match="bfloat16"):
        gradcheck(odyssey.relu, odyssey.relu_backward, [X])


def test_out_and_addend_must_have_the_dtype_of_x():
    with pytest.raises(TypeError, match=r"^relu_backward: out must .*got float32"):
        odyssey.relu_backward(X, X, out=X.astype("f4"))
    with pytest.raises(TypeError, match=r"^conv2d: addend must .*got float32"):
        odyssey.conv2d(X, KERNEL, None, 1, 1, addend=X.astype("f4"))
    with pytest.raises(TypeError, match=r"^batch_norm2d: addend must .*got float32"):
        odyssey.batch_norm2d(X, C, C, C, C, addend=X.astype("f4"))
