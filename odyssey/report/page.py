"""The page of a report, section by section.

A section is a function from the run's folder to HTML.  If the run has not stored what a
section needs, it raises `Absent`, and the page shows the reason instead.  Text from
files is escaped where it is put into HTML.
"""

from collections.abc import Callable
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from odyssey.report import background, pictures, results
from odyssey.report.stored import Absent

SECTIONS: dict[str, Callable[[Path], str]] = {
    "Result": results.summary,
    "Curves": results.curves,
    "Confusion matrix": results.confusion,
    "Classes": results.classes,
    "Most confident mistakes": pictures.mistakes,
    "First-layer filters": pictures.filters,
    "Time per layer": background.layers,
    "Recipe": background.recipe,
    "Versions and sessions": background.environment,
}


def build_page(folder: Path, title: str) -> str:
    """Return the report of the run in ``folder`` as a complete HTML page.

    Raises
    ------
    InputError, WeightsError
        If a file of the run is damaged; names it.
    """
    template = files("odyssey.report").joinpath("template.html").read_text("utf-8")
    parts = []
    for heading, section in SECTIONS.items():
        try:
            body = section(folder)
        except Absent as reason:
            body = f'<p class="absent">Left out: {escape(str(reason))}.</p>'
        parts.append(f"<section><h2>{escape(heading)}</h2>\n{body}</section>\n")
    return Template(template).substitute(
        title=escape(title),
        subtitle=escape(background.subtitle(folder)),
        sections="".join(parts),
    )
