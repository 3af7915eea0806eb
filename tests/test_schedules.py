import math

import numpy as np
import pytest

from odyssey.schedules import step_decay


@pytest.mark.parametrize(
    ("epoch", "lr"), [(0, 0.01), (59, 0.01), (60, 0.002), (119, 0.002), (180, 0.00008)]
)
def test_default_drops(epoch, lr):
    assert step_decay(epoch, 0.01) == pytest.approx(lr, rel=1e-15)
    assert type(step_decay(np.int64(epoch), np.float64(0.01))) is float


def test_options():
    rates = [step_decay(e, 1.0, decay_epochs=2, decay_factor=0.5) for e in range(6)]
    assert rates == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert step_decay(1000, 0.1, 1, 1.0) == 0.1


@pytest.mark.parametrize("factor", [1e-300, 0.2, 1 - 2**-53])
def test_an_age_after_countless_drops_nothing_is_left(factor):
    assert step_decay(10**400, 0.1, 1, factor) == 0.0
    assert step_decay(10**400, 0.1, 1, 1.0) == 0.1
    assert step_decay(10**400, 0.1, 10**399, 0.5) == 0.1 * 2**-10


def test_errors():
    for args in ((-1, 0.1), (0, -0.1), (0, math.nan), (0, 0.1, 0), (0, 0.1, 1, 0.0)):
        with pytest.raises(ValueError, match="step_decay"):
            step_decay(*args)
    for args in ((1.0, 0.1), (True, 0.1), (0, "0.1"), (0, 0.1, 1.5)):
        with pytest.raises(TypeError, match="step_decay"):
            step_decay(*args)
