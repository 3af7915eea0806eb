"""What a student has done, in the plain file ``progress.json`` of the student's folder.

The file says for each exercise when it was started and passed, how many of its checks
passed last, how many hints were given and whether the solution was shown.
"""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from odyssey.errors import InputError
from odyssey.weights.files import atomic_write_text, make_directory

FILE = "progress.json"
#: What marks the file as one of this course.
COURSE = "odyssey"
#: The folder below the current one in which a course begins.
FOLDER = "odyssey_course"


@dataclass
class Record:
    """One exercise: times as text, "" for never."""

    started: str = ""
    earned: int = 0
    checks: int = 0
    passed: str = ""
    hints: int = 0
    solution_shown: str = ""

    @property
    def when_shown(self) -> str:
        """Say in words when the solution was shown, before it passed or afterwards."""
        if self.passed and self.solution_shown > self.passed:
            return "solution looked at afterwards"
        return "after the solution was shown" if self.passed else "solution shown"


@dataclass
class Progress:
    """The records of a student's folder, by the names of exercises and milestones."""

    folder: Path
    exercises: dict[str, Record] = field(default_factory=dict)
    milestones: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Record:
        return self.exercises.setdefault(name, Record())

    def save(self) -> None:
        """Write the file, whole or not at all; make the folder if needed."""
        content = {
            "course": COURSE,
            "exercises": {name: asdict(r) for name, r in self.exercises.items()},
            "milestones": self.milestones,
        }
        make_directory(self.folder)
        atomic_write_text(self.folder / FILE, json.dumps(content, indent=2) + "\n")


def now() -> str:
    """Return the time as text."""
    return datetime.now().isoformat(sep=" ", timespec="milliseconds")


def read(folder: Path) -> Progress:
    """Return the progress in a folder; without a file, nothing is done yet.

    Raises
    ------
    InputError
        If the file is not one that this course has written.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Progress(folder)
    except ValueError as error:
        raise InputError(f"{path}: damaged: {error}") from None
    try:
        if content["course"] != COURSE:
            raise KeyError("course")
        exercises = {name: Record(**r) for name, r in content["exercises"].items()}
        return Progress(folder, exercises, dict(content["milestones"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not the progress of this course: {error}; move the file away, or "
            "name another folder"
        ) from None


def find_folder() -> Path:
    """Return the student's folder: the current one if it is one, else one below it."""
    here = Path(FILE)
    try:
        if json.loads(here.read_text(encoding="utf-8"))["course"] == COURSE:
            return Path()
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return Path(FOLDER)
