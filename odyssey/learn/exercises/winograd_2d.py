"""Winograd's convolution in two dimensions."""

from typing import Any

import numpy as np

from odyssey import reference
from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.op_specs import Case, OpSpec


def _tile(label: str, C: int, K: int) -> Case:
    return Case(label, ((C, 4, 4), (K, C, 3, 3)))


def _draw_tile(rng: np.random.Generator) -> Case:
    C, K = (int(n) for n in rng.integers(1, 4, 2))
    return _tile(f"random, {C} channels, {K} kernels", C, K)


def _image(
    label: str, N: int, C: int, K: int, H: int, W: int, padding: int = 0
) -> Case:
    options = {"padding": padding} if padding else {}
    return Case(label, ((N, C, H, W), (K, C, 3, 3)), options)


def _draw_image(rng: np.random.Generator) -> Case:
    N, C, K = (int(n) for n in rng.integers(1, 3, 3))
    H, W = (int(n) for n in rng.integers(3, 7, 2))
    padding = int(rng.integers(0, 2))
    return _image(f"random, {H}x{W}, padding {padding}", N, C, K, H, W, padding)


def _right_tile(patch: Any, kernel: Any) -> Any:
    return reference.conv2d(patch[None], kernel)[0]


def _right_image(x: Any, kernel: Any, padding: int = 0) -> Any:
    return reference.conv2d(x, kernel, padding=padding)


A, B = [1.0, 0.0, 2.0, 1.0], [1.0, 3.0, 2.0, 5.0]
PATCH = [[[a * b for b in B] for a in A]]
KERNEL = [[[[u * v for v in (2.0, -1.0, 1.0)] for u in (0.0, 1.0, 1.0)]]]

EXERCISE = Exercise(
    name="winograd_2d",
    title="Winograd's F(2x2, 3x3): a tile, then an image",
    task="""
    A tile of 2x2 results of a 3x3 kernel needs a patch of 4x4 pixels.  What you know in
    one dimension is done for the columns first, then for the rows:

        the kernel 3x3 becomes 4x4, the patch 4x4 stays 4x4
        their product, element by element: 16 products instead of 36
        the 4x4 products become 2x2 results

    If there are channels, the products of all channels are summed before they are
    transformed back: that is linear, so it may come last, and once is enough.

    A convolution of stride 1 is made of tiles that lie side by side; their patches
    overlap by two pixels.  If the number of rows or columns is odd, the last tiles hang
    over the edge: compute them with zeros, and cut off what is too much.
    """,
    source="odyssey.learn.solutions.winograd_2d",
    functions=(
        Function(
            "winograd_tile",
            OpSpec(
                "winograd_tile",
                (
                    _tile("one channel, one kernel", 1, 1),
                    _tile("two channels", 2, 1),
                    _tile("two kernels", 1, 2),
                    _tile("three channels, two kernels", 3, 2),
                ),
                bars=(),
            ),
            ByHand(
                (PATCH, KERNEL),
                [[[2.0, 18.0], [3.0, 27.0]]],
                """
Each row of the patch is a multiple of 1, 3, 2, 5:  1, 0, 2 and 1 times. Each row of
the kernel is a multiple of 2, -1, 1:  0, 1 and 1 times. So rows and columns can be done
apart, and the results multiplied.
along the rows:     kernel 2, 1, 2, 1    patch -1, 5, -1, 2    products -2, 5, -2, 2
                    results -2 + 5 - 2 = 1 and 5 + 2 + 2 = 9
along the columns:  kernel 0, 1, 0, 1    patch -1, 2, 2, 1     products  0, 2, 0, 1
                    results 0 + 2 + 0 = 2 and 2 - 0 + 1 = 3
tile:               2*1  2*9             the same as directly; for the first element
                    3*1  3*9             0*(1*2 - 3 + 2) + 0 + 1*2*(1*2 - 3 + 2) = 2""",
            ),
            ("tile",),
            """
            Return the tile (K, 2, 2) of a patch (C, 4, 4) and kernels (K, C, 3, 3).

            tile[k, p, q] = sum over c, r, s of
                patch[c, p + r, q + s] * kernel[k, c, r, s]
            with 16 products for each channel and kernel, made by your transforms.
            """,
            edges=(_tile("no channels", 0, 2), _tile("many channels", 9, 1)),
            draw=_draw_tile,
            right=_right_tile,
        ),
        Function(
            "winograd_2d",
            OpSpec(
                "winograd_2d",
                (
                    _image("one tile", 1, 1, 1, 4, 4),
                    _image("two tiles side by side", 1, 1, 1, 4, 6),
                    _image("an odd number of columns", 1, 1, 1, 4, 5),
                    _image("an odd number of rows", 1, 1, 1, 5, 4),
                    _image("padding of 1", 1, 1, 1, 2, 4, 1),
                    _image("two images, channels and kernels", 2, 2, 2, 4, 4),
                    _image("all of it", 2, 3, 2, 5, 7, 1),
                ),
                bars=(),
            ),
            ByHand(
                (
                    [[[[1.0, 3.0, 2.0, 5.0, 0.0, 1.0]] * 4]],
                    [[[[2.0, -1.0, 1.0], [0.0] * 3, [0.0] * 3]]],
                ),
                [[[[1.0, 9.0, -1.0, 11.0]] * 2]],
                """
All rows of the image are 1 3 2 5 0 1, and only the first row of the kernel is not 0, so
both rows of out are the same. Their elements, directly:
    1*2 - 3 + 2 = 1    3*2 - 2 + 5 = 9    2*2 - 5 + 0 = -1    5*2 - 0 + 1 = 11
There are two tiles: columns 0 and 1, of the patch 1 3 2 5, and columns 2 and 3, of the
patch 2 5 0 1. The patches overlap by two columns.""",
            ),
            ("out",),
            """
            Return out (N, K, P, Q), the same as conv2d(x, kernel, padding=padding).

            x (N, C, H, W), kernel (K, C, 3, 3), stride 1.
            P = H + 2 * padding - 2, Q = W + 2 * padding - 2.

            out[n, :, p : p + 2, q : q + 2] = the tile of the patch at row p, column q
            of image n with its padding, for all even p and q
            """,
            edges=(
                _image("one result", 1, 1, 1, 3, 3),
                _image("one pixel, with padding", 1, 1, 1, 1, 1, 1),
                _image("one row of results", 1, 1, 1, 3, 6),
                _image("no images", 0, 2, 2, 4, 4),
            ),
            draw=_draw_image,
            right=_right_image,
        ),
    ),
    hints=(
        """
        Your transforms work on the first axis and leave all others alone. How do you
        apply one to another axis? np.moveaxis brings any axis to the front, and back
        again. Write a helper that transforms the last two axes, one after the other.
        """,
        """
        With this helper a tile takes three calls: the patch by transform_input, the
        kernels by transform_kernel, and the products by transform_output. Between them:
        filters (K, C, 4, 4) times data (C, 4, 4), summed over the axis of the channels.
        """,
        """
        winograd_2d: pad x with zeros as in conv2d, and with one more row at the end if
        P is odd, one more column if Q is odd. Make out with even sizes, fill it tile by
        tile with p and q in steps of 2 (the patch has rows p to p + 3), and return the
        first P rows and Q columns of it.
        """,
    ),
    pages=("docs/derivations/winograd.md", "odyssey/kernels/winograd.py"),
)
