"""The faults that a diagnosis can name, and how a finding says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

#: Each name with what is wrong, in words that complete "The backward ...".
FAULTS = {
    "wrong sign": "has the sign of each element turned round",
    "wrong factor": "is right but for one factor of all elements",
    "sum instead of mean": "leaves out the division by a count",
    "mean instead of sum": "divides by a count where the forward does not",
    "zero gradient": "gives zeros only",
    "axes transposed": "has the right numbers with two axes exchanged",
    "axes flipped": "has the right numbers in the opposite order along an axis",
    "elements shifted": "has the right numbers some places further along an axis",
    "gradients in the wrong order": "gives the gradient of another input here",
    "upstream gradient left out": "does not multiply by the upstream gradient",
    "upstream gradient misused": "uses another array made of the upstream gradient",
    "only a part of the batch": "counts the upstream gradient of some images only",
    "only the diagonal": "counts how an element changes its own result only",
    "overwritten instead of added": "assigns where several windows have to add up",
    "kernel not turned": "slides the kernel over the upstream gradient as it is, "
    "not turned by 180 degrees",
    "argument transposed": "uses an argument with two of its axes exchanged",
    "argument flipped": "uses an argument in the opposite order",
    "stride left out": "takes the windows as if the stride was another",
    "padding cut off wrongly": "cuts the padding off in the wrong place",
    "divided by the pixels in the image": "divides by the pixels of a window that are "
    "not padding",
    "wrong element of the window": "gives the gradient to another element than the "
    "maximum",
    "every element of the window": "gives a part to elements that are no maximum",
    "ties": "gives the gradient of a maximum to each of several equal elements",
    "path through the mean left out": "takes the mean for a constant",
    "path through the variance left out": "takes the variance for a constant",
    "path through the mean and the variance left out": "takes both for constants",
    "wrong path through the mean": "lacks this path, or goes wrong on it",
    "wrong path through the variance": "lacks this path, or goes wrong on it",
    "wrong path through the mean and the variance": "lacks these, or goes wrong there",
    "wrong path through the norm": "lacks this path, or goes wrong on it",
    "path through the sum left out": "takes the sum in the denominator for a constant",
    "path of the product left out": "differentiates one factor of a product only",
    "term without the upstream gradient": "adds something that is no multiple of it",
    "shortcut added twice": "adds the gradient of the shortcut twice",
    "main path added twice": "adds the gradient of the main path twice",
    "shortcut left out": "has the gradient of the main path only",
    "main path left out": "has the gradient of the shortcut only",
    "path through an input left out": "has only the paths that need no other input",
    "factor left out": "leaves out one factor of the formula",
    "biased or unbiased variance": "divides by M where M - 1 is right, or the reverse",
    "eps left out": "leaves out the small number under the root",
    "statistics of the wrong values": "normalises by other statistics than the forward",
    "not normalised": "uses x where the normalised x is right",
    "other form of the function": "is the derivative of another form of the function",
    "softmax left out": "uses the logits where their softmax is right",
    "label smoothing left out": "uses the labels as they were before smoothing",
    "target left out": "has the softmax without the target, or the reverse",
    "mask left out": "lets the gradient pass everywhere",
    "mask of the wrong array": "lets the gradient pass in other places",
    "mask too many": "lets no gradient pass in places where it has to",
    "mask turned round": "lets the gradient pass just where it has to stop",
    "wrong at the border": "is right in all elements but those at the border",
    "wrong at a phase of the stride": "is right in all elements but those of a phase",
    "wrong in the last window": "is right in all elements but the last of an axis",
    "gradient at the updated value": "takes the gradient where an argument has "
    "changed already",
    "gradient kept between calls": "adds to what an earlier call left",
    "another result at each call": "draws random numbers anew",
    "argument changed": "writes to one of its arguments",
    "summed over too few axes": "leaves axes over which the input was repeated",
    "summed over the wrong axes": "sums over other axes than those that were repeated",
    "summed over too many axes": "sums over an axis of the input",
    "axes of length 1": "has the right numbers in another shape",
    "no gradient": "gives none for an input that has one",
    "wrong dtype": "computes in another dtype",
    "kink": "may be right: the inputs lie where there is no derivative",
}


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with one gradient.

    Attributes
    ----------
    name : str
        One of `FAULTS`, or "unknown" if no single fault explains all elements.
    input : int or None
        Position of the input whose gradient is wrong; None if it is not about one.
    evidence : str
        What was measured, one sentence.
    """

    name: str
    input: int | None
    evidence: str

    def __str__(self) -> str:
        where = "" if self.input is None else f"input {self.input}: "
        meaning = FAULTS.get(self.name)
        meaning = f" (the backward {meaning})" if meaning else ""
        return f"{where}{self.name}{meaning}: {self.evidence}"


@dataclass(frozen=True)
class Guess:
    """The gradient that a backward with the fault ``name`` would give.

    ``words`` complete the evidence: "yours agrees with the gradient <words>".
    """

    name: str
    words: str
    gradient: np.ndarray


Guesses = Iterator[Guess]
#: A fault and its evidence.
Found = tuple[str, str]
