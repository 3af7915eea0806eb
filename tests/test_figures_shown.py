"""The figures of docs/figures in a browser: words are whole, apart, and legible."""

import os
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
from learn.browser import Browser, Page, find

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "figures"
FIGURES = sorted(FOLDER.glob("*.svg"))

#: Every text that is cut off at an edge, and every two that touch.
FAULTS = """(() => {
  const svg = document.documentElement, {width, height} = svg.viewBox.baseVal;
  const texts = [...svg.querySelectorAll('text')].map(
    t => [t.textContent, t.getBBox()]);
  const found = [];
  for (const [i, [words, a]] of texts.entries()) {
    if (a.x < 4 || a.y < 0 || a.x + a.width > width - 4 || a.y + a.height > height)
      found.push(words + ' is cut off');
    for (const [other, b] of texts.slice(i + 1))
      if (a.x < b.x + b.width && b.x < a.x + a.width
          && a.y + 4 < b.y + b.height && b.y + 4 < a.y + a.height)
        found.push(words + ' touches ' + other);
  }
  return [texts.length, found];
})()"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    if find() is None or os.name == "nt":
        pytest.skip("no Chromium")
    browser = Browser(find(), tmp_path_factory.mktemp("chromium"))
    yield Page(browser)
    browser.close()


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.stem)
def test_no_word_is_cut_off_or_touches_another(tab, path):
    tab.open(path.as_uri())
    count, faults = tab.evaluate(FAULTS)
    assert count > 5
    assert faults == []
    assert tab.problems() == []


def test_the_reader_chooses_light_or_dark(tab):
    fills = []
    for scheme in ("light", "dark"):
        tab.open(f"{FIGURES[0].as_uri()}#{scheme}", prefers_color_scheme=scheme)
        fills.append(
            tab.evaluate("getComputedStyle(document.querySelector('.paper')).fill")
        )
    assert fills == ["rgb(255, 255, 255)", "rgb(20, 23, 26)"]


def luminance(colour):
    """Return the relative luminance of #rrggbb, as WCAG 2 defines it."""
    parts = [int(part, 16) / 255 for part in re.findall(r"\w\w", colour)]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_colours_stand_out_from_the_ground(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    for colours in import_module("svg").palette().values():
        for name, least in dict(
            ink=7, soft=4.5, s0=4.5, s1=4.5, s2=4.5, edge=3
        ).items():
            light, dark = sorted(map(luminance, (colours[name], colours["paper"])))[
                ::-1
            ]
            assert (light + 0.05) / (dark + 0.05) >= least, name
    monkeypatch.delitem(sys.modules, "svg")
