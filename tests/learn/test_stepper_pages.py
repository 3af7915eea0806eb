"""The steppers in a browser: driven by keys and clicks, compared with the twins."""

import functools
import json
import os
import re

import numpy as np
import pytest
from browser import Browser, Page, find

from odyssey.learn.steppers import NAMES, build
from odyssey.learn.steppers.page import stepper_of

pytestmark = [
    pytest.mark.skipif(find() is None, reason="no Chromium"),
    pytest.mark.skipif(os.name == "nt", reason="its pipe needs file descriptors 3, 4"),
]

#: The options of the random settings; what is not named is as at first.
SETTINGS = {
    "conv2d": [
        {"size": 4, "kernel": 3, "stride": 2, "padding": 1},
        {"size": 5, "kernel": 2, "stride": 3, "padding": 1, "C": 2},
        {"size": 3, "kernel": 2, "C": 2, "K": 2},
        {"size": 4, "kernel": 1, "stride": 2, "K": 2},
        {"size": 3, "kernel": 3, "C": 2},  # one output
        {"size": 3, "kernel": 3, "stride": 3, "padding": 1},
        {"size": 3, "kernel": 1, "stride": 3},
    ],
    "maxpool2d": [
        {},
        {"size": 5, "window": 3, "stride": 2, "padding": 1},
        {"size": 4, "window": 2, "stride": 3},
        {"size": 3, "window": 3},
    ],
    "batch_norm2d": [{}, {"eps": 1e-5}, {"mode": "inference", "eps": 0.1}],
    "softmax_cross_entropy": [{}, {}, {}],
    "residual_block": [{}, {"eps": 0.1}, {"eps": 4}],
}
CASES = [(name, i) for name, settings in SETTINGS.items() for i in range(len(settings))]
SHAPES = [(name, i) for name, i in CASES if name in ("conv2d", "maxpool2d")]

MINUS = "\N{MINUS SIGN}"
SHOWN = """Object.fromEntries([...document.querySelectorAll('[data-array]')].map(
    (a) => [a.dataset.array, [...a.querySelectorAll('td[data-value]')].map(
        (c) => [c.dataset.at, c.dataset.value, c.textContent])]))"""
STATE = """document.querySelector('main').innerHTML.replaceAll(' class=""', '')"""
EACH_STEP = """(() => {
    const cells = [...document.querySelectorAll('td[data-value]')];
    const count = (selector) => document.querySelectorAll(selector).length;
    let before = cells.map((c) => c.dataset.value);
    return stepper.rec.steps.map((_, i) => {
        stepper.go(i + 1);
        const after = cells.map((c) => c.dataset.value);
        const changed = cells.map((c, i) => i).filter((i) => before[i] !== after[i]);
        before = after;
        return {
            changed, terms: count('.term.on'), lines: count('#source .on'),
            written: cells.map((c, i) => i).filter((i) => cells[i].matches('.write')),
            words: document.getElementById('words').textContent,
        };
    });
})()"""
TEXT = "document.querySelector('main').innerText"
COUNT = "document.getElementById('count').textContent"
FORMULAS = """stepper.rec.stages.map(({formula, where}) => [formula, where].map(
    (text) => text.replace(/\\[\\[\\w+\\|/g, '')))"""
FOCUS = "document.activeElement.getAttribute('aria-label')"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    browser = Browser(find(), tmp_path_factory.mktemp("chromium"))
    yield Page(browser)
    browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steppers")
    for name in NAMES:
        (folder / f"{name}.html").write_text(build(name), encoding="utf-8")
    return folder


@pytest.fixture
def open_page(tab, folder):
    """A function that opens a stepper; at the end, the page must have no problem."""

    def open_page(name, **how):
        tab.open((folder / f"{name}.html").as_uri(), **how)
        return tab

    yield open_page
    assert tab.problems() == []


def shown(page):
    """Return the arrays that the page shows; None for what is not computed."""
    arrays = {}
    for name, cells in page.evaluate(SHOWN).items():
        places = [tuple(map(int, at.split(","))) if at else () for at, _, _ in cells]
        shape = tuple(int(size) + 1 for size in np.max(places, axis=0))
        array = np.full(shape, None, dtype=object)
        for place, (_, value, text) in zip(places, cells, strict=True):
            if value != "undefined":
                array[place] = float(value)
                check_text(text, float(value))
        arrays[name] = array
    return arrays


