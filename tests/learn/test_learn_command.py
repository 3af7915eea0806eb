"""``odyssey learn``: what it writes, what it says, what it leaves alone."""

import ast
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from odyssey.learn import course
from odyssey.learn.milestones import MILESTONES
from odyssey.learn.sources import solution, stub

FOLDER = Path("odyssey_course")
RELU = FOLDER / "relu.py"


def write(name: str, text: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.py").write_text(text, encoding="utf-8")


def record(name: str) -> dict:
    return json.loads((FOLDER / "progress.json").read_text("utf-8"))["exercises"][name]


def test_the_course_is_listed_in_order(learn):
    result = learn()
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == f"{len(course.ORDER)} exercises, 0 done. Folder: odyssey_course"
    named = [line.split()[3] for line in lines if line.startswith("[ ]")]
    assert named == list(course.ORDER)
    assert lines[-1] == "  python -m odyssey learn start relu"
    assert not FOLDER.exists()


def test_start_writes_the_stub_and_never_overwrites(learn):
    result = learn("start", "relu")
    assert result.exit_code == 0
    assert RELU.read_text("utf-8") == stub(course.load("relu"))
    assert record("relu")["started"] and not record("relu")["passed"]

    RELU.write_text("mine", "utf-8")
    again = learn("start", "relu")
    assert again.exit_code == 2
    assert "relu.py is there already; it is not changed" in again.output
    assert RELU.read_text("utf-8") == "mine"


def test_a_stub_earns_nothing_and_says_what_to_write(learn):
    learn("start", "relu")
    result = learn("check", "relu")
    assert result.exit_code == 1
    assert "write relu, relu_backward" in result.output
    assert "\n0 of 13 checks passed." in result.output
    assert record("relu")["earned"] == 0


def test_the_solution_passes_and_the_record_says_that_it_was_shown(learn):
    shown = learn("solution", "relu")
    assert shown.exit_code == 0
    assert shown.output.startswith(solution(course.load("relu")))
    assert not RELU.exists()
    write("relu", shown.output)
    result = learn("check", "relu")
    assert result.exit_code == 0
    assert "13 of 13 checks passed.\nrelu is right, after the solution was shown." in (
        result.output
    )
    assert result.output.endswith("  python -m odyssey learn start linear\n")
    assert record("relu")["passed"] and record("relu")["solution_shown"]
    assert "done, after the solution was shown" in learn().output
    assert learn().output.startswith("3 exercises, 1 done.") or len(course.ORDER) > 3


@pytest.mark.parametrize("name", course.ORDER)
def test_what_is_printed_as_solution_is_a_file_that_solves(learn, name):
    assert learn("start", name).exit_code == 0
    shown = learn("solution", name).output
    assert ast.dump(ast.parse(shown)) == ast.dump(
        ast.parse(solution(course.load(name)))
    )


def test_a_pass_is_taken_back_when_the_file_is_broken(learn):
    write("relu", solution(course.load("relu")))
    assert learn("check", "relu").exit_code == 0
    write("relu", stub(course.load("relu")))
    assert learn("check", "relu").exit_code == 1
    assert record("relu")["passed"] == ""


def test_hints_come_one_at_a_time(learn):
    for count in (1, 2, 3, 3):
        result = learn("hint", "relu")
        assert result.output.count("Hint ") == count
        assert record("relu")["hints"] == count
    assert "learn solution relu" in result.output


def test_all_files_are_checked_without_a_name(learn):
    write("relu", solution(course.load("relu")))
    write("linear", stub(course.load("linear")))
    result = learn("check")
    assert result.exit_code == 1
    assert "[x] relu" in result.output
    assert "[ ] linear                 0 of 13 checks; linear: not written yet" in (
        result.output
    )
    assert result.output.endswith("  python -m odyssey learn check linear\n")


def test_what_is_missing_is_said(learn):
    missing = learn("check", "relu")
    assert missing.exit_code == 2
    assert "begin with: python -m odyssey learn start relu" in missing.output
    assert learn("check").exit_code == 2
    unknown = learn("start", "rellu")
    assert unknown.exit_code == 2
    assert "did you mean relu?" in unknown.output


def test_the_current_folder_is_the_students_if_a_course_is_in_it(learn, monkeypatch):
    learn("start", "relu")
    monkeypatch.chdir(FOLDER)
    assert learn("check", "relu").exit_code == 1
    assert learn().output.startswith(
        f"{len(course.ORDER)} exercises, 0 done. Folder: ."
    )
    learn("start", "linear", "--folder", "elsewhere")
    assert Path("elsewhere/linear.py").exists()
    learn("--folder", "third", "start", "linear")
    assert Path("third/linear.py").exists()
    learn("--folder", "third", "start", "relu", "--folder", "fourth")
    assert Path("fourth/relu.py").exists() and not Path("third/relu.py").exists()


@pytest.mark.parametrize("text", ["{", '{"course": "other"}', "[]", '{"exercises": 1}'])
def test_a_progress_file_of_something_else_is_left_alone(learn, text):
    FOLDER.mkdir()
    (FOLDER / "progress.json").write_text(text, "utf-8")
    result = learn("hint", "relu")
    assert result.exit_code == 2
    assert "progress.json" in result.output
    assert (FOLDER / "progress.json").read_text("utf-8") == text


#: A Python that lacks what Windows does, and Numba: importing these fails.
ELSEWHERE = """
import os, signal, subprocess, sys
import click, numpy
for name in ("numba", "fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[name] = None
for module, lacking in (
    (os, "register_at_fork fork sched_getaffinity getuid uname O_DIRECTORY killpg"),
    (signal, "SIGHUP SIGUSR1 SIGUSR2 SIGALRM SIGPIPE SIGCHLD pthread_sigmask"),
):
    for name in lacking.split():
        delattr(module, name)
sys.argv = ["odyssey", "learn", *sys.argv[1:]]
from odyssey.__main__ import run
run()
"""


@pytest.mark.parametrize("words", [("start", "linear"), ("check", "relu"), ()])
def test_neither_numba_nor_posix_is_needed(learn, words, tmp_path):
    write("relu", solution(course.load("relu")))
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *words],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root), "SYSTEMROOT": "C:\\Windows"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert "learn" in result.stdout


