"""A gradient check of one's own, which is tried on right and on wrong backwards."""

from typing import Any

import numpy as np

from odyssey import reference
from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.op_specs import Case, OpSpec, nonzero


def square(x: Any) -> Any:
    """Return x ** 2 of each element."""
    return x**2


def cube(x: Any) -> Any:
    """Return x ** 3 of each element."""
    return x**3


def row_sums(x: Any) -> Any:
    """Return the sum of each row."""
    return x.sum(axis=-1)


def product_and_square(x: Any) -> Any:
    """Return x[0] * x[1] and x[0] ** 2."""
    return np.array([x[0] * x[1], x[0] ** 2])


def right_of_square(grad_output: Any, x: Any) -> Any:
    """Return the gradient of `square`."""
    return 2 * x * grad_output


def right_of_cube(grad_output: Any, x: Any) -> Any:
    """Return the gradient of `cube`."""
    return 3 * x**2 * grad_output


def half_of_square(grad_output: Any, x: Any) -> Any:
    """Return half of the gradient of `square`."""
    return x * grad_output


def minus_of_square(grad_output: Any, x: Any) -> Any:
    """Return the gradient of `square` with the wrong sign."""
    return -2 * x * grad_output


def zeros_of_softmax(grad_output: Any, logits: Any) -> Any:
    """Return zeros: the gradient of softmax if grad_output is all ones, and only then.

    The probabilities of a row sum to 1, whatever the logits.
    """
    return np.zeros_like(logits)


def forgets_grad_output(grad_output: Any, x: Any) -> Any:
    """Return the derivative of `square` alone, as if grad_output were ones."""
    return 2 * x


def one_element_off(grad_output: Any, x: Any) -> Any:
    """Return the gradient of `square` with an error of 1 % in its last element."""
    grad = 2 * x * grad_output
    grad[..., -1] *= 1.01
    return grad


def nan_of_square(grad_output: Any, x: Any) -> Any:
    """Return the gradient of `square` with a NaN in it."""
    grad = 2 * x * grad_output
    grad[0] = np.nan
    return grad


def _measured(ops: Any, x: Any, grad_output: Any, f: Any, h: float = 1e-5) -> Any:
    return (ops.numerical_gradient(f, x, grad_output, h),)


def _checked(ops: Any, x: Any, forward: Any, backward: Any) -> Any:
    rng = np.random.default_rng(7)
    return (ops.gradient_check(forward, backward, x, rng),)


def _draw(rng: np.random.Generator) -> Case:
    rows, columns = (int(n) for n in rng.integers(1, 4, 2))
    f = (square, cube, row_sums, reference.softmax)[rng.integers(4)]
    out = (rows,) if f is row_sums else (rows, columns)
    return Case(f"random, {rows} x {columns}", ((rows, columns), out), {"f": f})


def _draw_errors(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 3)))
    return Case(f"random, shape {shape}", (shape, shape))


def _trial(label: str, forward: Any, backward: Any, *shape: int) -> Case:
    return Case(label, (nonzero(*shape),), {"forward": forward, "backward": backward})


TRIALS = (
    _trial("a right backward of relu", reference.relu, reference.relu_backward, 2, 3),
    _trial("a right backward of the square", square, right_of_square, 3),
    _trial("half of the gradient", square, half_of_square, 3),
    _trial("the wrong sign", square, minus_of_square, 3),
    _trial("a right backward of the cube", cube, right_of_cube, 2, 2),
    _trial("1 % too much in one element of eight", square, one_element_off, 2, 4),
    _trial(
        "a backward that is right for a grad_output of ones, and only then",
        reference.softmax,
        zeros_of_softmax,
        *(2, 3),
    ),
    _trial("a backward that forgets grad_output", square, forgets_grad_output, 2, 3),
    _trial(
        "a right backward of softmax",
        reference.softmax,
        reference.softmax_backward,
        *(2, 3),
    ),
)

