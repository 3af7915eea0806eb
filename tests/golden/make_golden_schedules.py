"""Write schedules.npz: PyTorch's learning rates of the cases in schedule_cases.py.

Needs PyTorch (2.13 was used); the tests only read the file.  Run from the project's
root after a change of cases:

    PYTHONPATH=.:tests python tests/golden/make_golden_schedules.py

PyTorch's schedulers are stepped after each update.  Warmup with a cosine is put
together as torchvision's reference script does it, one after the other; with drops, the
two are multiplied, so that drops stay at their epochs.
"""

from pathlib import Path

import numpy as np
import torch
from schedule_cases import CASES, fields_of
from torch.optim import lr_scheduler as S

from odyssey.training.learning_rate import LearningRate

PATH = Path(__file__).with_name("schedules.npz")


def main_scheduler(optimizer, c, n):
    """Return the scheduler without warmup; n steps are an epoch."""
    total = (c.epochs - c.lr_warmup_epochs) * n
    if c.lr_scheduler == "constant":
        return S.ConstantLR(optimizer, factor=1.0)
    if c.lr_scheduler == "step":
        return S.StepLR(optimizer, c.lr_decay_epochs * n, c.lr_decay_factor)
    if c.lr_scheduler == "multistep":
        return S.MultiStepLR(optimizer, [m * n for m in c.lr_milestones], c.lr_gamma)
    if c.lr_scheduler == "cosine":
        return S.CosineAnnealingLR(optimizer, total, c.lr_min)
    if c.lr_scheduler == "cosine-restarts":
        return S.CosineAnnealingWarmRestarts(
            optimizer, c.lr_restart_epochs * n, c.lr_restart_mult, c.lr_min
        )
    # PyTorch's cycle ends at its last update, not after it, and begins its way down
    # pct_start * total_steps - 1 updates after the first
    top = round(c.lr_cycle_peak * total)
    return S.OneCycleLR(
        optimizer,
        c.lr,
        total_steps=total + 1,
        pct_start=(top + 1) / (total + 1),
        anneal_strategy="linear",
        cycle_momentum=False,
        div_factor=1 / c.lr_cycle_start,
        final_div_factor=c.lr * c.lr_cycle_start / c.lr_min,
    )


def rates(name):
    """Return the rates from the first update to the one after the last."""
    n, c = CASES[name][0], LearningRate(**fields_of(name))
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=c.lr)
    warmup = c.lr_warmup_epochs * n
    parts = []
    if warmup:
        parts.append(S.LinearLR(optimizer, c.lr_warmup_decay, total_iters=warmup))
    parts.append(main_scheduler(optimizer, c, n))
    if len(parts) == 1:
        scheduler = parts[0]
    elif c.lr_scheduler.startswith("cosine"):
        scheduler = S.SequentialLR(optimizer, parts, milestones=[warmup])
    else:
        scheduler = S.ChainedScheduler(parts)
    values = []
    for _ in range(c.epochs * n):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array([*values, optimizer.param_groups[0]["lr"]])


np.savez(PATH, **{name: rates(name) for name in CASES})
