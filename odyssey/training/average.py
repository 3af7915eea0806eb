"""The exponential moving average of a run's weights.

    average = decay * average + (1 - decay) * value        after every update

It averages over about the last 1 / (1 - decay) updates and varies less than the weights
themselves: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by
averaging".  Running statistics of batch norm are averaged with the same decay, because
they belong to the weights, as in torchvision's ``references/classification/utils.py``
(``ExponentialMovingAverage``).
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
    op = "update_average_inplace"
    decay = checks.check_number(op, "decay", decay, 0.0, 1.0)
    if averages.keys() != values.keys():
        odd = sorted(averages.keys() ^ values.keys())
        raise ValueError(
            f"{op}: values must have the names of averages, they differ in {odd}"
        )
    for name, average in averages.items():
        value = values[name]
        checks.check_floating(op, **{f"averages[{name!r}]": average, name: value})
        checks.check_shape(op, name, value, average.shape, "as its average")
    for name, average in averages.items():
        average *= average.dtype.type(decay)
        average += average.dtype.type(1.0 - decay) * values[name]
