"""A family of networks as the library sees it: its options and its functions."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from odyssey.foreign import ForeignNames
from odyssey.graph import IMAGES, Graph
from odyssey.layers.context import Tensors

Shapes = dict[str, tuple[int, ...]]
#: The options of a network: a NamedTuple, of which one field is ``num_classes``.
Config = Any

MAX_COUNT = 2**31 - 1  # of channels and classes, when a manifest is read


def check_options(config: Config, *wrong: str) -> None:
    """Raise ``ValueError`` for options that no network has.

    Whole numbers must be 1 to `MAX_COUNT`, and other numbers, which are probabilities,
    in [0, 1).  ``wrong`` says what else is wrong with ``config``.
    """
    found = []
    for name, value in config._asdict().items():
        if type(value) is int and not 0 < value <= MAX_COUNT:
            found.append(f"{name} must be 1 to {MAX_COUNT}")
        if type(value) is float and not 0 <= value < 1:
            found.append(f"{name} must be in [0, 1)")
    if found or wrong:
        raise ValueError("; ".join([*found, *wrong]))


class Network(NamedTuple):
    """A family of networks: its models by name, and the functions that they share.

    All functions are pure.  ``params`` are the trained parameters; ``state`` holds the
    arrays that the forward replaces, such as running statistics.  Both map names to
    arrays, with the names and the order of ``parameter_shapes`` and ``state_shapes``.

    ============================================== ====================================
    ``parameter_shapes(config)``                   names and shapes of the parameters
    ``state_shapes(config)``                       names and shapes of the state
    ``initialize(config, seed)``                   ``params, state``
    ``forward(params, state, x, config, training,  ``logits, new_state, cache``; logits
    rng, folded=...)``                             are (N, K)
    ``backward(grad_logits, cache, params,         gradients, by the names of params
    config)``
    ``fold(params, state, config)``                parameters for ``forward(...,
                                                   training=False, folded=True)``
    ``recognize(shapes)``                          the options of the network whose
                                                   tensors have these shapes
    ``check(config)``                              ``ValueError`` for invalid options
    ``untold(config)``                             the options that shapes do not show,
                                                   as text; "" if they show all
    ``describe(graph, x, config)``                 the edge of the logits, after noting
                                                   the forward's layers, see `Graph`
    ============================================== ====================================
    """

    family: str  # the name of a network that is none of ``models``
    models: Mapping[str, Config]  # by name, the default first
    parameter_shapes: Callable[[Config], Shapes]
    state_shapes: Callable[[Config], Shapes]
    initialize: Callable[[Config, int], tuple[Tensors, Tensors]]
    forward: Callable[..., tuple[np.ndarray, Tensors, Any]]
    backward: Callable[[np.ndarray, Any, Tensors, Config], Tensors]
    recognize: Callable[[Mapping[str, tuple[int, ...]]], Config]
    fold: Callable[[Tensors, Tensors, Config], Tensors] = lambda params, *_: params
    check: Callable[[Config], None] = check_options
    untold: Callable[[Config], str] = lambda config: ""
    describe: Callable[[Graph, str, Config], str] | None = None  # None: it does not
    model_name: Callable[[Config], str] | None = None  # None: the name in ``models``
    noise: tuple[str, ...] = ()  # options that are probabilities, used in training only
    initial: tuple[str, ...] = ()  # options that only initial values depend on
    stated: tuple[str, ...] = ()  # options that are printed even at their defaults
    by_blocks: bool = False  # takes ``recompute`` and ``reuse``, see `layers/blocks.py`
    foreign: ForeignNames | None = None  # names of the layers in other tools

    @property
    def usual(self) -> str:
        """Return the name of the default model."""
        return next(iter(self.models))

    def tensor_shapes(self, config: Config) -> Shapes:
        """Return names and shapes of the parameters, then of the state."""
        return {**self.parameter_shapes(config), **self.state_shapes(config)}

    @property
    def option_names(self) -> tuple[str, ...]:
        """Return the names of the family's options."""
        return self.models[self.usual]._fields

    def graph(self, config: Config, image: tuple[int, int, int] = (3, 32, 32)) -> Graph:
        """Return the layers of the forward in evaluation, and the edges between them.

        Parameters
        ----------
        config : options of the network
        image : channels, height and width

        Raises
        ------
        ValueError
            If the network does not describe itself, if it does so wrongly, see
            `Graph.finish`, or if it does not take images of this shape.
        """
        if self.describe is None:
            raise ValueError(f"the network {self.family} does not describe its layers")
        shapes = self.parameter_shapes(config), self.state_shapes(config)
        graph = Graph(*shapes, image)
        return graph.finish(self.describe(graph, IMAGES, config))

    def run_training(
        self,
        params: Tensors,
        state: Tensors,
        x: np.ndarray,
        config: Config,
        rng: np.random.Generator | None,
        *,
        recompute: bool = False,
    ) -> tuple[np.ndarray, Tensors, Any]:
        """Return the forward's logits, new state and cache in training.

        ``recompute`` keeps less for the backward, where a network has blocks.
        """
        options = {"recompute": recompute} if self.by_blocks else {}
        return self.forward(params, state, x, config, True, rng, **options)

    def run_backward(
        self, grad_logits: np.ndarray, cache: Any, params: Tensors, config: Config
    ) -> Tensors:
        """Return the gradients; ``cache`` cannot be used after that."""
        options = {"reuse": cache} if self.by_blocks else {}
        return self.backward(grad_logits, cache, params, config, **options)

    def name_of(self, config: Config) -> str:
        """Return the name of the network with these options."""
        if self.model_name is not None:
            return self.model_name(config)
        for name, model in self.models.items():
            if model._replace(num_classes=config.num_classes) == config:
                return name
        return self.family

    def stated_options(self, config: Config) -> str:
        """Return the ``stated`` options as text to follow a name: " of width 64"."""
        return "".join(f" of {name} {getattr(config, name)}" for name in self.stated)

    def without_noise(self, config: Config) -> Config:
        """Return the options with all noise switched off, as for inference."""
        return config._replace(**dict.fromkeys(self.noise, 0.0))
