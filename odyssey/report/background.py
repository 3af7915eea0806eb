"""Sections of a report about the run itself: times, recipe, versions, machine."""

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from odyssey.report import stored
from odyssey.report.stored import Absent
from odyssey.report.tables import Shaded, definitions, percent, table
from odyssey.training.learning_rate import SHAPES
from odyssey.training.profile import PHASES

#: Entries shown for each session; others are shown for the last session only.
_OF_SESSIONS = ("command", "started", "ended", "first_step", "last_step")
_OF_THE_MODEL = ("parameters",)

#: Titles of functions that are timed in a step but are no layers.
_CALLED = {
    "add": "addition",
    "avgpool2d": "average pooling",
    "batch_norm2d": "batch norm",
    "block_shortcut": "shortcuts",
    "check_step": "check for NaN and infinity",
    "clip_grad_norm_inplace": "gradient clipping",
    "count_correct": "accuracy",
    "cross_entropy": "loss",
    "global_avgpool2d": "global average pooling",
    "linear": "linear layer",
    "maxpool2d": "max pooling",
    "muon_update_inplace": "weight update",
    "scale_to_norm_inplace": "weight update",
    "sgd_momentum_update_inplace": "weight update",
    "subsample": "shortcuts",
    "update_average_inplace": "average of the weights",
    "update_averages": "average of the weights",
}


def subtitle(folder: Path) -> str:
    """Return model, number of parameters, data set and date, as far as known."""
    facts = []
    with suppress(Absent):
        values = stored.recipe(folder)
        width = f" of width {values['width']}" if "width" in values else ""
        facts.append(f"{values.get('model', 'unknown model')}{width}")
        if "dataset" in values:
            facts.append(str(values["dataset"]))
    with suppress(Absent):
        sessions = stored.sessions(folder)
        if isinstance(count := sessions[-1].get("parameters"), int):
            facts.insert(1, f"{count:,} parameters")
        days = [
            str(sessions[0].get("started"))[:10],
            str(sessions[-1].get("ended"))[:10],
        ]
        facts.append(" to ".join(dict.fromkeys(days)))
    return ", ".join(facts)


def layers(folder: Path) -> str:
    """Return the time of each layer in a step, in the order of the forward."""
    profile = stored.profile(folder)
    whole = profile["seconds"]
    by_name: dict[str, np.ndarray] = {}
    for row in profile["rows"]:
        name = _CALLED.get(row["name"], row["name"])
        times = np.array([row.get(phase, 0.0) for phase in PHASES])
        by_name[name] = by_name.get(name, 0.0) + times
    timed = [(name, times.tolist()) for name, times in by_name.items()]
    rest = max(0.0, whole - sum(sum(times) for _, times in timed))
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
        "layer, in the median of a few steps, without the loading of data.</p>"
    )
    return note + table(caption, head, rows, "bars layers")


def recipe(folder: Path) -> str:
    """Return the run's recipe without the fields of other schedules."""
    values = stored.recipe(folder)
    left_out = _of_other_schedules(values)
    pairs = [
        (name, value if isinstance(value, str) else json.dumps(value))
        for name, value in ({"model": "", "dataset": ""} | values).items()
        if name in values and name not in left_out
    ]
    note = '<p class="note">The choices that decide the run\'s numbers.</p>'
    return note + definitions(pairs, "pairs")


def _of_other_schedules(values: Mapping[str, object]) -> set[str]:
    """Return the names of the fields that the run's schedule does not use."""
    own = SHAPES.get(str(values.get("lr_scheduler")))
    if own is None:
        return set()
    names = {name for shape in SHAPES.values() for name in shape}.difference(own)
    if not values.get("lr_warmup_epochs"):
        names |= {"lr_warmup_epochs", "lr_warmup_decay"}
    return names


def environment(folder: Path) -> str:
    """Return versions and machine of the last session, and the commands of all."""
    sessions = stored.sessions(folder)
    known = dict(sessions[-1])
    versions = known.pop("versions").items()
    apart = _OF_SESSIONS + _OF_THE_MODEL
    known = {k: v for k, v in known.items() if k not in apart}
    rows = [
        [name, *(_words(s.get(name), shlex.join) for s in sessions)]
        for name in _OF_SESSIONS
    ]
    about = [(name, _words(value)) for name, value in [*versions, *known.items()]]
    numbers = [f"session {n}" for n in range(1, len(sessions) + 1)]
    return definitions(about, "pairs") + table(
        "Sessions of training", ["", *numbers], rows, "text"
    )


def _words(value: object, join: Callable[[Iterable[str]], str] = ", ".join) -> str:
    if isinstance(value, list):
        return join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {v}" for name, v in value.items())
    return str(value)