def check_text(text, value):
    """Check that a text is the number, rounded as it says."""
    if text == "≈0":
        assert 0 < abs(value) < 1e-9
        return
    number = float(text.replace(MINUS, "-"))
    if 5e-4 <= abs(value) < 1e5 or value == 0:
        assert abs(number - value) <= 5.001e-4
    else:
        assert number == pytest.approx(value, rel=0.06)


def select(page, option, value):
    """Choose a value of an option, by the keyboard."""
    choice = f"document.querySelector('[data-option={option}]')"
    page.evaluate(f"{choice}.focus()")
    values = page.evaluate(f"[...{choice}.options].map((o) => o.value)")
    wanted = "0.00001" if value == 1e-5 else str(value)
    wanted = values.index(wanted)
    while page.evaluate(f"{choice}.selectedIndex") < wanted:
        page.press("ArrowDown")
    while page.evaluate(f"{choice}.selectedIndex") > wanted:
        page.press("ArrowUp")


def cell(name, at=()):
    return f'[data-array={name}] td[data-at="{",".join(map(str, at))}"]'


def enter(page, name, array):
    """Type the elements of an array, from cell to cell."""
    for at in np.ndindex(array.shape):
        page.evaluate(f"document.querySelector({json.dumps(cell(name, at))}).focus()")
        page.type(repr(array[at].item()))
        page.press("Enter")


def random_values(page, name, rng):
    """Return new values of the shapes that can be edited."""
    values = {}
    for key, array in shown(page).items():
        if key not in stepper_of(name).values:
            continue
        values[key] = np.round(rng.normal(0, 2, array.shape), 1)
        if key == "running_var":
            values[key] = abs(values[key])
        elif key == "labels":
            values[key] = rng.integers(0, 3, array.shape).astype(float)
        elif key == "label_smoothing":
            values[key] = np.array(round(rng.random(), 2))
        elif name == "maxpool2d" and key == "x":
            values[key] = rng.integers(-2, 3, array.shape).astype(float)  # with ties
    return values


@pytest.mark.parametrize(("name", "number"), CASES)
def test_numbers_are_those_of_the_twin(open_page, name, number):
    page, rng = open_page(name), np.random.default_rng(number)
    options = dict(stepper_of(name).options)
    for option, value in SETTINGS[name][number].items():
        select(page, option, value)
        options[option] = value
    values = random_values(page, name, rng)
    for key, array in values.items():
        enter(page, key, array)
    page.press("Escape")  # out of the arrays, to the buttons
    page.press("End")
    arrays = shown(page)
    expected = stepper_of(name).results(values, options)
    assert arrays.keys() == values.keys() | expected.keys()
    for key, array in (values | expected).items():
        np.testing.assert_allclose(
            arrays[key].astype(float), array, rtol=1e-9, atol=1e-12, err_msg=key
        )


@pytest.mark.parametrize(("name", "number"), SHAPES)
def test_every_index_of_a_formula_is_one_of_an_array(open_page, name, number):
    """Those of axes of length 1 are left out of formula, sum and places alike."""
    page = open_page(name)
    for option, value in SETTINGS[name][number].items():
        select(page, option, value)
    for formula, where in page.evaluate(FORMULAS):
        indices = set(",".join(re.findall(r"\[([a-z,]+)\]", formula)).split(","))
        if "max over r,s" in formula:
            indices |= {"r", "s"}
        summed = ",".join(re.findall(r"Σ\{(.*?)\}", formula)).split(",")
        placed = re.findall(r"(?<!\w)[a-z](?!\w)", where)
        assert set(summed + placed) <= indices | {""}, (formula, where)


@pytest.mark.parametrize("name", NAMES)
def test_first_values_are_those_of_the_twin(open_page, name):
    page, stepper = open_page(name), stepper_of(name)
    page.press("End")
    arrays = shown(page)
    for key, array in stepper.results(stepper.values, stepper.options).items():
        np.testing.assert_allclose(arrays[key].astype(float), array, rtol=1e-9)
    numbers = sum(
        array.size for key, array in arrays.items() if key not in stepper.values
    )
    assert f"all {numbers} numbers computed here" in page.evaluate(TEXT)


