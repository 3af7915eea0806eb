"""Where the ranks run, and how many threads each of them is due.

Launchers differ.  Open MPI's binds each rank to CPUs of its own, MPICH's lets all ranks
of a machine run on all of its CPUs.  So each rank says which CPUs it may use, and a CPU
is divided among the ranks that may use it.  Ranks are on one machine if one kernel runs
them (its boot has a number), whatever the names of their hosts: that kernel divides its
CPUs among them, also if each rank is in a container.
"""

import os
import socket
import sys
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from odyssey.cpu_quota import cores_of_quota, cpu_quota
from odyssey.distributed.ranks import Ranks

#: Most groups of ranks that are spelled out in a line.
MOST_GROUPS = 4
#: Most characters that the numbers of a rank's CPUs take in that line.
MOST_CHARACTERS = 24


class Place(NamedTuple):
    """Where a rank runs.

    Attributes
    ----------
    machine : what the ranks of one kernel have in common
    host : name of the machine
    cpus : numbers of the CPUs that the rank may run on, ascending
    quota : number of CPUs whose time is granted to its control group; None: all
    group : what the ranks of one control group have in common
    """

    machine: str
    host: str
    cpus: tuple[int, ...]
    quota: float | None = None
    group: str = ""


_places: tuple[Place, ...] = ()
_threads: tuple[int, ...] = ()  # that each rank uses
_rank = 0


def here() -> Place:
    """Return where this process runs."""
    host = socket.gethostname()
    try:
        cpus = tuple(sorted(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS and Windows
        cpus = tuple(range(os.cpu_count() or 1))
    machine = _text(Path("/proc/sys/kernel/random/boot_id")) or host
    try:
        space = os.readlink("/proc/self/ns/cgroup")
    except OSError:
        space = ""
    group = f"{space} {_text(Path('/proc/self/cgroup'))}"
    return Place(machine, host, cpus, cpu_quota(), group)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def survey(ranks: Ranks) -> None:
    """Let all ranks know where each of them runs; collective, done by `join`."""
    global _places, _rank, _threads
    _places, _rank = tuple(ranks.gather_objects(here())), ranks.rank
    _threads = tuple(threads_of(_places))


def places() -> tuple[Place, ...]:
    """Return where the ranks run, in their order; empty if this process is alone."""
    return _places


def threads() -> tuple[int, ...]:
    """Return how many threads each rank uses, or is due before `summary` was called."""
    return _threads


def threads_of(places: Sequence[Place]) -> list[int]:
    """Return how many threads each rank is due.

    A CPU that several ranks of a machine may use is divided among them, and so is the
    time that their control group is granted.  A rank gets the whole part of its sum,
    and one thread at least.
    """
    users = Counter((place.machine, cpu) for place in places for cpu in place.cpus)
    groups = Counter((place.machine, place.group) for place in places)
    counts = []
    for place in places:
        parts = (Fraction(1, users[place.machine, cpu]) for cpu in place.cpus)
        share = sum(parts, Fraction())
        if place.quota is not None:
            granted = cores_of_quota(place.quota, sys.maxsize)
            share = min(share, Fraction(granted, groups[place.machine, place.group]))
        counts.append(max(1, int(share)))
    return counts


def share() -> int | None:
    """Return how many threads this rank is due; None if this process is alone."""
    return threads_of(_places)[_rank] if _places else None


def first_of_machine(ranks: Ranks) -> bool:
    """Return whether this rank is the first on its machine: it compiles for all."""
    if not _places:
        return True
    machines = [place.machine for place in _places]
    return machines.index(machines[ranks.rank]) == ranks.rank


def summary(ranks: Ranks, threads: int) -> tuple[str, str]:
    """Return a line about the ranks' threads, and a warning, "" where all is well.

    Collective.  Both are "" for a process alone.

    Parameters
    ----------
    ranks : the ranks of the run
    threads : how many this rank uses
    """
    global _threads
    if not _places:
        return "", ""
    _threads = tuple(ranks.gather_objects(threads))
    return described(_places, _threads), oversubscribed(_places, _threads)


def described(places: Sequence[Place], threads: Sequence[int]) -> str:
    """Return ranks, hosts, threads and CPUs as one line of readable length."""
    users = Counter((place.machine, cpu) for place in places for cpu in place.cpus)

    def kind(rank: int) -> tuple[int, str]:
        place = places[rank]
        if all(users[place.machine, cpu] == 1 for cpu in place.cpus):
            return threads[rank], f"{plural(len(place.cpus), 'CPU')} each"
        cpus = named(place.cpus)
        if len(cpus) > MOST_CHARACTERS:
            cpus = plural(len(place.cpus), "CPU")
        return threads[rank], f"{cpus} shared"

    hosts = len({place.machine for place in places})
    text = f"{plural(len(places), 'rank')} on {plural(hosts, 'host')}: "
    groups = [
        (list(members), *of) for of, members in groupby(range(len(places)), key=kind)
    ]
    if len(groups) == 1:
        _, count, where = groups[0]
        return f"{text}{plural(count, 'thread')} each ({where})"
    if len(groups) > MOST_GROUPS:
        return f"{text}{min(threads)} to {max(threads)} threads each"
    return text + "; ".join(
        f"rank{'s' * (len(members) > 1)} {spans(members)} {plural(count, 'thread')} "
        f"({where if len(members) > 1 else where.replace(' each', '')})"
        for members, count, where in groups
    )


def oversubscribed(places: Sequence[Place], threads: Sequence[int]) -> str:
    """Return a warning about machines with more threads than CPUs; "" if none is."""
    crowded = []
    for machine in dict.fromkeys(place.machine for place in places):
        of = [rank for rank, place in enumerate(places) if place.machine == machine]
        cpus = len({cpu for rank in of for cpu in places[rank].cpus})
        total = sum(threads[rank] for rank in of)
        if total > cpus:
            crowded.append((places[of[0]].host, len(of), total, cpus))
    if not crowded:
        return ""
    host, number, total, cpus = crowded[0]
    more = f" (and {plural(len(crowded) - 1, 'other host')})" if crowded[1:] else ""
    fits = f"{cpus // number} threads each" if cpus > number else "a thread each"
    if cpus < number:
        fits = "fewer ranks"
    return (
        f"{plural(number, 'rank')} with {plural(total, 'thread')} share "
        f"{plural(cpus, 'CPU')} of {host}{more}, and wait for each other: "
        f"{fits} would be faster"
    )


def named(cpus: Sequence[int]) -> str:
    """Return CPUs as in "CPU 2" and "CPUs 0-3,8"."""
    return f"CPU{'s' * (len(cpus) > 1)} {spans(cpus)}"


def spans(numbers: Sequence[int]) -> str:
    """Return ascending whole numbers as in "0-3,8,10-11"."""
    parts = []
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        first, *rest = (number for _, number in run)
        parts.append(f"{first}-{rest[-1]}" if rest else f"{first}")
    return ",".join(parts)


def plural(number: int, name: str) -> str:
    """Return a number with its name, as in "1 rank" and "2 ranks"."""
    return f"{number} {name}{'' if number == 1 else 's'}"
