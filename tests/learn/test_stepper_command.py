"""``odyssey learn stepper``: the page that is written, and what is not replaced."""

import pytest
from click.testing import CliRunner

from odyssey.cli import learn
from odyssey.learn.steppers import NAMES, build


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Make an empty folder the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stepper(*words, status=0):
    result = CliRunner().invoke(learn.main, ["stepper", *map(str, words)])
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.parametrize("name", NAMES)
def test_page_is_written_and_how_to_open_it_is_said(here, name):
    assert stepper(name).splitlines() == [
        f"stepper written to {name}.html",
        "next:",
        f"  python -m webbrowser {(here / f'{name}.html').as_uri()}",
    ]
    assert (here / f"{name}.html").read_text(encoding="utf-8") == build(name)
    assert len(list(here.iterdir())) == 1


def test_another_file_is_not_replaced_unless_asked_for(here):
    page = here / "page.html"
    page.write_text("mine")
    message = f"Error: {page}: is there already; --force replaces it\n"
    assert stepper("conv2d", "--output", page, status=2) == message
    assert page.read_text() == "mine"
    stepper("conv2d", "--output", page, "--force")
    assert page.read_text(encoding="utf-8") == build("conv2d")


def test_a_dead_link_is_there_too(here):
    link = here / "page.html"
    link.symlink_to("nowhere.html")
    assert "is there already" in stepper("conv2d", "--output", link, status=2)
    assert not (here / "nowhere.html").exists()


def test_other_names_are_refused(here):
    assert "did you mean conv2d?" in stepper("conv", status=2)
    assert "must end in .html" in stepper("conv2d", "--output", "page.txt", status=2)
    missing = here / "no" / "page.html"
    output = stepper("conv2d", "--output", missing, status=1)
    assert output == f"Error: {missing}: No such file or directory\n"
    assert list(here.iterdir()) == []


def test_list_of_names_in_the_help_is_complete():
    words = " ".join(stepper("--help").split())
    *first, last = NAMES
    assert f"NAME is {', '.join(first)} or {last}." in words
