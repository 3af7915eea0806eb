"""The exponential moving average of a run's weights, and lookahead.

    average = decay * average + (1 - decay) * value        after every update

It averages over about the last 1 / (1 - decay) updates and varies less than the weights
themselves: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by
averaging".  Running statistics of batch norm are averaged with the same decay, because
they belong to the weights, as in torchvision's ``references/classification/utils.py``
(``ExponentialMovingAverage``).

Lookahead goes back to the average every few updates, and on from there: Zhang et al.
2019, "Lookahead optimizer: k steps forward, 1 step back", arXiv:1907.08610.
"""

from collections.abc import Mapping

import numpy as np

from odyssey import checks

Tensors = Mapping[str, np.ndarray]


def update_average_inplace(averages: Tensors, values: Tensors, decay: float) -> None:
    """Move ``averages`` towards ``values``, in place.

    Parameters
    ----------
    averages : arrays of float32 or float64, writeable; all are changed
    values : for each name an array of the same shape and dtype
    decay : share of the average kept, in [0, 1]; 0 makes it a copy

    Raises
    ------
    TypeError, ValueError
        If names, shapes or dtypes differ, or ``decay`` is out of range; nothing has
        been written then.
    """
    decay = _checked("update_average_inplace", averages, values, decay)
    _average(averages, values, decay)


def lookahead_update_inplace(slow: Tensors, fast: Tensors, decay: float) -> None:
    """Move the slow weights towards the fast ones, and set these back to them.

    To be called after every k updates of ``fast``.  ``slow`` begins as a copy of it,
    and is what to evaluate in the end.

    Parameters
    ----------
    slow : arrays of float32 or float64, writeable; all are changed
    fast : for each name an array of the same shape and dtype, writeable; all are
        changed
    decay : share of ``slow`` that is kept, in [0, 1]: 1 - alpha of the paper

    Raises
    ------
    TypeError, ValueError
        If names, shapes or dtypes differ, an array is read-only or repeats elements in
        memory, or ``decay`` is out of range; nothing has been written then.
    """
    op = "lookahead_update_inplace"
    decay = _checked(op, slow, fast, decay, ("slow", "fast"))
    for name, array in fast.items():
        checks.check_writeable(op, f"slow[{name!r}]", slow[name])
        checks.check_writeable(op, f"fast[{name!r}]", array)
        checks.check_separate(op, {f"slow of {name}": slow[name], "fast": array})
    _average(slow, fast, decay)
    for name, array in fast.items():
        array[...] = slow[name]


def _checked(
    op: str,
    averages: Tensors,
    values: Tensors,
    decay: float,
    called: tuple[str, str] = ("averages", "values"),
) -> float:
    """Return ``decay`` if these can be averaged."""
    decay = checks.check_number(op, "decay", decay, 0.0, 1.0)
    to, of = called
    if averages.keys() != values.keys():
        odd = sorted(averages.keys() ^ values.keys())
        raise ValueError(
            f"{op}: {of} must have the names of {to}, they differ in {odd}"
        )
    for name, average in averages.items():
        value = values[name]
        checks.check_floating(op, **{f"{to}[{name!r}]": average, name: value})
        checks.check_shape(op, name, value, average.shape, "as its average")
    return decay


def _average(averages: Tensors, values: Tensors, decay: float) -> None:
    for name, average in averages.items():
        average *= average.dtype.type(decay)
        average += average.dtype.type(1.0 - decay) * values[name]
