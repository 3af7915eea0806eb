"""Learning rates as pure functions of time, so that resuming needs no state.

Time is ``step``, the number of updates done, from 0; durations are in updates too.
(Epochs work as well, if all arguments are in epochs.)  In a run of T updates the first
has ``step`` 0 and the last T - 1.  A curve that has an end reaches ``lr_min`` at T,
after the last update, so no update is wasted on a rate of zero.  Past the end the rate
stays constant.

Every function returns the learning rate of the update after ``step`` others.  Each
raises ``TypeError`` for an argument of a wrong type, and ``ValueError`` for one that is
out of range.

`odyssey.training.learning_rate.LearningRate` chooses a schedule for a run;
``python -m odyssey schedule`` draws them.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from odyssey import checks

__all__ = ["step_decay"]


def constant_lr(step: int, lr: float) -> float:
    """Return ``lr`` at every step.

    Parameters
    ----------
    step : updates done, from 0
    lr : learning rate, not negative
    """
    checks.check_int("constant_lr", "step", step, 0)
    return checks.check_number("constant_lr", "lr", lr, 0.0)


def step_decay(
    epoch: int, lr: float, decay_epochs: int = 60, decay_factor: float = 0.2
) -> float:
    """Return ``lr * decay_factor ** (epoch // decay_epochs)``.

    Parameters
    ----------
    epoch : whole epochs done, from 0
    lr : learning rate of the first epochs, not negative
    decay_epochs : epochs between two drops, at least 1
    decay_factor : factor of each drop, in (0, 1]

    Returns
    -------
    lr : learning rate of ``epoch``

    Raises
    ------
    TypeError, ValueError
        For an argument of a wrong type, or out of range.
    """
    op = "step_decay"
    epoch = checks.check_int(op, "epoch", epoch, 0)
    lr = checks.check_number(op, "lr", lr, 0.0)
    decay_epochs = checks.check_int(op, "decay_epochs", decay_epochs, 1)
    decay_factor = checks.check_number(
        op, "decay_factor", decay_factor, 0.0, 1.0, low_open=True
    )
    # Every factor below 1 gives 0 after 2**63 drops, and Python cannot raise a float to
    # the power of an integer that is too large for a float.
    return lr * decay_factor ** min(epoch // decay_epochs, 2**63)


def multistep_decay(
    step: int, lr: float, milestones: Sequence[int], factor: float = 0.1
) -> float:
    """Return ``lr * factor ** k`` after k of the milestones have been reached.

    Parameters
    ----------
    step : updates done, from 0
    lr : learning rate at the beginning, not negative
    milestones : steps at which the rate drops, rising, each at least 1
    factor : factor of each drop, in (0, 1]
    """
    op = "multistep_decay"
    step = checks.check_int(op, "step", step, 0)
    lr = checks.check_number(op, "lr", lr, 0.0)
    milestones = check_milestones(op, "milestones", milestones)
    factor = checks.check_number(op, "factor", factor, 0.0, 1.0, low_open=True)
    return lr * factor ** bisect_right(milestones, step)


def cosine_decay(step: int, lr: float, total_steps: int, lr_min: float = 0.0) -> float:
    """Return the rate of half a cosine wave that falls from ``lr`` to ``lr_min``.

    ``lr_min + (lr - lr_min) * (1 + cos(pi * step / total_steps)) / 2``; Loshchilov &
    Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts*, 2017,
    arXiv:1608.03983, equation 5, without restarts.

    Parameters
    ----------
    step : updates done, from 0
    lr : learning rate of the first update, not negative
    total_steps : updates until ``lr_min``, at least 1
    lr_min : learning rate at the end, in [0, lr]
    """
    op = "cosine_decay"
    step = checks.check_int(op, "step", step, 0)
    lr = checks.check_number(op, "lr", lr, 0.0)
    total_steps = checks.check_int(op, "total_steps", total_steps, 1)
    lr_min = checks.check_number(op, "lr_min", lr_min, 0.0, lr)
    return _cosine(min(step, total_steps) / total_steps, lr, lr_min)


def cosine_restarts(
    step: int, lr: float, period: int, multiplier: int = 1, lr_min: float = 0.0
) -> float:
    """Return the rate of a cosine that starts again at ``lr`` after each period.

    It is the formula of `cosine_decay`, with the updates since the last restart as
    ``step`` and the length of the current period as ``total_steps``.  The periods are
    T0, T0 * Tmult, T0 * Tmult**2, ... updates long, with T0 = ``period`` and Tmult =
    ``multiplier``.  Loshchilov & Hutter 2017, arXiv:1608.03983, equation 5.

    Parameters
    ----------
    step : updates done, from 0
    lr : learning rate of the first update and after each restart, not negative
    period : updates before the first restart, T0, at least 1
    multiplier : ratio of a period's length to that of the one before, at least 1
    lr_min : learning rate at the end of each period, in [0, lr]
    """
    op = "cosine_restarts"
    step = checks.check_int(op, "step", step, 0)
    lr = checks.check_number(op, "lr", lr, 0.0)
    period = checks.check_int(op, "period", period, 1)
    multiplier = checks.check_int(op, "multiplier", multiplier, 1)
    lr_min = checks.check_number(op, "lr_min", lr_min, 0.0, lr)
    if multiplier == 1:
        step %= period
    while step >= period:
        step -= period
        period *= multiplier
    return _cosine(step / period, lr, lr_min)


def one_cycle(
    step: int,
    lr: float,
    total_steps: int,
    peak: float = 0.3,
    start_factor: float = 0.04,
    lr_min: float = 0.0,
) -> float:
    """Return the rate of a triangle: it rises linearly to ``lr``, then falls linearly.

    It goes from ``start_factor * lr`` at step 0 to ``lr`` at the step nearest to
    ``peak * total_steps``, then to ``lr_min`` at ``total_steps``.  L. N. Smith, *A
    disciplined approach to neural network hyper-parameters*, 2018, arXiv:1803.09820,
    section 4, with one slope down instead of two, and with constant momentum.

    Parameters
    ----------
    step : updates done, from 0
    lr : the highest learning rate, not negative
    total_steps : updates until ``lr_min``, at least 1
    peak : fraction of ``total_steps`` in which the rate rises, in [0, 1]
    start_factor : the first rate as a fraction of ``lr``, in [0, 1]
    lr_min : learning rate at the end, in [0, lr]
    """
    op = "one_cycle"
    step = checks.check_int(op, "step", step, 0)
    lr = checks.check_number(op, "lr", lr, 0.0)
    total_steps = checks.check_int(op, "total_steps", total_steps, 1)
    peak = checks.check_number(op, "peak", peak, 0.0, 1.0)
    start_factor = checks.check_number(op, "start_factor", start_factor, 0.0, 1.0)
    lr_min = checks.check_number(op, "lr_min", lr_min, 0.0, lr)
    top = round(Fraction(peak) * total_steps)
    if step < top:
        return _between(step / top, start_factor * lr, lr)
    if step < total_steps:
        return _between((total_steps - step) / (total_steps - top), lr_min, lr)
    return lr_min


def linear_warmup(step: int, warmup_steps: int, start_factor: float = 0.01) -> float:
    """Return the factor of another schedule's rate during the warmup.

    ``start_factor + (1 - start_factor) * step / warmup_steps``, and 1 from
    ``warmup_steps`` on; Goyal et al., *Accurate, Large Minibatch SGD: Training ImageNet
    in 1 Hour*, 2017, arXiv:1706.02677, section 2.2 (gradual warmup).

    Parameters
    ----------
    step : updates done, from 0
    warmup_steps : length of the warmup; 0 for none
    start_factor : the factor at step 0, in [0, 1]

    Returns
    -------
    factor : in [0, 1]
    """
    op = "linear_warmup"
    step = checks.check_int(op, "step", step, 0)
    warmup_steps = checks.check_int(op, "warmup_steps", warmup_steps, 0)
    start_factor = checks.check_number(op, "start_factor", start_factor, 0.0, 1.0)
    if step >= warmup_steps:
        return 1.0
    return _between(step / warmup_steps, start_factor, 1.0)


def check_milestones(op: str, name: str, value: Sequence[int]) -> tuple[int, ...]:
    """Return ``value`` as a tuple; check that it holds rising integers from 1 on."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise TypeError(
            f"{op}: {name} must be a sequence of integers, got {type(value).__name__}"
        )
    steps = tuple(checks.check_int(op, name, each, 1) for each in value)
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise ValueError(f"{op}: {name} must rise, got {', '.join(map(str, steps))}")
    return steps


def _cosine(fraction: float, high: float, low: float) -> float:
    """Return the value of half a wave from ``high`` to ``low`` after ``fraction``."""
    return _between((1 + math.cos(math.pi * fraction)) / 2, low, high)


def _between(weight: float, low: float, high: float) -> float:
    """Interpolate linearly: exactly ``low`` at weight 0, exactly ``high`` at 1."""
    return high * weight + low * (1 - weight)
