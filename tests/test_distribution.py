"""What `python -m build` makes, and that it works where there is nothing else."""

import email
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import odyssey

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow

#: Of an example in the wheel: no results, and no script that is for a checkout.
EXAMPLE_FILES = re.compile(r"examples/\w+/(configs/)?\w+\.(py|yml|md)")


def call(*command, cwd, **changed):
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**clean, **changed},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout


@pytest.fixture(scope="module")
def tracked():
    """The repository's files, with those that are new in the working tree."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = call("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT)
    return sorted(name for name in listed.split("\0") if (ROOT / name).is_file())


@pytest.fixture(scope="module")
def built(tmp_path_factory, tracked):
    """The folder with the source distribution, and the wheel built from that."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    # As in an environment for builds, there is no NumPy.
    (folder / "none").mkdir()
    (folder / "none" / "numpy.py").write_text("raise ImportError('not in a build')")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder]
    call(*command, source, cwd=folder, PYTHONPATH=str(folder / "none"))
    return folder


@pytest.fixture(scope="module")
def wheel(built):
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def metadata(wheel):
    """The wheel's METADATA."""
    with zipfile.ZipFile(wheel) as file:
        (name,) = (n for n in file.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(file.read(name))


@pytest.fixture(scope="module")
def environment(tmp_path_factory, wheel):
    """An environment with the wheel, and without the checkout; its folder."""
    folder = tmp_path_factory.mktemp("installed")
    python = folder / "env" / "bin" / "python"
    call(sys.executable, "-m", "venv", "--without-pip", "env", cwd=folder)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder / "env")})
    # What Odyssey needs is what these tests have: no .pth file of that folder is read.
    (Path(packages) / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    call(*pip, "--no-index", "--no-deps", "--no-compile", wheel, cwd=folder)
    return folder


def test_the_source_distribution_is_the_repository(built, tracked):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = [member.name for member in archive if member.isfile()]
    found = {name.partition("/")[2] for name in names}
    made = {name for name in found if ".egg-info/" in name} | {"PKG-INFO", "setup.cfg"}
    assert sorted(found - made) == [name for name in tracked if name != ".gitignore"]


def test_the_wheel_is_the_package_and_the_examples(wheel, tracked):
    with zipfile.ZipFile(wheel) as file:
        found = [name for name in file.namelist() if ".dist-info/" not in name]
    package = [name for name in tracked if name.startswith("odyssey/")]
    travel = [f"odyssey/{name}" for name in tracked if EXAMPLE_FILES.fullmatch(name)]
    assert sorted(found) == sorted(package + travel)
    assert {"odyssey/py.typed", "odyssey/__init__.pyi"} <= set(found)
    assert "odyssey/examples/resnet18_cifar10/configs/resnet18_fast.yml" in found


def test_modules_of_former_builds_do_not_stay(built):
    """`pip install .` builds in the folder ``build`` of the repository."""
    package = built / "source" / "build" / "lib" / "odyssey"
    (package / "examples").mkdir(parents=True)
    for folder in (package, package / "examples"):
        (folder / "gone.py").touch()
    call(sys.executable, "setup.py", "-q", "build_py", cwd=built / "source")
    assert (package / "examples" / "lenet5_cifar10" / "model.py").is_file()
    assert not list(package.rglob("gone.py"))


def test_the_metadata(metadata):
    assert metadata["Name"] == "odyssey-by-hand"
    assert metadata["Version"] == odyssey.__version__
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["License-File"] == "LICENSE"
    page = metadata.get_payload()
    assert page.startswith("# Odyssey\n")
    links = re.findall(r"\[[^\]]*\]\(\s*([^)]*?)\s*\)", page)
    assert links and all(link.startswith("https://") for link in links)
    assert "`docs/synthetic.md`" in page


def test_an_example_from_the_wheel(environment):
    """Copied out, trained for a step, checked, and its weights used."""
    command, python = (environment / "env" / "bin" / n for n in ("odyssey", "python"))
    threads = {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

    def run(*words):
        return call(*words, cwd=environment, **threads)

    place = json.loads(run(command, "info", "--json"))["cache"]["folder"]
    assert Path(place).is_relative_to(environment) or "NUMBA_CACHE_DIR" in os.environ
    _bring_kernels(Path(place))

    listed = run(command, "example").splitlines()
    assert [line.split()[0] for line in listed[:-2]] == [
        *("alexnet_cifar10", "lenet5_cifar10", "resnet18_cifar10"),
        *("speedrun_cifar10", "vgg16_cifar10"),
    ]
    _, train, inference = run(command, "example", "lenet5_cifar10", "mine").splitlines()
    assert train.split()[:2] == ["python", "mine/lenet5_cifar10/train.py"]
    few = ["--limit-train", 16, "--limit-test", 8, "--max-steps", 1]
    printed = run(python, *train.split()[1:], "--batch-size", 8, *few)
    assert "weights are in lenet5_weights" in printed
    assert run(command, "verify", "lenet5_weights").startswith("lenet5_weights: ")
    assert "accuracy" in run(python, *inference.split()[1:], "--limit", 8)


def test_the_course_from_the_wheel(environment):
    """Its sources and steppers are in the wheel, and a check finds what it needs."""
    command = environment / "env" / "bin" / "odyssey"

    def learn(*words):
        return call(command, "learn", *words, cwd=environment)

    assert learn("start", "relu").startswith("written: odyssey_course/relu.py\n")
    text = learn("solution", "relu")
    (environment / "odyssey_course" / "relu.py").write_text(text, "utf-8")
    assert "\nrelu is right, " in learn("check", "relu")
    learn("stepper", "conv2d")
    assert (
        (environment / "conv2d.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    )


def _bring_kernels(folder):
    """Copy what these tests have compiled: the same sources, compiled for a minute."""
    from odyssey.info import collect

    folder.mkdir(exist_ok=True)
    for pattern in ("*.nbi", "*.nbc"):
        for kernel in Path(collect()["cache"]["folder"]).glob(pattern):
            shutil.copyfile(kernel, folder / kernel.name)
