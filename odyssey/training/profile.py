"""How long each layer takes in a step of training, by clocks around its calls."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import wraps
from types import ModuleType
from typing import Any

from odyssey.training.clock import clock

#: Parts of a step that a layer can have a share in; the update and checks are "other".
PHASES = ("forward", "backward", "other")


class Clocks:
    """Within its context the calls of a model's layers are timed, in their place.

    A call's time does not contain that of timed calls within it, so that all times add
    up to no more than the step.

    Parameters
    ----------
    modules : functions that these have imported from Odyssey, such as pooling, loss and
        update, are timed under their own names
    layers : module whose functions do the layers; they are timed there and in
        ``modules``, those with names that end in "_backward" as backwards
    layer_of : given the arguments of such a function, returns the layer's name; None
        gives the time to the function's own name
    """

    def __init__(
        self,
        modules: Iterable[ModuleType] = (),
        layers: ModuleType | None = None,
        layer_of: Callable[[tuple], str | None] = lambda arguments: None,
    ) -> None:
        # seconds by layer, then by phase
        self.times: dict[str, dict[str, float]] = defaultdict(
            lambda: defaultdict(float)
        )
        self._inner: list[float] = []  # seconds of timed calls within those at work
        self._found = []
        for module in (layers, *modules) if layers else modules:
            for name, function in vars(module).items():
                if not inspect.isfunction(function) or name.startswith("_"):
                    continue
                if layers and function.__module__ == layers.__name__:
                    timed = self._timed(function, _phase(function, True), layer_of)
                elif module is not layers and function.__module__[:8] == "odyssey.":
                    phase = _phase(function, function.__module__[8:12] == "ops.")
                    timed = self._timed(function, phase, lambda arguments: None)
                else:
                    continue
                self._found.append((module, name, timed))

    def __enter__(self) -> "Clocks":
        self._originals = [(o, name, vars(o)[name]) for o, name, _ in self._found]
        self.times.clear()
        for owner, name, timed in self._found:
            setattr(owner, name, timed)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for owner, name, original in self._originals:
            setattr(owner, name, original)

    def _timed(self, function: Callable, phase: str, layer_of: Callable) -> Callable:
        own_name = function.__name__.removesuffix("_backward")

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            name = layer_of(args) or own_name
            phases = self.times[name]  # its place is that of the call's beginning
            self._inner.append(0.0)
            started = clock()
            try:
                return function(*args, **kwargs)
            finally:
                seconds = clock() - started
                phases[phase] += seconds - self._inner.pop()
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
            started = clock()
            step()
            seconds = clock() - started
        rows = [{"name": name, **phases} for name, phases in clocks.times.items()]
        steps.append({"seconds": seconds, "rows": rows})
    return sorted(steps, key=lambda measured: measured["seconds"])[repeats // 2]


def _phase(function: Callable, of_model: bool) -> str:
    if not of_model:
        return "other"
    return "backward" if function.__name__.endswith("_backward") else "forward"
