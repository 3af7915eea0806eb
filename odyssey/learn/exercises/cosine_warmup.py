"""The cosine schedule with a warmup."""

import numpy as np

from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.op_specs import Case, OpSpec
from odyssey.schedules import cosine_decay, linear_warmup


def _case(label: str, step: int, total: int = 12, warmup: int = 4) -> Case:
    options = {"lr": 0.8, "total_steps": total, "warmup_steps": warmup}
    return Case(label, (), {"step": step, **options})


def _draw(rng: np.random.Generator) -> Case:
    warmup = int(rng.integers(0, 20))
    total = warmup + int(rng.integers(1, 50))
    step = int(rng.integers(0, total + 5))
    return _case(f"random: step {step} of {total}", step, total, warmup)


def _right(step: int, lr: float, total_steps: int, warmup_steps: int) -> float:
    rate = cosine_decay(max(0, step - warmup_steps), lr, total_steps - warmup_steps)
    return rate * linear_warmup(step, warmup_steps)


EXERCISE = Exercise(
    name="cosine_warmup",
    title="A learning rate: warmup and cosine",
    task="""
    A schedule is a function: how many updates are done, and what is the next learning
    rate.  This one rises in a straight line from lr / 100 to lr, since the first
    gradients are large and point here and there; then it falls to 0 along half a cosine
    wave, slowly at both ends:

        step < warmup_steps:   lr * (0.01 + 0.99 * step / warmup_steps)
        else:                  lr * (1 + cos(pi * fraction)) / 2

    fraction is the part of the cosine that is done: it begins at 0 after the warmup,
    and is 1 after total_steps updates.  From there on the rate stays 0.
    """,
    source="odyssey.learn.solutions.cosine_warmup",
    functions=(
        Function(
            "cosine_warmup",
            OpSpec(
                "cosine_warmup",
                (
                    _case("the first step", 0),
                    _case("half of the warmup", 2),
                    _case("the last step of the warmup", 3),
                    _case("the first step of the cosine", 4),
                    _case("a quarter of the cosine", 6),
                    _case("half of the cosine", 8),
                    _case("the last step", 11),
                ),
                bars=(),
            ),
            ByHand(
                (6, 0.8, 16, 4),
                0.4 + 0.2 * 3**0.5,
                """
The warmup takes the steps 0, 1, 2 and 3: step 6 comes after it, so this is the cosine.
It lasts from step 4 to step 16: 12 steps, of which 6 - 4 = 2 are done.
fraction = 2 / 12 = 1/6             cos(pi / 6) = 0.8660
0.8 * (1 + 0.8660) / 2 = 0.7464
Before it: step 0 has 0.8 * 0.01 = 0.008, step 2 has 0.8 * (0.01 + 0.99 * 2/4) = 0.404.
After it:  step 16 and all that come later have 0.""",
            ),
            ("the rate",),
            """
            Return the learning rate, a number, of the update after ``step`` others.

            step: from 0.  lr: the highest rate.  total_steps, warmup_steps: integers,
            warmup_steps below total_steps; 0 for no warmup.

            step < warmup_steps:   lr * (0.01 + 0.99 * step / warmup_steps)
            else:                  lr * (1 + cos(pi * fraction)) / 2
            """,
            edges=(
                _case("no warmup", 0, warmup=0),
                _case("no warmup, half way", 6, warmup=0),
                _case("after total_steps", 12),
                _case("long after total_steps", 30),
                _case("a cosine of one step", 4, total=5),
            ),
            draw=_draw,
            right=_right,
            dtypes=("float64",),
        ),
    ),
    hints=(
        """
        Two cases: step is in the warmup, or after it. The first is a line of the stub.
        For the second, count the steps of the cosine alone: how many are done, and how
        many are there in all?
        """,
        """
        Done are step - warmup_steps, and there are total_steps - warmup_steps in all.
        fraction is one divided by the other. What does the cosine do if fraction is
        above 1, and what should the rate do?
        """,
        """
        The cosine would rise again: take min(fraction, 1). math.cos and math.pi are all
        that you need. Without a warmup no division by warmup_steps may happen; step <
        warmup_steps is never true then.
        """,
    ),
    pages=("docs/derivations/updates.md", "odyssey/schedules.py"),
)
