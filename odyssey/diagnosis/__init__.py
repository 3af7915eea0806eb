"""What is wrong with a backward that fails the gradient check.

    faults.py     the names, and how they are said
    trial.py      both gradients of an input, and what may be measured again
    gradients.py  sign, factor, order of elements
    ratios.py     what a factor may mean
    upstream.py   what is made of the upstream gradient
    arguments.py  another argument than the forward's
    masks.py      those of relu and dropout
    paths.py      a path that is left out
    places.py     wrong at borders, phases, kinks only
    shapes.py     another shape, dtype or form
    known/        operations that are recognised, with backwards as they go wrong
    search.py     the order in which all this is tried

Each hypothesis says which gradient a backward with that fault would give, or which
elements would be wrong.  It is named only if this is so in all elements.
"""

from __future__ import annotations

from odyssey.diagnosis.faults import FAULTS as FAULTS
from odyssey.diagnosis.faults import Diagnosis as Diagnosis
from odyssey.diagnosis.report import WrongGradientError as WrongGradientError
from odyssey.diagnosis.report import diagnosed as diagnosed
