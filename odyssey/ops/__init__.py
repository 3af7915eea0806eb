"""The public operations, one family a file: checks, forward, backward."""

from odyssey import lazy

__getattr__, __dir__ = lazy.attach(__name__)
