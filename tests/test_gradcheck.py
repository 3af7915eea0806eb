"""The gradient check must catch what is wrong and let pass what is right."""

import numpy as np
import pytest

from odyssey import reference
from odyssey.gradcheck import gradcheck

RNG = np.random.default_rng(7)
X = RNG.standard_normal((3, 4))
W = RNG.standard_normal((2, 4))
POINTS = RNG.standard_normal((2, 3, 4, 2))  # activations


def linear_backward(grad_output, x, weights):
    return reference.linear_backward(grad_output, x, weights)[:2]


def spoil(array, change):
    """Return a copy of ``array`` after ``change``, a function that writes to it."""
    array = np.array(array)
    change(array)
    return array


# --- What is right passes


def test_a_right_backward_passes_with_a_small_error():
    assert gradcheck(reference.linear, linear_backward, (X, W)) < 1e-8


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1e3, 1e9])
def test_a_right_backward_passes_at_every_scale(factor):
    error = gradcheck(
        lambda x: factor * np.sin(x), lambda g, x: factor * g * np.cos(x), (X,)
    )
    assert error <= 1e-6


def test_a_right_backward_passes_far_from_zero():
    # At 1e6 a step of 1e-5 is rounded to five digits when it is added.
    assert gradcheck(lambda x: x - 1e6, lambda g, x: g, (X + 1e6,)) <= 1e-6


def test_a_gradient_of_zero_passes():
    # A shift before batch norm changes nothing but the last bits.
    gamma, beta = np.ones(3), np.zeros(3)

    def forward(shift):
        shifted = POINTS + shift[:, None, None]
        return reference.batch_norm2d(shifted, gamma, beta, beta, gamma)[0]

    gradcheck(forward, lambda g, shift: np.zeros(3), (np.ones(3),))
    assert gradcheck(lambda x: 0 * x, lambda g, x: 0 * g, (X,), atol=0) == 0.0


def test_a_number_in_an_array_stays_an_array():
    def forward(a, b):
        assert isinstance(a, np.ndarray)
        return reference.add(a, b)

    gradcheck(forward, reference.add_backward, (np.array(2.0), np.array(3.0)))


def test_a_scalar_forward_gets_a_random_scalar():
    seen = []

    def backward(grad_output, logits, labels):
        seen.append(grad_output)
        return reference.cross_entropy_backward(grad_output, logits, labels)

    gradcheck(reference.cross_entropy, backward, (X, np.array([3, 0, 2])))
    assert type(seen[0]) is float
    assert abs(seen[0] - 1.0) > 0.1


def test_other_arguments_are_handed_on():
    gradcheck(reference.avgpool2d, reference.avgpool2d_backward, (POINTS, 3, 2, 1))


def test_a_view_of_the_input_or_a_reused_buffer_is_no_trouble():
    buffer = np.empty_like(X)

    def double(x):
        np.multiply(x, 2, out=buffer)
        return buffer

    gradcheck(lambda x: x, lambda g, x: g, (X,))
    gradcheck(lambda x: x.T, lambda g, x: g.T, (X,))
    gradcheck(double, lambda g, x: 2 * g, (X,))
    gradcheck(lambda a, b: a * b, lambda g, a, b: (g * b, g * a), (X, X))


def test_an_empty_input_passes():
    assert gradcheck(np.exp, lambda g, x: g * np.exp(x), (np.empty((0, 3)),)) == 0.0


# --- What is wrong is caught


def spoilt(change):
    """A backward of ``linear`` whose gradient of the weights is spoilt."""

    def backward(grad_output, x, weights):
        grad_input, grad_weights = linear_backward(grad_output, x, weights)
        return grad_input, spoil(grad_weights, change)

    return backward


def scale_all(grad):
    grad *= 1.001


def scale_one(grad):
    grad[1, 2] *= 1.001


def flip_one(grad):
    grad[1, 2] *= -1


def shift_by_one(grad):
    grad[...] = np.roll(grad, 1, axis=1)


def forget_one(grad):
    grad[1, 2] = 0.0


@pytest.mark.parametrize(
    "change", [scale_all, scale_one, flip_one, shift_by_one, forget_one]
)
def test_a_small_mistake_is_caught_and_placed(change):
    with pytest.raises(AssertionError, match=r"input 1, element \(\d, \d\)") as caught:
        gradcheck(reference.linear, spoilt(change), (X, W))
    if change not in (scale_all, shift_by_one):
        assert "element (1, 2)" in str(caught.value)


def test_the_message_holds_both_numbers():
    with pytest.raises(AssertionError, match=r"gives 3\b.* give 2\b"):
        gradcheck(
            lambda x: 2.0 * float(x[0]),
            lambda g, x: np.array([3.0]) * g,
            (np.ones(1),),
            rng=FixedUpstream(0),
        )


class FixedUpstream(np.random.Generator):
    """A generator that draws 1.0, so that the numbers of a message are known."""

    def __init__(self, seed):
        super().__init__(np.random.PCG64(seed))

    def standard_normal(self, size=None):
        return np.ones(size)


@pytest.mark.parametrize("factor", [1e-9, 1e-6, 1e-3, 1e3, 1e9])
def test_a_tenth_of_a_percent_is_caught_at_every_scale(factor):
    with pytest.raises(AssertionError, match="element"):
        gradcheck(
            lambda x: factor * np.sin(x),
            lambda g, x: 1.001 * factor * g * np.cos(x),
            (X,),
        )