EXERCISE = Exercise(
    name="gradient_check",
    title="A gradient check of one's own",
    task="""
    How do you know that a backward is right?  Measure: change one element of x a
    little, both ways, and see how much the result changes.  The result is an array, and
    grad_output says how much each of its elements counts:

        grad[i] = sum((f(x + h e_i) - f(x - h e_i)) * grad_output) / (2 h)

    where e_i is 1 in element i and 0 elsewhere, so that all other elements stay as they
    are.  A difference to one side only, (f(x + h e_i) - f(x)) / h, is far less exact.

    Write this measurement, a number that says how far two gradients are apart, and the
    check that is made of both.  It will be tried on backwards, right ones and wrong
    ones.  Try it on your own, too.
    """,
    source="odyssey.learn.solutions.gradient_check",
    functions=(
        Function(
            "numerical_gradient",
            OpSpec(
                "numerical_gradient",
                (
                    Case("square", ((3,), (3,)), {"f": square}),
                    Case("cube", ((2, 2), (2, 2)), {"f": cube, "h": 1e-3}),
                    Case("softmax", ((2, 3), (2, 3)), {"f": reference.softmax}),
                    Case("another shape", ((2, 3), (2,)), {"f": row_sums}),
                ),
                bars=(),
                run_forward=_measured,
            ),
            ByHand(
                (product_and_square, [1.0, 3.0], [10.0, 1.0], 0.5),
                [32.0, 10.0],
                """
product_and_square returns x[0] * x[1] and x[0] ** 2.
element 0 of x:  f(1.5, 3) = 4.5, 2.25      f(0.5, 3) = 1.5, 0.25
                 difference 3, 2            (3*10 + 2*1) / (2 * 0.5) = 32
element 1 of x:  f(1, 3.5) = 3.5, 1         f(1, 2.5) = 2.5, 1
                 difference 1, 0            (1*10 + 0*1) / (2 * 0.5) = 10""",
            ),
            ("grad",),
            """
            Return grad, of the shape of x: the gradient of sum(f(x) * grad_output).

            f: a function of x, an array of any shape, that returns an array.
            grad_output: an array of the shape of f(x).  h: the step.

            grad[i] = sum((f(x + h e_i) - f(x - h e_i)) * grad_output) / (2 h)
            """,
            edges=(
                Case("one number", ((), ()), {"f": square}),
                Case("a step of 1", ((2,), (2,)), {"f": cube, "h": 1.0}),
            ),
            draw=_draw,
            dtypes=("float64",),
        ),
        Function(
            "relative_error",
            OpSpec(
                "relative_error",
                (
                    Case("a vector", ((4,), (4,))),
                    Case("a matrix", ((2, 3), (2, 3))),
                ),
                bars=(),
            ),
            ByHand(
                ([6.0, 8.0], [6.0, 5.0]),
                0.3,
                """
norm of one:          sqrt(6*6 + 8*8) = 10
norm of other:        sqrt(6*6 + 5*5) = 7.81
norm of one - other:  sqrt(0*0 + 3*3) = 3
3 / 10 = 0.3""",
            ),
            ("the error",),
            """
            Return norm(one - other) / max(norm(one), norm(other)), a number.

            one, other: two arrays of one shape.  norm: the square root of the sum of
            all squares.  If both are zero the error is 0.
            """,
            edges=(
                Case("two zeros", (lambda rng: np.zeros(2), lambda rng: np.zeros(2))),
                Case("only one is zero", ((2,), lambda rng: np.zeros(2))),
                Case("a NaN", ((2,), lambda rng: np.array([np.nan, 1.0]))),
            ),
            draw=_draw_errors,
            dtypes=("float64",),
        ),
        Function(
            "gradient_check",
            OpSpec("gradient_check", TRIALS, bars=(), run_forward=_checked),
            ByHand(
                (square, half_of_square, [1.0, 2.0], np.random.default_rng(0)),
                False,
                """
square(x) is x**2, so its gradient is 2*x*grad_output. half_of_square returns
x*grad_output. The relative error is 1/2, whatever grad_output is: not right.""",
            ),
            ("the answer",),
            """
            Return True if the gradient of backward is right at x, else False.

            forward: a function of one array.  backward(grad_output, x) is meant to
            return its gradient.  x: where to check.  rng: a random generator; make
            grad_output with rng.standard_normal(shape).

            It is right if its relative error is below 1e-6.
            """,
            edges=(
                _trial("a NaN in the gradient", square, nan_of_square, 3),
                _trial("one number", square, right_of_square),
                _trial("one element", square, right_of_square, 1),
            ),
            dtypes=("float64",),
        ),
    ),
    hints=(
        """
        numerical_gradient needs a loop over all elements of x, whatever its shape:
        np.ndindex(x.shape) gives their indices. In each round change one element of a
        copy of x, never x itself.
        """,
        """
        In each round there are two copies, one with h added to the element and one with
        h subtracted. f of both, subtracted, is an array of the shape of grad_output:
        multiply element by element, sum everything, divide by 2 h. In relative_error,
        ask first whether both norms are 0.
        """,
        """
        gradient_check: the shape of grad_output is that of forward(x). A random one is
        needed because a grad_output of ones hides faults: probabilities sum to 1, so
        with ones the gradient of softmax is 0. Then compare backward(grad_output, x)
        with numerical_gradient(forward, x, grad_output) by relative_error. Write the
        comparison such that a NaN is refused: every comparison with NaN is False.
        """,
    ),
    pages=("odyssey/gradcheck.py", "odyssey/central_differences.py"),
)
