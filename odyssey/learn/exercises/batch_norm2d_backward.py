"""Batch norm, its backward."""

from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.learn.exercises._batch_norm import OPTIONS, PARAMETERS, SHARED, X

EXERCISE = Exercise(
    name="batch_norm2d_backward",
    title="The backward of batch norm",
    task="""
    This is the backward that everybody gets wrong once.  The forward, of each channel:

        mean = (sum of x) / M                  var  = (sum of (x - mean) ** 2) / M
        rstd = 1 / sqrt(var + eps)             xhat = (x - mean) * rstd
        out  = gamma * xhat + beta

    with M = N * H * W.  In training each x stands in three places: in x - mean, in mean
    and in var.  So its gradient comes by three paths, and all three are added.  In
    inference mean and var are constants.

    Go back one line at a time, on paper.  Compute in float64, as in the forward.
    """,
    source="odyssey.reference.batch_norm",
    functions=(
        Function(
            "batch_norm2d_backward",
            results=("grad_input", "grad_gamma", "grad_beta"),
            says="""
            Return grad_input (N, C, H, W), grad_gamma (C,) and grad_beta (C,).

            grad_output (N, C, H, W) is the gradient with respect to out, the first
            result of batch_norm2d with the same arguments.  Mean and variance are those
            of the batch in training, the running ones in inference.
            """,
            by_hand=ByHand(
                ([[[[1.0, 2.0]]], [[[3.0, 6.0]]]], X, *PARAMETERS),
                ([[[[-7.5, -5.0]]], [[[-2.5, 15.0]]]], [2.0], [12.0]),
                """
Forward: mean 3, var 2, rstd = 1 / sqrt(2 + 2) = 0.5, xhat = -1, 0, 1, 0, gamma 10.
grad_beta  = 1 + 2 + 3 + 6 = 12           grad_gamma = -1*1 + 0*2 + 1*3 + 0*6 = 2
grad_xhat  = 10 * grad_output = 10, 20, 30, 60
If mean and var were constants, grad_input were 0.5 * grad_xhat = 5, 10, 15, 30.
The path through the mean subtracts the mean of grad_xhat, 120/4 = 30:
             -20, -10, 0, 30
The path through the variance subtracts xhat times the mean of grad_xhat * xhat, which
is (-10 + 0 + 30 + 0)/4 = 5:
             -20 + 5, -10 - 0, 0 - 5, 30 - 0 = -15, -10, -5, 30
grad_input = 0.5 * that = -7.5, -5, -2.5, 15. It sums to 0, as it must: a shift of all
numbers of a channel changes nothing.""",
                OPTIONS,
            ),
            **SHARED,
        ),
    ),
    hints=(
        """
        Begin with grad_beta and grad_gamma, which are sums, and with grad_xhat. Then
        write xhat as a function of mean, rstd and x, and rstd as one of var. What is
        the derivative of the loss with respect to mean, and to var? Each is a number a
        channel.
        """,
        """
        All of grad_xhat that is common to the channel goes away: the paths through mean
        and var remove from grad_xhat its mean, and the part that points along xhat. A
        shift or a stretch of all x of a channel changes nothing in xhat, so the
        gradient cannot point there. In inference nothing is removed.
        """,
        """
        In training: from grad_xhat subtract its mean over the axes (0, 2, 3), and xhat
        times the mean of grad_xhat * xhat over the same axes (take both means of the
        original grad_xhat). Multiply with rstd. In inference: grad_xhat times rstd. In
        the end bring all three to x.dtype.
        """,
    ),
    pages=("docs/derivations/batch_norm.md", "odyssey/reference/batch_norm.py"),
)
