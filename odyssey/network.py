"""What the library knows of a family of networks: their options and functions."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from odyssey.layers.context import Tensors

Shapes = dict[str, tuple[int, ...]]
#: The options of a network: a NamedTuple, of which one field is ``num_classes``.
Config = Any


def unfolded(params: Tensors, state: Tensors, config: Config) -> Tensors:
    """Return the parameters as they are: nothing is to be folded."""
    return params


def accepted(config: Config) -> None:
    """Take any options."""


def told(config: Config) -> str:
    """Return nothing: shapes tell all there is to know."""
    return ""


class Network(NamedTuple):
    """A family of networks: its members by name, and what can be done with them.

    All functions are pure.  ``params`` are what is trained, ``state`` is what the
    forward replaces, such as running statistics; both are arrays by name, and names and
    order are those of ``parameter_shapes`` and ``state_shapes``.

    ============================================== ====================================
    ``parameter_shapes(config)``                   names and shapes of what is trained
    ``state_shapes(config)``                       likewise of the state
    ``initialize(config, seed)``                   ``params, state``
    ``forward(params, state, x, config, training,  ``logits, new_state, cache``; logits
    rng, folded=...)``                             are (N, K)
    ``backward(grad_logits, cache, params,         gradients, by the names of params
    config)``
    ``fold(params, state, config)``                parameters for ``forward(...,
                                                   training=False, folded=True)``
    ``recognize(shapes)``                          the options of the network whose
                                                   tensors have these shapes
    ``check(config)``                              ``ValueError`` for options that no
                                                   network has
    ``untold(config)``                             what shapes alone do not tell of such
                                                   a network, "" if they do
    ============================================== ====================================
    """

    family: str  # what a member without a name of its own is called
    models: Mapping[str, Config]  # by name, the usual one first
    parameter_shapes: Callable[[Config], Shapes]
    state_shapes: Callable[[Config], Shapes]
    initialize: Callable[[Config, int], tuple[Tensors, Tensors]]
    forward: Callable[..., tuple[np.ndarray, Tensors, Any]]
    backward: Callable[[np.ndarray, Any, Tensors, Config], Tensors]
    recognize: Callable[[Mapping[str, tuple[int, ...]]], Config]
    fold: Callable[[Tensors, Tensors, Config], Tensors] = unfolded
    check: Callable[[Config], None] = accepted
    untold: Callable[[Config], str] = told
    model_name: Callable[[Config], str] | None = None  # None: the equal one of models
    noise: tuple[str, ...] = ()  # options that are chances, drawn in training alone
    stated: tuple[str, ...] = ()  # options that are told even where they are as usual

    @property
    def usual(self) -> str:
        """Return the name of the model that is meant where none is named."""
        return next(iter(self.models))

    @property
    def option_names(self) -> tuple[str, ...]:
        """Return the names of the options that a network of the family has."""
        return self.models[self.usual]._fields

    def name_of(self, config: Config) -> str:
        """Return what a network with these options is called."""
        if self.model_name is not None:
            return self.model_name(config)
        for name, model in self.models.items():
            if model._replace(num_classes=config.num_classes) == config:
                return name
        return self.family

    def stated_options(self, config: Config) -> str:
        """Return what is said of a network behind its name: " of width 64"."""
        return "".join(f" of {name} {getattr(config, name)}" for name in self.stated)

    def without_noise(self, config: Config) -> Config:
        """Return the options with nothing left to chance, as at inference."""
        return config._replace(**dict.fromkeys(self.noise, 0.0))