@pytest.mark.parametrize("name", NAMES)
def test_steps_go_to_the_end_and_back(open_page, name):
    page = open_page(name)
    same = f"{STATE} === states.at(-1)"
    page.evaluate(f"states = [{STATE}]; 0")
    last = int(page.evaluate(COUNT).split(" / ")[1])
    for count in range(1, last + 1):
        page.press("ArrowRight")
        seen = page.evaluate(f"[{COUNT}, {same}, states.push({STATE})]")
        assert seen == [f"{count} / {last}", False, count + 1]
    page.press("ArrowRight")  # there is no more
    assert page.evaluate(same)
    assert page.evaluate("document.querySelectorAll('td.empty').length") == 0
    for _ in range(last):
        page.press("ArrowLeft")
        assert page.evaluate(f"states.pop(), {same}")
    page.press("ArrowLeft")
    assert page.evaluate(same)
    page.press("End")
    page.press("Home")
    assert page.evaluate(same)
    assert page.evaluate("states.length") == 1


@pytest.mark.parametrize("name", NAMES)
def test_each_step_marks_what_it_writes(open_page, name):
    for step in open_page(name).evaluate(EACH_STEP):
        assert step["written"]
        assert set(step["changed"]) <= set(step["written"])
        assert step["terms"] in (1, 2) or "starts with" in step["words"]
        assert step["lines"] > 0


def test_buttons_do_what_the_keys_do(open_page):
    page = open_page("conv2d")
    for selector, count in {
        "#next": 1, "#element-next": 5, "#back": 4, "#element-back": 0, "#last": 56,
        "#first": 0, "[data-stage='2']": 25,
    }.items():  # fmt: skip
        page.click(selector)
        assert page.evaluate(COUNT) == f"{count} / 56"
    page.press("ArrowRight", shift=True)
    assert page.evaluate(COUNT) == "28 / 56"
    page.press("ArrowLeft", shift=True)
    assert page.evaluate(COUNT) == "24 / 56"
    page.press("PageDown", shift=True)
    assert page.evaluate(COUNT) == "25 / 56"
    page.press("PageUp", shift=True)
    assert page.evaluate(COUNT) == "21 / 56"
    page.evaluate("document.getElementById('slider').focus()")
    for key, count in ("ArrowRight", 22), ("ArrowDown", 21), ("End", 56), ("Home", 0):
        page.press(key)
        assert page.evaluate(COUNT) == f"{count} / 56"


def test_words_and_numbers_of_a_step(open_page):
    page = open_page("conv2d")
    page.press("ArrowRight", shift=True)
    page.press("ArrowRight")
    page.press("ArrowRight")
    text = functools.partial("document.getElementById('{}').textContent".format)
    assert page.evaluate(text("words")) == (
        "out[0,1], term 2 of 5: x[0,2] = 3 times kernel[0,1] = 2 gives 6. So far 8."
    )
    assert page.evaluate(text("numbers")) == (
        f"out[0,1] = 2·1 + 3·2 + 5·0 + 6·({MINUS}1) + 0 = 8 so far"
    )
    on = "document.querySelector('{}').textContent".format
    assert page.evaluate(on(".term.on")) == "x[h,w] · kernel[r,s]"
    assert page.evaluate(on("#numbers .current")) == "3·2"
    marks = "[...document.querySelectorAll('td.{}')].map((c) => c.textContent)".format
    assert page.evaluate(marks("read")) == ["3", "2"]
    assert page.evaluate(marks("near")) == ["2", "5", "6"]
    assert page.evaluate(marks("write")) == ["8"]
    assert "out += np.einsum" in page.evaluate(on("#source .on"))


def test_arrays_are_walked_through_and_edited_by_keys(open_page):
    page = open_page("maxpool2d")
    page.evaluate("document.querySelector('[data-option=reset]').focus()")
    page.press("Tab")
    assert page.evaluate(FOCUS) == "x[0,0]: 1"
    for key, label in (
        ("ArrowRight", "x[0,1]: 2"), ("ArrowDown", "x[1,1]: 3"),
        ("End", "x[1,2]: 1"), ("ArrowRight", "x[1,2]: 1"), ("ArrowUp", "x[0,2]: 0"),
        ("Home", "x[0,0]: 1"), ("ArrowLeft", "x[0,0]: 1"), ("ArrowUp", "x[0,0]: 1"),
    ):  # fmt: skip
        page.press(key)
        assert page.evaluate(FOCUS) == label
    assert page.evaluate(COUNT) == "0 / 25"  # keys in an array do not step
    page.press("7")
    assert page.evaluate(FOCUS) == "New value of x[0,0]"
    page.type(",5")  # a decimal comma is understood
    page.press("ArrowDown")
    assert page.evaluate(FOCUS) == "x[1,0]: 4"
    page.press("Enter")
    page.press("Escape")  # keeps the old value
    assert page.evaluate(FOCUS) == "x[1,0]: 4"
    page.press("Tab")
    assert page.evaluate(FOCUS) == "grad_input[0,0]: not computed yet"
    page.press("Enter")  # to the step that makes it
    page.press("Escape")
    assert page.evaluate("document.activeElement.id") == "next"
    page.press("End")
    assert page.evaluate("document.activeElement.id") == "next"
    arrays = shown(page)
    assert arrays["out"].tolist() == [[[[7.5, 3.0], [5.0, 5.0]]]]
    assert arrays["grad_input"][0, 0, 0, 0] == 4


