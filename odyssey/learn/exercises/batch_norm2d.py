"""Batch norm, its forward."""

from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.learn.exercises._batch_norm import OPTIONS, PARAMETERS, SHARED, X

EXERCISE = Exercise(
    name="batch_norm2d",
    title="Batch norm, with running statistics",
    task="""
    Batch norm gives each channel mean 0 and variance 1, then stretches it by gamma and
    shifts it by beta, which are learned:

        xhat = (x - mean) / sqrt(var + eps)
        out  = gamma * xhat + beta

    In training, mean and var are those of the batch: of all M = N * H * W numbers of a
    channel.  var is the mean of (x - mean) ** 2, the biased variance.  In inference
    they are running_mean and running_var, which training has collected:

        new running_mean = (1 - momentum) * running_mean + momentum * mean
        new running_var  = (1 - momentum) * running_var  + momentum * var * M / (M - 1)

    So the running variance takes the unbiased one, which divides by M - 1.  In
    inference the running statistics are returned as they were.

    Compute in float64, whatever the dtype of x, and round the results to that dtype at
    the end: in float32 a large mean would cost too many digits.
    """,
    source="odyssey.reference.batch_norm",
    functions=(
        Function(
            "batch_norm2d",
            results=("out", "running_mean", "running_var"),
            says="""
            Return out (N, C, H, W), the new running_mean (C,) and running_var (C,).

            x (N, C, H, W); gamma, beta, running_mean, running_var (C,), which are not
            changed; training True or False; momentum, eps numbers.

            xhat = (x - mean) / sqrt(var + eps), out = gamma * xhat + beta
            """,
            by_hand=ByHand(
                (X, *PARAMETERS),
                ([[[[-9.0, 1.0]]], [[[11.0, 1.0]]]], [6.0], [3.0 + 2 / 3]),
                """
The channel has 4 numbers:  1, 3 of image 0 and 5, 3 of image 1.
mean = (1 + 3 + 5 + 3) / 4 = 3            x - mean = -2, 0, 2, 0
var  = (4 + 0 + 4 + 0) / 4 = 2            sqrt(var + eps) = sqrt(2 + 2) = 2
xhat = -1, 0, 1, 0                        out = 10 * xhat + 1 = -9, 1, 11, 1
running_mean = 0.75 * 7 + 0.25 * 3 = 6
running_var  = 0.75 * 4 + 0.25 * (2 * 4/3) = 3.6667, with the unbiased variance 8/3""",
                OPTIONS,
            ),
            **SHARED,
        ),
    ),
    hints=(
        """
        Sums over images, rows and columns are sums over the axes (0, 2, 3). They leave
        an array (C,). To put it beside x, which is (N, C, H, W), it needs axes of size
        1 for H and W.
        """,
        """
        mean[:, None, None] has the shape (C, 1, 1), and is repeated along N, H and W.
        The variance is the mean of the squares of x minus that; do not use mean(x ** 2)
        - mean ** 2, which loses all digits if the mean is large. Which variance goes
        where?
        """,
        """
        Take mean and var from the batch if training, else the running ones; then one
        line for xhat and one for out serve both. In training, the new running variance
        mixes in var * M / (M - 1), where M = x.size // C. Make new arrays, and bring
        all three results to x.dtype with astype.
        """,
    ),
    pages=("docs/derivations/batch_norm.md", "odyssey/reference/batch_norm.py"),
)
