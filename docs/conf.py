"""How ``make docs`` makes pages of the project's Markdown files.

Sphinx, because it checks every link within the project, highlights code, and searches
in a page opened from disk (only the lines around what was found need a server); MyST,
because the pages stay Markdown that GitHub shows as well; furo, because its pages are
readable on a phone and in the dark, and request nothing.  The source folder is the root
of the project, so that READMEs of examples are pages, and relative links lead where
they do on GitHub.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE), str(HERE / "extensions")]

import contents
import steppers
from sphinx.application import Sphinx

import odyssey

project = "Odyssey"
author = "The Odyssey authors"
version = release = odyssey.__version__
language = "en"

extensions = ["myst_parser", "formulas", "project_files", "steppers"]
root_doc = contents.ROOT
include_patterns = [f"{page}.md" for page in [contents.ROOT, *contents.pages()]]
exclude_patterns = [".*", "**/.*", "build", "datasets/*/**", "docs/_build", "*_weights"]
contents_below = contents.toctrees()
stepper_pages = steppers.names()

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]  # the form that GitHub knows
myst_heading_anchors = 6
myst_url_schemes = ["http", "https", "source"]
myst_dmath_double_inline = False
html_math_renderer = "mathml"

html_theme = "furo"
html_title = "Odyssey"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_js_files = [("sidebar.js", {"defer": "defer"})]
html_use_index = False
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
pygments_style = "a11y-light"  # friendly's comments are too pale to read
pygments_dark_style = "monokai"


def setup(app: Sphinx) -> None:
    """Lay a page at the top that leads to the front page."""
    app.connect("build-finished", lead_to_the_front_page)


def lead_to_the_front_page(app: Sphinx, exception: Exception | None) -> None:
    """Write index.html, which browsers leave at once for the front page."""
    if exception is None and app.builder.format == "html":
        page = app.builder.get_target_uri(root_doc)
        Path(app.outdir, "index.html").write_text(
            f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
            "<title>Odyssey</title>\n"
            f'<meta http-equiv="refresh" content="0; url={page}">\n'
            f'<a href="{page}">Odyssey</a>\n</html>\n',
            "utf-8",
        )
