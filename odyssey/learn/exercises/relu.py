"""The first exercise: relu and its backward."""

from typing import Any

import numpy as np

from odyssey.learn.exercise import ByHand, Exercise, Function, spec_of
from odyssey.op_specs import Case, nonzero


def _draw(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 4)))
    return Case(f"random, shape {shape}", (nonzero(*shape),))


SHARED: dict[str, Any] = {
    "spec": spec_of("relu"),
    "draw": _draw,
}
EDGES = (
    Case("one number", (nonzero(1),)),
    Case("no elements", ((0, 3),)),
    Case("zeros", (lambda rng: np.zeros((2, 3)),)),
)
NOT_A_NUMBER = Case("a NaN", (lambda rng: np.array([np.nan, -1.0, 2.0]),))

EXERCISE = Exercise(
    name="relu",
    title="The rectified linear unit",
    task="""
    relu is the simplest function between two layers of a network: it sets negative
    numbers to 0 and leaves the others as they are.

        out[i] = max(0, x[i])        for every element i

    relu_backward is the first gradient of the course, and the pattern of all others.
    It gets grad_output, the derivatives of the loss with respect to the elements of
    out, and returns grad_input, those with respect to the elements of x.  By the chain
    rule

        grad_input[i] = grad_output[i] * (derivative of out[i] with respect to x[i])

    At x[i] = 0 there is no derivative: take 0.
    """,
    source="odyssey.reference.activation",
    functions=(
        Function(
            "relu",
            says="""
            Return x with 0 in place of negative numbers; NaN stays NaN.

            x and the result: arrays of one shape, any, and of one dtype.
            """,
            results=("out",),
            by_hand=ByHand(
                ([[-1.0, 2.0, 0.0], [3.0, -0.5, 1.5]],),
                [[0.0, 2.0, 0.0], [3.0, 0.0, 1.5]],
                "-1 and -0.5 are negative: 0 in their place. The other four stay.",
            ),
            edges=(*EDGES, NOT_A_NUMBER),
            **SHARED,
        ),
        Function(
            "relu_backward",
            says="""
            Return grad_input, the gradient of the loss with respect to x.

            grad_output, x and the result: arrays of one shape, any, and of one dtype.
            grad_output is the gradient with respect to relu(x).  At 0 the derivative
            of relu counts as 0.
            """,
            results=("grad_input",),
            by_hand=ByHand(
                (
                    [[10.0, 20.0, 30.0], [40.0, -50.0, 60.0]],
                    [[-1.0, 2.0, 0.0], [3.0, -0.5, 1.5]],
                ),
                [[0.0, 20.0, 0.0], [40.0, 0.0, 60.0]],
                """
x = -1 and x = -0.5: out is 0, also if x changes a little: derivative 0.
x = 2, 3 and 1.5:    out is x, so out changes as x does:   derivative 1.
x = 0:               the derivative counts as 0.
Times grad_output: 10*0, 20*1, 30*0 and 40*1, -50*0, 60*1.""",
            ),
            edges=EDGES,
            **SHARED,
        ),
    ),
    hints=(
        """
        Draw out over x. What is the slope left of 0, and what is it right of 0?
        """,
        """
        The slope is 0 or 1, and depends on the sign of x alone, not on that of
        grad_output. So some elements of grad_output go through, and the others do
        not.
        """,
        """
        np.where(condition, a, b) takes from a where the condition holds, from b
        elsewhere. Here the condition is that x is not above 0, with a = 0 and b =
        grad_output. Do not write into grad_output.
        """,
    ),
    pages=("odyssey/reference/activation.py", "odyssey/ops/activation.py"),
)
