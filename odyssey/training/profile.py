"""How long each layer takes in a step of training, by clocks around its calls."""

import inspect
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from types import ModuleType
from typing import Any

#: Parts of a step that a layer can have a share in; the update and checks are "other".
PHASES = ("forward", "backward", "other")


class Clocks:
    """Within its context the calls of a model's layers are timed, in their place.

    A call's time does not contain that of timed calls within it, so that all times add
    up to no more than the step.

    Parameters
    ----------
    layers : for "forward" and "backward" the class whose public methods do the layers;
        the time goes to the layer that a method's first argument names, if that is a
        string, else to the method's own name
    modules : functions that these have imported from Odyssey, such as pooling, loss and
        update, are timed under their own names
    """

    def __init__(
        self, layers: Mapping[str, type], modules: Iterable[ModuleType] = ()
    ) -> None:
        # seconds by layer, then by phase
        self.times: dict[str, dict[str, float]] = defaultdict(
            lambda: defaultdict(float)
        )
        self._inner: list[float] = []  # seconds of timed calls within those at work
        self._found = [
            (owner, name, self._timed(function, phase, method=True))
            for phase, owner in layers.items()
            for name, function in vars(owner).items()
            if inspect.isfunction(function) and not name.startswith("_")
        ]
        self._found += [
            (module, name, self._timed(function, _phase(function), method=False))
            for module in modules
            for name, function in vars(module).items()
            if inspect.isfunction(function) and function.__module__[:8] == "odyssey."
        ]

    def __enter__(self) -> "Clocks":
        self._originals = [(o, name, vars(o)[name]) for o, name, _ in self._found]
        self.times.clear()
        for owner, name, timed in self._found:
            setattr(owner, name, timed)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for owner, name, original in self._originals:
            setattr(owner, name, original)

    def _timed(self, function: Callable, phase: str, method: bool) -> Callable:
        own_name = function.__name__.removesuffix("_backward")

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            named = method and len(args) > 1 and isinstance(args[1], str)
            self._inner.append(0.0)
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds = time.perf_counter() - started
                layer = self.times[args[1] if named else own_name]
                layer[phase] += seconds - self._inner.pop()
                if self._inner:
                    self._inner[-1] += seconds

        return timed


def profile(clocks: Clocks, step: Callable[[], object], repeats: int = 3) -> dict:
    """Return seconds of a step, and of each layer in it, in the order of first calls.

    Parameters
    ----------
    step : does one step of training; kernels should be compiled already
    repeats : of the step; the figures are those of the one with the median time, so
        that they add up

    Returns
    -------
    dict
        Plain JSON: ``seconds`` of the step and ``rows``, each with ``name`` and the
        seconds of those `PHASES` in which there were calls.
    """
    steps = []
    for _ in range(repeats):
        with clocks:
            started = time.perf_counter()
            step()
            seconds = time.perf_counter() - started
        rows = [{"name": name, **phases} for name, phases in clocks.times.items()]
        steps.append({"seconds": seconds, "rows": rows})
    return sorted(steps, key=lambda measured: measured["seconds"])[repeats // 2]


def _phase(function: Callable) -> str:
    if not function.__module__.startswith("odyssey.ops."):
        return "other"
    return "backward" if function.__name__.endswith("_backward") else "forward"