def test_what_is_no_value_is_refused(open_page):
    page = open_page("softmax_cross_entropy")
    page.click(cell("labels", (0,)))
    message = "document.getElementById('message').textContent"
    for text in ("3", "-1", "1.5", "one", ""):
        page.evaluate("document.activeElement.value = ''")
        page.type(text)
        page.press("Enter")
        assert page.evaluate(message) == (
            f"labels[0] must be a whole number from 0 to 2, not “{text}”."
        )
        assert page.evaluate("document.activeElement.getAttribute('aria-invalid')")
    page.click("h1")  # elsewhere: the old value stays
    assert shown(page)["labels"].tolist() == [1, 2]
    page.click(cell("grad_output"))
    page.type("-1e3")
    page.press("Enter")
    assert shown(page)["grad_output"] == -1000


def test_a_click_on_a_result_goes_to_its_step(open_page):
    page = open_page("conv2d")
    page.click(cell("grad_kernel", (0, 0, 1, 0)))
    assert page.evaluate(COUNT) == "36 / 56"
    assert shown(page)["grad_kernel"].ravel().tolist() == [12, 17, 27, None]


def test_random_and_first_values(open_page):
    page = open_page("batch_norm2d")
    before = shown(page)
    page.click("[data-option=random]")
    page.press("End")
    random = shown(page)
    stepper = stepper_of("batch_norm2d")
    values = {key: random[key].astype(float) for key in stepper.values}
    assert any((values[key] != before[key]).any() for key in values)
    for key, array in stepper.results(values, stepper.options).items():
        np.testing.assert_allclose(random[key].astype(float), array, atol=1e-9)
    page.click("[data-option=reset]")
    assert page.evaluate(COUNT) == "0 / 122"
    assert all((array == before[key]).all() for key, array in shown(page).items())


@pytest.mark.parametrize("name", NAMES)
def test_page_fits_a_phone_and_a_screen(open_page, name):
    page = open_page(name)
    page.press("End")
    width = "document.documentElement.scrollWidth"
    panel = "document.querySelector('.now').getBoundingClientRect().height"
    assert page.evaluate(width) <= 1280
    page.resize(390, 844)
    assert page.evaluate(width) <= 390
    assert page.evaluate(panel) <= 450  # about half of the screen is left


def test_dark_mode_has_dark_paper(open_page):
    paper = "getComputedStyle(document.body).backgroundColor"
    page = open_page("maxpool2d", prefers_color_scheme="light")
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page = open_page("maxpool2d", prefers_color_scheme="dark")
    assert page.evaluate(paper) == "rgb(20, 23, 26)"


def test_reduced_motion_has_no_transitions(open_page):
    duration = "getComputedStyle(document.querySelector('td[role]')).transitionDuration"
    page = open_page("maxpool2d", prefers_reduced_motion="reduce")
    assert page.evaluate(duration) == "0s"
    page = open_page("maxpool2d", prefers_reduced_motion="no-preference")
    assert page.evaluate(duration) != "0s"


def test_a_request_would_be_noticed(tab, folder):
    """The checks for requests and errors can fail."""
    text = build("maxpool2d").replace(
        "</main>", '<img src="http://x.invalid/a"></main>'
    )
    path = folder / "asking.html"
    path.write_text(text, encoding="utf-8")
    tab.open(path.as_uri())
    tab.evaluate("console.error('broken')")
    assert any("Content Security Policy" in problem for problem in tab.problems())
    assert any("broken" in problem for problem in tab.problems())
