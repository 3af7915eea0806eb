"""Tensors on disk: hex files, folders of weights, checkpoints."""

from odyssey import lazy

__getattr__, __dir__ = lazy.attach(__name__)
