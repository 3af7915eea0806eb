"""Learning rates as pure functions of the time, so that resuming needs no state."""

from odyssey import checks


def step_decay(
    epoch: int, lr: float, decay_epochs: int = 60, decay_factor: float = 0.2
) -> float:
    """Return ``lr * decay_factor ** (epoch // decay_epochs)``.

    Parameters
    ----------
    epoch : whole epochs done, from 0
    lr : learning rate of the first epochs, not negative
    decay_epochs : epochs between two drops, at least 1
    decay_factor : what a drop multiplies the rate with, in (0, 1]

    Returns
    -------
    lr : learning rate of ``epoch``

    Raises
    ------
    TypeError, ValueError
        For an argument of another type; outside its range.
    """
    op = "step_decay"
    epoch = checks.check_int(op, "epoch", epoch, 0)
    lr = checks.check_number(op, "lr", lr, 0.0)
    decay_epochs = checks.check_int(op, "decay_epochs", decay_epochs, 1)
    decay_factor = checks.check_number(
        op, "decay_factor", decay_factor, 0.0, 1.0, low_open=True
    )
    # no factor below 1 has anything left after 2**63 drops, and Python raises no float
    # to the power of an integer that is itself beyond every float
    return lr * decay_factor ** min(epoch // decay_epochs, 2**63)
