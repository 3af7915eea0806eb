"""A residual block of the student's own functions, and its backward."""

from typing import Any

import numpy as np

from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.op_specs import Case, OpSpec, positive


def _forward(
    ops: Any,
    x: Any,
    kernel1: Any,
    gamma1: Any,
    beta1: Any,
    kernel2: Any,
    gamma2: Any,
    beta2: Any,
    kernel_proj: Any = None,
    stride: int = 1,
) -> tuple[Any]:
    tensors = (kernel1, gamma1, beta1, kernel2, gamma2, beta2, kernel_proj)
    return (ops.residual_block(x, *tensors, stride),)


def _backward(
    ops: Any, grad_output: Any, x: Any, *tensors: Any, stride: int = 1
) -> tuple[Any, ...]:
    given = (*tensors, None)[:7]  # None for no projection
    grads = ops.residual_block_backward(grad_output, x, *given, stride)
    return tuple(grads[: 1 + len(tensors)])


def _case(label: str, N: int, C: int, K: int, size: tuple, stride: int = 1) -> Case:
    """Return a case; it has a projection if the block changes the shape."""
    batch_norm = (positive(K), (K,))
    inputs: tuple[Any, ...] = (
        (N, C, *size),
        (K, C, 3, 3),
        *batch_norm,
        (K, K, 3, 3),
        *batch_norm,
    )
    if (C, stride) != (K, 1):
        inputs = (*inputs, (K, C, 1, 1))
    return Case(label, inputs, {"stride": stride})


def _draw(rng: np.random.Generator) -> Case:
    N, C = (int(n) for n in rng.integers(1, 3, 2))
    K = C if rng.random() < 0.5 else int(rng.integers(1, 3))
    stride = 1 if rng.random() < 0.6 else 2
    size = (int(rng.integers(2, 4)) * stride, 2 * stride)
    label = f"random, {N} images, {C} channels to {K}, stride {stride}"
    return _case(label, N, C, K, size, stride)


SHARED: dict[str, Any] = {
    "spec": OpSpec(
        "residual_block",
        (
            _case("the identity as shortcut, one channel", 1, 1, 1, (2, 3)),
            _case("the identity as shortcut, two channels", 1, 2, 2, (3, 2)),
            _case("the identity as shortcut, two images", 2, 1, 1, (3, 5)),
            _case("a projection: more channels", 2, 1, 2, (2, 3)),
            _case("a projection: stride 2", 2, 2, 2, (4, 4), 2),
            _case("a projection: an odd size", 1, 1, 2, (5, 3), 2),
        ),
        bars=(),
        run_forward=_forward,
        run_backward=_backward,
    ),
    "draw": _draw,
    "edges": (
        _case("one column", 2, 1, 1, (3, 1)),
        _case("one pixel of each image", 3, 2, 2, (1, 1)),
    ),
}

X = [[[[-5e3, 1e3], [1e3, 3e3]]]]


def _centre(weight: float) -> list:
    return [[[[0.0, 0.0, 0.0], [0.0, weight, 0.0], [0.0, 0.0, 0.0]]]]


TENSORS = (_centre(1.0), [4.5e3], [-0.5e3], _centre(2.0), [3e3], [1e3])

FORWARD = """
All numbers in thousands, without the channel. Both kernels have a weight in the centre
alone, so a convolution multiplies with it: 1, and 2. Beside these variances eps is
nothing.
x                                         -5       1       1       3
conv1(x) = x * 1, mean 0, deviation 3:
xhat1                                     -5/3     1/3     1/3     1
bn1:   4.5 * xhat1 - 0.5                  -8       1       1       4
relu                                       0       1       1       4
conv2: times 2                             0       2       2       8
mean 3, deviation 3:  xhat2               -1      -1/3    -1/3     5/3
bn2:   3 * xhat2 + 1                      -2       0       0       6
the sum, with x                           -7       1       1       9
relu                                       0       1       1       9"""

BACKWARD = """
Forward, without the channel: xhat1 = -5/3, 1/3, 1/3, 1; relu of bn1 = 0, 1000, 1000,
4000; xhat2 = -1, -1/3, -1/3, 5/3; the sum = -7000, 1000, 1000, 9000.
grad_output                                2       7       9      -4
through the last relu: grad_sum            0       7       9      -4
grad_beta2 = 7 + 9 - 4 = 12,  grad_gamma2 = sum of grad_sum * xhat2 = -12
bn2, gamma2 / deviation = 1. From grad_sum subtract its mean 3, and xhat2 times the mean
of grad_sum * xhat2, which is -3:         -6       3       5      -2
conv2, whose weight is 2:                -12       6      10      -4
through relu, which cut the first:         0       6      10      -4
grad_beta1 = 6 + 10 - 4 = 12,  grad_gamma1 = 6/3 + 10/3 - 4 = 4/3
bn1, gamma1 / deviation = 1.5. Subtract the mean 3 and xhat1 / 3, times 1.5:
                                         -11/3    13/3    31/3   -11
conv1, whose weight is 1: this is what x gets by the branch. By the shortcut it gets
grad_sum:                                  0       7       9      -4
grad_input is the sum of both:           -11/3    34/3    58/3   -15
grad_kernel1 and grad_kernel2 are those of your conv2d_grad_kernel, with x and with the
result of relu as their input. The one in the middle of grad_kernel2, for example, is
    -6*0 + 3*1000 + 5*1000 - 2*4000 = 0"""


