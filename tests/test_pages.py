"""What `make docs` builds from: contents, excerpts of the code, docstrings, formulas.

Only the last test needs the extra `docs`.
"""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
sys.path[:0] = [str(DOCS), str(DOCS / "extensions")]

import contents  # noqa: E402
import docstrings  # noqa: E402
import excerpts  # noqa: E402

import odyssey  # noqa: E402

CONF = (DOCS / "conf.py").read_text("utf-8")
DERIVATIONS = sorted((DOCS / "derivations").glob("[!R]*.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
#: Formulas within a line: $x$, or $`x`$ where Markdown would change what is inside.
QUOTED, BARE = re.compile(r"\$`([^`\n]+)`\$"), re.compile(r"\$([^$\n]+)\$")


def test_every_page_is_in_the_table_of_contents():
    pages = [*DOCS.glob("*.md"), *DOCS.glob("*/*.md"), *ROOT.glob("examples/*/*.md")]
    pages += ROOT.glob("examples/*/results/*.md")
    wanted = {path.relative_to(ROOT).with_suffix("").as_posix() for path in pages}
    listed = [contents.ROOT, *contents.pages()]
    assert len(listed) == len(set(listed))
    assert sorted(wanted - set(listed)) == []
    assert [page for page in listed if not (ROOT / f"{page}.md").is_file()] == []
    entries = re.findall(r"^.*<(\S+)>$|^/(\S+)$", contents.toctrees(), re.M)
    shown = [(titled or untitled).lstrip("/") for titled, untitled in entries]
    assert shown == ["self", *contents.pages()]  # the front page is the first


def pages_with_text():
    for page in [contents.ROOT, *contents.pages()]:
        path = ROOT / f"{page}.md"
        yield path, path.read_text("utf-8")


def test_every_excerpt_is_in_the_source():
    found = 0
    for path, text in pages_with_text():
        asked = len(excerpts.ASKS.findall(text))
        assert text.count(' "code: ') + text.count(' "api")') == asked, path
        excerpts.expand(text, path.parent)
        found += asked
    assert found > 30


@pytest.mark.parametrize("path", DERIVATIONS, ids=lambda path: path.stem)
def test_every_derivation_shows_the_code_of_its_steps(path):
    assert excerpts.ASKS.search(path.read_text("utf-8"))


SOURCE = """
def double(x):
    \"\"\"Return twice x.\"\"\"
    out = x
    if x:
        out = out + x  # again

    return out
"""


@pytest.mark.parametrize(
    ("wanted", "first", "code"),
    [
        ("double, return", 8, "return out"),
        (
            "double, if x: ... return",
            5,
            "if x:\n    out = out + x  # again\n\nreturn out",
        ),
        ("double, out = out", 6, "out = out + x  # again"),
        ("double, def double", 2, "def double(x):"),
    ],
)
def test_an_excerpt_is_the_lines_between_two(tmp_path, wanted, first, code):
    path = tmp_path / "double.py"
    path.write_text(SOURCE, "utf-8")
    assert excerpts.excerpt(path, wanted) == (path, first, code)
    assert "twice" not in excerpts.excerpt(path, "double").code


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ("triple", "there is no triple"),
        ("double, y =", "0 lines begin with 'y ='"),
        ("double, out", "2 lines begin with 'out'"),
        ("double, return ... if x", "'if x' comes before 'return'"),
    ],
)
def test_an_excerpt_that_the_source_does_not_have_is_refused(tmp_path, wanted, error):
    path = tmp_path / "double.py"
    path.write_text(SOURCE, "utf-8")
    with pytest.raises(ValueError, match=f"double.py: {error}"):
        excerpts.excerpt(path, wanted)


def headings_of_the_api(page):
    path = DOCS / "api" / f"{page}.md"
    text = excerpts.expand(path.read_text("utf-8"), path.parent)
    return re.findall(r"^###+ (\w+)$", FENCE.sub("", text), re.M)


def test_the_api_has_every_public_name():
    shown = [
        name
        for page in ("operations", "updates", "tools")
        for name in headings_of_the_api(page)
    ]
    assert set(odyssey.__all__) - {"reference"} <= set(shown)
    assert set(odyssey.reference.__all__) <= set(headings_of_the_api("reference"))


def test_the_api_has_every_layer():
    text = (DOCS / "api" / "layers.md").read_text("utf-8")
    files = sorted((ROOT / "odyssey" / "layers").glob("*.py"))
    assert sorted(re.findall(r"layers/(\w+\.py) \"api\"", text)) == [
        path.name for path in files
    ]


def test_a_docstring_becomes_markdown():
    text = docstrings.numpydoc(
        """Scale x, as in
    out = x * scale
and sum over a*b - c
- d of `x`, not :func:`y`.

Parameters
----------
x, y : (N, C), float32
    What is scaled.
scale : float, or
    an array

Raises
------
ValueError
    If x < 0.
"""
    )
    assert text.splitlines() == [
        "Scale x, as in",
        "",
        "    out = x * scale",
        "",
        r"and sum over a\*b - c",
        r"\- d of `x`, not `y`.",
        "",
        "**Parameters**",
        "",
        "- `x`, `y`: (N, C), float32\\",
        "  What is scaled.",
        "- `scale`: float, or",
        "  an array",
        "",
        "**Raises**",
        "",
        "- `ValueError`\\",
        r"  If x \< 0.",
    ]


