"""Which launcher started a process is read from its environment."""

import os
import subprocess
import sys

import pytest

from odyssey.distributed.launcher import MPICH, OPEN_MPI, Launch, launch_of, warning

HYDRA = {"PMI_FD": "9", "MPI_LOCALNRANKS": "2", "HYDI_CONTROL_FD": "7"}
STEP = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4"}


@pytest.mark.parametrize(
    "environ, expected",
    [
        ({}, None),
        (
            {"PMI_RANK": "1", "PMI_SIZE": "3", **HYDRA},
            Launch("MPICH's mpiexec", MPICH, 1, 3),
        ),
        # Open MPI's mpiexec sets PMIX_RANK as well, but no size with it
        (
            {
                "OMPI_COMM_WORLD_RANK": "2",
                "OMPI_COMM_WORLD_SIZE": "8",
                "PMIX_RANK": "2",
                "PMIX_NAMESPACE": "prterun-vm-1@1",
            },
            Launch("Open MPI's mpiexec", OPEN_MPI, 2, 8),
        ),
        (
            {"MV2_COMM_WORLD_RANK": "0", "MV2_COMM_WORLD_SIZE": "2"},
            Launch("MVAPICH's mpirun_rsh", MPICH, 0, 2),
        ),
        ({"PMI_RANK": "3", "PMI_SIZE": "4", **STEP}, Launch("srun", None, 3, 4)),
        (
            {"PMIX_RANK": "3", "PMIX_NAMESPACE": "slurm.pmix.7.0", **STEP},
            Launch("srun", None, 3, 4, pmix=True),
        ),
        (
            {"PMIX_RANK": "1", "PMIX_NAMESPACE": "x"},
            Launch("an mpiexec", None, 1, None, pmix=True),
        ),
        # srun without an interface for MPI, and a batch script that nothing started
        (STEP, None),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),
        # what is left over of something else
        ({"PMI_RANK": "1"}, None),
        ({"PMI_RANK": "", "PMI_SIZE": "two"}, None),
    ],
)
def test_who_started_the_process(environ, expected):
    assert launch_of(environ) == expected


@pytest.mark.parametrize(
    "environ, warns",
    [
        (STEP | {"SLURM_PROCID": "0"}, True),
        (STEP, False),  # task 3: one of them is enough
        (STEP | {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, False),
        # a program that a batch script or the shell of an allocation starts, and ranks
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, False),
        (STEP | {"SLURM_PROCID": "0", "PMI_RANK": "0", "PMI_SIZE": "4"}, False),
        ({}, False),
    ],
)
def test_tasks_that_know_nothing_of_each_other(environ, warns):
    assert ("srun started 4 tasks" in warning(environ)) == warns


def test_tasks_apart_work_each_for_itself_and_the_first_warns():
    code = "from odyssey.cli import startup; startup.run(lambda: print('works'))"
    first = run(code, **STEP | {"SLURM_PROCID": "0"})
    assert (first.returncode, first.stdout) == (0, "works\n")
    assert first.stderr.startswith("Warning: srun started 4 tasks that know nothing")
    other = run(code, **STEP)
    assert (other.returncode, other.stdout, other.stderr) == (0, "works\n", "")


def run(code, **environ):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        pass_fds=[int(environ.get("PIPE", 2))],
    )


LAUNCHED = "from odyssey.distributed.launcher import launched; print(launched())"


def test_one_rank_is_alone_and_imports_nothing():
    code = f"{LAUNCHED}\nfrom odyssey.distributed.join import join\n" + (
        "import sys\nprint(join().size, 'mpi4py' in sys.modules)"
    )
    for environ in ({}, {"PMI_RANK": "0", "PMI_SIZE": "1"}):
        done = run(code, **environ)
        assert (done.stdout, done.stderr) == ("None\n1 False\n", "")


def test_a_program_that_a_rank_starts_is_alone():
    rank = {"PMI_RANK": "0", "PMI_SIZE": "2", "MPI_LOCALNRANKS": "2"}
    reader, writer = os.pipe()
    assert (
        "size=2" in run(LAUNCHED, **rank, PMI_FD=str(writer), PIPE=str(writer)).stdout
    )
    assert run(LAUNCHED, **rank, PMI_FD=str(writer)).stdout == "None\n"
    os.close(reader)
    os.close(writer)


def test_who_fails_before_mpi_begins_asks_for_the_end_of_the_job():
    rank = {"PMI_RANK": "0", "PMI_SIZE": "2", "MPI_LOCALNRANKS": "2"}
    reader, writer = os.pipe()
    code = "from odyssey.distributed.launcher import fail; fail('Error: no', 2)"
    done = run(code, **rank, PMI_FD=str(writer), PIPE=str(writer))
    assert (done.returncode, done.stderr) == (2, "Error: no\n")
    os.close(writer)  # or reading would wait where nothing was written
    assert os.read(reader, 100) == b"cmd=abort exitcode=2\n"
    os.close(reader)


def test_nothing_is_written_to_srun_before_mpi_begins():
    reader, writer = os.pipe()
    rank = {**STEP, "PMI_RANK": "0", "PMI_SIZE": "4", "PMI_FD": str(writer)}
    code = "from odyssey.distributed.launcher import fail; fail('Error: no', 2)"
    done = run(code, **rank, PIPE=str(writer))
    assert (done.returncode, done.stderr) == (2, "Error: no\n")
    os.close(writer)
    assert os.read(reader, 100) == b""
    os.close(reader)


def test_only_rank_0_speaks():
    code = (
        "from odyssey import errors, output\n"
        "errors.warn('careful'); output.show('working')\n"
        "output.progress_bar(total=2, mininterval=0).update(2)"
    )
    heard = [
        run(code, OMPI_COMM_WORLD_RANK=rank, OMPI_COMM_WORLD_SIZE="2").stderr
        for rank in "01"
    ]
    assert heard[0].startswith("Warning: careful\nworking")
    assert "2/2" in heard[0]
    assert heard[1] == ""
