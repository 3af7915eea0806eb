"""Numba loops under the public operations, one algorithm a file."""

from odyssey import lazy

__getattr__, __dir__ = lazy.attach(__name__)