def formulas(text):
    """Return a page's formulas: blocks, those in $`...`$, those in $...$; and the rest.

    Blocks of code and code within a line are left out.
    """
    blocks = [tex for name, tex in FENCE.findall(text) if name == "math"]
    text = re.sub(r"^    .*$", "", FENCE.sub("", text), flags=re.M)
    quoted = QUOTED.findall(text)
    text = re.sub(r"`[^`\n]*`", "", QUOTED.sub("", text))
    return blocks, quoted, BARE.findall(text), BARE.sub("", text)


def test_formulas_are_read_alike_by_github_and_by_the_pages():
    """Markdown takes a backslash before punctuation, and may take _ for emphasis."""
    changed, count = [], 0
    for path, text in pages_with_text():
        _, _, bare, rest = formulas(text)
        count += len(bare)
        wrong = [tex for tex in bare if re.search(r"\\[^a-zA-Z]|_\{|^\s|\s$", tex)]
        wrong += [line for line in rest.splitlines() if "$" in line]  # no partner
        changed += [(path.name, tex) for tex in wrong]
    assert changed == []
    assert count > 200


def test_links_have_a_scheme_that_markdown_takes():
    schemes = {
        scheme
        for _, text in pages_with_text()
        for scheme in re.findall(r"\]\(\s*(\w+):", text)
    }
    assert schemes <= {"http", "https"}
    assert "source" in re.search("myst_url_schemes = (.*)", CONF)[1]


def test_formulas_are_well_formed():
    count = 0
    for path, text in pages_with_text():
        for tex in [tex for kind in formulas(text)[:3] for tex in kind]:
            count += 1
            assert tex.count("{") == tex.count("}"), (path.name, tex)
            begun = re.findall(r"\\begin\{(\w+)\}", tex)
            assert begun == re.findall(r"\\end\{(\w+)\}", tex), (path.name, tex)
            assert len(re.findall(r"\\left\b", tex)) == len(
                re.findall(r"\\right\b", tex)
            ), (path.name, tex)
            # math-core prints the argument
            assert "\\\\[" not in tex, (path.name, tex)
    assert count > 250


def test_formulas_become_mathml():
    pytest.importorskip("math_core")
    pytest.importorskip("sphinx")
    from formulas import mathml

    for path, text in pages_with_text():
        for tex in [tex for kind in formulas(text)[:3] for tex in kind]:
            html = mathml(tex, block=True)
            assert html.startswith("<math"), path.name
            assert "\N{PRIME}</mo></msup>" not in html, path.name  # hardly to be seen
    assert "<mrow><mi>h</mi><mo" in mathml("h'", block=False)


def test_a_name_in_backticks_leads_to_its_file():
    pytest.importorskip("sphinx")
    from project_files import named

    env = SimpleNamespace(found_docs={"docs/learn"})
    app = SimpleNamespace(config=SimpleNamespace(stepper_pages=["relu"]), env=env)
    for name, address in {
        "odyssey/ops/conv": "source:odyssey/ops/conv",
        "kernels/winograd.py": "source:odyssey/kernels/winograd.py",
        "docs/learn.md": "page:docs/learn",
        "odyssey learn stepper relu": "stepper:relu",
        "kernels/no_such_file.py": "",
        "muon.py": "",  # in more than one folder
    }.items():
        assert named(app, name) == address


class Addresses(HTMLParser):
    """The anchors of a page, and the addresses that it names."""

    def __init__(self, page):
        super().__init__()
        self.anchors, self.named = set(), []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        for key, value in attributes:
            if key in ("id", "name"):
                self.anchors.add(value)
            elif key in ("href", "src"):
                self.named.append((tag, value))


def wrong_addresses(folder):
    """Return addresses that lead nowhere, and requests to elsewhere, of built pages."""
    pages = {path: Addresses(path) for path in folder.rglob("*.html")}
    wrong = set()
    for path, page in pages.items():
        for tag, address in page.named:
            kind = re.match(r"(\w+):|//", address)
            if kind:  # only a link may lead elsewhere, when it is followed
                scheme = kind[1] or ""
                if scheme != "data" and (tag, scheme[:4]) != ("a", "http"):
                    wrong.add((path.name, tag, address))
                continue
            place, _, anchor = address.partition("#")
            place = unquote(place.partition("?")[0])
            target = (path.parent / place).resolve() if place else path
            if not target.is_file():
                wrong.add((path.name, tag, address))
            elif anchor and unquote(anchor) not in pages[target].anchors:
                wrong.add((path.name, tag, address))
    return wrong


@pytest.mark.slow
def test_the_pages_are_built_without_a_warning(tmp_path):
    for package in ("sphinx", "myst_parser", "furo", "math_core", "ziamath"):
        pytest.importorskip(package)
    command = [sys.executable, "-m", "sphinx", "-qWEb", "html", "-c", "docs"]
    command += ["-d", str(tmp_path / "doctrees"), ".", str(tmp_path / "html")]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, "")
    assert wrong_addresses(tmp_path / "html") == set()
    home = (tmp_path / "html" / "index.html").read_text("utf-8")
    target = re.search(r'url=([^"]+)"', home)[1]
    assert (tmp_path / "html" / target).is_file()
