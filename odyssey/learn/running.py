"""Checking a student's file in a process of its own, with a limit of time.

An endless loop, a crash or ``exit()`` in the student's file is an outcome like others,
and nothing that the file changes outlives the check.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from odyssey.learn import course
from odyssey.learn.child import trace_file
from odyssey.learn.grading import Check, plan
from odyssey.learn.progress import Progress, now

#: Seconds that the checks of an exercise may take.
LIMIT = 30.0
#: Seconds more until the process is ended from outside.
GRACE = 10.0
#: Seconds that the output may stay open after the process has ended.
CLOSING = 2.0
#: Characters kept of what the student's code prints.
MOST_PRINTED = 2000


@dataclass
class Graded:
    """The outcome of an exercise.

    Attributes
    ----------
    checks : all checks in order, those that were not reached too
    unusable : why nothing could be checked, or why the checks ended early
    printed : what the student's code printed, shortened
    """

    checks: list[Check]
    unusable: str = ""
    printed: str = ""

    @property
    def earned(self) -> int:
        """How many checks have passed."""
        return sum(check.passed for check in self.checks)

    @property
    def passed(self) -> bool:
        """Whether all have."""
        return not self.unusable and self.earned == len(self.checks)

    @property
    def untouched(self) -> bool:
        """Whether no function has been written yet."""
        return not self.unusable and not any(
            check.passed or check.written for check in self.checks if check.reached
        )


def check_file(folder: Path, name: str, limit: float = LIMIT) -> Graded:
    """Run the checks of an exercise on the student's file in ``folder``."""
    with tempfile.TemporaryDirectory(prefix="odyssey-learn-") as place:
        results = Path(place) / "results"
        command = [sys.executable, "-B", "-X", "utf8", "-m", "odyssey.learn.child"]
        command += [str(folder.resolve()), name, str(results), str(limit)]
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # what it starts is ended with it
        ) as process:
            assert process.stdout is not None
            kept: list[bytes] = []
            reader = threading.Thread(
                target=_read, args=(process.stdout, kept), daemon=True
            )
            reader.start()
            try:
                process.wait(limit + GRACE)
            except subprocess.TimeoutExpired:
                pass
            finally:
                _end(process)
                reader.join(CLOSING)  # what escaped may hold the output open
        return _read_results(name, results, b"".join(kept), limit)


def check_and_note(progress: Progress, name: str, limit: float = LIMIT) -> Graded:
    """Run the checks of an exercise, and note the outcome in ``progress.json``."""
    graded, record = check_file(progress.folder, name, limit), progress[name]
    record.earned, record.checks = graded.earned, len(graded.checks)
    record.started = record.started or now()
    record.passed = (record.passed or now()) if graded.passed else ""
    progress.save()
    return graded


def _end(process: subprocess.Popen) -> None:
    """End a process and, where there are groups, the processes that it has started."""
    killpg = getattr(os, "killpg", None)
    try:
        if killpg:
            killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # all have ended
    process.kill()  # nothing if it has ended


def _read(stream: IO[bytes], kept: list[bytes]) -> None:
    """Keep the beginning of what is printed, and read the rest so that it goes on."""
    room = 4 * MOST_PRINTED
    try:
        while block := os.read(stream.fileno(), 65536):
            kept.append(block[:room])
            room -= len(kept[-1])
    except (OSError, ValueError):
        pass  # closed meanwhile


def _read_results(name: str, results: Path, printed: bytes, limit: float) -> Graded:
    graded = Graded(plan(course.load(name)), printed=_shortened(printed))
    begun, ended, done = ["", ""], False, 0
    text = results.read_text(encoding="utf-8") if results.exists() else ""
    for line in text.splitlines():
        try:
            entry = dict(json.loads(line))
        except (TypeError, ValueError):
            continue  # not ours: the student's code has written here
        begun = entry.get("begins", begun)
        graded.unusable = entry.get("unusable", graded.unusable)
        ended = ended or "end" in entry
        if "check" in entry and done < len(graded.checks):
            graded.checks[done] = Check(**entry["check"])
            done += 1
    if not ended:
        trace = trace_file(results)
        trace_text = trace.read_text("utf-8", "replace") if trace.exists() else ""
        why = _why_ended(trace_text, limit, name)
        if begun[0]:
            graded.checks[done] = replace(
                graded.checks[done], reached=True, message=why
            )
        else:
            graded.unusable = f"{name}.py cannot be imported: {why}"
    return graded


def _why_ended(trace: str, limit: float, name: str) -> str:
    """Return why there is no answer: the time is over, or Python has crashed."""
    found = re.search(rf'File "[^"]*\b{name}\.py", line (\d+)', trace)
    where = f", in line {found[1]} of {name}.py" if found else ""
    if "Timeout" in trace:
        return (
            f"no answer after {limit:g} seconds{where}. Is there a loop that does not "
            "end?"
        )
    if trace.strip():
        return f"Python crashed{where}: {trace.strip().splitlines()[0]}"
    return "your code ended Python before it gave an answer"


def _shortened(printed: bytes) -> str:
    text = printed.decode("utf-8", "replace").replace("\r\n", "\n").rstrip()
    if len(text) > MOST_PRINTED:
        return f"{text[:MOST_PRINTED]}\n... (the rest is left out)"
    return text
