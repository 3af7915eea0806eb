"""Numba loops under the public operations, one algorithm a file."""
