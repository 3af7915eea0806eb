"""Dropout and its backward."""

from typing import Any

import numpy as np

from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.op_specs import Case, OpSpec

SEED = 20


def _forward(ops: Any, x: Any, p: float, training: bool = True) -> Any:
    # A fresh generator each time: forward and backward must mean the same mask.
    return ops.dropout(x, p, np.random.default_rng(SEED), training)


def _backward(
    ops: Any, grad_output: Any, x: Any, p: float, training: bool = True
) -> tuple[Any]:
    return (ops.dropout_backward(grad_output, _forward(ops, x, p, training)[1]),)


def _draw(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 4)))
    p = (0.1, 0.5, 0.8)[rng.integers(3)]
    return Case(f"random, shape {shape}, p {p}", (shape,), {"p": p})


SHARED: dict[str, Any] = {
    "spec": OpSpec(
        "dropout",
        (
            Case("a vector", ((6,),), {"p": 0.5}),
            Case("activations", ((2, 3, 2, 4),), {"p": 0.4}),
            Case("inference", ((2, 3),), {"p": 0.4, "training": False}),
        ),
        bars=(1e-6, 1e-6),
        run_forward=_forward,
        run_backward=_backward,
    ),
    "draw": _draw,
    "edges": (
        Case("p of 0", ((2, 3),), {"p": 0.0}),
        Case("p of 0.99", ((3, 4),), {"p": 0.99}),
        Case("no elements", ((0, 3),), {"p": 0.5}),
    ),
}

#: What the generator of the case by hand gives.
DRAWN = np.random.default_rng(3).random(4)
KEPT = [4 / 3 if u >= 0.25 else 0.0 for u in DRAWN]
X = [3.0, 6.0, -9.0, 12.0]

EXERCISE = Exercise(
    name="dropout",
    title="Dropout",
    task="""
    In training, dropout sets each element to 0 with probability p, so that no part of a
    network can rely on another.  What stays is divided by 1 - p, so that the mean does
    not change and inference needs no scaling:

        mask[i] = 0            if u[i] < p           u[i]: random, from 0 to 1
                = 1 / (1 - p)  if u[i] >= p
        out[i]  = x[i] * mask[i]

    In inference mask is 1 everywhere.  The backward must use the same mask: so the
    forward returns it.  Draw u with rng.random(x.shape), once, and only in training;
    then your mask is the same as the one it is compared with.
    """,
    source="odyssey.reference.dropout",
    functions=(
        Function(
            "dropout",
            results=("out", "mask"),
            says="""
            Return out and mask, both of the shape and dtype of x.

            x: an array of any shape.  p: a number from 0 to below 1.  rng: a random
            generator; draw with rng.random(x.shape).  training True or False.

            mask is 1 / (1 - p) where the random number is at least p, and 0 elsewhere;
            in inference it is 1.  out = x * mask
            """,
            by_hand=ByHand(
                (X, 0.25, np.random.default_rng(3)),
                ([x * kept for x, kept in zip(X, KEPT, strict=True)], KEPT),
                f"""
rng.random((4,)) gives {", ".join(f"{u:.3f}" for u in DRAWN)}. At least p = 0.25 are
{", ".join(f"{u:.3f}" for u in DRAWN if u >= 0.25)}, and those elements stay.
mask: 1 / (1 - 0.25) = 4/3 = 1.3333 where they stay, 0 elsewhere:
      {", ".join(f"{kept:.4g}" for kept in KEPT)}
out:  x * mask = {", ".join(f"{x * k:.4g}" for x, k in zip(X, KEPT, strict=True))}""",
            ),
            **SHARED,
        ),
        Function(
            "dropout_backward",
            results=("grad_input",),
            says="""
            Return grad_input, of the shape of both arguments.

            grad_output is the gradient with respect to out; mask is what dropout has
            returned beside it.
            """,
            by_hand=ByHand(
                ([6.0, 3.0, -3.0], [1.5, 0.0, 1.5]),
                [9.0, 0.0, -4.5],
                """
Here p was 1/3, so mask is 1 / (1 - 1/3) = 1.5 or 0.
out = x * mask, so each element of x counts mask times:  6*1.5, 3*0, -3*1.5""",
            ),
            **SHARED,
        ),
    ),
    hints=(
        """
        For a given mask, dropout is a product of two arrays, element by element. What
        is the derivative of out[i] with respect to x[i]?
        """,
        """
        rng.random(x.shape) >= p is an array of True and False, which count as 1 and 0
        in a division. Mind the dtype: for a float32 x, mask and out must be float32.
        """,
        """
        In training divide that array by (1 - p), and bring it to x.dtype with astype;
        in inference take np.ones_like(x). The backward multiplies grad_output with the
        mask as it is: the factor 1 / (1 - p) is in it already.
        """,
    ),
    pages=("odyssey/ops/dropout.py", "odyssey/reference/dropout.py"),
)
