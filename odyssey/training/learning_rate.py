"""The learning rate of a run: a schedule, given in epochs, and its value at a step.

The schedules are the functions of `odyssey.schedules`, which count updates.
"""

import math
from dataclasses import dataclass

from odyssey import schedules
from odyssey.checks import check_int, check_number
from odyssey.schedules import check_milestones

#: The schedules, each with its own fields; ``lr`` belongs to all of them, the warmup to
#: all but one-cycle.
SHAPES: dict[str, tuple[str, ...]] = {
    "constant": (),
    "step": ("lr_decay_epochs", "lr_decay_factor"),
    "multistep": ("lr_milestones", "lr_gamma"),
    "cosine": ("lr_min",),
    "cosine-restarts": ("lr_min", "lr_restart_epochs", "lr_restart_mult"),
    "one-cycle": ("lr_min", "lr_cycle_peak", "lr_cycle_start"),
}
SCHEDULERS = tuple(SHAPES)

#: Schedules whose curve depends on ``epochs``.
NEED_EPOCHS = ("cosine", "one-cycle")


@dataclass(frozen=True, kw_only=True)
class LearningRate:
    """The learning rate as a function of the number of updates done.

    In the first ``lr_warmup_epochs`` the rate is multiplied by a factor that rises
    linearly from ``lr_warmup_decay`` to 1.  The drops of "step" and "multistep" count
    epochs from the beginning of the run; the cosines start after the warmup.  Names are
    those of torchvision's ``references/classification/train.py`` where it has them.

    Raises
    ------
    TypeError, ValueError
        For a field of a wrong type, out of range, or in conflict with another.
    """

    epochs: int = 200
    lr: float = 0.01  # the highest
    lr_scheduler: str = "step"  # of SCHEDULERS
    lr_decay_epochs: int = 60
    lr_decay_factor: float = 0.2
    lr_milestones: tuple[int, ...] = (100, 150)  # epochs done
    lr_gamma: float = 0.1
    lr_min: float = 0.0
    lr_restart_epochs: int = 50
    lr_restart_mult: int = 1
    lr_cycle_peak: float = 0.3  # fraction of the run
    lr_cycle_start: float = 0.04  # fraction of lr
    lr_warmup_epochs: int = 0
    lr_warmup_decay: float = 0.01  # fraction of lr

    def __post_init__(self) -> None:
        op = type(self).__name__

        def numbers(*names: str, high: float = 1.0, **interval: bool) -> None:
            for name in names:
                check_number(op, name, getattr(self, name), 0.0, high, **interval)

        for name in ("epochs", "lr_decay_epochs", "lr_restart_epochs"):
            check_int(op, name, getattr(self, name), 1)
        check_int(op, "lr_restart_mult", self.lr_restart_mult, 1)
        check_int(op, "lr_warmup_epochs", self.lr_warmup_epochs, 0)
        numbers("lr", high=math.inf, low_open=True)
        numbers("lr_decay_factor", "lr_gamma", low_open=True)
        numbers("lr_cycle_peak", "lr_cycle_start", "lr_warmup_decay")
        numbers("lr_min", high=self.lr)
        milestones = check_milestones(op, "lr_milestones", self.lr_milestones)
        object.__setattr__(self, "lr_milestones", milestones)  # JSON gives a list
        if self.lr_scheduler not in SCHEDULERS:
            raise ValueError(
                f"{op}: lr_scheduler must be one of {', '.join(SCHEDULERS)}, "
                f"got {self.lr_scheduler!r}"
            )
        if self.lr_scheduler == "one-cycle" and self.lr_warmup_epochs:
            raise ValueError(
                f"{op}: lr_warmup_epochs must be 0 with one-cycle, which rises by "
                f"itself, got {self.lr_warmup_epochs}"
            )
        if self.lr_scheduler == "cosine" and self.lr_warmup_epochs >= self.epochs:
            raise ValueError(
                f"{op}: lr_warmup_epochs must be less than epochs ({self.epochs}) with "
                f"cosine, got {self.lr_warmup_epochs}"
            )

    def lr_at(self, step: int, steps_per_epoch: int) -> float:
        """Return the learning rate of the update after ``step`` others.

        Parameters
        ----------
        step : updates done, from 0
        steps_per_epoch : batches of an epoch, at least 1
        """
        steps_per_epoch = check_int("lr_at", "steps_per_epoch", steps_per_epoch, 1)
        step = check_int("lr_at", "step", step, 0)
        epoch = step // steps_per_epoch
        total = self.epochs * steps_per_epoch
        warmup = self.lr_warmup_epochs * steps_per_epoch
        warm = max(0, step - warmup)  # updates since the end of the warmup
        match self.lr_scheduler:
            case "constant":
                lr = schedules.constant_lr(step, self.lr)
            case "step":
                lr = schedules.step_decay(
                    epoch, self.lr, self.lr_decay_epochs, self.lr_decay_factor
                )
            case "multistep":
                lr = schedules.multistep_decay(
                    epoch, self.lr, self.lr_milestones, self.lr_gamma
                )
            case "cosine":
                lr = schedules.cosine_decay(warm, self.lr, total - warmup, self.lr_min)
            case "cosine-restarts":
                period = self.lr_restart_epochs * steps_per_epoch
                lr = schedules.cosine_restarts(
                    warm, self.lr, period, self.lr_restart_mult, self.lr_min
                )
            case "one-cycle":
                lr = schedules.one_cycle(
                    step,
                    self.lr,
                    total,
                    self.lr_cycle_peak,
                    self.lr_cycle_start,
                    self.lr_min,
                )
        return lr * schedules.linear_warmup(step, warmup, self.lr_warmup_decay)
