"""``odyssey info`` on several ranks: each of them in one output."""

import json
import os
import re
import socket

from odyssey import info
from odyssey.distributed import placement


def test_ranks_and_mpi_are_printed_once(launcher):
    done = launcher.run(2, "-m", "odyssey", "info", "--json")
    assert (done.status, done.stderr) == (0, "")
    known = json.loads(done.stdout)
    mpi = known["mpi"]
    assert mpi["library"].startswith(launcher.name)
    assert mpi["launcher"] == f"{launcher.name}'s mpiexec"
    assert [rank["rank"] for rank in mpi["ranks"]] == [0, 1]
    for rank in mpi["ranks"]:
        assert rank["host"] == socket.gethostname()
        assert rank["threads"] == known["threads"]
        assert 1 <= rank["threads"] <= len(rank["cpus"])
        assert set(rank["cpus"]) <= os.sched_getaffinity(0)
    text = info.describe(known)
    assert re.search(rf"^MPI +{launcher.name} [\d.]+ \(/\S+\), mpi4py \d", text, re.M)
    assert re.search(
        rf"^ranks +2 ranks on 1 host: {known['threads']} thread", text, re.M
    )
    assert re.search(rf"^rank 1 +{socket.gethostname()}, CPUs? [\d,-]+, ", text, re.M)


def test_one_rank_can_tell_without_the_others(monkeypatch):
    # as rank 0 does while it keeps the facts of a run
    here = placement.here()
    monkeypatch.setattr(placement, "_places", (here, here))
    monkeypatch.setattr(placement, "_threads", (3, 1))
    ranks = info.collect()["mpi"]["ranks"]
    assert [rank["threads"] for rank in ranks] == [3, 1]
    assert ranks[1]["cpus"] == here.cpus


def test_a_process_alone_has_no_ranks():
    known = info.collect()
    assert known["mpi"] is None
    assert "rank" not in info.describe(known)
