"""Softmax and the cross-entropy with label smoothing, with their gradients."""

from math import log
from typing import Any

import numpy as np

from odyssey.learn.exercise import ByHand, Exercise, Function, spec_of
from odyssey.op_specs import Case, classes, distributions


def _draw_logits(rng: np.random.Generator) -> Case:
    N, K = (int(n) for n in rng.integers(1, 5, 2))
    return Case(f"random, {N} rows, {K} classes", ((N, K),))


def _draw(rng: np.random.Generator) -> Case:
    N, K = (int(n) for n in rng.integers(1, 5, 2))
    smoothing = {} if rng.random() < 0.4 else {"label_smoothing": 0.25}
    labels = classes(N, K) if rng.random() < 0.6 else distributions(N, K)
    return Case(f"random, {N} rows, {K} classes", ((N, K), labels), smoothing)


def _large(*shape: int) -> Any:
    """Draw logits so large that exp of them overflows."""
    # Their differences are small: no probability is 1, and no gradient is all zeros.
    return lambda rng: 1000 + rng.standard_normal(shape)


SOFTMAX: dict[str, Any] = {
    "spec": spec_of("softmax"),
    "draw": _draw_logits,
    "edges": (
        Case("one row, one class", ((1, 1),)),
        Case("logits so large that exp overflows", (_large(2, 3),)),
        Case("logits of -1000: exp is 0", (lambda rng: np.full((1, 3), -1000.0),)),
    ),
}
CROSS_ENTROPY: dict[str, Any] = {
    "spec": spec_of("cross_entropy"),
    "draw": _draw,
    "edges": (
        Case("one row, one class", ((1, 1), classes(1, 1))),
        Case("logits so large that exp overflows", (_large(2, 3), classes(2, 3))),
        Case(
            "a class that is ruled out by a logit of -Inf",
            (lambda rng: np.array([[-np.inf, 0.0, 1.0]]), lambda rng: np.array([1])),
        ),
        Case("smoothing of 1", ((2, 3), classes(2, 3)), {"label_smoothing": 1.0}),
    ),
}

LOGITS = [[0.0, log(2), log(5)], [0.0, 0.0, 0.0]]
LABELS = [2, 0]
SMOOTHED = {"label_smoothing": 0.3}

