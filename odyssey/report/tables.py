"""Tables of a report as HTML, with captions and headings."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple


class Shaded(NamedTuple):
    """A cell with a colour or a bar for its share of the whole."""

    text: object
    share: float  # 0 to 1
    kind: str = ""  # CSS class


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence], kind: str = ""
) -> str:
    """Return a table, which scrolls if it is too wide.

    Parameters
    ----------
    head : names of the columns
    rows : of text, numbers or `Shaded`; the first of each is its heading
    kind : CSS classes
    """
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{escape(str(name))}</th>{"".join(map(_cell, cells))}</tr>'
        for name, *cells in rows
    )
    label = escape(caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f'<table class="{kind}"><caption>{label}</caption>'
        f"<thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def definitions(pairs: Iterable[tuple[object, object]], kind: str) -> str:
    """Return pairs of name and value as a list in several columns.

    ``kind`` is a CSS class.
    """
    items = "".join(
        f"<div><dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd></div>"
        for name, value in pairs
    )
    return f'<dl class="{kind}">{items}</dl>'


def percent(share: float) -> str:
    """Return a share as text, "93.41 %"."""
    return f"{100 * share:.2f}\N{NO-BREAK SPACE}%"


def _cell(value: object) -> str:
    if isinstance(value, Shaded):
        kind = f' class="{value.kind}"' if value.kind else ""
        style = f' style="--share:{value.share:.3f}"'
        return f"<td{kind}{style}>{escape(str(value.text))}</td>"
    return f"<td>{escape(str(value))}</td>"
