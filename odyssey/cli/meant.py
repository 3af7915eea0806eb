"""Suggestions for names that are not known.

The rules are the same for all names that a user types: options, the choices of an
option, recipes and their keys, commands.
"""

import difflib
import re
from collections.abc import Iterable, Mapping

MOST = 3  # a longer list of suggestions helps nobody
CUTOFF = 0.7  # two names are alike if difflib's ratio is at least this

#: For names of other tools, squashed, the names here.
Aliases = Mapping[str, tuple[str, ...]]


def squashed(name: str) -> str:
    """Return the letters and digits of a name, in lower case."""
    return "".join(c for c in name.lower() if c.isalnum())


def meant(name: str, known: Iterable[str], aliases: Aliases | None = None) -> list[str]:
    """Return up to three known names that were probably meant, likeliest first.

    Parameters
    ----------
    name : as it was typed
    known : all valid names
    aliases : names of other tools, squashed, and what they are called here
    """
    known, word = list(known), squashed(name)
    same = [one for one in known if squashed(one) == word]
    others = [squashed(one) for one in (aliases or {}).get(word, ())]
    theirs = [one for other in others for one in known if squashed(one) == other]
    if len(word) > 1:
        begun = [one for one in known if squashed(one).startswith(word)]
        parts = [one for one in known if word in map(squashed, _parts(one))]
    else:  # too many names begin with a given letter
        begun = parts = []
    for found in (same, theirs, begun, parts, _more_than(word, known)):
        if 0 < len(found) <= MOST:
            return found
    return _alike(name, known)


def did_you_mean(
    name: str, known: Iterable[str], aliases: Aliases | None = None
) -> str | None:
    """Return "did you mean ...?" with the names of `meant`, None if there are none."""
    names = meant(name, known, aliases)
    if not names:
        return None
    listed = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"did you mean {listed}?"


def _parts(name: str) -> list[str]:
    return [part for part in re.split("[-_ ]+", name.lower()) if part]


def _more_than(word: str, known: list[str]) -> list[str]:
    """Return the longest known name that ``word`` begins with: dropout-rate."""
    fit = [
        one
        for one in known
        if re.match(rf"{squashed(one)}(?!\d)", word) and len(squashed(one)) > 3
    ]
    return [max(fit, key=len)] if fit else []


def _alike(name: str, known: list[str]) -> list[str]:
    """Return the known name with the most similar spelling.

    Words at the beginning that are the same in both do not count, or all recipes of
    resnet18 would be alike.  Names that differ in their digits alone are not alike:
    resnet152 is not a typing error for resnet50.
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
