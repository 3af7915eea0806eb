"""Data sets: formats, batching, augmentation, a synthetic set."""

from odyssey import lazy

__getattr__, __dir__ = lazy.attach(__name__)
