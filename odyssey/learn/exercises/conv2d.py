"""Convolution, its forward."""

from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.learn.exercises._convolution import KERNEL, SHARED, X

EXERCISE = Exercise(
    name="conv2d",
    title="Convolution",
    task="""
    A kernel is a small window of weights.  It slides over the image; at each place its
    weights are multiplied with the pixels under them, and the products are summed.

        out[n, k, p, q] = bias[k] + sum over c, r, s of
            x_pad[n, c, p * stride + r, q * stride + s] * kernel[k, c, r, s]

    x holds N images of C channels and H x W pixels.  x_pad is x with ``padding`` rows
    and columns of zeros on all four sides.  There are K kernels of R x S taps, with
    weights for all C channels; each makes one channel of out.  The window moves by
    ``stride`` pixels, and stays within x_pad:

        P = (H + 2 * padding - R) // stride + 1       and likewise Q from W and S

    The kernel is not turned, though mathematicians would do that in a convolution.
    Write it with loops first.  The gradients are the next two exercises.
    """,
    source="odyssey.reference.conv",
    functions=(
        Function(
            "conv2d",
            results=("out",),
            says="""
            Return out (N, K, P, Q), without a bias if that is None.

            x (N, C, H, W), kernel (K, C, R, S), bias (K,) or None; stride, padding
            integers.  P = (H + 2 * padding - R) // stride + 1, likewise Q.

            out[n, k, p, q] = bias[k] + sum over c, r, s of
                x_pad[n, c, p * stride + r, q * stride + s] * kernel[k, c, r, s]
            """,
            by_hand=ByHand(
                (X, KERNEL, [10.0]),
                [[[[9.0, 7.0], [11.0, 18.0]]]],
                """
The image is 3x3, with padding 5x5; the window is 2x2 and moves by 2, so there are 2x2
places. The weights are  1  2
                         0 -1   at each of them, and the bias is 10.
out[0, 0]:  pixels 0 0     1*0 + 2*0 + 0*0 - 1*1 + 10 =  9
                   0 1
out[0, 1]:  pixels 0 0     1*0 + 2*0 + 0*2 - 1*3 + 10 =  7
                   2 3
out[1, 0]:  pixels 0 4     1*0 + 2*4 + 0*0 - 1*7 + 10 = 11
                   0 7
out[1, 1]:  pixels 5 6     1*5 + 2*6 + 0*8 - 1*9 + 10 = 18
                   8 9""",
                {"stride": 2, "padding": 1},
            ),
            **SHARED,
        ),
    ),
    hints=(
        """
        Make x_pad with np.pad, which leaves the axes of images and channels alone with
        (0, 0). Then make out, of zeros, with the shape and the dtype that it must have.
        Which loops do you need to fill in one element of it?
        """,
        """
        Four loops go over the elements of out, n, k, p and q. Everything that one of
        them needs is a block of x_pad: image n, all channels, R rows and S columns. It
        has the shape of kernel[k]. Where does the block begin?
        """,
        """
        The block begins at row p * stride and column q * stride. The element of out is
        the sum of all products of the block and kernel[k]. Add bias[k] at the end,
        unless bias is None. It is fast enough like that; the solution turns it round
        and loops over the taps r and s alone.
        """,
    ),
    pages=("docs/derivations/convolution.md", "odyssey/reference/conv.py"),
)
