"""The front page of the course has every exercise, stepper and milestone in order."""

import re
from pathlib import Path

import pytest

from odyssey.learn import course, milestones, steppers

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "READING_ORDER.md").read_text("utf-8")
STATIONS = re.findall(r"^### (\d+\. [^\n]+)\n(.*?)(?=^##|^\*\*Mile)", PAGE, re.M | re.S)


def named(command):
    return re.findall(rf"\bodyssey learn {command} (\w+)", PAGE)


def test_the_exercises_are_those_of_the_course_in_its_order():
    page = list(dict.fromkeys(named("start")))
    assert [name for name in page if name in course.ORDER] == list(course.ORDER)


def test_every_stepper_is_in_the_page():
    assert [name for name in steppers.NAMES if name not in named("stepper")] == []


def test_milestones_come_after_what_they_need():
    assert named("milestone") == list(milestones.MILESTONES)
    for name, milestone in milestones.MILESTONES.items():
        before = PAGE[: PAGE.index(f"odyssey learn milestone {name}")]
        for needed in milestone.needs:
            assert f"`odyssey learn start {needed}`" in before


@pytest.mark.parametrize(("title", "text"), STATIONS, ids=[t for t, _ in STATIONS])
def test_a_station_has_its_page_exercise_and_source(title, text):
    lines = dict(re.findall(r"^- (\w+): (.+)$", text, re.M))
    exercises = lines.pop("Exercises", None) or lines.pop("Exercise")
    assert set(re.sub(r"`odyssey learn start \w+`,? ?", "", exercises)) == set()
    stepper = lines.pop("Stepper", None)
    assert stepper is None or re.fullmatch(r"`odyssey learn stepper \w+`", stepper)
    assert list(lines) == ["Page", "Source"]
    (page,) = re.findall(r"\]\(([\w/]+\.md)\)|`([\w/]+\.py)`", lines["Page"])
    if page[0]:  # a derivation: it names the same stepper and exercises
        above = (DOCS / page[0]).read_text("utf-8").split("\n\n")[1]
        commands = r"`odyssey learn \w+ \w+`"
        wanted = re.findall(commands, f"{stepper} {exercises}")
        assert re.findall(commands, above) == wanted
    assert (DOCS / page[0]).is_file() if page[0] else "the top of" in lines["Page"]
    sources = re.findall(r"`([\w/]+\.py)`", lines["Source"])
    assert sources
    for path in [*sources, *filter(None, page[1:])]:
        assert (DOCS.parent / path).is_file()


def test_stations_are_counted():
    numbers = [int(title.partition(".")[0]) for title, _ in STATIONS]
    assert numbers == list(range(1, len(STATIONS) + 1))
    assert len(STATIONS) == 12
    assert "twelve stations" in PAGE