EXERCISE = Exercise(
    name="softmax_cross_entropy",
    title="Softmax and cross-entropy, with label smoothing",
    task="""
    A network's last layer gives K numbers for each image, the logits.  softmax makes
    probabilities of them, and cross_entropy says how far these are from what is right:

        prob[n, k] = exp(logits[n, k]) / sum over j of exp(logits[n, j])
        loss       = mean over n of  -sum over k of target[n, k] * log(prob[n, k])

    target is 1 for the class of the label and 0 elsewhere, or it is given.  With
    label_smoothing e it is replaced by (1 - e) * target + e / K.

    exp(1000) is too large for a float, and log(0) is -Inf.  Subtracting the largest
    logit of a row from all of that row changes no probability; and log(prob) can be had
    without computing prob first.
    """,
    source="odyssey.reference.loss",
    functions=(
        Function(
            "softmax",
            says="""
            Return prob (N, K), each row of which sums to 1.

            logits (N, K), of any size: nothing may overflow.

            prob[n, k] = exp(logits[n, k]) / sum over j of exp(logits[n, j])
            """,
            results=("prob",),
            by_hand=ByHand(
                (LOGITS,),
                [[1 / 8, 2 / 8, 5 / 8], [1 / 3, 1 / 3, 1 / 3]],
                """
row 0: the logits are log(1), log(2) and log(5), so exp gives 1, 2 and 5.
       Their sum is 8:  1/8, 2/8, 5/8
row 1: exp gives 1, 1 and 1:  1/3, 1/3, 1/3""",
            ),
            **SOFTMAX,
        ),
        Function(
            "softmax_backward",
            says="""
            Return grad_logits (N, K), the gradient of the loss with respect to logits.

            grad_output (N, K) is the gradient with respect to softmax(logits).  Each
            logit stands in all probabilities of its row.
            """,
            results=("grad_logits",),
            by_hand=ByHand(
                ([[1.0, 2.0, 0.0]], LOGITS[:1]),
                [[0.046875, 0.34375, -0.390625]],
                """
prob is 1/8, 2/8, 5/8. The derivative of prob[j] with respect to logits[k] is
    prob[j] * (1 - prob[k])  for j = k,      -prob[j] * prob[k]  for the others.
k = 0:  1 * 1/8 * 7/8  -  2 * 2/8 * 1/8  -  0 * 5/8 * 1/8  =  7/64 - 4/64  =  0.046875
k = 1: -1 * 1/8 * 2/8  +  2 * 2/8 * 6/8  -  0 * 5/8 * 2/8  = -2/64 + 24/64 =  0.34375
k = 2: -1 * 1/8 * 5/8  -  2 * 2/8 * 5/8  +  0 * 5/8 * 3/8  = -5/64 - 20/64 = -0.390625
The three sum to 0: adding a number to all logits changes no probability.""",
            ),
            **SOFTMAX,
        ),
        Function(
            "cross_entropy",
            says="""
            Return the loss, a Python float: the mean over the batch.

            logits (N, K); labels integers (N,), the classes, or floats (N, K), the
            targets themselves.  label_smoothing e, 0 to 1.

            loss = mean over n of  -sum over k of target[n, k] * log(prob[n, k])
            where target is replaced by (1 - e) * target + e / K
            """,
            results=("the loss",),
            by_hand=ByHand(
                (LOGITS, LABELS),
                (0.1 * log(8) + 0.1 * log(4) + 0.8 * log(8 / 5) + log(3)) / 2,
                """
With smoothing 0.3 and 3 classes, the target of the right class is 0.7 + 0.3/3 = 0.8,
that of the others is 0.3/3 = 0.1.
row 0: prob is 1/8, 2/8, 5/8, the label is 2:
       -0.1*log(1/8) - 0.1*log(2/8) - 0.8*log(5/8) = 0.2079 + 0.1386 + 0.3760 = 0.7226
row 1: prob is 1/3 three times: -log(1/3) = 1.0986, whatever the label
mean:  (0.7226 + 1.0986) / 2 = 0.9106""",
                SMOOTHED,
            ),
            **CROSS_ENTROPY,
        ),
        Function(
            "cross_entropy_backward",
            says="""
            Return grad_logits (N, K), the gradient of cross_entropy times grad_output.

            grad_output is a number, the other arguments are those of cross_entropy.
            """,
            results=("grad_logits",),
            by_hand=ByHand(
                (4.0, LOGITS, LABELS),
                [[0.05, 0.3, -0.35], [-14 / 15, 7 / 15, 7 / 15]],
                """
The loss is a mean over 2 rows and grad_output is 4: each row counts 4/2 = 2 times.
row 0: 2 * (1/8 - 0.1), 2 * (2/8 - 0.1), 2 * (5/8 - 0.8) = 0.05, 0.3, -0.35
row 1: 2 * (1/3 - 0.8), 2 * (1/3 - 0.1), 2 * (1/3 - 0.1) = -0.9333, 0.4667, 0.4667
Why these differences: write log(prob[k]) as logits[k] - log(sum over j of
exp(logits[j])) and differentiate. Each row sums to 0.""",
                SMOOTHED,
            ),
            **CROSS_ENTROPY,
        ),
    ),
    hints=(
        """
        Write a helper first that returns log(prob): logits minus their row's maximum,
        minus the log of the sum of exp of that. Sums and maxima run along axis=1 with
        keepdims=True. softmax is exp of the helper, and cross_entropy uses it
        directly.
        """,
        """
        softmax_backward: sum grad_output[j] * d prob[j] / d logits[k] over j. The
        part with j = k gives grad_output[k] * prob[k]; the part that all have,
        -prob[k] * sum over j of grad_output[j] * prob[j], is one number a row times
        prob. cross_entropy_backward: do not go through softmax_backward.
        Differentiate logits[k] - log(sum of exp), and use that the targets of a row
        sum to 1.
        """,
        """
        cross_entropy_backward is the difference of prob and target (the smoothed
        one), divided by the number of rows, times grad_output. For integer labels,
        np.eye(K)[labels] has a 1 at each label; give it the dtype of logits. Where a
        target is 0, leave the term out: 0 * -Inf is NaN.
        """,
    ),
    pages=("docs/derivations/softmax_cross_entropy.md", "odyssey/reference/loss.py"),
)
