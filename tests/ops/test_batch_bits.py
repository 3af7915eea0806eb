"""An image in a batch: the same bits at each call, nearly the same as alone.

How a sum is ordered is chosen by the size of the batch too, so that the last digits of
an image's results can be others in another batch; README.md says so.
"""

import numpy as np
import pytest

from odyssey import conv2d, conv2d_backward, linear

#: C, K, side, R, stride of convolutions of ResNet-18 and ResNet-50.
SHAPES = [
    (3, 64, 32, 3, 1),
    (64, 64, 32, 3, 1),
    (64, 128, 32, 3, 2),
    (64, 128, 32, 1, 2),
    (128, 128, 16, 3, 1),
    (256, 256, 8, 3, 1),
    (256, 512, 8, 3, 2),
    (512, 512, 4, 3, 1),
]

#: Of the largest number.  Winograd's way is off by 5e-6 at most in float32 (`conv2d`),
#: its worst element by some four times that; as many eps in float64.
BOUND = {"float32": 2e-5, "float64": 4e-14}


def draw(rng, dtype, *shape):
    return rng.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", BOUND)
@pytest.mark.parametrize("C, K, side, R, stride", SHAPES)
def test_images_alone_and_in_a_batch(C, K, side, R, stride, dtype):
    rng = np.random.default_rng(0)
    x = draw(rng, dtype, 8, C, side, side)
    kernel = draw(rng, dtype, K, C, R, R)
    options = {"stride": stride, "padding": R // 2}
    out = conv2d(x, kernel, **options)
    g = draw(rng, dtype, *out.shape)
    grad = conv2d_backward(g, x, kernel, **options)[0]
    assert conv2d(x, kernel, **options).tobytes() == out.tobytes()
    again = conv2d_backward(g, x, kernel, **options)[0]
    assert again.tobytes() == grad.tobytes()
    alone = conv2d(x[:1], kernel, **options)
    grad_alone = conv2d_backward(g[:1], x[:1], kernel, **options)[0]
    for one, batch in ((alone, out), (grad_alone, grad)):
        error = abs(one - batch[:1]).max() / abs(batch).max()
        print(f"{C} to {K}, {side}x{side}, {R}x{R}/{stride}, {dtype}: {error:.1e}")
        assert error <= BOUND[dtype]


@pytest.mark.parametrize("dtype", BOUND)
def test_a_linear_layer(dtype):
    rng = np.random.default_rng(0)
    x, weights = draw(rng, dtype, 128, 512), draw(rng, dtype, 10, 512)
    out = linear(x, weights)
    assert linear(x, weights).tobytes() == out.tobytes()
    error = abs(linear(x[:1], weights) - out[:1]).max() / abs(out).max()
    print(f"linear, {dtype}: {error:.1e}")
    # sums of 512 terms, in another order
    assert error <= 512 * np.finfo(dtype).eps / 10
