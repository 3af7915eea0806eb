"""The class of an exercise, and how an exercise is written.

An exercise is one file, ``odyssey/learn/exercises/NAME.py``, which ends in

    EXERCISE = Exercise("NAME", ...)

and is listed in ``ORDER`` of ``odyssey/learn/course.py``.  From it are made the stub
that the student fills in, the solution, and all checks:

- The solution is source code that exists already: functions of a file in
  ``odyssey.reference`` or, where there is none, of ``odyssey/learn/solutions/NAME.py``.
  ``source`` is the name of that module.  The functions named are copied with the
  helpers, constants and imports that they use, and nothing else.  A function that an
  earlier exercise writes is imported from ``odyssey.reference`` (or from
  ``odyssey.learn.solutions``); in the student's folder that line becomes an import of
  the student's own file.
- The stub is the signature of each function, taken from the source, with the docstring
  ``says`` (without it: the docstring of the source), and a body that raises.  So
  ``says`` gives shapes and the formula of the forward, and does not give the backward
  away.
- The right results are those of the functions in ``source``, unless a `Function` has
  another ``right``, such as one of several results of a twin.

How a function is called is said by an `odyssey.op_specs.OpSpec`: that of the operation,
``spec_of("relu")``, or one that the exercise makes.  A function that is no backward is
called through ``spec.forward(ops, inputs, options)``, a backward through
``spec.backward(ops, grad_output, inputs, options)`` with a random ``grad_output``;
there ``ops`` holds the function of the student, and all others are right.  So with the
cases of the spec, without those whose label begins with "wide", come the spec's rules
of calling. For a part of a backward, give the spec a ``run_forward`` and a
``run_backward``::

    def _backward(ops, grad_output, x, kernel, **options):
        return (None, *ops.conv2d_grad_kernel(grad_output, x, kernel, **options))

    SPEC = replace(spec_of("conv2d"), run_forward=..., run_backward=_backward)

and ``backward=True`` on the `Function`, whose name does not end in ``_backward``.  What
is no array (a number, a generator, a function) goes into the options of a `Case`, which
are passed by name.  Every call gets copies, generators too.  Functions that change an
argument (``..._inplace``) are compared in what they leave in it.

The checks of each function, in this order:

1. the case worked by hand (`ByHand`), whose arithmetic is printed when it fails;
2. the cases of the spec, in float64: shapes, dtypes and numbers;
3. the cases ``edges``: one image, one class, a window as large as the image, nothing
   left over, large numbers that must not overflow;
4. 20 random cases that ``draw`` makes, the smallest first.  Draw small: what fails is
   printed;
5. the dtype: float32 in, float32 out (not where ``dtypes`` has one only);
6. the arguments are as they were before;
7. for a backward: the gradient check, in float64, with a random upstream gradient and a
   diagnosis.

Hints are three: where to look; the idea; the line in words, nearly code.  No hint is
code that can be pasted.  Texts are plain and short, for a student who reads English as
a second language; formulas are plain text.

Each exercise has wrong tries in ``tests/learn/wrong/NAME.py``: texts of the solution
that are replaced, with the function and the check that must fail first.
``tests/learn/test_exercises.py`` runs them, the stub and the solution.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from odyssey import reference
from odyssey.op_specs import OPS, Case, OpSpec

#: How many random cases a function is tried on.
RANDOM_CASES = 20


@dataclass(frozen=True)
class ByHand:
    """A call worked by hand, with small numbers.

    ``arguments`` are what the function is called with, arrays as nested lists (of
    floats: float64, of integers: int64) or as arrays; ``result`` is what comes back, a
    tuple for several results; ``work`` is the arithmetic, a few lines of plain text,
    which a student can follow with a pencil.  For a function that changes arguments,
    ``after`` gives each of them by position, as it is afterwards.
    """

    arguments: tuple[Any, ...]
    result: Any
    work: str
    options: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[int, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Function:
    """One function that the student writes.

    Parameters
    ----------
    name : its name in the source and in the student's file
    spec : how it is called, and its cases; for a backward, that of the operation
    by_hand : the case worked by hand
    results : the names of its results, in order; () for one that returns None
    says : docstring of the stub; "" for that of the source
    edges : cases at the edge of what is allowed
    draw : makes a small random case
    right : what gives the right results; None for the function in the source
    backward : whether it is called as a backward; None to go by the name
    dtypes : of the floating arrays that it is given; the first is that of all cases
    """

    name: str
    spec: OpSpec
    by_hand: ByHand
    results: tuple[str, ...] = ("the result",)
    says: str = ""
    edges: tuple[Case, ...] = ()
    draw: Callable[[np.random.Generator], Case] | None = None
    right: Callable[..., Any] | None = None
    backward: bool | None = None
    dtypes: tuple[str, ...] = ("float64", "float32")

    @property
    def is_backward(self) -> bool:
        """Whether it is called as a backward."""
        if self.backward is None:
            return self.name.endswith("_backward")
        return self.backward


@dataclass(frozen=True)
class Exercise:
    """An exercise: what the student writes, what it is made from, and three hints.

    Parameters
    ----------
    name : name of the student's file, without .py; that of the exercise's file too
    title : a few words for the list
    task : what to write, for the top of the stub: a paragraph or two, and the formula
    source : the module whose functions are the solution, "odyssey.reference.activation"
    functions : the functions to write, in the order in which they are best written
    hints : three, each of which says more than the one before
    pages : files of the project to read, from its root: derivation, source
    """

    name: str
    title: str
    task: str
    source: str
    functions: tuple[Function, ...]
    hints: tuple[str, str, str]
    pages: tuple[str, ...] = ()

    @property
    def module(self) -> ModuleType:
        """The module whose functions are the solution."""
        return importlib.import_module(self.source)

    def right(self) -> dict[str, Callable[..., Any]]:
        """Return the right functions by name."""
        return {
            function.name: function.right or getattr(self.module, function.name)
            for function in self.functions
        }

    def operations(self, **others: Callable[..., Any]) -> SimpleNamespace:
        """Return all reference operations and right functions, some replaced."""
        named = {name: getattr(reference, name) for name in reference.__all__}
        return SimpleNamespace(**{**named, **self.right(), **others})


def spec_of(operation: str) -> OpSpec:
    """Return the spec of an operation."""
    return next(spec for spec in OPS if spec.name == operation)


def small(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Return the cases that are small enough for a student's loops."""
    return tuple(case for case in cases if not case.label.startswith("wide"))
