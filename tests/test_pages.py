"""What `make docs` builds from: contents, excerpts of the code, docstrings, formulas.

Only the last test needs the extra `docs`.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
sys.path[:0] = [str(DOCS), str(DOCS / "extensions")]

import contents  # noqa: E402


def test_every_page_is_in_the_table_of_contents():
    pages = [*DOCS.glob("*.md"), *DOCS.glob("*/*.md"), *ROOT.glob("examples/*/*.md")]
    pages += ROOT.glob("examples/*/results/*.md")
    wanted = {path.relative_to(ROOT).with_suffix("").as_posix() for path in pages}
    listed = [contents.ROOT, *contents.pages()]
    assert len(listed) == len(set(listed))
    assert sorted(wanted - set(listed)) == []
    assert [page for page in listed if not (ROOT / f"{page}.md").is_file()] == []


@pytest.mark.slow
def test_the_pages_are_built_without_a_warning(tmp_path):
    for package in ("sphinx", "myst_parser", "furo", "math_core", "ziamath"):
        pytest.importorskip(package)
    command = [sys.executable, "-m", "sphinx", "-qWEb", "html", "-c", "docs"]
    command += ["-d", str(tmp_path / "doctrees"), ".", str(tmp_path / "html")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, "")
    home = (tmp_path / "html" / "index.html").read_text("utf-8")
    target = re.search(r'url=([^"]+)"', home)[1]
    assert (tmp_path / "html" / target).is_file()
