"""Wrong tries of a gradient check."""

from tries import Try

from odyssey.learn.grading import ARGUMENTS, CASES, EDGES, HAND

MEASURED = "np.sum((f(plus) - f(minus)) * grad_output) / (2 * h)"
UPSTREAM = "rng.standard_normal(forward(x).shape)"

TRIES = [
    Try(
        "difference to one side",
        MEASURED,
        "np.sum((f(plus) - f(x)) * grad_output) / h",
        "numerical_gradient",
        HAND,
        "f(0.5, 3) = 1.5, 0.25",
    ),
    Try(
        "divided by h",
        "/ (2 * h)",
        "/ h",
        "numerical_gradient",
        HAND,
        "yours 64, right 32",
    ),
    Try(
        "all elements moved at once",
        "plus[i] += h\n        minus[i] -= h",
        "plus += h\n        minus -= h",
        "numerical_gradient",
        HAND,
        "element 0 of x",
    ),
    Try(
        "grad_output left out",
        "np.sum((f(plus) - f(minus)) * grad_output)",
        "np.sum(f(plus) - f(minus))",
        "numerical_gradient",
        HAND,
    ),
    Try(
        "moves x itself",
        "plus, minus = x.copy(), x.copy()",
        "plus, minus = x, x.copy()",
        "numerical_gradient",
        HAND,
    ),
    Try(
        "moves x and back again",
        f"plus[i] += h\n        minus[i] -= h\n        grad[i] = {MEASURED}",
        "x[i] += h\n        high = f(x)\n        x[i] -= 2 * h\n        low = f(x)\n"
        "        x[i] += h\n"
        "        grad[i] = np.sum((high - low) * grad_output) / (2 * h)",
        "numerical_gradient",
        ARGUMENTS,
        "changed its argument x",
    ),
    Try(
        "one axis only",
        "np.ndindex(x.shape)",
        "range(len(x))",
        "numerical_gradient",
        CASES,
        'In the case "cube"',
    ),
    Try(
        "relative to the sum",
        "max(np.linalg.norm(one), np.linalg.norm(other))",
        "np.linalg.norm(one) + np.linalg.norm(other)",
        "relative_error",
        HAND,
    ),
    Try(
        "0 / 0",
        "    if size == 0:\n        return 0.0\n",
        "",
        "relative_error",
        EDGES,
        "two zeros",
    ),
    Try(
        "a grad_output of ones",
        UPSTREAM,
        "np.ones(forward(x).shape)",
        "gradient_check",
        CASES,
        "a backward that forgets grad_output",
    ),
    Try(
        "arguments of backward in another order",
        "backward(grad_output, x)",
        "backward(x, grad_output)",
        "gradient_check",
        CASES,
        "a right backward of",
    ),
    Try(
        "NaN passes",
        "return relative_error(grad, numerical_gradient(forward, x, grad_output)) "
        "< 1e-6",
        "return not (\n        relative_error(\n            grad, numerical_gradient("
        "forward, x, grad_output)\n        )\n        >= 1e-6\n    )",
        "gradient_check",
        EDGES,
        "a NaN in the gradient",
    ),
    Try(
        "too generous",
        "< 1e-6",
        "< 0.1",
        "gradient_check",
        CASES,
        "1 % too much in one element of eight",
    ),
]
