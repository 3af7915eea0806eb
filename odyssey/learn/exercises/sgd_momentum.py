"""The update with momentum, Nesterov's momentum and weight decay."""

from typing import Any

import numpy as np

from odyssey.learn.exercise import ByHand, Exercise, Function
from odyssey.op_specs import Case, OpSpec


def _case(label: str, *shape: int, **options: Any) -> Case:
    return Case(label, (shape, shape, shape), {"lr": 0.1, **options})


def _draw(rng: np.random.Generator) -> Case:
    shape = tuple(int(n) for n in rng.integers(1, 4, rng.integers(1, 3)))
    options: dict[str, Any] = {"momentum": (0.0, 0.5, 0.9)[rng.integers(3)]}
    if rng.random() < 0.6:
        options["weight_decay"] = 0.3
    if rng.random() < 0.5:
        options["nesterov"] = True
    return _case(f"random, shape {shape}", *shape, **options)


EXERCISE = Exercise(
    name="sgd_momentum",
    title="The update: momentum, Nesterov, weight decay",
    task="""
    A step of stochastic gradient descent with momentum, for one parameter:

        g        = grad + weight_decay * param
        velocity = momentum * velocity + g
        param    = param - lr * velocity                    without Nesterov
        param    = param - lr * (g + momentum * velocity)   with Nesterov

    The second line makes the new velocity of the old one; the lines below it use the
    new one.  It adds up gradients, old ones with less and less weight.  lr is not in
    it, so that a new learning rate changes the whole step at once.

    The function changes the arrays param and velocity themselves and returns nothing:
    the network must see the new numbers, in the same memory.
    """,
    source="odyssey.reference.optim",
    functions=(
        Function(
            "sgd_momentum_update_inplace",
            OpSpec(
                "sgd_momentum_update_inplace",
                (
                    _case("momentum 0.9", 3),
                    _case("weight decay", 3, weight_decay=0.5),
                    _case("Nesterov", 3, nesterov=True),
                    _case("all of it", 2, 3, weight_decay=0.5, nesterov=True),
                ),
                bars=(),
            ),
            ByHand(
                ([1.0, 2.0], [4.0, -1.0], [2.0, 0.0], 0.1, 0.5),
                None,
                """
Each line for both elements. lr is 0.1, momentum 0.5, weight_decay 1, with Nesterov.
g        = grad + 1 * param          4 + 1 = 5              -1 + 2 = 1
velocity = 0.5 * velocity + g        0.5*2 + 5 = 6          0.5*0 + 1 = 1
step     = g + 0.5 * velocity        5 + 0.5*6 = 8          1 + 0.5*1 = 1.5
param    = param - 0.1 * step        1 - 0.8 = 0.2          2 - 0.15 = 1.85
These must be in the arrays themselves: velocity[...] = ... writes into the array, while
velocity = ... gives the name to another one, which the caller never sees.""",
                {"weight_decay": 1.0, "nesterov": True},
                {2: [6.0, 1.0], 0: [0.2, 1.85]},
            ),
            (),
            """
            Change param and velocity by one step, in place; return nothing.

            param, grad, velocity: arrays of one shape, any.  grad is not changed.  lr,
            momentum, weight_decay: numbers.  nesterov True or False.

            g = grad + weight_decay * param
            velocity = momentum * velocity + g
            param = param - lr * velocity, or param - lr * (g + momentum * velocity)
            """,
            edges=(
                _case("no momentum", 2, momentum=0.0),
                _case("a learning rate of 0", 2, lr=0.0),
                _case("one number", nesterov=True),
                _case("no elements", 0),
            ),
            draw=_draw,
        ),
    ),
    hints=(
        """
        In which order? g must be computed from the old param, and the step from the new
        velocity. What does a function have to do so that its caller sees the change?
        """,
        """
        velocity[...] = writes into the array; velocity = does not. param -= writes into
        the array as well, as *= and += do. grad belongs to the caller: make g a new
        array, and do not add to grad.
        """,
        """
        Three lines: g is grad + weight_decay * param; velocity[...] gets momentum *
        velocity + g; param -= lr times either velocity or, for Nesterov, g + momentum *
        velocity.
        """,
    ),
    pages=("docs/derivations/updates.md", "odyssey/reference/optim.py"),
)
