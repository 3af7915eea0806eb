"""Functions as a student may have written them, and their grades, in this process."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from odyssey.learn import course
from odyssey.learn.grading import grade
from odyssey.learn.sources import needs, solution


@dataclass(frozen=True)
class Try:
    """A wrong try: the solution with some of its text replaced.

    ``function`` and ``check`` are where it must fail first, and ``says`` is in the
    message of that.
    """

    fault: str
    old: str
    new: str
    function: str
    check: str
    says: str = ""

    def text(self, name: str) -> str:
        """Return the student's file."""
        right = solution(course.load(name))
        assert right.count(self.old) >= 1, f"{self.fault}: {self.old!r} is not there"
        return right.replace(self.old, self.new)


def tries(name: str) -> list[Try]:
    """Return the wrong tries of an exercise, from ``wrong/NAME.py``."""
    path = Path(__file__).parent / "wrong" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"wrong_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TRIES


def functions(name: str, text: str) -> dict:
    """Return what a file defines; imports of earlier exercises get their solutions."""
    exercise, found = course.load(name), {}
    lines = text.splitlines()
    for earlier in needs(exercise):
        found |= functions(earlier, solution(course.load(earlier)))
        lines = [
            line for line in lines if not line.startswith(f"from {earlier} import")
        ]
    exec(compile("\n".join(lines), f"{name}.py", "exec"), found)
    return found


def failures(name: str, text: str) -> list:
    """Return the checks that fail."""
    checks = list(grade(course.load(name), functions(name, text)))
    return [check for check in checks if check.reached and not check.passed]
