"""Where compiled kernels are kept, and that they run where they cannot be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import odyssey

#: Prints what relu makes of (-1, 2), and all warnings, one a line.
PROGRAM = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import numpy as np, odyssey, odyssey.warmup
    out = odyssey.relu(np.array([-1, 2], np.float32))
print(out.tolist())
print(odyssey.warmup.folder())
for warning in caught:
    print(warning.category.__name__, warning.message)
"""


def copy_of_the_package(tmp_path):
    package = tmp_path / "installed" / "odyssey"
    shutil.copytree(
        Path(odyssey.__file__).parent,
        package,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return package


@pytest.fixture
def sealed(tmp_path):
    """A copy of the package, and an environment, in which Numba can keep nothing.

    Files stand where folders would have to be made, which stops root as well.
    """
    package = copy_of_the_package(tmp_path)
    (package / "kernels" / "__pycache__").touch()
    home = tmp_path / "home"
    home.touch()
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_CACHE")}
    return {
        **kept,
        "PYTHONPATH": str(package.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "LOCALAPPDATA": str(home),
    }


def run(environment, *command):
    return subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=environment["PYTHONPATH"],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_without_a_folder_kernels_run_and_one_warning_says_so(sealed):
    result = run(sealed, "-c", PROGRAM)
    assert result.returncode == 0, result.stderr
    out, folder, *warned = result.stdout.splitlines()
    assert (out, folder) == ("[0.0, 2.0]", "None")
    assert len(warned) == 1
    assert warned[0].startswith("RuntimeWarning")
    assert "NUMBA_CACHE_DIR" in warned[0]


def test_the_folder_that_the_warning_speaks_of(sealed, tmp_path):
    cache = tmp_path / "cache"
    result = run({**sealed, "NUMBA_CACHE_DIR": str(cache)}, "-c", PROGRAM)
    assert result.returncode == 0, result.stderr
    out, folder = result.stdout.splitlines()
    assert out == "[0.0, 2.0]"
    assert Path(folder).parent == cache
    assert list(Path(folder).glob("elementwise.relu_forward*.nbc"))


def test_warming_up_for_nothing_is_refused(sealed):
    result = run(sealed, "-m", "odyssey", "warmup")
    assert result.returncode == 1
    assert "NUMBA_CACHE_DIR" in result.stderr
    assert "could not be kept" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_info_says_that_there_is_no_folder(sealed):
    result = run(sealed, "-m", "odyssey", "info")
    assert result.returncode == 0
    assert "no folder can be written to" in result.stdout


def test_a_change_in_any_file_of_the_kernels_has_them_compiled_anew(tmp_path):
    package = copy_of_the_package(tmp_path)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_CACHE")}
    environment = {**kept, "PYTHONPATH": str(package.parent)}
    program = f"{PROGRAM}\nprint(odyssey.warmup.counts())"

    def compiled_and_loaded():
        result = run(environment, "-c", program)
        assert result.returncode == 0, result.stderr
        return result.stdout.splitlines()[-1]

    assert compiled_and_loaded() == "(1, 0)"
    assert compiled_and_loaded() == "(0, 1)"
    with (package / "kernels" / "pooling.py").open("a") as file:
        file.write("# relu has no part in this file\n")
    assert compiled_and_loaded() == "(1, 0)"
    assert compiled_and_loaded() == "(0, 1)"
