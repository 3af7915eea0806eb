"""Deep learning by hand: every gradient derived, then coded, in NumPy and Numba."""

__version__ = "0.1.0"
