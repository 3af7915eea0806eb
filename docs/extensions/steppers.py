"""The steppers, written beside the pages by the library's own function."""

from importlib.util import find_spec
from pathlib import Path

from sphinx.application import Sphinx


def names() -> list[str]:
    """Return the names of the steppers that the library has."""
    if (
        find_spec("odyssey.learn") is None
        or find_spec("odyssey.learn.steppers") is None
    ):
        return []
    from odyssey.learn import steppers

    return list(steppers.NAMES)


def write(app: Sphinx, exception: Exception | None) -> None:
    """Write each stepper's page, after all others."""
    if exception is not None or app.builder.format != "html":
        return
    for name in names():
        from odyssey.learn import steppers

        folder = Path(app.outdir, "steppers")
        folder.mkdir(exist_ok=True)
        Path(folder, f"{name}.html").write_text(steppers.build(name), "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the steppers at the end of a build."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
