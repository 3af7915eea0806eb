"""run_example.sh and make example, with a stand-in for Python that records calls."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from programs import EXAMPLE, ROOT

#: Notes its first argument; has no data; does at the download what the test says.
STAND_IN = """#!/bin/sh
echo "$1" >> "$NOTES"
case "$1" in
    -c) exit 1 ;;
    *download*) eval "$AT_DOWNLOAD" ;;
esac
"""


@pytest.fixture
def stand_in(tmp_path):
    path = tmp_path / "a folder" / "python"
    path.parent.mkdir()
    path.write_text(STAND_IN)
    path.chmod(0o755)
    return path


def run(python, at_download):
    """Run run_example.sh; return status, the programs that it started, its output."""
    notes = python.with_name("notes")
    result = subprocess.run(
        [EXAMPLE / "run_example.sh", "weights"],
        env={
            **os.environ,
            "PYTHON": str(python),
            "NOTES": str(notes),
            "AT_DOWNLOAD": at_download,
        },
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    started = [Path(line).stem for line in notes.read_text().splitlines()]
    return result.returncode, started, result.stdout


@pytest.mark.parametrize(
    "at_download, status",
    [
        ("exit 130", 130),
        ("exit 143", 143),
        ("trap 'exit 130' INT; kill -INT 0", 130),  # Ctrl-C: to the whole group
        ("trap 'exit 143' TERM; kill -TERM 0", 143),
        ("kill -INT $PPID", 130),  # to the script alone
        ("kill -TERM $PPID", 143),
        ("kill -HUP $PPID", 129),  # a lost connection
        ("kill -INT $$", 130),  # to the download alone
    ],
)
def test_stopped_during_the_download(stand_in, at_download, status):
    assert run(stand_in, at_download)[:2] == (status, ["-c", "download_cifar10"])


@pytest.mark.parametrize("failure", [1, 2])
def test_without_a_download_it_goes_on(stand_in, failure):
    status, started, printed = run(stand_in, f"exit {failure}")
    assert status == 0
    assert started == ["-c", "download_cifar10", "-c", "train", "-m", "inference"]
    *_, again, with_images = map(shlex.split, printed.splitlines())
    assert again[:2] == [str(stand_in), "examples/resnet18_cifar10/inference.py"]
    assert again[2:4] == ["--dataset", "synthetic"]
    assert again[-2:] == ["--weights-dir", "weights"]
    assert with_images[2:] == ["--weights-dir", "weights", "--images", "photo.jpg"]


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_example_where_a_path_has_a_space(tmp_path, stand_in):
    clone = tmp_path / "my 'own' clone"
    script = clone / "examples" / "resnet18_cifar10" / "run_example.sh"
    script.parent.mkdir(parents=True)
    script.write_text('#!/bin/sh\n"$PYTHON" started\n')
    script.chmod(0o755)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, clone)
    (clone / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(stand_in, clone / ".venv" / "bin" / "python")
    (clone / ".venv" / ".base").touch()  # as if all were installed
    notes = tmp_path / "notes"
    environment = {**os.environ, "NOTES": str(notes)}
    made = subprocess.run(
        ["make", "example"], cwd=clone, env=environment, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    assert notes.read_text() == "started\n"


def test_the_weights_are_where_the_readme_says():
    text = (ROOT / "README.md").read_text("utf-8")
    script = (EXAMPLE / "run_example.sh").read_text("utf-8")
    (folder,) = re.findall(r"^weights=\$\{1:-(\w+)\}$", script, re.M)
    assert f"--weights-dir {folder}`" in text
    (default,) = re.findall(r"into `(\w+)` unless `--weights-dir` says", text)
    for program in ("train", "inference"):
        module = importlib.import_module(f"resnet18_cifar10.{program}")
        options = {option.name: option for option in module.main.params}
        assert options["weights_dir"].default == default
