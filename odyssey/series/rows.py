"""The definition of a series: rows, each with the options of its runs."""

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

#: Options of the training program, by their names in a recipe.
Options = dict[str, Any]


class Published(NamedTuple):
    """Published accuracies on the test set, as fractions."""

    last: float
    best: float  # of all epochs


class Row(NamedTuple):
    """The options that a row changes, its purpose, and published results."""

    options: Options
    shows: str
    published: Published | None = None


class Ablations(NamedTuple):
    """A base of options, and rows that change some of them."""

    base: Options
    rows: Mapping[str, Row]
    sets: Mapping[str, list[str]]  # names for groups of rows
    epochs: int  # the default length of a run
    source: str = ""  # of the published figures

    def options(
        self, name: str, epochs: int | None = None, model: str | None = None
    ) -> Options:
        """Return all options of a row; drops of the learning rate scale with epochs.

        Parameters
        ----------
        name : the row's
        epochs : length of the run; None for the default
        model : for rows that set no model; None for the program's default
        """
        epochs = self.epochs if epochs is None else epochs
        chosen = {"model": model} if model else {}
        options = {**chosen, **self.base, **self.rows[name].options, "epochs": epochs}
        if options.get("lr_scheduler") == "multistep":
            first = max(1, epochs // 2)
            options["lr_milestones"] = f"{first},{max(first + 1, 3 * epochs // 4)}"
        return options

    def describe(self) -> str:
        """Return a text that lists the rows with their options, and the sets."""
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
    """Return options as words of a command; options that are None are left out.

    A bool becomes a flag, whose name begins with "no-" if it is False.
    """
    found = []
    for name, value in options.items():
        word = name.replace("_", "-")
        if value is True or value is False:
            found.append(f"--{'' if value else 'no-'}{word}")
        elif value is not None:
            found += [f"--{word}", str(value)]
    return found
