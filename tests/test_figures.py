"""The figures of docs/figures are what their scripts draw, and the pages show them."""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "figures"
FIGURES = sorted(FOLDER.glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def scripts():
    """The module that draws; its folder is on the path only meanwhile."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield import_module("draw")
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == FOLDER:
            del sys.modules[name]


@pytest.fixture(params=FIGURES, ids=lambda path: path.stem)
def figure(request):
    return request.param


def test_every_file_is_that_of_a_script(scripts):
    assert sorted(scripts.NAMES) == [path.stem for path in FIGURES]
    assert len(FIGURES) >= 7
    for path in FIGURES:
        assert path.with_suffix(".py").exists()


def test_a_file_is_what_its_script_draws(scripts, figure):
    assert figure.read_bytes() == scripts.drawn(figure.stem).encode()


def test_a_figure_can_be_heard(figure):
    root = ElementTree.parse(figure).getroot()
    assert root.tag == SVG + "svg"
    title, desc = root.find(SVG + "title"), root.find(SVG + "desc")
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {desc.attrib['id']}"
    assert 10 <= len(title.text) <= 80
    assert len(desc.text) > 2 * len(title.text)
    assert desc.text.endswith(".")


def test_a_figure_asks_for_nothing_and_runs_nothing(figure):
    used = set()
    for element in ElementTree.parse(figure).iter():
        used.add(element.tag.removeprefix(SVG))
        for name, value in element.attrib.items():
            assert not name.startswith("on")
            assert "href" not in name
            assert "url(" not in value
    assert used <= {
        *("svg", "title", "desc", "style", "rect", "path", "circle", "text", "tspan")
    }
    text = figure.read_text("utf-8").replace("http://www.w3.org/2000/svg", "", 1)
    assert not re.search(r"url\(|@import|@font-face|https?:|<[!?]", text)
    assert len(text) < 60_000


def test_a_figure_is_for_light_and_for_dark(figure):
    (style,) = ElementTree.parse(figure).getroot().findall(SVG + "style")
    light, dark = style.text.split("@media(prefers-color-scheme:dark)")
    colours = r"((?:fill|stroke):)#\w{6}"
    assert len(re.findall(colours, light)) == len(re.findall(colours, dark)) > 10
    # no colour is anywhere else, where it would be the same for both
    root = ElementTree.parse(figure).getroot()
    assert not any({"fill", "stroke", "style"} & e.attrib.keys() for e in root.iter())
    names = set(re.findall(r"\.(\w+)", re.sub(r"\d\.\d+|:\.\d+", "", style.text)))
    worn = {name for e in root.iter() for name in e.get("class", "").split()}
    assert worn <= names


def test_nothing_is_drawn_outside(figure):
    root = ElementTree.parse(figure).getroot()
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for element in root.iter():
        kind = element.tag.removeprefix(SVG)
        if kind == "path":
            pairs = re.findall(r"(-?[\d.]+) (-?[\d.]+)", element.attrib["d"])
            points = [(float(x), float(y)) for x, y in pairs]
            assert points
        elif kind in ("rect", "text"):
            assert kind == "rect" or "".join(element.itertext()).strip()
            x, y = float(element.get("x", 0)), float(element.get("y", 0))
            points = [(x, y)]
            if kind == "rect":
                w, h = float(element.attrib["width"]), float(element.attrib["height"])
                points.append((x + w, y + h))
        else:
            continue
        for x, y in points:
            assert 0 <= x <= width
            assert 0 <= y <= height


def test_every_figure_is_in_a_page_and_has_an_alternative_text():
    shown = {}
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        text = page.read_text("utf-8")
        for words, target in re.findall(r"!\[([^\]]*)\]\(([^)\s]+\.svg)\)", text):
            path = (page.parent / target).resolve()
            if path.parent == FOLDER:
                shown.setdefault(path.name, []).append(words)
    assert sorted(shown) == [path.name for path in FIGURES]
    for name, alternatives in shown.items():
        for words in alternatives:
            assert len(words.split()) >= 8, name


def test_the_numbers_of_batch_norm_are_a_sum_at_right_angles(scripts):
    found = import_module("batch_norm_projection").parts()
    rest = found["g"] - found["mean"] - found["xhat"]
    assert abs(rest - found["rest"]).max() < 1e-12
    for name in ("one", "direction"):
        assert abs(found["rest"] @ found[name]) < 1e-12
    assert abs(found["one"] @ found["direction"]) < 1e-12


def test_the_windows_of_a_pixel_are_all_of_its_gradient(scripts):
    found, whole = import_module("windows").windows()
    assert [w.term for w in found] == [w.gradient * w.weight for w in found]
    assert [w.term for w in found] == [-1, 0, 6, -1]
    assert whole == 4


def test_terms_are_those_of_the_page(scripts):
    taps = import_module("taps")
    for stride in (1, 2):
        found = taps.terms(7, 3, stride, 1)
        assert all(term.h == term.p * stride + term.r - 1 for term in found)
        assert len(found) == 3 * (7 if stride == 1 else 4)
    assert import_module("phases").taps_of_phases(found) == [[1], [0, 2]]


def test_the_gradients_of_the_block_meet(scripts):
    block = import_module("residual_block")
    found = block.numbers_of_a_block()
    shown = [float(block.element(a).replace("\N{MINUS SIGN}", "-")) for a in found[-3:]]
    grad_sum, grad_branch, grad_input = shown
    # what is shown adds up although it is rounded, and nothing is zero
    assert round(grad_sum + grad_branch, 2) == grad_input
    assert 0 not in shown
    assert (found.grad_sum == found.grad_output * (found.out > 0)).all()


def test_the_pieces_of_a_step_are_its_whole_time(scripts):
    step_time = import_module("step_time")
    stored = json.loads((ROOT / step_time.RUN / "profile.json").read_text())
    every = [piece for phase in step_time.pieces().values() for piece in phase]
    assert min(piece.seconds for piece in every) > 0
    assert sum(piece.seconds for piece in every) == pytest.approx(stored["seconds"])
    convolutions = sum(piece.seconds for piece in every if piece.kind == 0)
    wanted = sum(
        row["forward"] + row["backward"]
        for row in stored["rows"]
        if re.search(r"conv\d$|proj$", row["name"])
    )
    assert convolutions == pytest.approx(wanted)
    words = (ROOT / "docs" / "PERFORMANCE.md").read_text("utf-8")
    assert f"step's {1000 * stored['seconds']:.0f} ms" in words
