"""The linear layer: a matrix product, and its three gradients."""

from typing import Any

import numpy as np

from odyssey.learn.exercise import ByHand, Exercise, Function, spec_of
from odyssey.op_specs import Case


def _draw(rng: np.random.Generator) -> Case:
    rows, features, units = (int(n) for n in rng.integers(1, 4, 3))
    inputs: tuple[tuple[int, ...], ...] = ((rows, features), (units, features))
    if rng.random() < 0.7:
        inputs = (*inputs, (units,))
    return Case(f"random, {rows} rows, {features} features, {units} units", inputs)


SHARED: dict[str, Any] = {
    "spec": spec_of("linear"),
    "draw": _draw,
    "edges": (
        Case("one number", ((1, 1), (1, 1), (1,))),
        Case("no rows", ((0, 3), (2, 3), (2,))),
    ),
}

EXERCISE = Exercise(
    name="linear",
    title="The linear layer",
    task="""
    A linear layer has a row of weights and a bias for each of its units.  Each row of x
    is one image (or one sample); each unit sums its numbers, weighted, and adds its
    bias.

        out[n, k] = bias[k] + sum over i of x[n, i] * weights[k, i]

    There are three gradients, one for each argument.  To find that of an element, look
    for all the places in the formula where the element stands: each of these passes a
    part of grad_output back to it, and the parts are added.
    """,
    source="odyssey.reference.linear",
    functions=(
        Function(
            "linear",
            says="""
            Return out (N, units), without a bias if that is None.

            x (N, features), weights (units, features), bias (units,) or None.

            out[n, k] = bias[k] + sum over i of x[n, i] * weights[k, i]
            """,
            results=("out",),
            by_hand=ByHand(
                ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [10.0, 1.0]], [0.5, -1.0]),
                [[1.5, 11.0], [3.5, 33.0]],
                """
row 0, unit 0:  1*1  + 2*0 + 0.5 = 1.5       row 0, unit 1:  1*10 + 2*1 - 1 = 11
row 1, unit 0:  3*1  + 4*0 + 0.5 = 3.5       row 1, unit 1:  3*10 + 4*1 - 1 = 33""",
            ),
            **SHARED,
        ),
        Function(
            "linear_backward",
            says="""
            Return grad_input, grad_weights and grad_bias.

            grad_output (N, units) is the gradient with respect to the result of linear;
            x (N, features), weights (units, features) are its arguments.  Each gradient
            has the shape of the argument that it belongs to; grad_bias is (units,).
            """,
            results=("grad_input", "grad_weights", "grad_bias"),
            by_hand=ByHand(
                (
                    [[1.0, 2.0], [3.0, 0.0]],
                    [[1.0, 2.0], [3.0, 4.0]],
                    [[1.0, 0.0], [10.0, 1.0]],
                ),
                (
                    [[21.0, 2.0], [3.0, 0.0]],
                    [[10.0, 14.0], [2.0, 4.0]],
                    [4.0, 2.0],
                ),
                """
grad_input[0, 0]: x[0, 0] stands in out[0, 0] times 1, in out[0, 1] times 10:
                  1*1 + 2*10 = 21
grad_input[0, 1]: times 0 and times 1:  1*0 + 2*1 = 2
grad_input[1]:    3*1 + 0*10 = 3  and  3*0 + 0*1 = 0
grad_weights[0, 0]: weights[0, 0] stands in out[0, 0] times 1, in out[1, 0] times 3:
                  1*1 + 3*3 = 10
grad_weights[0, 1]: 1*2 + 3*4 = 14
grad_weights[1]:  2*1 + 0*3 = 2  and  2*2 + 0*4 = 4
grad_bias:        bias[0] stands in both rows:  1 + 3 = 4, bias[1]:  2 + 0 = 2""",
            ),
            **SHARED,
        ),
    ),
    hints=(
        """
        Begin with shapes. grad_input must be (N, features); you have grad_output (N,
        units) and weights (units, features). Which product of the two has this shape?
        Then the same for grad_weights, which is (units, features).
        """,
        """
        x[n, i] stands in out[n, k] for every unit k, with the factor weights[k, i]:
        sum over k. weights[k, i] stands in out[n, k] for every row n, with the factor
        x[n, i]: sum over n. bias[k] stands in every row n with the factor 1.
        """,
        """
        A sum over the inner index of two matrices is @. For grad_input the sum runs
        over the units: the last axis of grad_output and the first one of weights, so
        nothing is transposed. For grad_weights it runs over the rows, which are the
        first axis of both: transpose grad_output. The bias sums grad_output over the
        rows alone.
        """,
    ),
    pages=("odyssey/reference/linear.py", "odyssey/ops/linear.py"),
)
