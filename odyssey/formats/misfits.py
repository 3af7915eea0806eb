"""What keeps a file's tensors from being a network's, with the names most like it."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from odyssey.errors import one_line
from odyssey.formats.renaming import Origins, Renamed, their_name
from odyssey.formats.tensor_file import FormatError
from odyssey.network import Config, Network
from odyssey.output import say

MOST_COMPARED = 200  # names that get a similar one, and that it is looked for among


class NamesError(FormatError):
    """Tensors that are not a network's; ``problems`` has a line for each."""

    def __init__(self, summary: str, problems: list[str]) -> None:
        super().__init__(f"{summary}: {'; '.join(problems)}")
        self.summary, self.problems = summary, problems


def said_apart(error: NamesError) -> FormatError:
    """Print the problems on stderr, a line each, if they are more than one.

    Returns
    -------
    error : what is left to say
    """
    if len(error.problems) < 2:
        return error
    for problem in error.problems:
        say(one_line(problem), err=True)
    return FormatError(f"{error.summary}, all listed above")


class Misfits(NamedTuple):
    """What is wrong with tensors that should be a network's."""

    missing: list[str]  # names here
    unexpected: list[str]  # names in the file
    misshapen: dict[str, str]  # names in the file: what is wrong

    @property
    def number(self) -> int:
        """Return how many tensors are wrong."""
        return sum(map(len, self))

    def numbers(self) -> str:
        """Return how many tensors are wrong, by kind, as text."""
        kinds = ("missing", "unexpected", "of another shape or dtype")
        return ", ".join(
            f"{len(found)} {kind}"
            for found, kind in zip(self, kinds, strict=True)
            if found
        )

    def lines(self, network: Network, found: Renamed, origins: Origins) -> list[str]:
        """Return a line for each tensor, in the spelling of the file.

        One that is missing has the unexpected name beside it that is most like it, and
        the other way round.
        """
        written = _written(network, found.config, origins.layers)
        missing = [written(name) for name in self.missing]
        return [
            *_with_nearest(missing, "missing", self.unexpected),
            *_with_nearest(self.unexpected, "unexpected", missing),
            *(f"{name} {wrong}" for name, wrong in self.misshapen.items()),
        ]


def misfits_of(
    network: Network,
    found: Renamed,
    origins: Origins,
    manifest: Mapping[str, Any] | None,
) -> Misfits:
    """Return what keeps tensors from being the network's."""
    tensors, shapes = found.tensors, network.tensor_shapes(found.config)
    state, theirs = network.state_shapes(found.config), origins.names
    # Odyssey's own names without a manifest: the original project kept no statistics
    if not (manifest or origins.layers) and state.keys().isdisjoint(tensors):
        shapes = network.parameter_shapes(found.config)
    wrong = {}
    for name, shape in shapes.items():
        tensor = tensors.get(name)
        if tensor is not None and tensor.shape != tuple(shape):
            wrong[theirs[name]] = f"has shape {tensor.shape}, not {tuple(shape)}"
        elif tensor is not None and tensor.dtype.kind != "f":
            wrong[theirs[name]] = f"has dtype {tensor.dtype}, not float32 or float64"
    return Misfits(
        [name for name in shapes if name not in tensors],
        [theirs[name] for name in tensors if name not in shapes],
        wrong,
    )


def _written(
    network: Network, config: Config, layers: Mapping[str, str]
) -> Callable[[str], str]:
    """Return the function that writes a name here as the file would have it.

    Parameters
    ----------
    network, config : the network that is wanted
    layers : those of the file's modules; none if its names are those here
    """
    foreign = network.foreign
    if foreign is None or not layers:
        return lambda name: name
    tables = [foreign.modules(config, style) for style in foreign.styles]
    likest = max(tables, key=lambda table: len(layers.keys() & set(table.values())))
    return lambda name: their_name(name, likest)


def _with_nearest(names: list[str], what: str, others: list[str]) -> Iterator[str]:
    """Yield a line for each name; the first ones with the name most like each."""
    among = others[:MOST_COMPARED]
    for i, name in enumerate(names):
        near = difflib.get_close_matches(name, among, 1) if i < MOST_COMPARED else []
        yield f"{name} is {what}{f' (like it: {near[0]})' if near else ''}"
