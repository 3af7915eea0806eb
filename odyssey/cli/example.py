"""What an example tells the programs of the library about itself."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from odyssey.network import Config, Network


def unchanged(options: SimpleNamespace, config: Config) -> Config:
    """Return the model's options: the command line has none of its own for them."""
    return config


class Example(NamedTuple):
    """A folder with a network of its own, whose programs are those of `odyssey.cli`."""

    title: str  # of the networks, for a sentence: "ResNet-18, or another one"
    network: Network
    folder: Path  # the example's own: recipes lie in its configs/
    weights_dir: str  # where runs go that name no folder
    model_options: Sequence[Callable[..., Any]] = ()  # decorators, see `cli.option`
    choose: Callable[[SimpleNamespace, Config], Config] = unchanged
    model_help: str = ""  # more about the names of --model

    @property
    def recipes(self) -> Path:
        """Return the folder of the recipes that --config knows by name."""
        return self.folder / "configs"
