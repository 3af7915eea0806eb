"""What a series is made of: rows, each with the options that make its runs."""

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

#: Options of the program that trains, by the names they have in a recipe.
Options = dict[str, Any]


class Published(NamedTuple):
    """Accuracies that somebody else reports, as fractions; both on the test set."""

    last: float
    best: float  # of all epochs


class Row(NamedTuple):
    """What a row changes of the base, what for, and what others found."""

    options: Options
    shows: str
    published: Published | None = None


class Ablations(NamedTuple):
    """A base and the rows that change something of it.

    A row is the base with the options of the row.
    """

    base: Options
    rows: Mapping[str, Row]
    sets: Mapping[str, list[str]]  # names for several rows
    epochs: int  # the length of a run unless it is told
    source: str = ""  # whose the published figures are

    def options(
        self, name: str, epochs: int | None = None, model: str | None = None
    ) -> Options:
        """Return the options that make a row, with drops of the rate in proportion.

        Parameters
        ----------
        name : of the rows
        epochs : length of the run; None for the usual one
        model : for rows that are not about the model; None for the program's own
        """
        epochs = self.epochs if epochs is None else epochs
        chosen = {"model": model} if model else {}
        options = {**chosen, **self.base, **self.rows[name].options, "epochs": epochs}
        if options.get("lr_scheduler") == "multistep":
            first = max(1, epochs // 2)
            options["lr_milestones"] = f"{first},{max(first + 1, 3 * epochs // 4)}"
        return options

    def describe(self) -> str:
        """Return a text that lists the rows, with their options, and the sets."""
        width = max(map(len, self.rows))
        lines = []
        for name, row in self.rows.items():
            lines.append(f"{name:{width}}  {row.shows}")
            if row.options:
                lines.append(f"{'':{width}}  {shlex.join(words(row.options))}")
        lines += [f"{name:{width}}  = {' '.join(r)}" for name, r in self.sets.items()]
        base = shlex.join(words(self.base))
        return "\n".join([*lines, f"all begin with {base}"])


def words(options: Options) -> list[str]:
    """Return options as a command has them; None is left out.

    A truth value makes a flag, of which the name begins with "no" if it is False.
    """
    found = []
    for name, value in options.items():
        word = name.replace("_", "-")
        if value is True or value is False:
            found.append(f"--{'' if value else 'no-'}{word}")
        elif value is not None:
            found += [f"--{word}", str(value)]
    return found
