"""The cases of an exercise: their order, random ones, and their name in a message."""

import numpy as np

from odyssey.learn.comparing import Wrong
from odyssey.learn.exercise import RANDOM_CASES, Function
from odyssey.op_specs import Case

#: Seeds of the numbers in random cases; one for shapes, further ones for each case.
SEED = 2026


def as_dtype(dtype: str, array: np.ndarray) -> np.ndarray:
    """Return a floating array as another dtype, and others as they are."""
    return array.astype(dtype) if array.dtype.kind == "f" else array


def size(case: Case) -> float:
    """Return how much there is to look at if a case fails; what is empty comes last."""
    sizes = [x.size for x in case.make()]
    return float("inf") if 0 in sizes else sum(sizes)


def random_cases(function: Function) -> list[Case]:
    """Return the random cases of a function, the smallest first."""
    assert function.draw is not None
    rng = np.random.default_rng(SEED)
    cases = [function.draw(rng) for _ in range(RANDOM_CASES)]
    return sorted(cases, key=size)


def in_case(wrong: Wrong, label: str) -> Wrong:
    """Return what was wrong after the name of the case."""
    return Wrong(f'In the case "{label}":\n{wrong}', result=wrong.result)