ENDLESS = """
import os, pathlib
pathlib.Path(__file__).with_name("pid.part").write_text(str(os.getpid()))
pathlib.Path(__file__).with_name("pid.part").rename("PID")
while True:
    pass
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize(
    ("signum", "said"),
    [
        (signal.SIGINT, "Error: stopped by Ctrl-C"),
        (signal.SIGTERM, "Error: stopped by SIGTERM"),
    ],
)
def test_a_signal_ends_the_students_code_too(learn, tmp_path, signum, said):
    pid = tmp_path / "pid"
    write("relu", ENDLESS.replace("PID", str(pid)))
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-m", "odyssey", "learn", "check", "relu"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while not pid.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signum)
        _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr.strip()) == (128 + signum, said)
    with pytest.raises(ProcessLookupError):
        for _ in range(100):  # until the system has buried it
            os.kill(int(pid.read_text()), 0)
            time.sleep(0.05)


def test_a_milestone_without_numba_trains_and_says_what_is_missing(learn, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    for name in MILESTONES["linear"].needs:
        write(name, solution(course.load(name)))
    result = learn("milestone", "linear", "--steps", 2)
    assert result.exit_code == 2
    assert "step 2: loss" in result.output
    assert "to compare with Odyssey's own, Numba is needed" in result.output


def test_every_text_is_ascii():
    """A console of Windows may have no other characters."""
    for exercise in course.course():
        assert stub(exercise).isascii() and solution(exercise).isascii()
        for text in (exercise.title, *exercise.hints):
            assert text.isascii()
        for function in exercise.functions:
            assert function.by_hand.work.isascii()


def test_what_is_solved_stays_done_if_the_solution_is_looked_at_afterwards(learn):
    write("relu", solution(course.load("relu")))
    learn("check", "relu")
    learn("solution", "relu")
    listed = next(line for line in learn().output.splitlines() if "  relu " in line)
    assert listed.startswith("[x]")
    assert listed.endswith("done, solution looked at afterwards")
    again = learn("check", "relu").output
    assert "relu is right, solution looked at afterwards. Well done." in again


def test_a_file_that_cannot_be_imported_has_a_whole_line_in_the_list(learn):
    write("relu", "import nothing_like_this\n")
    line = learn("check").output.splitlines()[0]
    assert line.endswith("0 of 13 checks; relu.py cannot be imported")
