"""How long each layer and each operation takes in a step of training.

Python calls a function at the beginning and the end of each call (`sys.setprofile`).
Here it times the layers, which `odyssey.layers.names` lists, and the public functions
of operations and updates.  They are recognised by their code, so it does not matter
where, or under which name, they were imported.
"""

import inspect
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import odyssey
from odyssey.layers.names import NAMINGS
from odyssey.training.clock import clock

#: Parts of a step; the update and the checks are "other".
PHASES = ("forward", "backward", "other")
Times = dict[str, dict[str, float]]  # seconds by layer, then by phase


@dataclass
class Call:
    """A call that is being timed."""

    frame: FrameType
    name: str
    phase: str
    started: float
    within: float = 0.0  # seconds of timed calls within it


class Clocks:
    """Times the calls of layers and operations within its context.

    A call's time does not include that of timed calls within it, so the sum of all
    times is at most that of the step.  Operations called by a layer or by another
    operation are not timed: their time belongs to the caller.

    Attributes
    ----------
    times : seconds by layer and phase, in the order of first calls
    """

    def __init__(self) -> None:
        self.times: Times = defaultdict(lambda: defaultdict(float))
        self._operations = operations()
        self._calls: list[Call] = []
        self._previous: Any = None  # a function, or cProfile's profiler

    def __enter__(self) -> "Clocks":
        self.times.clear()
        self._previous = sys.getprofile()
        if _is_c_profiler(self._previous):
            self._previous.disable()
        sys.setprofile(self._event)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if _is_c_profiler(self._previous):
            sys.setprofile(None)
            self._previous.enable()
        else:
            sys.setprofile(self._previous)
        self._calls.clear()

    def _event(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            self._begin(frame)
        elif event == "return" and self._calls and self._calls[-1].frame is frame:
            self._end()

    def _begin(self, frame: FrameType) -> None:
        code = frame.f_code
        if naming := NAMINGS.get(code):
            name = layer_name(frame.f_locals[naming.argument])
            phase = naming.phase
        elif not self._calls and code in self._operations:
            name, phase = self._operations[code]
        else:
            return
        self.times[name]  # makes the entry now, so that entries are in order of calls
        self._calls.append(Call(frame, name, phase, clock()))

    def _end(self) -> None:
        call = self._calls.pop()
        seconds = clock() - call.started
        self.times[call.name][call.phase] += seconds - call.within
        if self._calls:
            self._calls[-1].within += seconds


def _is_c_profiler(profiler: Any) -> bool:
    """Return whether this is cProfile's, which `sys.setprofile` cannot set again.

    Up to Python 3.11 `sys.getprofile` returns it, but it cannot be called.
    """
    return hasattr(profiler, "enable") and not callable(profiler)


def layer_name(argument: Any) -> str:
    """Return the layer's name: the argument itself or its ``name``, else "relu"."""
    return argument if isinstance(argument, str) else getattr(argument, "name", "relu")


def operations() -> dict[CodeType, tuple[str, str]]:
    """Return name and phase of each public function by its code object."""
    found = {}
    for name in odyssey.__all__:
        function = getattr(odyssey, name)
        if not inspect.isfunction(function):
            continue
        phase = "other"
        if function.__module__.startswith("odyssey.ops."):
            phase = "backward" if name.endswith("_backward") else "forward"
        found[function.__code__] = name.removesuffix("_backward"), phase
    return found


def profile(step: Callable[[], object], repeats: int = 3) -> dict[str, Any]:
    """Time a step and each layer in it; layers are in the order of first calls.

    Parameters
    ----------
    step : does one step of training; kernels should be compiled already
    repeats : number of steps; the result is that of the step with the median time, so
        that its parts add up

    Returns
    -------
    dict
        Plain JSON: ``seconds`` of the step, and ``rows``, each with ``name`` and the
        seconds of the `PHASES` in which it was called.
    """
    clocks = Clocks()
    steps: list[dict[str, Any]] = []
    for _ in range(repeats):
        with clocks:
            started = clock()
            step()
            seconds = clock() - started
        rows = [{"name": name, **phases} for name, phases in clocks.times.items()]
        steps.append({"seconds": seconds, "rows": rows})
    return sorted(steps, key=lambda measured: measured["seconds"])[repeats // 2]
