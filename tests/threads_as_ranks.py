"""Ranks that are threads of one process: the same exchanges, without MPI."""

import threading

import numpy as np

from odyssey.distributed.ranks import Ranks


class Room:
    """Where the threads leave what they tell each other."""

    def __init__(self, size):
        # seconds: one may compile kernels while the others wait
        self.places, self.barrier = [None] * size, threading.Barrier(size, timeout=600)


class ThreadRank(Ranks):
    """A rank that is a thread; what it receives are copies."""

    def __init__(self, rank, room):
        super().__init__()
        self.rank, self.size, self._room = rank, len(room.places), room
        self.first_of_node = rank == 0
        self.gathered = []  # what `gather` returned, in order
        self.summed = []  # lengths of the arrays that were summed, in order

    def gather_objects(self, value):
        self._room.places[self.rank] = value
        self._room.barrier.wait()
        every = list(self._room.places)
        self._room.barrier.wait()
        return every

    def gather(self, values):
        self.gathered.append(np.stack(self.gather_objects(np.array(values))))
        return self.gathered[-1].copy()

    def begin_gather(self, values):
        every = self.gather(values)
        return lambda: every

    def exchange(self, values):
        return np.stack(
            [sent[self.rank] for sent in self.gather_objects(values.copy())]
        )

    def sum_inplace(self, x):
        assert x.ndim == 1 and x.flags.c_contiguous
        self.summed.append(x.size)
        first, *others = self.gather_objects(x.copy())
        x[:] = sum(others, first)

    def begin_sum(self, x):
        self.sum_inplace(x)
        return Done()

    def wait(self):
        self.gather_objects(None)

    def from_first(self, value):
        return self.gather_objects(value)[0]

    def copy_from_first(self, x):
        np.copyto(x, self.gather_objects(x.copy())[0])


class Done:
    """The request of an exchange that has ended."""

    def Test(self):
        return True

    def Wait(self):
        pass


def on_ranks(size, function):
    """Call ``function(ranks)`` on each of ``size`` ranks; return what each returned."""
    room, results, errors = Room(size), [None] * size, [None] * size

    def run(rank):
        try:
            results[rank] = function(ThreadRank(rank, room))
        except BaseException as error:
            errors[rank] = error
            room.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = [e for e in errors if e and not isinstance(e, threading.BrokenBarrierError)]
    if first:
        raise first[0]
    assert not any(errors), errors
    return results
