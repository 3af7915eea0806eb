"""No right backward is accused, and no wrong one of a fault that it does not have."""

import numpy as np
import pytest

from odyssey import gradcheck, op_specs, reference
from odyssey.diagnosis import diagnosed
from odyssey.op_specs import classes, distinct, distributions, nonzero, positive

CASES = 1000
SPECS = {spec.name: spec for spec in op_specs.OPS}


def conv2d(rng):
    N, C, K, R, S = rng.integers(1, 4, 5)
    padding, stride = int(rng.integers(0, 3)), int(rng.integers(1, 4))
    H, W = (int(max(n - 2 * padding, 1) + rng.integers(0, 4)) for n in (R, S))
    bias = [(K,)] * int(rng.integers(0, 2))
    options = {"stride": stride, "padding": padding}
    return [(N, C, H, W), (K, C, R, S), *bias], options


def batch_norm2d(rng):
    C = int(rng.integers(1, 4))
    shape = (
        int(rng.integers(1, 4)),
        C,
        int(rng.integers(2, 5)),
        int(rng.integers(2, 5)),
    )
    options = {
        "training": bool(rng.integers(0, 2)),
        "eps": float(rng.choice([1e-5, 1e-3, 0.1, 0.02])),
    }
    return [shape, (C,), (C,), (C,), positive(C)], options


def shape(rng, ndim=4):
    return tuple(int(n) for n in rng.integers(1, 5, ndim))


