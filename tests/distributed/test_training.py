"""Training under a real mpiexec: resumed, stopped, and with ranks that fail.

Batches have 16, 16 and 12 images; there are 9 steps.
"""

import csv
import fcntl
import json
import re
import signal
import time
from pathlib import Path

import pytest
from launchers import MPICH

from odyssey.weights.checkpoint import load_newest_checkpoint

PROGRAM = Path(__file__).with_name("faulty_training.py")
STEPS = 9
EVERY_STEP = "--checkpoint-minutes", "0.00001"


def train(launcher, folder, ranks=2, *options, fault="none"):
    return launcher.run(ranks, PROGRAM, fault, folder, *options)


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def results(folder):
    """Return the newest checkpoint's tensors, and what metrics.csv says but times."""
    kept = [
        {name: value for name, value in row.items() if "second" not in name}
        for row in rows(folder)
    ]
    checkpoint = load_newest_checkpoint(folder)
    assert checkpoint.step == STEPS
    return {n: t.tobytes() for n, t in checkpoint.tensors.items()}, kept


@pytest.fixture(scope="session")
def finished(mpich, shared_folder):
    """The results of a run on two ranks that nothing disturbed.

    Two numbers have one sum, whatever their order: so they are those of any MPI.
    """
    shared = shared_folder / "finished"
    shared.mkdir(exist_ok=True)
    folder, said = shared / "run", shared / "stdout"
    with open(shared / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            done = train(mpich, folder)
            assert (done.status, done.stderr) == (0, ""), done
            said.write_text(done.stdout)
    lines = said.read_text().splitlines()
    assert lines[1].startswith("2 ranks on 1 host: 1 thread each (")
    assert sum(line.startswith("epoch 1/3, step 2/9:") for line in lines) == 1
    (session,) = json.loads((folder / "environment.json").read_text())["sessions"]
    assert session["mpi"]["ranks"] == 2
    assert session["mpi"]["library"].startswith(mpich.name)
    return results(folder)


def test_stopped_by_a_signal_and_resumed_it_ends_in_the_same_bits(
    launcher, finished, tmp_path
):
    folder = tmp_path / "run"
    job = launcher.start(2, PROGRAM, "slow", folder, *EVERY_STEP)
    for line in job.stdout:
        if "step 1/9" in line:
            break
    sent = time.monotonic()
    job.send_signal(signal.SIGTERM)
    _, stderr = job.communicate(timeout=30)
    assert time.monotonic() - sent < 6  # to save takes 0.6
    assert job.returncode != 0
    if launcher.name == MPICH:  # Open MPI leaves half a second
        assert job.returncode == 143
        (named,) = re.findall(
            r"^stopped by SIGTERM: checkpoint in (\S+),", stderr, re.M
        )
        assert Path(named) == load_newest_checkpoint(folder).path
        assert stderr.count("stopping at the next batch") == 1
    step = load_newest_checkpoint(folder).step
    assert 1 <= step < STEPS
    done = train(launcher, folder, 2, "--resume")
    assert (done.status, done.stderr) == (0, "")
    assert results(folder) == finished


def killed(launcher, folder, fault):
    """Train on two ranks of which one is killed; return the checkpoint that is left."""
    done = train(launcher, folder, 2, *EVERY_STEP, fault=fault)
    assert done.status != 0
    assert since_fault(folder) < 5
    checkpoint = load_newest_checkpoint(folder)
    assert checkpoint.step in (3, 4)  # rank 0 may have been writing that of step 4
    return checkpoint


def test_a_rank_that_is_killed_ends_the_job(launcher, tmp_path):
    killed(launcher, tmp_path / "run", "killed")


def test_three_ranks_resume_what_two_began(mpich, finished, tmp_path):
    folder = tmp_path / "run"
    checkpoint = killed(mpich, folder, "killed_first")
    done = train(mpich, folder, 3, "--resume", "--deterministic-allreduce")
    assert done.status == 0, done
    assert (
        f"resuming from {checkpoint.path}, {checkpoint.step} steps done" in done.stdout
    )
    assert [row["epoch"] for row in rows(folder)] == ["1", "2", "3"]
    losses = [float(row["train_loss"]) for row in rows(folder)]
    expected = [float(row["train_loss"]) for row in finished[1]]
    assert losses[0] == expected[0]
    # batch norm is by ranks, so three ranks are not quite two
    assert losses == pytest.approx(expected, rel=0.2)


def since_fault(folder):
    return time.time() - float(Path(f"{folder}.fault").read_text())


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        (
            "nan",
            3,
            r"Error: loss nan, gradient norm nan, not finite in the gradient of .* at "
            r"step 5, stopped before the update \(epoch 2, lr 0\.01\); last good "
            r"checkpoint: .*/run/checkpoints/step-00000003",
        ),
        ("error", 1, r"rank 1: Error: ValueError: a fault of rank 1 \(--debug .*\)"),
        (
            "other_weights",
            1,
            r"Error: the ranks do not have the same weights after step 6; other than "
            r"rank 0's are those of rank 1: .*fc_bias.*",
        ),
    ],
)
def test_a_fault_of_one_rank_ends_the_job_with_one_message(
    mpich, tmp_path, fault, status, message
):
    folder = tmp_path / "run"
    fails(mpich, folder, fault, status, message)
    assert load_newest_checkpoint(folder).step == 3


def test_a_full_disk_at_rank_0_ends_the_job(launcher, tmp_path):
    folder = tmp_path / "run"
    message = r"rank 0: Error: .*/run/checkpoints: No space left on device"
    fails(launcher, folder, "full_disk", 1, message)
    assert load_newest_checkpoint(folder) is None


def fails(launcher, folder, fault, status, message):
    """Train on two ranks; assert that it ends soon after the fault and says it once."""
    done = train(launcher, folder, fault=fault)
    assert since_fault(folder) < 5
    assert done.status == status, done
    said = [
        line for line in done.stderr.splitlines() if re.search("(Error|Warning):", line)
    ]
    assert len(said) == 1 and re.fullmatch(message, said[0]), done.stderr
