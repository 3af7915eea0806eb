"""The steppers: pages that need nothing else, and their numbers without a browser."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from odyssey.learn.steppers import NAMES, build
from odyssey.learn.steppers.page import stepper_of
from odyssey.learn.steppers.stepper import find_lines, quoted

#: Bytes of a page.
LIMIT = 100_000
VOID = ("meta", "link", "input", "br")


class Page(HTMLParser):
    """The elements of a page; fails if one is closed that was not opened last."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.ids, self.texts, self._open = [], [], {}, []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)


@pytest.fixture(scope="module")
def pages():
    return {name: build(name) for name in NAMES}


def data_of(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"name must be one of conv2d.*, got 'conv'"):
        build("conv")


@pytest.mark.parametrize("name", NAMES)
def test_page_is_well_formed_and_small(pages, name):
    text = pages[name]
    page = Page(text)
    assert len(text.encode()) < LIMIT
    assert len(page.ids) == len(set(page.ids))
    assert text.startswith("<!DOCTYPE html>\n")
    assert ("html", {"lang": "en"}) in page.tags
    for tag, attributes in page.tags:
        if tag == "label" and "for" in attributes:
            assert attributes["for"] in page.ids
        for attribute in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(attribute, "data") in page.ids


@pytest.mark.parametrize("name", NAMES)
def test_page_needs_no_other_file(pages, name):
    text = pages[name]
    for tag, attributes in Page(text).tags:
        assert "src" not in attributes
        assert attributes.get("href", "data:,") == "data:,", tag
        assert not [key for key in attributes if key.startswith("on") or key == "style"]
    text = re.sub(r'(?s)id="data">.*?</script>', "", text)  # docstrings name papers
    text = text.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert not re.search(r"https?:|url\(|@import|\bfetch\(|\bimport\(", text)


@pytest.mark.parametrize("name", NAMES)
def test_policy_allows_its_own_script_and_style_alone(pages, name):
    page = Page(pages[name])
    (policy,) = (
        attributes["content"]
        for _, attributes in page.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    inline = page.texts["style"] + page.texts["script"][1:]  # the first one is data
    hashes = [hashlib.sha256(part.encode()).digest() for part in inline]
    assert allowed == [base64.b64encode(digest).decode() for digest in hashes]


def test_titles_differ(pages):
    titles = {re.search("<title>(.*?)</title>", text)[1] for text in pages.values()}
    assert titles == {f"{name}, step by step - Odyssey" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_numbers_in_the_page_are_those_of_the_twin(pages, name):
    stepper, data = stepper_of(name), data_of(pages[name])
    assert data["options"] == stepper.options
    for key, array in stepper.values.items():
        np.testing.assert_array_equal(np.array(data["values"][key]), array)
    results = stepper.results(stepper.values, stepper.options)
    assert data["results"].keys() == results.keys()
    for key, array in results.items():
        np.testing.assert_array_equal(np.array(data["results"][key]), array)


@pytest.mark.parametrize("name", NAMES)
def test_quoted_lines_are_those_of_the_source(pages, name):
    stepper, data = stepper_of(name), data_of(pages[name])
    assert data["source"] == quoted(stepper.functions)[0]
    for key, text in stepper.lines.items():
        first, last = data["lines"][key]
        assert text in "\n".join(data["source"][first : last + 1])


def test_a_line_that_is_not_there_once_is_an_error():
    source = ["def f(x):", "    y = x + 1", "    z = x + 1", "    return y * z"]
    assert find_lines(source, {"end": "return"}) == {"end": [3, 3]}
    for text, count in (("x + 1", 2), ("x - 1", 0)):
        with pytest.raises(ValueError, match=f"{count}$"):
            find_lines(source, {"key": text})
