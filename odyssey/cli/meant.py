"""What a name that is not known was probably meant to be.

One set of rules for all names that a user types: options, the choices of an option,
recipes and their keys, commands.
"""

import difflib
import re
from collections.abc import Iterable, Mapping

MOST = 3  # a longer list of suggestions helps nobody
CUTOFF = 0.7  # of difflib's ratio, below which two names are not alike

#: What a name stands for in other tools: names of ours.
Aliases = Mapping[str, tuple[str, ...]]


def squashed(name: str) -> str:
    """Return the letters and digits of a name, in lower case."""
    return "".join(c for c in name.lower() if c.isalnum())


def meant(name: str, known: Iterable[str], aliases: Aliases | None = None) -> list[str]:
    """Return which of the known names was probably meant, likeliest first.

    Parameters
    ----------
    name : as it was typed
    known : the names there are
    aliases : for names of other tools, squashed, what they are called here

    Returns
    -------
    list of str
        Up to three of ``known``; none where none is near.
    """
    known, word = list(known), squashed(name)
    same = [one for one in known if squashed(one) == word]
    others = [squashed(one) for one in (aliases or {}).get(word, ())]
    theirs = [one for other in others for one in known if squashed(one) == other]
    if len(word) > 1:
        begun = [one for one in known if squashed(one).startswith(word)]
        parts = [one for one in known if word in map(squashed, _parts(one))]
    else:  # a letter begins too many
        begun = parts = []
    for found in (same, theirs, begun, parts, _more_than(word, known)):
        if 0 < len(found) <= MOST:
            return found
    return _alike(name, known)


def did_you_mean(
    name: str, known: Iterable[str], aliases: Aliases | None = None
) -> str | None:
    """Return the question which of the known names was meant, None where none is near.

    Parameters are those of `meant`.
    """
    names = meant(name, known, aliases)
    if not names:
        return None
    listed = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"did you mean {listed}?"


def _parts(name: str) -> list[str]:
    return [part for part in re.split("[-_ ]+", name.lower()) if part]


def _more_than(word: str, known: list[str]) -> list[str]:
    """Return the longest known name that this one goes on from: dropout-rate."""
    fit = [
        one
        for one in known
        if re.match(rf"{squashed(one)}(?!\d)", word) and len(squashed(one)) > 3
    ]
    return [max(fit, key=len)] if fit else []


def _alike(name: str, known: list[str]) -> list[str]:
    """Return the name that is spelt most like this one.

    Words that both begin with say nothing, or all recipes of resnet18 would be alike.
    Nor does a likeness of letters where the numbers differ: resnet152 is no typing
    error for resnet50.
    """
    best, highest = [], CUTOFF
    for one in known:
        ours, theirs = _parts(name), _parts(one)
        while ours and theirs and ours[0] == theirs[0]:
            ours, theirs = ours[1:], theirs[1:]
        a, b = "".join(ours), "".join(theirs)
        ratio = difflib.SequenceMatcher(None, a, b).ratio()
        if ratio >= highest and re.sub(r"\d", "", a) != re.sub(r"\d", "", b):
            best, highest = [one], ratio
    return best