def pool(rng):
    size = int(rng.integers(1, 4))
    options = {
        "kernel_size": size,
        "stride": int(rng.integers(1, 4)),
        "padding": int(rng.integers(0, size // 2 + 1)),
    }
    H, W = size + rng.integers(0, 4, 2)
    return (*shape(rng, 2), int(H), int(W)), options


def maxpool2d(rng):
    x, options = pool(rng)
    return [distinct(*x)], options


def avgpool2d(rng):
    x, options = pool(rng)
    return [x], options


def add(rng):
    a = shape(rng, int(rng.integers(0, 5)))
    start = int(rng.integers(0, len(a) + 1))
    b = tuple(int(rng.choice([n, 1])) for n in a[start:])
    return [a, b], {}


def linear(rng):
    N, K, D = (int(n) for n in rng.integers(1, 6, 3))
    return [(N, D), (K, D), *[(K,)] * int(rng.integers(0, 2))], {}


def cross_entropy(rng):
    N, K = int(rng.integers(1, 6)), int(rng.integers(2, 6))
    labels = [classes(N, K), distributions(N, K)][int(rng.integers(0, 2))]
    return [(N, K), labels], {"label_smoothing": float(rng.choice([0.0, 0.1, 0.33]))}


DRAW = {
    "conv2d": conv2d,
    "batch_norm2d": batch_norm2d,
    "relu": lambda rng: ([nonzero(*shape(rng, int(rng.integers(0, 5))))], {}),
    "gelu": lambda rng: (
        [shape(rng, int(rng.integers(0, 5)))],
        {"approximate": str(rng.choice(["none", "tanh"]))},
    ),
    "add": add,
    "avgpool2d": avgpool2d,
    "maxpool2d": maxpool2d,
    "global_avgpool2d": lambda rng: ([shape(rng)], {}),
    "linear": linear,
    "dropout": lambda rng: ([shape(rng)], {"p": float(rng.choice([0.0, 0.3, 0.5]))}),
    "softmax": lambda rng: ([shape(rng, 2)], {}),
    "cross_entropy": cross_entropy,
}


def drawn(number):
    """Forward, backward and inputs of a random case, the same for the same number."""
    rng = np.random.default_rng(number)
    name = sorted(DRAW)[number % len(DRAW)]
    draws, options = DRAW[name](rng)
    inputs = [d(rng) if callable(d) else rng.standard_normal(d) for d in draws]
    spec, inputs = SPECS[name], [np.asarray(x) for x in inputs]

    def forward(*inputs):
        return spec.forward(reference, inputs, options)[0]

    def backward(grad_output, *inputs):
        return spec.backward(reference, grad_output, inputs, options)

    positions = range(min(spec.num_grads, len(inputs)))
    return (
        forward,
        backward,
        inputs,
        [i for i in positions if inputs[i].dtype.kind == "f"],
    )


def diagnosis(forward, backward, inputs, positions):
    """Diagnose whether the gradient check passes or not."""
    out = np.asarray(forward(*inputs))
    grad_output = np.random.default_rng(11).standard_normal(out.shape)
    error = AssertionError("gradcheck: said for the test")
    arguments = forward, backward, inputs, positions, grad_output, 1e-5, 1e-8
    return diagnosed(error, *arguments).diagnosis


def test_every_operation_is_drawn():
    assert set(DRAW) == set(SPECS)


@pytest.mark.parametrize("tenth", range(10))
def test_no_right_backward_is_accused(tenth):
    for number in range(tenth, CASES, 10):
        forward, backward, inputs, positions = drawn(number)
        gradcheck(forward, backward, inputs, wrt=positions, samples=2, diagnose=True)
        assert diagnosis(forward, backward, inputs, positions) == [], number


def spoilt(backward, position, change):
    """The backward, with one of its gradients changed."""

    def wrong(grad_output, *inputs):
        grads = [np.array(grad) for grad in backward(grad_output, *inputs)]
        grads[position] = change(grads[position])
        return tuple(grads)

    return wrong


def backward_once(forward, backward, inputs):
    out = forward(*inputs)
    upstream = np.random.default_rng(11).standard_normal(np.shape(out))
    scalar = not isinstance(out, np.ndarray)
    return backward(float(upstream) if scalar else np.asarray(upstream), *inputs)


def draw(grad):
    return np.random.default_rng(grad.size)


def with_noise(grad):
    return grad * draw(grad).uniform(0.5, 2.0, grad.shape)


def with_noise_in_half(grad):
    return np.where(draw(grad).random(grad.shape) < 0.5, with_noise(grad), grad)


def with_other_signs(grad):
    return grad * np.sign(draw(grad).standard_normal(grad.shape))


def in_another_order(grad):
    return draw(grad).permutation(grad.reshape(-1)).reshape(grad.shape)


#: Errors that have no reason, but are the same at each call.
SPOILS = (with_noise, with_noise_in_half, with_other_signs, in_another_order)


def is_large(number):
    """Say whether there is much that could be named: few numbers have many reasons."""
    forward, backward, inputs, positions = drawn(number)
    position = positions[number % len(positions)]
    grad = np.asarray(backward_once(forward, backward, inputs)[position])
    return np.count_nonzero(np.abs(grad) > 1e-3) >= 8


LARGE = [number for number in range(CASES) if is_large(number)][:72]


@pytest.mark.parametrize("number", LARGE)
def test_random_errors_are_given_no_name_and_other_inputs_no_blame(number):
    forward, backward, inputs, positions = drawn(number)
    position = positions[number % len(positions)]
    spoil = SPOILS[number % 5 % len(SPOILS)]
    wrong = spoilt(backward, position, spoil)
    found = diagnosis(forward, wrong, inputs, positions)
    assert [(d.name, d.input) for d in found] == [("unknown", position)], found


@pytest.mark.parametrize("number", LARGE)
def test_one_wrong_element_is_given_no_wrong_name(number):
    """It may be the border of an axis, but it is no sign, factor, path or mask."""
    forward, backward, inputs, positions = drawn(number)
    position = positions[number % len(positions)]
    grad = np.asarray(backward_once(forward, backward, inputs)[position])
    chosen = int(np.argmax(np.abs(grad)))

    def change(grad):
        grad.flat[chosen] *= 1.37
        return grad

    found = diagnosis(forward, spoilt(backward, position, change), inputs, positions)
    assert {d.input for d in found} == {position}
    assert {d.name for d in found} <= {
        "unknown",
        "wrong at the border",
        "wrong in the last window",
        "wrong at a phase of the stride",
    }, found


@pytest.mark.parametrize("number", LARGE[::3])
@pytest.mark.parametrize("factor", [-1.0, 2.0, 0.123, -3.7])
def test_a_factor_is_named_for_every_operation(number, factor):
    forward, backward, inputs, positions = drawn(number)
    position = positions[number % len(positions)]
    wrong = spoilt(backward, position, lambda grad: factor * grad)
    (found,) = diagnosis(forward, wrong, inputs, positions)
    assert found.input == position
    assert found.name == ("wrong sign" if factor == -1 else "wrong factor")
    assert f"{factor:.3f} in all" in found.evidence
