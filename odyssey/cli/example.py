"""The description of an example that the library's programs work with."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from odyssey.network import Network


class Example(NamedTuple):
    """A folder with its own network, whose programs are those of `odyssey.cli`."""

    title: str  # names the network in a sentence: "Train {title} on CIFAR-10"
    network: Network
    folder: Path  # of the example; its recipes are in configs/
    weights_dir: str  # default of --weights-dir
    model_options: Sequence[Callable[..., Any]] = ()  # decorators, see `cli.option`
    model_help: str = ""  # added to the help of --model

    @property
    def recipes(self) -> Path:
        """Return the folder of the recipes that --config knows by name."""
        return self.folder / "configs"