def _taps(grad: tuple, image: tuple) -> list:
    """Return the gradient of a 3x3 kernel with padding 1, of images of 2x2 pixels."""
    (a, b, c, d), (A, B, C, D) = grad, image
    return [
        [
            [
                [d * A, c * A + d * B, c * B],
                [b * A + d * C, a * A + b * B + c * C + d * D, a * B + c * D],
                [b * C, a * C + b * D, a * D],
            ]
        ]
    ]


EXERCISE = Exercise(
    name="residual_block",
    title="A residual block of your own functions",
    task="""
    Put your functions together.  A residual block adds its input to what two
    convolutions make of it:

        branch   = bn2(conv2(relu(bn1(conv1(x)))))
        shortcut = x,  or conv(x, kernel_proj, stride) if kernel_proj is given
        out      = relu(branch + shortcut)

    conv1 has kernel1, the stride and a padding of 1; conv2 has kernel2, stride 1 and a
    padding of 1; no convolution has a bias.  bn1 and bn2 are your batch norm in
    training, with the usual eps; their running statistics are not used: give them zeros
    and ones.

    The backward runs the forward again, because it needs what the layers were given.
    There is no new derivative to find.  Two rules are enough: a sum hands its gradient
    on to both of its terms, unchanged; and what is used twice gets two gradients, which
    are added.
    """,
    source="odyssey.learn.solutions.residual_block",
    functions=(
        Function(
            "residual_block",
            results=("out",),
            says="""
            Return out (N, K, P, Q) = relu(branch + shortcut).

            x (N, C, H, W); kernel1 (K, C, 3, 3), kernel2 (K, K, 3, 3); gamma1, beta1,
            gamma2, beta2 (K,); kernel_proj (K, C, 1, 1) or None.  Without it K is C and
            stride is 1.

            branch = bn2(conv2(relu(bn1(conv1(x)))))
            shortcut = x, or its convolution with kernel_proj, of the same stride
            """,
            by_hand=ByHand((X, *TENSORS), [[[[0.0, 1e3], [1e3, 9e3]]]], FORWARD),
            **SHARED,
        ),
        Function(
            "residual_block_backward",
            results=(
                "grad_input",
                "grad_kernel1",
                "grad_gamma1",
                "grad_beta1",
                "grad_kernel2",
                "grad_gamma2",
                "grad_beta2",
                "grad_kernel_proj",
            ),
            says="""
            Return grad_input, and the gradients of the seven tensors in their order.

            They are those of kernel1, gamma1, beta1, kernel2, gamma2, beta2 and
            kernel_proj; that of kernel_proj is None if kernel_proj is None.
            grad_output (N, K, P, Q) is the gradient with respect to out.
            """,
            by_hand=ByHand(
                ([[[[2.0, 7.0], [9.0, -4.0]]]], X, *TENSORS),
                (
                    [[[[-11 / 3, 34 / 3], [58 / 3, -15.0]]]],
                    _taps((-11 / 3, 13 / 3, 31 / 3, -11.0), (-5e3, 1e3, 1e3, 3e3)),
                    [4 / 3],
                    [12.0],
                    _taps((-6.0, 3.0, 5.0, -2.0), (0.0, 1e3, 1e3, 4e3)),
                    [-12.0],
                    [12.0],
                    None,
                ),
                BACKWARD,
            ),
            **SHARED,
        ),
    ),
    hints=(
        """
        Give each value of the forward a name: after conv1, after bn1, after relu, after
        conv2, after bn2, and the sum. Write the forward in one helper that returns them
        all. The backward calls it, then goes through the same lines in reverse order.
        """,
        """
        Each backward wants the input that its layer had: relu_backward of the last relu
        wants the sum, bn2's what conv2 made, that of conv2 what relu made, and so on.
        Call what comes out of the last relu's backward grad_sum. It goes into the
        branch and into the shortcut, undivided.
        """,
        """
        At the end x has two gradients: one that has come through bn2, conv2, relu, bn1
        and conv1, and one by the shortcut, which is grad_sum itself, or the gradient of
        the 1x1 convolution's input if there is a projection. Return their sum as
        grad_input. Never write into grad_sum: both paths read it.
        """,
    ),
    pages=(
        "docs/derivations/residual_block.md",
        "examples/resnet18_cifar10/model.py",
    ),
)
