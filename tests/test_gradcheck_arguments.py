"""How the gradient check is called, and what form it wants results to have."""

import numpy as np
import pytest

from odyssey import reference
from odyssey.gradcheck import gradcheck

X = np.random.default_rng(7).standard_normal((3, 4))


def square(x):
    return x**2


def square_backward(grad_output, x):
    return 2 * x * grad_output


def product_backward_wrong_in_b(grad_output, a, b):
    return grad_output * b, 2 * grad_output * a


def test_wrt_picks_inputs_by_position():
    both = (X, X + 1)
    gradcheck(np.multiply, product_backward_wrong_in_b, both, wrt=[0])
    gradcheck(np.multiply, product_backward_wrong_in_b, both, wrt=0)
    for wrt in (1, [1], (0, 1), None):
        with pytest.raises(AssertionError, match="input 1"):
            gradcheck(np.multiply, product_backward_wrong_in_b, both, wrt=wrt)


def test_gradients_of_unchecked_inputs_may_be_none_or_left_out():
    gradcheck(np.multiply, lambda g, a, b: (None, g * a), (X, X), wrt=1)
    gradcheck(np.multiply, lambda g, a, b: (g * b,), (X, X), wrt=0)
    gradcheck(np.multiply, lambda g, a, b: g * a, (X, X), wrt=1)
    gradcheck(np.multiply, lambda g, a, b: (g * b, None), (X, X))
    gradcheck(np.multiply, lambda g, a, b: (None, g * a), (X, X))
    gradcheck(np.multiply, lambda g, a, b: (g * b,), (X, X))
    gradcheck(np.multiply, lambda g, a, b: g * b, (X, X))


@pytest.mark.parametrize(
    "backward",
    [
        lambda g, a, b: (2 * g * b, None),
        lambda g, a, b: (None, 2 * g * a),
        lambda g, a, b: (2 * g * b,),
        lambda g, a, b: 2 * g * b,
        lambda g, a, b: (g * b, 2 * g * a, g),
    ],
)
def test_what_is_given_is_checked_whatever_is_left_out(backward):
    with pytest.raises(AssertionError, match=r"input \d, element"):
        gradcheck(np.multiply, backward, (X, X))


@pytest.mark.parametrize(
    "grads",
    [None, (), (None,), (None, None), (None, None, X)],
    ids=["bare", "empty", "short", "all", "beyond the inputs"],
)
def test_a_check_that_checks_nothing_fails(grads):
    with pytest.raises(AssertionError, match="no gradient"):
        gradcheck(np.multiply, lambda g, a, b: grads, (X, X))


def test_backwards_of_the_library_are_checked_as_they_are():
    """Some give a gradient of a bias always, some none of their last arguments."""
    rng = np.random.default_rng(3)
    x, kernel = rng.standard_normal((2, 3, 4, 4)), rng.standard_normal((2, 3, 3, 3))
    gradcheck(reference.conv2d, reference.conv2d_backward, [x, kernel], samples=5)
    gradcheck(reference.linear, reference.linear_backward, [X, X])
    gradcheck(
        lambda *inputs: reference.batch_norm2d(*inputs)[0],
        reference.batch_norm2d_backward,
        [x, *rng.uniform(0.5, 2, (4, 3))],
        samples=5,
    )
    labels = rng.dirichlet(np.ones(4), 3)
    gradcheck(reference.cross_entropy, reference.cross_entropy_backward, [X, labels])


def test_samples_bound_the_number_of_calls():
    calls = []

    def forward(x):
        calls.append(x)
        return square(x)

    gradcheck(forward, square_backward, (np.ones((30, 30)),), samples=5)
    assert len(calls) == 1 + 2 * 5 + 2  # the result, the elements, the projection
    assert gradcheck(square, square_backward, (X,), samples=1000) <= 1e-6


def test_the_generator_decides_what_is_drawn():
    def upstream(rng):
        seen = []
        gradcheck(
            lambda x: x, lambda g, x: (seen.append(g.copy()), g)[1], (X,), rng=rng
        )
        return seen[0]

    np.testing.assert_array_equal(upstream(None), upstream(None))
    assert (upstream(np.random.default_rng(1)) != upstream(None)).any()
    assert (np.unique(upstream(None)).size) == X.size  # no two alike


