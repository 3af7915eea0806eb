"""Train a small residual network on ranks, where one of them fails in the middle.

    mpiexec -n 2 python faulty_training.py FAULT FOLDER OPTIONS...

FAULT is one of `FAULTS`, "full_disk", "slow" or "none".  The moment is written to
FOLDER.fault.
"""

import errno
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from odyssey.cli import startup

startup.prepare()

import numpy as np
from resnet18_cifar10.architecture import MODELS

MODELS["resnet8"] = MODELS["resnet20"]._replace(width=2, blocks=(1, 1, 1))

from resnet18_cifar10.train import main

from odyssey.distributed import failure
from odyssey.training import loop

AT_STEP = 4  # updates done before the fault

fault, folder, *options = sys.argv[1:]
usual_step, usual_save = loop.Trainer._step, loop.save_checkpoint


def note():
    Path(f"{folder}.fault").write_text(repr(time.time()))


def nan(trainer, x):
    if trainer.ranks.rank == 1:
        x = np.full_like(x, np.nan)
    return x


def error(trainer, x):
    if trainer.ranks.rank == 1:
        raise ValueError("a fault of rank 1")
    return x


def killed(trainer, x):
    if trainer.ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def killed_first(trainer, x):
    if trainer.ranks.first:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def other_weights(trainer, x):
    if trainer.ranks.rank == 1:
        trainer.state.params["fc_bias"][3] += 1
    return x


FAULTS = {f.__name__: f for f in (nan, error, killed, killed_first, other_weights)}


trained = None  # the trainer


def step(trainer, x, labels):
    global trained
    trained = trainer
    if trainer.state.step == AT_STEP and fault in FAULTS:
        note()
        x = FAULTS[fault](trainer, x)
    if fault == "slow":
        time.sleep(0.2)
    return usual_step(trainer, x, labels)


def save(*args, **named):
    if fault == "slow" and trained.stop.signum is not None:
        time.sleep(2 * failure.ALIKE)  # so long that one which failed would not wait
    if fault == "full_disk":  # only rank 0 saves
        note()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return usual_save(*args, **named)


loop.Trainer._step, loop.save_checkpoint = step, save
if fault in ("error", "full_disk", "slow"):  # nobody else comes
    failure.ALIKE = 0.3
sys.argv[1:] = [
    *("--weights-dir", folder, "--model", "resnet8", "--dataset", "synthetic"),
    *("--limit-train", "44", "--limit-test", "210", "--batch-size", "16"),
    *("--epochs", "3", "--log-interval", "1", *options),
]
startup.run(main)
