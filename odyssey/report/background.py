"""What a run was made of: time, choices, versions and machine."""

import json
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path

from odyssey.report import stored
from odyssey.report.tables import Shaded, percent, table
from odyssey.training.profile import PHASES

#: What is told of each session; the rest, of the last.
_OF_SESSIONS = ("command", "started", "ended", "first_step", "last_step")


def layers(folder: Path) -> str:
    """Return the time of each layer in a step, in the order of the forward."""
    profile = stored.profile(folder)
    whole = profile["seconds"]
    timed = [
        (row["name"], [row.get(phase, 0.0) for phase in PHASES])
        for row in profile["rows"]
    ]
    sums = [sum(times) for times in zip(*(times for _, times in timed), strict=True)]
    rest = max(0.0, whole - sum(sums))
    timed.append(("between the layers", [0.0, 0.0, rest]))
    largest = max(sum(times) for _, times in timed) or 1.0
    rows = [
        [
            name,
            *(f"{1000 * time:.2f}" if time else "" for time in times),
            Shaded(percent(sum(times) / whole), sum(times) / largest),
        ]
        for name, times in timed
    ]
    caption = (
        f"One step: {1000 * whole:.1f} ms for {profile['batch_size']} images with "
        f"{profile['threads']} threads; columns in ms"
    )
    head = ["layer", *PHASES, "share"]
    note = (
        '<p class="note">Measured after training, by clocks around the calls of each '
        "layer, in the median of a few steps; no data are loaded in that time.</p>"
    )
    return note + table(caption, head, rows, "bars tall")


def recipe(folder: Path) -> str:
    """Return all choices of the run."""
    values = stored.recipe(folder)
    rows = [
        [name, value if isinstance(value, str) else json.dumps(value)]
        for name, value in values.items()
    ]
    return table("What decides its numbers", ["choice", "value"], rows, "text")


def environment(folder: Path) -> str:
    """Return versions and machine of the last session, and commands of all."""
    sessions = stored.sessions(folder)
    known = dict(sessions[-1])
    versions = known.pop("versions").items()
    known = {k: v for k, v in known.items() if k not in _OF_SESSIONS}
    rows = [
        [name, *(_words(s.get(name), shlex.join) for s in sessions)]
        for name in _OF_SESSIONS
    ]
    about = [[name, _words(value)] for name, value in [*versions, *known.items()]]
    numbers = [f"session {n}" for n in range(1, len(sessions) + 1)]
    return table("Versions and machine", ["", ""], about, "text") + table(
        "Sessions of training", ["", *numbers], rows, "text"
    )


def _words(value: object, join: Callable[[Iterable[str]], str] = ", ".join) -> str:
    if isinstance(value, list):
        return join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {v}" for name, v in value.items())
    return str(value)
