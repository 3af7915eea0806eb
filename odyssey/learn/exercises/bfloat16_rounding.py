"""Rounding float32 to bfloat16."""

from typing import Any

import numpy as np

from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.op_specs import Case, OpSpec


def _bits(*patterns: int) -> Any:
    return lambda rng: np.array(patterns, np.uint32).view(np.float32)


def _random_bits(*shape: int) -> Any:
    return lambda rng: rng.integers(0, 2**32, shape, np.uint32).view(np.float32)


def _halves(*shape: int) -> Any:
    """Draw numbers that lie half way between two of bfloat16, or next to that."""

    def draw(rng: np.random.Generator) -> Any:
        upper = rng.integers(0x3F00, 0x4100, shape).astype(np.uint32)
        lower = rng.choice(np.array([0x7FFF, 0x8000, 0x8001], np.uint32), shape)
        return ((upper << 16) | lower).view(np.float32)

    return draw


def _draw(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 3)))
    if rng.random() < 0.5:
        return Case(f"random numbers, shape {shape}", (shape,))
    return Case(f"half way, or next to it, shape {shape}", (_halves(*shape),))


STEP = 2.0**-7  # from 1 to 2

EXERCISE = Exercise(
    name="bfloat16_rounding",
    title="Rounding to bfloat16, on the bits",
    task="""
    A float32 has 32 bits: 1 for the sign, 8 for the exponent, 23 for the fraction.  A
    bfloat16 is the upper half of one: sign, exponent, and 7 bits of the fraction.  So
    all its numbers are float32 numbers too, those whose lower 16 bits are 0.

        rounding(x) = the bfloat16 number that is nearest to x;
                      if two are as near, the even one: its last bit is 0

    Seen as integers, neighbouring numbers have neighbouring bits, so rounding is a sum
    of integers: a carry goes into the exponent by itself, and the largest numbers
    become Inf, as they should.  NaN has to be looked after: it must stay NaN.

    x.view(np.uint32) shows the bits of a float32 array as integers, and
    bits.view(np.float32) shows integers as numbers; nothing is converted or copied.
    """,
    source="odyssey.learn.solutions.bfloat16_rounding",
    functions=(
        Function(
            "bfloat16_rounding",
            OpSpec(
                "bfloat16_rounding",
                (
                    Case("numbers", ((5,),)),
                    Case("exactly half way", (_bits(0x3F808000, 0x3F818000),)),
                    Case("a little below half", (_bits(0x3F807FFF, 0x3F817FFF),)),
                    Case("a little above half", (_bits(0x3F808001, 0x3F818001),)),
                    Case("negative, half way", (_bits(0xBF808000, 0xBF818000),)),
                    Case("numbers of bfloat16", (_bits(0x3F800000, 0xC0490000),)),
                    Case("half way, or next to it", (_halves(3, 4),)),
                ),
                bars=(),
            ),
            ByHand(
                (
                    np.array(
                        [1 + STEP / 2, 1 + 1.5 * STEP, 1 + 0.75 * STEP, np.nan],
                        np.float32,
                    ),
                ),
                np.array([1, 1 + 2 * STEP, 1 + STEP, np.nan], np.float32),
                """
From 1 to 2 the numbers of bfloat16 are 1, 1.0078125, 1.015625 ..., in steps of 2**-7.
As bits, written in hexadecimal; the lower half, four digits, goes away:
1.00390625    3F80 8000   half way between 3F80 and 3F81; 3F80 is even:  3F80, 1
1.01171875    3F81 8000   half way between 3F81 and 3F82; 3F82 is even:  3F82, 1.015625
1.005859375   3F80 C000   nearer to 3F81:                                3F81, 1.0078125
NaN           7FC0 0000   stays NaN""",
            ),
            ("rounded",),
            """
            Return x rounded to the nearest bfloat16 numbers, as float32.

            x and the result: float32 arrays of one shape, any.  Of two numbers that are
            as near, the even one is taken.  NaN stays NaN, Inf stays Inf.
            """,
            edges=(
                Case("0 and the smallest", (_bits(0, 1, 0x8000, 0x18000),)),
                Case("Inf", (_bits(0x7F800000, 0xFF800000),)),
                Case("too large: becomes Inf", (_bits(0x7F7FFFFF, 0xFF7F8000),)),
                Case("a carry into the exponent", (_bits(0x3FFFFFFF, 0x407FC000),)),
                Case("NaN with its only bits in the lower half", (_bits(0x7F800001),)),
                Case("NaN of ones", (_bits(0x7FFFFFFF, 0xFFFFFFFF),)),
                Case("any bits", (_random_bits(4, 8),)),
                Case("no elements", ((0, 2),)),
            ),
            draw=_draw,
            dtypes=("float32",),
        ),
    ),
    hints=(
        """
        Setting the lower 16 bits to 0, with bits & 0xFFFF0000, rounds towards zero.
        What must be added to the bits before, so that everything above the half goes up
        by one?
        """,
        """
        Adding 0x8000 would round all halves up. Adding 0x7FFF rounds them down. What
        you want depends on the last bit that stays, which is (bits >> 16) & 1: if it is
        1 the number is odd, and a half must go up.
        """,
        """
        Add 0x7FFF and that last bit, then set the lower half to 0. A NaN may become Inf
        by this, if its ones are in the lower half, or even 0, by a carry out of the
        sign: use np.where with np.isnan(x), and take a NaN there.
        """,
    ),
    pages=("docs/derivations/mixed_precision.md", "odyssey/bfloat16.py"),
)
