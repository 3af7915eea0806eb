"""Each rank gets the threads that its CPUs have for it."""

import os

import pytest

from odyssey.distributed import placement
from odyssey.distributed.placement import Place, described, oversubscribed, threads_of
from odyssey.distributed.ranks import ALONE


def on(machine, *cpus, **more):
    return Place(machine, f"node-{machine}", cpus, **more)


A01 = on("a", 0, 1)
ALL8 = on("a", *range(8))


@pytest.mark.parametrize(
    "places, expected",
    [
        ([A01], [2]),
        ([A01, A01], [1, 1]),  # MPICH: every rank sees all CPUs
        ([on("a", 0), on("a", 1)], [1, 1]),  # Open MPI: a core each
        ([A01] * 3, [1, 1, 1]),  # at least one
        ([ALL8] * 3, [2, 2, 2]),  # 8/3
        ([A01, on("b", 0, 1)], [2, 2]),  # the same numbers on two machines
        ([on("a", 0, 1, 2, 3), on("a", 2, 3), on("a", 4)], [3, 1, 1]),  # 2 + 2/2, 2/2
        ([on("a", 0, 1, 2), on("a", 0, 1, 2), on("b", *range(64))], [1, 1, 64]),
        # the time of a container, rounded up as for one process, then shared
        ([on("a", *range(8), quota=4.0)] * 2, [2, 2]),
        ([on("a", *range(8), quota=3.5)] * 2, [2, 2]),
        ([on("a", *range(8), quota=0.5)] * 2, [1, 1]),
        ([on("a", 0, 1, quota=4.0), on("a", 2, 3, quota=4.0)], [2, 2]),
        # a container each on one machine: each has its own time, but shares the CPUs
        (
            [on("a", *range(8), quota=3.0, group=group) for group in "xy"],
            [3, 3],
        ),
        ([on("a", *range(4), quota=3.0, group=group) for group in "xy"], [2, 2]),
    ],
)
def test_threads(places, expected):
    assert threads_of(places) == expected


@pytest.mark.parametrize(
    "places, threads, expected",
    [
        ([A01] * 2, [1, 1], "2 ranks on 1 host: 1 thread each (CPUs 0-1 shared)"),
        (
            [on("a", 0), on("a", 1)],
            [1, 1],
            "2 ranks on 1 host: 1 thread each (1 CPU each)",
        ),
        ([on("a", 5)] * 2, [1, 1], "2 ranks on 1 host: 1 thread each (CPU 5 shared)"),
        (
            [A01, on("b", 0, 1)],
            [2, 2],
            "2 ranks on 2 hosts: 2 threads each (2 CPUs each)",
        ),
        (
            [on("a", *range(4)), on("a", *range(4)), on("b", 0)],
            [2, 2, 1],
            "3 ranks on 2 hosts: ranks 0-1 2 threads (CPUs 0-3 shared); "
            "rank 2 1 thread (1 CPU)",
        ),
        (
            [on(str(rank // 8), *range(0, 64, 2)) for rank in range(64)],
            [4] * 64,
            "64 ranks on 8 hosts: 4 threads each (32 CPUs shared)",
        ),
        (
            [on(str(rank), *range(rank + 1)) for rank in range(64)],
            list(range(1, 65)),
            "64 ranks on 64 hosts: 1 to 64 threads each",
        ),
    ],
)
def test_the_line_about_threads(places, threads, expected):
    assert described(places, threads) == expected


def test_more_threads_than_cpus_are_warned_of():
    assert oversubscribed([A01] * 2, [1, 1]) == ""
    assert oversubscribed([on("a", 0), on("a", 1), on("b", 0)], [1, 1, 1]) == ""
    assert oversubscribed([A01] * 2, [2, 2]) == (
        "2 ranks with 4 threads share 2 CPUs of node-a, and wait for each other: "
        "a thread each would be faster"
    )
    assert oversubscribed([A01] * 3, [1, 1, 1]) == (
        "3 ranks with 3 threads share 2 CPUs of node-a, and wait for each other: "
        "fewer ranks would be faster"
    )
    both = oversubscribed([A01, A01, on("b", 0), on("b", 0)], [2, 2, 1, 1])
    assert "share 2 CPUs of node-a (and 1 other host)" in both


def test_spans():
    assert placement.spans([0, 1, 2, 3, 8, 10, 11]) == "0-3,8,10-11"
    assert placement.spans([5]) == "5"


def test_this_process_and_nobody_else():
    place = placement.here()
    assert set(place.cpus) == os.sched_getaffinity(0)
    assert place.machine
    assert placement.share() is None
    assert placement.first_of_machine(ALONE)
    assert placement.summary(ALONE, 1) == ("", "")


def test_the_first_rank_of_each_machine(monkeypatch):
    machines = "aabab"
    monkeypatch.setattr(placement, "_places", tuple(on(m, 0) for m in machines))
    firsts = []
    for rank in range(5):
        ranks = type("Ranks", (), {"rank": rank})
        firsts.append(placement.first_of_machine(ranks))
    assert firsts == [True, False, True, False, False]
