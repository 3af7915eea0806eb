"""Training, the same for every example: recipe, loop, metrics, logs."""

from odyssey import lazy

__getattr__, __dir__ = lazy.attach(__name__)
