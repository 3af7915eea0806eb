"""Wrong tries of the linear layer."""

from tries import Try

from odyssey.learn.grading import CASES, HAND

BACKWARD = "grad_output @ weights, grad_output.T @ x, grad_output.sum(axis=0)"


def backward(text: str) -> str:
    return BACKWARD.replace(*text.split(" -> "))


TRIES = [
    Try(
        "weights' gradient transposed",
        BACKWARD,
        backward("grad_output.T @ x -> x.T @ grad_output"),
        "linear_backward",
        HAND,
        "grad_weights is wrong in",
    ),
    Try(
        "mean in place of the sum",
        BACKWARD,
        backward("sum(axis=0) -> mean(axis=0)"),
        "linear_backward",
        HAND,
    ),
    Try(
        "bias summed over all",
        BACKWARD,
        backward("sum(axis=0) -> sum()"),
        "linear_backward",
        HAND,
        "grad_bias must be an array of shape (2,)",
    ),
    Try(
        "bias summed over units",
        BACKWARD,
        backward("sum(axis=0) -> sum(axis=1)"),
        "linear_backward",
        HAND,
    ),
    Try(
        "weights not transposed in the backward of the input",
        BACKWARD,
        backward("@ weights -> @ weights.T"),
        "linear_backward",
        HAND,
        "grad_input[0, 0]",
    ),
    Try(
        "two gradients only",
        BACKWARD,
        backward(", grad_output.sum(axis=0) -> "),
        "linear_backward",
        HAND,
        "it must return 3 results, grad_input, grad_weights, grad_bias; yours returns "
        "2 results",
    ),
    Try(
        "no case without a bias",
        "x @ weights.T if bias is None else x @ weights.T + bias",
        "x @ weights.T + bias",
        "linear",
        CASES,
        "TypeError",
    ),
]
