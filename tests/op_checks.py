"""Checks that hold for every operation, fast or textbook (``ops`` is the module)."""

import numpy as np

from odyssey.gradcheck import gradcheck


def nerr(got, want) -> float:
    """The largest error, in units of the rms of what is right."""
    assert np.shape(got) == np.shape(want)
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if np.array_equal(got, want, equal_nan=True):
        return 0.0
    return float(np.abs(got - want).max() / np.sqrt(np.mean(want**2)))


def run(ops, spec, case, inputs, grad_output):
    """All results: those of the forward, then the gradients."""
    results = spec.forward(ops, inputs, case.options)
    return results, spec.backward(ops, grad_output, inputs, case.options)


def check_gradients(ops, spec, case, samples=None) -> float:
    """Compare the backward with central differences, under a random upstream."""
    inputs = case.make()
    return gradcheck(
        lambda *inputs: spec.forward(ops, inputs, case.options)[0],
        lambda grad_output, *inputs: spec.backward(
            ops, grad_output, inputs, case.options
        ),
        inputs,
        wrt=range(min(spec.num_grads, len(inputs))),
        samples=samples,
    )


def check_adjoint(ops, spec, case) -> None:
    """Check <f(x), g> = <x, backward(g)>: exact where f is linear, with no step size.

    Terms are summed as they are and as absolute values: the first sums are compared
    in units of the second, against which rounding is measured.
    """
    for position, zeroed in spec.linear_in.items():
        inputs = list(case.make())
        if position >= len(inputs):
            continue
        for other in zeroed:
            if other < len(inputs):
                inputs[other] = np.zeros_like(inputs[other])
        grad_output = spec.grad_output(ops, inputs, case.options)
        (out, *_), grads = run(ops, spec, case, inputs, grad_output)
        terms = out * grad_output
        other_terms = inputs[position] * grads[position]
        gap = abs(terms.sum() - other_terms.sum())
        assert gap <= 1e-12 * np.abs(terms).sum()
