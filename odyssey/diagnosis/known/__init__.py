"""Operations that a diagnosis recognises, each with backwards as they go wrong.

An operation is recognised by its numerical gradient: if it is that of a twin in
`odyssey.reference` for some stride, padding and so on, these are the forward's.  Then
wrong backwards of that operation are guessed, each with one line of it changed.
"""

from odyssey.diagnosis.faults import Guesses
from odyssey.diagnosis.known import conv, functions, loss, normalisation, pooling
from odyssey.diagnosis.trial import Trial

OPERATIONS = (
    conv.guesses,
    normalisation.guesses,
    pooling.guesses,
    loss.guesses,
    functions.guesses,
)

#: Elements of an input beyond which no operation is recognised: loops take long.
LARGEST = 2**14


def guesses(trial: Trial) -> Guesses:
    """Guess the gradients of wrong backwards of the operation that this one may be."""
    if trial.x.size > LARGEST:
        return
    for operation in OPERATIONS:
        try:
            yield from operation(trial)
        except (IndexError, TypeError, ValueError):
            continue  # it is not this operation, as the shapes of the inputs say
