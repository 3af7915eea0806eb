"""Arrays that readers and writers of every format must keep to the bit."""

import ml_dtypes
import numpy as np

DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "bool"]
DTYPES += ["uint8", "uint16", "uint32", "uint64"]
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

#: From a C-ordered array (2, 4, 5, 3), one of shape (2, 3, 4, 5) in another memory.
MEMORIES = {
    "channels-last": lambda x: x.transpose(0, 3, 1, 2),
    "C": lambda x: np.ascontiguousarray(x.transpose(0, 3, 1, 2)),
    "Fortran": lambda x: np.asfortranarray(x.transpose(0, 3, 1, 2)),
    "reversed": lambda x: np.ascontiguousarray(x.transpose(0, 3, 1, 2))[:, ::-1, ::-1],
    "stepped": lambda x: np.repeat(x.transpose(0, 3, 1, 2), 2, axis=2)[:, :, ::2],
    "expanded": lambda x: np.broadcast_to(x[0, 0, 0, :, None, None], (2, 3, 4, 5)),
    "other byte order": lambda x: x.transpose(0, 3, 1, 2).astype(
        x.dtype.newbyteorder("S")
    ),
}


def numbers(dtype, shape=(2, 4, 5, 3), seed=0):
    """Return random numbers; more than 4 floats hold NaN, infinity and minus zero."""
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    if dtype == np.bool_:
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    x = rng.standard_normal(shape).astype(dtype)
    if x.size > 4:
        x.reshape(-1)[:4] = [np.nan, -np.inf, -0.0, np.inf]
    return x


def same(a, b):
    """Return whether two arrays have one shape, one dtype and the same bits."""
    return (a.shape, a.dtype) == (b.shape, b.dtype) and a.tobytes() == b.tobytes()


def as_read(x):
    """Return an array as a reader gives it: in C order and the native byte order."""
    return np.ascontiguousarray(x).astype(x.dtype.newbyteorder("=")).reshape(x.shape)


def is_as_read(x):
    """Return whether an array lies in memory as readers promise, and can be changed."""
    return x.flags.c_contiguous and x.dtype.isnative and x.flags.writeable
