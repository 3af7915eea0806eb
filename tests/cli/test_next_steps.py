"""What commands print last: the commands that come next."""

import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from odyssey.cli import copy_example
from odyssey.cli.main import main as odyssey
from odyssey.cli.next_steps import given_options, program, say_next, training

ROOT = Path(__file__).resolve().parents[2]


def test_commands_are_quoted_and_each_has_a_line(capsys):
    say_next(("python", "train.py", "--weights-dir", "my run"), ("ls", "a\nb"))
    assert capsys.readouterr().out == (
        "next:\n  python train.py --weights-dir 'my run'\n  ls 'a b'\n"
    )


def test_programs_are_named_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    below, beside = tmp_path / "x" / "train.py", tmp_path.parent / "train.py"
    assert program(below) == ("python", "x/train.py")
    assert program(beside) == ("python", str(beside))


def test_training_begins_with_a_copy_where_there_is_no_example(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    place = "examples/resnet18_cifar10/train.py"
    assert training("--epochs", "3") == ("python", place, "--epochs", "3")
    copying = ("python", "-m", "odyssey", "example", "resnet18_cifar10")
    monkeypatch.chdir(tmp_path)
    assert training("--epochs", "3") == copying
    monkeypatch.setattr(copy_example, "examples", dict)
    assert training() == copying


@click.command()
@click.option("--flip/--no-flip", default=True)
@click.option("--pair", type=(int, int), default=(0, 9))
@click.option("--many", type=click.UNPROCESSED)
@click.option("--left", default=1)
@click.argument("name", default="x")
def command(many, **options):
    click.get_current_context().params["many"] = many and tuple(many.split(","))
    click.echo(shlex.join(given_options("left")))


@pytest.mark.parametrize(
    "words, given",
    [
        ("", ""),
        ("y --left 2", ""),
        ("--no-flip --pair 1 2", "--no-flip --pair 1 2"),
        ("--many 1,5 --flip", "--flip --many 1,5"),
    ],
)
def test_the_options_that_were_given(words, given):
    result = CliRunner().invoke(command, words.split())
    assert result.output == f"{given}\n"


def test_a_report_is_shown_by_the_browser(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("my run").mkdir()
    monkeypatch.setattr(
        "odyssey.report.page.write_report", lambda run, *how: run / "report.html"
    )
    result = CliRunner().invoke(odyssey, ["report", "my run"])
    assert result.output.splitlines() == [
        f"report written to {Path('my run', 'report.html')}",
        "next:",
        f"  python -m webbrowser {tmp_path.as_uri()}/my%20run/report.html",
    ]
