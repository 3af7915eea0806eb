"""The examples by the models that they have, and by the weights that they wrote."""

import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from odyssey.cli.copy_example import examples
from odyssey.cli.example import Example
from odyssey.cli.meant import did_you_mean
from odyssey.errors import InputError
from odyssey.foreign import Tensors
from odyssey.formats.names import find_network
from odyssey.network import Network
from odyssey.training.saved_model import model_in


def load_example(folder: Path) -> Example:
    """Return the `Example` that the ``example.py`` or ``model.py`` of a folder names.

    Raises
    ------
    InputError
        If there is none; names the folder.
    """
    folder = folder.resolve()  # the working directory may be the folder itself
    place = "example" if (folder / "example.py").exists() else "model"
    if not (folder / f"{place}.py").exists():
        raise InputError(f"{folder}: no example: it has no example.py and no model.py")
    if str(folder.parent) not in sys.path:
        sys.path.insert(0, str(folder.parent))
    module = importlib.import_module(f"{folder.name}.{place}")
    example = getattr(module, "EXAMPLE", None)
    if not isinstance(example, Example):
        raise InputError(f"{folder / place}.py: no EXAMPLE, which describes a network")
    return example


def all_examples() -> Iterator[Example]:
    """Import the examples of Odyssey one by one, in alphabetical order."""
    return map(load_example, examples().values())


def find_example(model: str, hint: str = "MODEL") -> Example:
    """Return the example that has a model of this name.

    Parameters
    ----------
    model : its name
    hint : the argument or option, for the error

    Raises
    ------
    click.BadParameter
        If there is none.
    """
    names: list[str] = []
    for example in all_examples():
        if model in example.network.models:
            return example
        names += example.network.models
    question = did_you_mean(model, names, {})
    raise click.BadParameter(
        f"{model!r} is no model; {question}"
        if question
        else f"{model!r} is not one of {', '.join(names)}.",
        param_hint=hint,
    )


def example_of(weights_dir: str) -> Example:
    """Return the example that a folder of weights, a run, a checkpoint or a file is of.

    The manifest names the model; without a manifest the tensors tell, by their shapes
    or by the names that another tool gave them.

    Raises
    ------
    InputError
        If it is of no example of Odyssey's.
    WeightsError
        If the files are damaged.
    """
    found = model_in(weights_dir)
    if found.name is not None:
        what = f"{found.name!r}"
        if example := example_named(found.name):
            return example
    else:
        what = "a model of these shapes"
        shapes = {name: tensor.shape for name, tensor in found.tensors.items()}
        for example in all_examples():
            if _has_shapes(example.network, shapes):
                return example
        if any("." in name for name in shapes):
            return most_like(found.tensors, weights_dir)
    raise InputError(
        f"{weights_dir}: no example of Odyssey has {what}; --example names the folder "
        "of your own"
    )


def example_named(name: Any) -> Example | None:
    """Return the example that has a model or a family of this name, if there is one."""
    for example in all_examples():
        if name in (*example.network.models, example.network.family):
            return example
    return None


def most_like(tensors: Tensors, where: str) -> Example:
    """Return the example whose networks a file's tensors fit best; see `find_network`.

    Parameters
    ----------
    tensors : by their names in the file
    where : the file, for messages
    """
    loaded = list(all_examples())
    network = find_network([example.network for example in loaded], tensors, where)
    return next(example for example in loaded if example.network is network)


def _has_shapes(network: Network, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Tell whether tensors are those of a network of this family."""
    try:
        wanted = network.parameter_shapes(network.recognize(shapes))
    except (TypeError, ValueError, KeyError, IndexError):  # shapes of another family
        return False
    return all(shapes.get(name) == shape for name, shape in wanted.items())
