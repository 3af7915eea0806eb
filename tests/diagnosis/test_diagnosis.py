"""What a diagnosis does where there is no derivative, little time, or another error."""

import time

import numpy as np
import pytest

from odyssey import gradcheck, reference
from odyssey.diagnosis import Diagnosis, WrongGradientError

RNG = np.random.default_rng(9)
X, W = RNG.standard_normal((5, 7)), RNG.standard_normal((3, 7))


def diagnosis(forward, backward, inputs, **options):
    with pytest.raises(WrongGradientError, match=r"^gradcheck: ") as caught:
        gradcheck(forward, backward, inputs, diagnose=True, **options)
    return caught.value.diagnosis


def names(*arguments, **options):
    return [(d.name, d.input) for d in diagnosis(*arguments, **options)]


# --- Where there is no derivative


def test_a_right_backward_at_a_kink_is_told_from_a_wrong_one():
    x = np.array([[-1.0, 0.0, 2.0, 3.0], [0.0, 4.0, -2.0, 1.0]])
    assert names(reference.relu, reference.relu_backward, (x,)) == [("kink", 0)]


def test_equal_maxima_of_which_one_gets_the_gradient_are_right():
    x = np.array([[[[1.0, 5.0, 2.0, 3.0], [5.0, 4.0, 0.0, -1.0]]]])
    arguments = reference.maxpool2d, reference.maxpool2d_backward, (x, 2)
    (found,) = diagnosis(*arguments)
    assert found.name == "kink"
    assert "yours sum to it" in found.evidence


def test_equal_maxima_that_share_the_gradient_are_right():
    x = np.array([[[[1.0, 5.0, 2.0, 3.0], [5.0, 4.0, 0.0, -1.0]]]])

    def share(grad_output, x, size):
        wide = reference.maxpool2d(x, 2).repeat(2, 2).repeat(2, 3)
        mask = x == wide
        mask = mask / reference.avgpool2d(mask * 4.0, 2).repeat(2, 2).repeat(2, 3)
        return mask * grad_output.repeat(2, 2).repeat(2, 3)

    assert gradcheck(reference.maxpool2d, share, (x, 2), diagnose=True) < 1e-6


def test_a_fault_is_seen_beside_kinks():
    x = np.random.default_rng(0).standard_normal((4, 5))
    x[1, 2] = 0.0
    (found,) = diagnosis(
        reference.relu, lambda g, x: -reference.relu_backward(g, x), (x,)
    )
    assert (found.name, found.input) == ("wrong sign", 0)
    assert found.evidence.endswith("-1.000 in all 19 smooth elements")


# --- Few numbers, in which much looks alike


def test_a_mask_of_the_upstream_gradient_needs_negative_elements_that_count():
    x = np.array([[1.0, -2.0, 3.0, -4.0, 0.5, 0.7]])
    signs = np.sign(x)

    class SameSigns(np.random.Generator):
        def standard_normal(self, size=None):
            return np.abs(super().standard_normal(size)) * signs

    found = names(
        reference.relu,
        lambda g, x: g * (x > 0) * [2, 1, 3, 1, 4, 1],
        (x,),
        rng=SameSigns(np.random.PCG64(0)),
    )
    assert found == [("unknown", 0)]


def test_a_step_that_fits_one_number_is_no_updated_value():
    def forward(x):
        return float((x**3).sum())

    one = np.array([1.3])
    assert names(forward, lambda g, x: g * 3 * (0.9 * x) ** 2, (one,)) == [
        ("unknown", 0)
    ]


def test_sizes_of_windows_that_fit_alike_are_all_tried():
    # Windows of one pixel with a stride of 2 have the same maxima, 7 and 6.
    x = np.array([[[[7.0, 1.0, 6.0, 2.0], [3.0, 4.0, 5.0, 0.0]]]])

    def spread(g, x):
        return reference.avgpool2d_backward(g, x, 2)

    found = names(lambda x: reference.maxpool2d(x, 2), spread, (x,))
    assert found == [("every element of the window", 0)]


# --- Large arrays


def test_large_arrays_are_sampled():
    x = np.random.default_rng(0).standard_normal((4, 8, 32, 32))
    calls = []

    def forward(x):
        calls.append(1)
        return np.sin(x)

    began = time.process_time()
    (found,) = diagnosis(forward, lambda g, x: 3 * g * np.cos(x), (x,), samples=3)
    assert found.name == "wrong factor"
    assert found.evidence.endswith("is 3.000 in all 128 sampled of 32768 elements")
    assert len(calls) < 1500
    assert time.process_time() - began < 20


