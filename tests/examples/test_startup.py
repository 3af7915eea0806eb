"""What happens before a program has begun: signals, closed streams, no installation."""

import itertools
import json
import os
import signal
import subprocess
import sys

import pytest
from programs import EXAMPLE, ROOT, SMALL, run_apart
from tiny_cifar import write_tiny_cifar

from odyssey.training.signals import SIGNALS

EXAMPLES = EXAMPLE.parent
NAMES = ("lenet5", "alexnet", "vgg16", "speedrun")
SHORT = [EXAMPLES / f"{name}_cifar10" for name in NAMES]
PROGRAMS = [
    [EXAMPLE / "train.py"],
    [EXAMPLE / "inference.py"],
    [EXAMPLE / "download_cifar10.py"],
    [EXAMPLE / "show_augmentation.py"],
    [EXAMPLE / "run_ablations.py"],
    [EXAMPLE / "plot_runs.py"],
    [EXAMPLE / "summary.py"],
    *([folder / "train.py"] for folder in SHORT),
    *([folder / "inference.py"] for folder in SHORT),
    [EXAMPLES / "compare_architectures.py"],
    ["-m", "odyssey", "verify", "."],
]
SCRIPTS = [path for path, *more in PROGRAMS if not more]


@pytest.mark.parametrize(
    "program, signum",
    [
        *itertools.product(PROGRAMS, [signal.SIGINT, signal.SIGTERM]),
        *itertools.product(PROGRAMS[:1] + PROGRAMS[-1:], SIGNALS[2:]),
    ],
    ids=lambda value: str(value[-1] if isinstance(value, list) else value),
)
def test_signals_during_the_imports(tmp_path, program, signum):
    # Where the program imports NumPy, the signal comes instead.
    stub = f"import os, time\nos.kill(os.getpid(), {signum:d})\ntime.sleep(9)"
    (tmp_path / "numpy.py").write_text(stub)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    stopped = subprocess.run(
        [sys.executable, *map(str, program)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (stopped.returncode, stopped.stderr) == (128 + signum, "")


def test_the_library_does_not_touch_the_signals(tmp_path):
    code = "import odyssey, signal as s; print(s.getsignal(s.SIGINT))"
    code += "; print(s.getsignal(s.SIGTERM) == s.SIG_DFL)"
    (tmp_path / "__init__.py").write_text(code)
    (tmp_path / "__main__.py").touch()
    theirs = ["-m", tmp_path.name, "odyssey"]  # as `python -m` imports it, argv is "-m"
    path = os.pathsep.join([str(tmp_path.parent), str(ROOT)])
    for words in (["-c", code], theirs):
        printed = subprocess.run(
            [sys.executable, *words],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        ).stdout
        assert "default_int_handler" in printed and "True" in printed


def test_signals_can_be_ignored(tmp_path):
    def ignore():
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    code = "import os, signal\nfrom odyssey.cli import startup; startup.prepare()\n"
    code += "os.kill(os.getpid(), signal.SIGINT); print('still here')"
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, cwd=ROOT, preexec_fn=ignore, capture_output=True, text=True
    )
    assert (result.returncode, result.stdout) == (0, "still here\n")


def test_threads_that_numba_would_end_with_a_traceback_for():
    program = subprocess.run(
        [sys.executable, EXAMPLE / "train.py", "--help"],
        env={**os.environ, "NUMBA_NUM_THREADS": "0"},
        capture_output=True,
        text=True,
    )
    expected = "Error: NUMBA_NUM_THREADS must be a whole number from 1, got '0'\n"
    assert (program.returncode, program.stderr) == (2, expected)


@pytest.mark.parametrize("streams", [[2], [0, 1, 2]])
def test_closed_streams(tmp_path, streams):
    """Nothing is printed, and nothing of what would have been ends up in a file."""
    write_tiny_cifar(tmp_path / "data")
    (tmp_path / "data" / "cifar-10-batches-py" / "batches.meta").write_text("a warning")

    def close():
        for descriptor in streams:
            os.close(descriptor)

    places = ["--data-dir", tmp_path / "data", "--weights-dir", tmp_path / "run"]
    steps = ["--max-steps", 1]
    result = run_apart("train", *places, *SMALL, *steps, preexec_fn=close)
    assert result.returncode == 0
    assert result.stderr == ""
    assert ("weights are in" in result.stdout) == (1 not in streams)
    assert (tmp_path / "run" / ".lock").read_text().strip().isdigit()
    assert len((tmp_path / "run" / "steps.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_checkout_needs_no_installation(tmp_path, script):
    """Nor the script's folder on sys.path, which -I keeps out as -P does."""
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-I", script, "--help"],
        env=clean,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"Usage: {script.name} [OPTIONS]")


#: Runs programs one after the other in one process: one start of Python for them all.
PROGRAMS_IN_TURN = """
import json, sys
from odyssey.cli.main import main as odyssey
from resnet18_cifar10 import inference, train
for name, *words in json.loads(sys.argv[1]):
    program = {"inference": inference.main, "train": train.main, "odyssey": odyssey}
    try:
        program[name](words)
    except SystemExit as end:
        assert end.code == 0, (name, words)
"""


@pytest.mark.parametrize("form", ["python", "binary", "idx"])
def test_text_and_bytes_are_never_compared(tmp_path, form):
    """``python -bb`` makes an error of it, and of a text that shows bytes."""
    write_tiny_cifar(tmp_path / "data", form)
    data, run = ["--data-dir", tmp_path / "data"], ["--weights-dir", tmp_path / "run"]
    small = [*data, *run, *SMALL, "--limit-train", 20]
    programs = [["train", *small, "--max-steps", 1]]
    if form == "python":
        programs += [
            ["train", *small, "--resume"],
            ["inference", *data, *run],
            ["odyssey", "verify", tmp_path / "run"],
            ["odyssey", "report", tmp_path / "run"],
            ["odyssey", "info"],
        ]
    words = json.dumps([[str(word) for word in program] for program in programs])
    path = os.pathsep.join([str(EXAMPLE.parent), str(ROOT)])
    result = subprocess.run(
        [sys.executable, "-bb", "-c", PROGRAMS_IN_TURN, words],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "BytesWarning" not in result.stderr


SESSION = """
import os, runpy, signal, sys, threading
names = "SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
before = [signal.getsignal(getattr(signal, name)) for name in names]
streams = sys.stdout, sys.stderr
def program():
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        print("ended with", end.code)
sys.argv = sys.argv[1:]
program()
thread = threading.Thread(target=program)
thread.start()
thread.join()
print([signal.getsignal(getattr(signal, name)) for name in names] == before)
print((sys.stdout, sys.stderr) == streams)
try:
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGUSR1)
except KeyboardInterrupt:
    print("still there")
"""


def test_a_session_outlives_the_program(tmp_path):
    """As IPython's %run has it, in its main thread and in another."""
    result = subprocess.run(
        [sys.executable, "-c", SESSION, EXAMPLE / "summary.py", "--model", "resnet20"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.stdout.count("ended with 0") == 2, result.stderr
    assert result.stdout.splitlines()[-3:] == ["True", "True", "still there"]


@pytest.mark.parametrize("option", ["--help", "--model"])
def test_a_reader_that_goes_away(tmp_path, option):
    """Quietly, with the status of SIGPIPE; a pipe holds less than it prints."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, EXAMPLE / "summary.py", option]
    words = ["resnet18"] if option == "--model" else []
    with os.fdopen(writing, "w") as nobody:
        result = subprocess.run(
            [*command, *words], stdout=nobody, stderr=subprocess.PIPE, text=True
        )
    assert (result.returncode, result.stderr) == (141, "")


def test_a_folder_of_the_same_name_hides_no_installed_package(tmp_path):
    """A clone called odyssey is one, seen from the folder around it."""
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    (tmp_path / "odyssey" / "docs").mkdir(parents=True)
    code = "import odyssey; print(odyssey.__version__)"
    for place in (ROOT / "docs", tmp_path):
        result = subprocess.run(
            [sys.executable, "-c", code], env=clean, cwd=place, capture_output=True
        )
        if place != tmp_path and result.returncode:
            pytest.skip("odyssey is not installed")
        assert (result.returncode, result.stderr) == (0, b"")
