"""The rows of the ablations: which options make each, and what it is to show.

A row is the base with the options of the row.  The published figures are somebody
else's, see `SOURCE`; nothing here was measured with this library.
"""

import shlex
from typing import Any, NamedTuple

Options = dict[str, Any]  # of train.py: {"--lr": 0.1, "--nesterov": True}


class Published(NamedTuple):
    """Accuracies that somebody else reports, as fractions; both on the test set."""

    last: float
    best: float  # of all epochs


class Row(NamedTuple):
    """What a row changes of the base, what for, and what others found."""

    options: Options
    shows: str
    published: Published | None = None


SOURCE = (
    "github.com/rohanbansal12/ml-stuff, resnet/README.md at d73fa88. ResNet-18 where "
    "no other is named, PyTorch, 100 epochs, one run each. What it calls validation is "
    "the test set: its best epoch was chosen on it"
)

#: The length of the published runs.
EPOCHS = 100

#: Crops and flips, momentum 0.9 and weight decay 5e-4 are what train.py has anyway.
BASE: Options = {"--lr": 0.1, "--lr-scheduler": "multistep", "--batch-size": 128}

_COSINE = {"--lr-scheduler": "cosine"}
_MIXUP = {"--mixup-alpha": 0.2}
_SMOOTHING = {"--label-smoothing": 0.1}
_PRE_ACTIVATION = {"--pre-activation": True}

ROWS = {
    "cosine": Row(_COSINE, "lr falls as half a cosine wave", Published(0.940, 0.941)),
    "multistep": Row(
        {},
        "the base: lr falls to a tenth after 1/2 and after 3/4 of the run",
        Published(0.876, 0.939),
    ),
    "constant": Row(
        {"--lr-scheduler": "constant"}, "lr never falls", Published(0.886, 0.909)
    ),
    "resnet34": Row(
        {"--model": "resnet34"}, "twice as many basic blocks", Published(0.849, 0.899)
    ),
    "resnet50": Row(
        {"--model": "resnet50"}, "as many, of three layers", Published(0.870, 0.883)
    ),
    "no-batch-norm": Row(
        {"--no-normalize": True, "--lr": 0.01},
        "biases for batch norm; at lr 0.01, for 0.1 is too much then",
        Published(0.867, 0.870),
    ),
    "batch-32": Row(
        {"--batch-size": 32, "--lr": 0.025},
        "lr by the size of the batch; the published run has 72 epochs logged",
        Published(0.870, 0.884),
    ),
    "mixup": Row(_MIXUP, "images mixed by shares of Beta(0.2, 0.2)"),
    "label-smoothing": Row(_SMOOTHING, "a tenth of each label for all classes alike"),
    "pre-activation": Row(_PRE_ACTIVATION, "batch norm and relu before convolutions"),
    "all-techniques": Row(
        _COSINE | _MIXUP | _SMOOTHING | _PRE_ACTIVATION,
        "cosine, mixup, label smoothing and pre-activation together",
    ),
}

#: Names for several rows: the two tables, and the row that they compare with.
SETS = {
    "published": list(ROWS)[:7],
    "techniques": ["multistep", "cosine", *list(ROWS)[7:]],
    "baseline": ["multistep"],
}


def row_options(name: str, epochs: int = EPOCHS, model: str | None = None) -> Options:
    """Return the options that make a row, with drops of the rate in proportion.

    Parameters
    ----------
    name : of `ROWS`
    epochs : length of the run
    model : for rows that are not about the model; None for train.py's own
    """
    chosen = {"--model": model} if model else {}
    options = {**chosen, **BASE, **ROWS[name].options, "--epochs": epochs}
    if options["--lr-scheduler"] == "multistep":
        first = max(1, epochs // 2)
        options["--lr-milestones"] = f"{first},{max(first + 1, 3 * epochs // 4)}"
    return options


def words(options: Options) -> list[str]:
    """Return options as a command has them: flags have no value, None is left out."""
    given = {name: value for name, value in options.items() if value is not None}
    return [
        word
        for name, value in given.items()
        for word in ([name] if value is True else [name, str(value)])
    ]


def describe() -> str:
    """Return a text that lists the rows, with their options, and the sets of them."""
    width = max(map(len, ROWS))
    lines = []
    for name, row in ROWS.items():
        lines.append(f"{name:{width}}  {row.shows}")
        if row.options:
            lines.append(f"{'':{width}}  {shlex.join(words(row.options))}")
    lines += [f"{name:{width}}  = {' '.join(rows)}" for name, rows in SETS.items()]
    base = shlex.join(words(BASE))
    return "\n".join([*lines, f"all begin with {base}"])
