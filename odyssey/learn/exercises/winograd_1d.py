"""Winograd's convolution in one dimension."""

from typing import Any

import numpy as np

from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.op_specs import Case, OpSpec


def _spec(name: str, *lengths: int) -> dict[str, Any]:
    """Return the cases of a function of arrays with these first axes."""

    def case(label: str, *rest: int) -> Case:
        return Case(label, tuple((length, *rest) for length in lengths))

    def draw(rng: np.random.Generator) -> Case:
        rest = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
        return case(f"random, further axes {rest}", *rest)

    cases = (case("numbers"), case("two columns", 2), case("further axes", 2, 3))
    return {
        "name": name,
        "spec": OpSpec(name, cases, bars=()),
        "draw": draw,
        "edges": (case("no columns", 0), case("one column", 1)),
    }


def _direct(d: Any, f: Any) -> Any:
    return np.stack([(d[p : p + 3] * f).sum(axis=0) for p in range(2)])


EXERCISE = Exercise(
    name="winograd_1d",
    title="Winograd's F(2, 3): four products instead of six",
    task="""
    Two neighbouring results of a filter f with three taps, of data d:

        y[0] = d[0] * f[0] + d[1] * f[1] + d[2] * f[2]
        y[1] = d[1] * f[0] + d[2] * f[1] + d[3] * f[2]

    These are six products.  Four are enough:

        m[0] = f[0]                          times  ?
        m[1] = (f[0] + f[1] + f[2]) / 2      times  ?
        m[2] = (f[0] - f[1] + f[2]) / 2      times  ?
        m[3] = f[2]                          times  ?

        y[0] = m[0] + m[1] + m[2]
        y[1] = m[1] - m[2] + m[3]

    Each ? is a sum or a difference of two elements of d.  Find them on paper: it is the
    only way to make both results come out.  Then write the four functions.  The filter
    is transformed once and used for a whole image, so its sums cost nothing.

    The first axis has the length 3, 4 or 2.  There may be more axes, which stay as they
    are: d[1] + d[2] is then a sum of arrays.  In the next exercise you need this.
    """,
    source="odyssey.learn.solutions.winograd_1d",
    functions=(
        Function(
            **_spec("transform_kernel", 3),
            results=("t",),
            says="""
            Return t (4, ...) of a filter f (3, ...): the numbers before "times".

            f[0], (f[0] + f[1] + f[2]) / 2, (f[0] - f[1] + f[2]) / 2, f[2]
            """,
            by_hand=ByHand(
                ([2.0, -1.0, 1.0],),
                [2.0, 1.0, 2.0, 1.0],
                """
f[0] = 2,  (2 - 1 + 1) / 2 = 1,  (2 + 1 + 1) / 2 = 2,  f[2] = 1""",
            ),
        ),
        Function(
            **_spec("transform_output", 4),
            results=("y",),
            says="""
            Return the two results y (2, ...) of the four products m (4, ...).

            y[0] = m[0] + m[1] + m[2], y[1] = m[1] - m[2] + m[3]
            """,
            by_hand=ByHand(
                ([-2.0, 5.0, -2.0, 2.0],),
                [1.0, 9.0],
                "y[0] = -2 + 5 - 2 = 1          y[1] = 5 + 2 + 2 = 9",
            ),
        ),
        Function(
            **_spec("transform_input", 4),
            results=("t",),
            says="""
            Return t (4, ...) of the data d (4, ...): the numbers after "times".

            Find them such that transform_output(transform_kernel(f) *
            transform_input(d)) is y, for all d and f.
            """,
            by_hand=ByHand(
                ([1.0, 3.0, 2.0, 5.0],),
                [-1.0, 5.0, -1.0, 2.0],
                """
Here are the numbers, not how they are made: -1, 5, -1 and 2, for d = 1, 3, 2, 5.
With f = 2, -1, 1 the filter becomes 2, 1, 2, 1, and the products are -2, 5, -2, 2.
y[0] = -2 + 5 - 2 = 1, and directly: 1*2 - 3*1 + 2*1 = 1
y[1] =  5 + 2 + 2 = 9, and directly: 3*2 - 2*1 + 5*1 = 9
To find them, take f = 1, 0, 0, then 0, 1, 0 and 0, 0, 1, and see what y must be.""",
            ),
        ),
        Function(
            **_spec("winograd_1d", 4, 3),
            results=("y",),
            says="""
            Return y (2, ...) of data d (4, ...) and a filter f (3, ...).

            y[p] = sum over r of d[p + r] * f[r], with four products for each y.
            """,
            right=_direct,
            by_hand=ByHand(
                ([1.0, 3.0, 2.0, 5.0], [2.0, -1.0, 1.0]),
                [1.0, 9.0],
                """
Directly:  y[0] = 1*2 - 3*1 + 2*1 = 1          y[1] = 3*2 - 2*1 + 5*1 = 9
By the transforms:  filter 2, 1, 2, 1, data -1, 5, -1, 2, products -2, 5, -2, 2
                    y[0] = -2 + 5 - 2 = 1      y[1] = 5 + 2 + 2 = 9""",
            ),
        ),
    ),
    hints=(
        """
        d[1] and d[2] are used in both results, d[0] and d[3] in one each. Look at f[1]:
        in y[0] it goes with d[1], in y[1] with d[2]. It is in m[1] with +1/2 and in
        m[2] with -1/2. What must their other factors be?
        """,
        """
        Call the unknown factors b and c. f[1] gives (b - c)/2 in y[0], which must be
        d[1], and (b + c)/2 in y[1], which must be d[2]. So b = d[1] + d[2] and c = d[2]
        - d[1]. Now write down what m[1] + m[2] contains with f[0] and with f[2].
        """,
        """
        m[1] + m[2] contains d[2] * f[0] and d[2] * f[2]. y[0] has d[0] * f[0] in place
        of the first, so m[0] is f[0] times the difference d[0] - d[2]. Find the factor
        of f[2] in m[3] in the same way, from y[1] and m[1] - m[2]. np.stack puts arrays
        together along a new first axis.
        """,
    ),
    pages=("docs/derivations/winograd.md", "odyssey/kernels/winograd_transforms.py"),
)
