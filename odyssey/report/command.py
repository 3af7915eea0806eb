"""Writing the report of a run: ``python -m odyssey report``."""

from pathlib import Path

from odyssey.errors import InputError
from odyssey.report.page import build_page
from odyssey.training.run_folder import REPORT
from odyssey.weights.checkpoint import CHECKPOINTS
from odyssey.weights.files import atomic_write_bytes
from odyssey.weights.manifest import MANIFEST


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