def test_axes_are_seen_in_samples():
    x = np.random.default_rng(0).standard_normal((40, 40))

    def backward(g, x):
        return (g * np.cos(x)).T.copy()

    (found,) = diagnosis(np.sin, backward, (x,), samples=3)
    assert found.name == "axes transposed"
    assert "128 sampled of 1600 elements" in found.evidence


def test_what_no_sample_shows_gets_no_name():
    x = np.random.default_rng(0).standard_normal((50, 50))

    def backward(g, x):
        grad = g * np.cos(x)
        grad[17, 4] += 1.0
        return grad

    (found,) = diagnosis(np.sin, backward, (x,), samples=3)
    assert found.name == "unknown"
    assert "none of the 128 sampled of 2500 elements differs" in found.evidence


# --- Calls that fail, and functions that remember


def test_an_error_of_the_backward_itself_is_let_through():
    def backward(grad_output, x):
        assert x.shape == (1,), "the caller's own words"

    with pytest.raises(AssertionError, match="the caller's own words") as caught:
        gradcheck(np.sin, backward, (X,), diagnose=True)
    assert not isinstance(caught.value, WrongGradientError)


def test_a_backward_that_only_takes_the_first_call_is_still_diagnosed():
    calls = []

    def backward(grad_output, x):
        calls.append(1)
        if len(calls) > 2:
            raise RuntimeError("called too often")
        return -grad_output * np.cos(x)

    assert names(np.sin, backward, (X,)) == [("wrong sign", 0)]


def test_a_forward_that_draws_numbers_is_found():
    rng = np.random.default_rng(0)

    def forward(x):
        return x * (rng.random(x.shape) > 0.5)

    found = diagnosis(forward, lambda g, x: g, (X,))
    assert [(d.name, d.input) for d in found] == [("another result at each call", None)]


@pytest.mark.parametrize(
    "argument, words", [(0, "the upstream gradient"), (1, "input 0")]
)
def test_a_changed_argument_is_named(argument, words):
    def backward(*arguments):
        arguments[argument][0] = 0
        return arguments[0]

    (found,) = diagnosis(lambda x: x, backward, (X,))
    assert (found.name, found.input) == ("argument changed", None)
    assert words in found.evidence


def test_a_forward_that_changes_its_argument_has_a_diagnosis_too():
    def forward(x):
        x *= 2
        return x

    (found,) = diagnosis(forward, lambda g, x: g, (X,))
    assert found.name == "argument changed"


def test_a_gradient_that_is_not_finite_says_where():
    def backward(g, x):
        with np.errstate(all="ignore"):
            return g * x / x

    x = X.copy()
    x[2, 3] = 0.0
    (found,) = diagnosis(lambda x: x, backward, (x,))
    assert found == Diagnosis(
        "unknown",
        0,
        "1 of 35 elements of yours are not finite, all others are right; they are "
        "where the input is 0",
    )


def test_a_missing_gradient_is_named():
    found = names(np.add, lambda g, a, b: (g, None), (X, X), wrt=(0, 1))
    assert found == [("no gradient", 1)]
    assert names(np.add, lambda g, a, b: (None, None), (X, X)) == [
        ("no gradient", 0),
        ("no gradient", 1),
    ]


# --- What is said


def test_each_wrong_gradient_has_its_own_words():
    def backward(g, x, w):
        return 2 * g @ w, g.T @ x / len(x)

    assert diagnosis(reference.linear, backward, (X, W)) == [
        Diagnosis(
            "wrong factor",
            0,
            "the ratio of yours to the numerical gradient is 2.000 in all 35 elements",
        ),
        Diagnosis(
            "mean instead of sum",
            1,
            "the ratio of yours to the numerical gradient is 0.200 in all 21 elements; "
            "1 / the size of the batch, the first axis of input 0",
        ),
    ]


def test_a_factor_of_two_is_no_mean_over_a_batch_of_two():
    def backward(g, x, w):
        return 2 * g @ w, g.T @ x

    (found,) = diagnosis(reference.linear, backward, (X[:2], W))
    assert found.name == "wrong factor"
    assert "the size of the batch" in found.evidence


def test_one_element_has_a_ratio_but_no_factor_without_a_meaning():
    def forward(x):
        return float(x[0]) ** 2

    one = np.array([1.7])
    assert names(forward, lambda g, x: -2 * g * x, (one,)) == [("wrong sign", 0)]
    assert names(forward, lambda g, x: g * x, (one,)) == [("wrong factor", 0)]
    assert names(forward, lambda g, x: 2.468 * g * x, (one,)) == [("unknown", 0)]


def test_only_what_is_checked_is_diagnosed():
    def backward(g, x, w):
        return -g @ w, -g.T @ x

    assert names(reference.linear, backward, (X, W), wrt=1) == [("wrong sign", 1)]
