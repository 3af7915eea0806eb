"""The report of a run: a page of HTML, section by section.

A section is a function from the run's folder to HTML.  If the run has not stored what a
section needs, it raises `Absent`, and the page shows the reason instead.  Text from
files is escaped where it is put into HTML.
"""

from collections.abc import Callable
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from odyssey.errors import InputError
from odyssey.report import background, pictures, results
from odyssey.report.stored import Absent
from odyssey.training.run_folder import REPORT
from odyssey.weights.checkpoint import CHECKPOINTS
from odyssey.weights.files import atomic_write_bytes
from odyssey.weights.manifest import MANIFEST

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


def write_report(
    folder: Path, output: Path | None = None, title: str | None = None
) -> Path:
    """Write the report of a run and return its path.

    Parameters
    ----------
    folder : of the run
    output : file to write; None for ``report.html`` in ``folder``
    title : None for the folder's name

    Raises
    ------
    InputError, WeightsError
        If ``folder`` is not that of a run, or a file in it is damaged; names it.
    OSError
        If the report cannot be written.
    """
    if not (folder / "metrics.csv").exists():
        raise InputError(f"{folder}: no metrics.csv, {_instead(folder)}")
    if title is None:
        title = f"Run {folder.resolve().name}"
    page = build_page(folder, title)
    output = folder / REPORT if output is None else output
    # A folder's name may contain characters that UTF-8 cannot encode.
    atomic_write_bytes(output, page.encode("utf-8", "replace"))
    return output


def _instead(folder: Path) -> str:
    """Return a description of a folder that is not that of a run."""
    whole = folder.resolve()
    if whole.parent.name == CHECKPOINTS:
        return f"a checkpoint; its run is in {whole.parent.parent}"
    if whole.name == CHECKPOINTS:
        return f"checkpoints; their run is in {whole.parent}"
    if (folder / MANIFEST).exists():
        return "weights without a run"
    return "not the folder of a run"
