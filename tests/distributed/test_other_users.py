"""Launchers refuse root, or do not, and keep files for each user: any user will do."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("failing.py")

#: The user nobody, who may read what root may: also a checkout and a Python of root's.
NOBODY = (
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
)
#: Open MPI's mpiexec looks, without that right, whether the program can be run.
BY_SHELL = ("/bin/sh", "-c", 'exec "$0" "$@"', sys.executable)


def test_ranks_of_a_user_who_is_not_root(launcher):
    if os.getuid() != 0:
        pytest.skip("all other tests of ranks have been run so")
    if not shutil.which(NOBODY[0]):
        pytest.skip("no setpriv")
    if subprocess.run([*NOBODY, "true"], capture_output=True).returncode:
        pytest.skip("this root cannot become another user")
    by_nobody = replace(launcher, before=NOBODY, python=BY_SHELL)
    refused = {"OMPI_ALLOW_RUN_AS_ROOT": None, "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": None}
    done = by_nobody.run(2, PROGRAM, "all_alike", cwd="/", environ=refused)
    assert (done.status, done.stdout) == (3, "rank 0 prints\n")
    assert done.stderr.startswith("Error: loss is NaN\n")
    assert done.stderr.count("Error: ") == 1
