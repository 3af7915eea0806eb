"""A program that fails in the way that its argument names, on one rank or on all."""

import os
import signal
import sys
import time

import numpy as np

from odyssey.cli import startup

startup.prepare()

from odyssey.distributed import failure  # noqa: E402
from odyssey.distributed.failure import Failure  # noqa: E402
from odyssey.distributed.join import join  # noqa: E402
from odyssey.training.signals import StopFlag, StopRequested  # noqa: E402

if sys.argv[1].startswith("one_"):
    failure.ALIKE = 0.3  # the others will not come


def wait(ranks):
    ranks.comm.Barrier()  # where no handler of a signal runs
    raise AssertionError("passed the barrier")


def one_raises(ranks):
    if ranks.rank == 1:
        raise RuntimeError("only here")
    wait(ranks)


def one_exits(ranks):
    if ranks.rank == 0:
        raise Failure("Error: disk full", 5)
    wait(ranks)


def one_raises_at_the_end(ranks):
    if ranks.rank == 1:
        raise RuntimeError("the others have ended")


def all_alike(ranks):
    print(f"rank {ranks.rank} prints")
    time.sleep(0.1 * ranks.rank)
    raise Failure("Error: loss is NaN", 3)


def all_alike_with_work_begun(ranks):
    """Fail while sums are under way, into arrays that only this function holds."""
    values = np.ones(1_000_000)
    sums = [np.empty_like(values) for _ in range(2)]
    work = [ranks.comm.Iallreduce(values, sums[0])]
    if ranks.rank == 1:
        work.append(ranks.comm.Iallreduce(values, sums[1]))
    raise Failure("Error: loss is NaN", 3)


def all_differ(ranks):
    raise Failure(f"Error: no file on host {ranks.rank // 2}", 2 + ranks.rank % 2)


def one_is_killed(ranks):
    if ranks.rank == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    wait(ranks)


def one_ends_late(ranks):
    time.sleep(0.2 * (ranks.rank == 0))
    print(f"rank {ranks.rank} is done")


def signalled(ranks):
    """Wait for a signal, then tell how many came within a second; or end by it."""
    with StopFlag() as stop:
        handled = []

        def handle(signum, frame):
            handled.append(signal.Signals(signum).name)
            stop._handle(signum, frame)

        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, handle)
        print("waiting", flush=True)
        try:
            while True:
                stop.check()
                time.sleep(0.02)
        except StopRequested:
            time.sleep(0.3)
            every = ranks.gather_objects(handled)
            raise Failure(f"{every}", 128 + stop.signum) from None


def signalled_twice(ranks):
    with StopFlag() as stop:
        if ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.signum == signal.SIGTERM
            print("one wish so far", file=sys.stderr)
            time.sleep(1.1)
            os.kill(os.getpid(), signal.SIGTERM)
        wait(ranks)


if __name__ == "__main__":
    startup.run(lambda: globals()[sys.argv[1]](join()))
