"""Steppers: pages that compute an operation and its gradients one step at a time.

    NAMES    the operations that have one
    build    the page of an operation, complete in one file

A page needs no network and no other file.  Small arrays are computed in it element by
element, forward and backward; the values can be edited.

    page.py        puts a page together: template.html, style.css, the scripts, the data
    stepper.py     what Python knows of a stepper: first values, results, quoted lines
    NAME.py        the same for one operation
    NAME.js        its steps, in the page
    residual.py    a residual block, which `odyssey.reference` has no file for
    record.js      the list that steps are recorded in
    view.js        goes through the list, step by step
    panel.js       says what a step does: formula, numbers, words, lines of source
    arrays.js      shows the arrays, and lets them be edited
    numbers.js     arrays and numbers as text
"""

#: The operations that have a stepper.
NAMES: tuple[str, ...] = (
    "conv2d",
    "maxpool2d",
    "batch_norm2d",
    "softmax_cross_entropy",
    "residual_block",
)


def build(name: str) -> str:
    """Return the stepper of an operation as a complete HTML page.

    Parameters
    ----------
    name : one of `NAMES`

    Raises
    ------
    ValueError
        If there is no stepper of that name.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}")
    from odyssey.learn.steppers.page import build_page

    return build_page(name)