def test_a_tenth_of_a_percent_is_caught_in_a_small_element():
    weights = np.array([1.0, 1e-2, 100.0])
    with pytest.raises(AssertionError, match=r"element \(1,\)"):
        gradcheck(
            lambda x: weights * x,
            lambda g, x: g * weights * [1, 1.001, 1],
            (np.ones(3),),
        )


def batch_norm(x):
    one = np.ones(3)
    return reference.batch_norm2d(x, one, one, one, one)[0]


def softmax(x):
    return reference.softmax(x)


@pytest.mark.parametrize(
    ("forward", "backward", "x"),
    [
        (np.exp, lambda g, x: np.exp(x), X),
        (softmax, lambda g, x: np.zeros_like(x), X),
        (batch_norm, lambda g, x: np.zeros_like(x), POINTS),
        (lambda x: float((x**2).sum()), lambda g, x: 2 * x, X),
    ],
    ids=["exp", "softmax", "batch norm", "a loss"],
)
def test_a_backward_right_for_an_upstream_of_ones_only_is_caught(forward, backward, x):
    out = forward(x)
    ones = np.ones_like(out) if isinstance(out, np.ndarray) else 1.0
    # Under ones the backward is right, to the eye of a check that sums the output.
    step = 1e-5 * RNG.standard_normal(x.shape)
    numeric = np.sum(forward(x + step) - forward(x - step)) / 2
    assert abs(numeric - np.vdot(backward(ones, x), step)) < 1e-9
    with pytest.raises(AssertionError, match="input 0, element"):
        gradcheck(forward, backward, (x,))


def test_an_error_that_the_samples_miss_is_seen_by_the_projection():
    x = RNG.standard_normal(400)
    with pytest.raises(AssertionError, match="input 0, random projection"):
        gradcheck(
            np.sin,
            lambda g, x: (
                spoil(g * np.cos(x), lambda grad: grad[[123]].fill(0))
                + np.where(np.arange(400) == 123, 0.01, 0)
            ),
            (x,),
            samples=1,
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_caught(value):
    def backward(grad_output, x):
        return spoil(grad_output, lambda grad: grad.__setitem__((2, 1), value))

    with pytest.raises(AssertionError, match=rf"input 0 .*{value} in element \(2, 1\)"):
        gradcheck(lambda x: x, backward, (X,))


def test_a_forward_that_is_not_finite_is_caught():
    with pytest.raises(AssertionError, match="input 0, element"):
        gradcheck(lambda x: x * np.nan, lambda g, x: g, (X,))


# --- What cannot be seen is refused


def only_first_row(factor):
    return spoil(X, lambda x: x.__setitem__(0, factor * x[0]))


@pytest.mark.parametrize(
    "x, eps, message",
    [
        (1e20 * X, 1e-5, r"input 0, element \(0, 0\): a step of eps=1e-05 is lost"),
        (1e13 * X, 1e-5, r"lost in the rounding of \S+e\+1[23]; take smaller"),
        (X, 1e-20, "a step of eps=1e-20 is lost in the rounding of "),
        # a step of which half or a fifth is left, or one and a half times as much
        (X + 1e11, 1e-5, "a step of eps=1e-05"),
        (X + 4e10, 1e-5, "a step of eps=1e-05"),
        (only_first_row(1e20), 1e-5, r"element \(0, 0\)"),
        (spoil(X, lambda x: x.__setitem__((2, 1), -1e20)), 1e-5, r"element \(2, 1\)"),
    ],
)
@pytest.mark.parametrize("samples", [None, 1])
def test_a_step_that_is_lost_in_an_input(x, eps, message, samples):
    """Without the error a wrong gradient passes: zero is compared with zero."""

    def wrong(g, x):
        return 5 * g

    with pytest.raises(ValueError, match=message):
        gradcheck(lambda x: 3 * x, wrong, (x,), eps=eps, samples=samples)


def test_the_input_is_named_and_others_do_not_matter():
    def forward(a, b):
        return 3 * a + 2 * b / 1e20

    def backward(g, a, b):
        return 3 * g, 2 * g / 1e20

    inputs = (X, 1e20 * X)
    with pytest.raises(ValueError, match="gradcheck: input 1, element"):
        gradcheck(forward, backward, inputs)
    assert gradcheck(lambda a, b: 3 * a, lambda g, a, b: 3 * g, inputs, wrt=0) <= 1e-6


def test_a_larger_step_sees_large_inputs():
    def forward(x):
        return 3 * x

    large = 1e13 * X
    assert gradcheck(forward, lambda g, x: 3 * g, (large,), eps=1e9) <= 1e-6
    with pytest.raises(AssertionError, match="central differences give"):
        gradcheck(forward, lambda g, x: 5 * g, (large,), eps=1e9)


def test_a_change_that_is_lost_in_the_result():
    with pytest.raises(ValueError, match=r"input 0 .* result, which is up to 1e"):
        gradcheck(lambda x: x + 1e15, lambda g, x: 0 * g, (X,))
    with pytest.raises(AssertionError, match="central differences give"):
        gradcheck(lambda x: 1e15 * x, lambda g, x: 0 * g, (X,))


@pytest.mark.parametrize("value", [1e6, 1e8, 2.0**20, 0.0, 1e-300])
def test_steps_that_are_rounded_a_little_are_seen(value):
    x = X + value
    assert gradcheck(lambda x: x - value, lambda g, x: g, (x,)) <= 1e-6
    with pytest.raises(AssertionError, match="central differences give"):
        gradcheck(lambda x: x - value, lambda g, x: 1.001 * g, (x,))
