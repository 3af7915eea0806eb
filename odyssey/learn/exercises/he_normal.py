"""Initial values after He et al."""

from typing import Any

import numpy as np

from odyssey import init
from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.op_specs import Case, OpSpec


def _case(label: str, *shape: int, seed: int = 1) -> Case:
    return Case(label, (), {"shape": shape, "rng": np.random.default_rng(seed)})


def _draw(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(2, 5)))
    return _case(f"random, shape {shape}", *shape, seed=int(rng.integers(1000)))


def _right(shape: Any, rng: Any) -> Any:
    return init.he_normal(shape, rng)


#: What the generator of the case by hand gives.
DRAWN = np.random.default_rng(0).standard_normal((1, 2, 2, 2))
WORDS = [f"{value:.3f}" for value in DRAWN.ravel()]
HALVES = [f"{value / 2:.3f}" for value in DRAWN.ravel()]

EXERCISE = Exercise(
    name="he_normal",
    title="Initial values",
    task="""
    How large should weights be at first?  An output of a layer is a sum of fan_in
    products w[i] * x[i].  If all are independent and the weights have mean 0,

        var(out) = fan_in * var(w) * (mean of x ** 2)

    x is what relu has made of the layer before: half of its numbers are 0, so the mean
    of x ** 2 is half of the variance before relu.  The variance is the same in all
    layers if

        var(w) = 2 / fan_in

    fan_in is the number of weights that make one output: C * R * S for a kernel
    (K, C, R, S), the number of features for the weights (units, features) of a linear
    layer.  With half of this variance, 20 layers would divide the deviation by 1,000.
    """,
    source="odyssey.learn.solutions.he_normal",
    functions=(
        Function(
            "he_normal",
            OpSpec(
                "he_normal",
                (
                    _case("weights of a linear layer", 2, 3),
                    _case("a kernel", 2, 2, 3, 3),
                    _case("a kernel of one tap", 4, 2, 1, 1),
                ),
                bars=(),
            ),
            ByHand(
                ((1, 2, 2, 2), np.random.default_rng(0)),
                (DRAWN / 2).astype(np.float32),
                f"""
fan_in = 2 * 2 * 2 = 8, so the deviation is sqrt(2 / 8) = 0.5.
rng.standard_normal(shape) gives {", ".join(WORDS[:4])},
                                 {", ".join(WORDS[4:])}
Half of these:                   {", ".join(HALVES[:4])},
                                 {", ".join(HALVES[4:])}""",
            ),
            ("values",),
            """
            Return float32 values: normally distributed, mean 0, variance 2 / fan_in.

            shape: (K, C, R, S) of a kernel or (units, features) of a linear layer; the
            first axis is that of the outputs.  rng: a random generator; draw with
            rng.standard_normal(shape) in float64, and round at the end.
            """,
            edges=(
                _case("a fan-in of 1", 3, 1),
                _case("one output", 1, 5),
            ),
            draw=_draw,
            right=_right,
            dtypes=("float64",),
        ),
    ),
    hints=(
        """
        standard_normal has a variance of 1. What happens to the variance of a number
        that is multiplied by s?
        """,
        """
        It is multiplied by s ** 2. So s is the square root of the variance that you
        want. For fan_in multiply all sizes in shape but the first.
        """,
        """
        math.prod(shape[1:]) is fan_in, for kernels and for weights alike. Multiply what
        rng.standard_normal(shape) gives by math.sqrt(2 / fan_in), then astype to
        np.float32.
        """,
    ),
    pages=("docs/derivations/updates.md", "odyssey/init.py"),
)