def test_the_upstream_gradient_is_not_the_input_drawn_with_a_common_seed():
    """If it were, hardly anything of batch norm's gradient would be left."""
    seen = []
    for seed in (0, 1, 42, 123, 1234):
        x = np.random.default_rng(seed).standard_normal((3, 2, 4, 4))

        def forward(x):
            return reference.batch_norm2d(
                x, np.ones(2), np.zeros(2), np.zeros(2), np.ones(2)
            )[0]

        def zeros(grad_output, x):
            seen.append(np.corrcoef(grad_output.ravel(), x.ravel())[0, 1])
            return np.zeros(x.shape)

        with pytest.raises(AssertionError, match="input 0"):
            gradcheck(forward, zeros, (x,))
    assert len(seen) == 5
    assert max(abs(np.array(seen))) < 0.5


def test_a_layout_is_kept():
    seen = []

    def forward(x):
        seen.append(x.strides)
        return square(x)

    x = np.asfortranarray(X)
    gradcheck(forward, square_backward, (x,))
    assert set(seen) == {x.strides}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex128])
def test_floats_other_than_float64_are_refused(dtype):
    with pytest.raises(TypeError, match="input 1 must be float64"):
        gradcheck(np.add, lambda g, a, b: (g, g), (X, X.astype(dtype)), wrt=0)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"inputs": X}, TypeError, "inputs must be a tuple or list, got ndarray"),
        ({"inputs": (3,)}, ValueError, "wrt"),
        ({"wrt": ()}, ValueError, "wrt"),
        ({"wrt": 1}, ValueError, "wrt"),
        ({"wrt": -1}, ValueError, "wrt"),
        ({"wrt": 0.5}, TypeError, "wrt"),
        ({"inputs": (X, np.arange(3)), "wrt": 1}, TypeError, "input 1 .* int64"),
        ({"inputs": (X, "same"), "wrt": (0, 1)}, TypeError, "input 1 .* str"),
        ({"eps": 0.0}, ValueError, "eps"),
        ({"eps": np.nan}, ValueError, "eps"),
        ({"rtol": -1e-6}, ValueError, "rtol"),
        ({"atol": np.inf}, ValueError, "atol"),
        ({"samples": 0}, ValueError, "samples"),
        ({"samples": 2.0}, TypeError, "samples"),
    ],
)
def test_wrong_calls_are_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        gradcheck(**{**CALL, **arguments})


CALL = {"forward": square, "backward": square_backward, "inputs": (X,)}


def test_a_forward_of_several_results_is_refused_with_a_hint():
    with pytest.raises(TypeError, match=r"got tuple; pick one: lambda"):
        gradcheck(lambda x: (x, x), square_backward, (X,))


def test_a_forward_that_loses_the_dtype_is_caught():
    with pytest.raises(AssertionError, match="float32"):
        gradcheck(lambda x: x.astype(np.float32), lambda g, x: g, (X,))


@pytest.mark.parametrize(
    "grads",
    [
        lambda g: None,
        lambda g: (g,),
        lambda g: (g, None),
        lambda g: (None, g),
        lambda g: (g, g[0]),
        lambda g: (g, g.astype(np.float32)),
        lambda g: (g, g.tolist()),
        lambda g: g,
    ],
    ids=["None", "few", "a None", "None first", "shape", "dtype", "a list", "bare"],
)
def test_gradients_of_the_wrong_form_are_refused(grads):
    with pytest.raises(AssertionError, match=r"input \d needs a .* gradient"):
        gradcheck(np.add, lambda g, a, b: grads(g), (X, X), wrt=(0, 1))


@pytest.mark.parametrize("grad", [X[0], X.astype(np.float32), X.tolist(), 1.0])
def test_a_gradient_of_the_wrong_form_is_not_taken_for_none(grad):
    with pytest.raises(AssertionError, match=r"input 1 needs a .* gradient"):
        gradcheck(np.add, lambda g, a, b: (g, grad), (X, X))


def test_an_argument_that_is_written_to_is_caught():
    def forward(x):
        x *= 2
        return x / 2

    def backward(grad_output, x):
        grad_output *= 1.0 + (x > 0)
        return grad_output

    with pytest.raises(AssertionError, match="forward changed its argument 0"):
        gradcheck(forward, lambda g, x: g, (X,))
    with pytest.raises(AssertionError, match="backward changed its argument 0"):
        gradcheck(lambda x: x, backward, (X,))


def test_the_caller_s_inputs_stay_as_they_are():
    x = X.copy()
    gradcheck(square, square_backward, (x,))
    assert x.tobytes() == X.tobytes()
