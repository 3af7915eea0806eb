"""Formulas as MathML, written into the pages when they are built.

All browsers draw MathML themselves: no page needs a script or a request for it.  The
converter is math-core, because it writes what browsers understand (MathML Core, with
its columns aligned) and refuses a command that it does not know; latex2mathml prints
such a command into the page.  Brackets and roots grow with their content in fonts made
for mathematics only, and few systems have one: the pages bring STIX Two Math.
"""

import re
import shutil
from importlib import resources
from pathlib import Path

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

log = logging.getLogger(__name__)
converter = LatexToMathML(annotation=True, fancy_error=False)
#: A letter with a prime as its exponent, where the prime, which is raised in itself,
#: is so small and high that it is hardly seen.
PRIMED = re.compile(
    "<msup>((?:<mrow><mspace/>)?<mi[^>]*>[^<]*</mi>(?:</mrow>)?)"
    "<mo>(\N{PRIME})</mo></msup>"
)
FONT = "STIXTwoMath-Regular.ttf"


def mathml(tex: str, block: bool) -> str:
    """Return a formula as MathML, with its TeX as an annotation.

    Parameters
    ----------
    tex : may stand between backticks, GitHub's way to keep Markdown out of a formula
    block : True for a formula on lines of its own

    Raises
    ------
    LatexError
        If there is a command that the converter does not know.
    """
    html = converter.convert_with_local_state(tex.strip("`"), displaystyle=block)
    return PRIMED.sub(r'<mrow>\1<mo lspace="0em" rspace="0em">\2</mo></mrow>', html)


def visit(translator: HTML5Translator, node: nodes.Element) -> None:
    """Write one formula; a warning if it cannot be converted."""
    block = isinstance(node, nodes.math_block)
    try:
        html = mathml(node.astext(), block)
    except LatexError as error:
        log.warning("%s in %s", error, node.astext(), location=node)
        html = translator.encode(node.astext())
    translator.body.append(f'<div class="formula">{html}</div>' if block else html)
    raise nodes.SkipNode


def copy_font(app: Sphinx, exception: Exception | None) -> None:
    """Lay the font of the formulas beside the style sheets."""
    if exception is None and app.builder.format == "html":
        with resources.as_file(resources.files("ziamath") / "fonts" / FONT) as font:
            shutil.copy(font, Path(app.outdir, "_static", FONT))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer; conf.py chooses it by its name."""
    app.add_html_math_renderer("mathml", (visit, None), (visit, None))
    app.connect("build-finished", copy_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
