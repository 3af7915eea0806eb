"""What all ranks must agree on: when to stop, what they begin with, the weights."""

import zlib
from collections.abc import Mapping

import numpy as np

from odyssey.distributed.ranks import Ranks
from odyssey.errors import InputError, ProgramError
from odyssey.training.signals import StopFlag, StopRequested
from odyssey.training.state import TrainingState
from odyssey.weights.changed_files import listed


class AgreedStop:
    """A `StopFlag` of all ranks: if one was signalled, all stop at the same place.

    A rank that stopped alone would leave the others waiting for it.  So a signal only
    counts once all have been told of it.
    """

    def __init__(self, stop: StopFlag, ranks: Ranks) -> None:
        self._stop, self._ranks = stop, ranks
        self.signum: int | None = None

    @property
    def asked(self) -> float:
        """The signal that this rank got, 0 for none."""
        return float(self._stop.signum or 0)

    def learn(self, asked: np.ndarray) -> None:
        """Take note of what all ranks were asked, (size,)."""
        if asked.any():
            self.signum = int(asked.max())

    def ask_all(self) -> None:
        """Find out whether a rank was signalled, and raise then.  Collective."""
        self.learn(self._ranks.gather(np.array([self.asked]))[:, 0])
        self.check()

    def check(self) -> None:
        """Raise `StopRequested` if all know of a signal."""
        if self.signum is not None:
            raise StopRequested


def refuse_different(
    ranks: Ranks, tensors: Mapping[str, np.ndarray], when: str
) -> None:
    """Raise on all ranks if a tensor has other bits on one than on rank 0.  Collective.

    Raises
    ------
    ProgramError
        That names ranks and tensors; ``when`` says at which moment.
    """
    if ranks.size == 1:
        return
    sums = [zlib.crc32(np.ascontiguousarray(t).data) for t in tensors.values()]
    every = ranks.gather(np.array(sums, np.uint32))
    names = np.array(list(tensors))
    wrong = [
        f"rank {rank}: {listed(list(names[every[0] != own]))}"
        for rank, own in enumerate(every)
        if (every[0] != own).any()
    ]
    if wrong:
        raise ProgramError(
            f"the ranks do not have the same weights {when}; other than rank 0's are "
            f"those of {'; '.join(wrong)}"
        )


def refuse_other_setup(ranks: Ranks, setup: Mapping[str, str]) -> None:
    """Raise on all ranks unless all have the same ``setup``, by name.  Collective.

    Raises
    ------
    InputError
        That names the first thing that differs, and the two values.
    """
    every = ranks.gather_objects(dict(setup))
    for rank, other in enumerate(every):
        for name, value in every[0].items():
            if other.get(name) != value:
                raise InputError(
                    f"the ranks do not agree: {name} is {value} on rank 0, and "
                    f"{other.get(name)} on rank {rank}"
                )


def share_state(ranks: Ranks, state: TrainingState) -> None:
    """Give all ranks the state of rank 0, which has read it.  Collective."""
    if ranks.size == 1:
        return
    counters = ranks.from_first(state.counters())
    for tensor in state.tensors().values():
        ranks.copy_from_first(tensor)
    state.set_counters(counters)
