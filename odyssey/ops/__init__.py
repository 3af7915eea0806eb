"""The public operations, one file for each family: checks, forward, backward."""

from odyssey import lazy

__getattr__, __dir__ = lazy.attach(__name__)
