"""Help in groups, and the messages about a wrong command line."""

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import odyssey
from odyssey.cli.choice import Choice
from odyssey.cli.command import Command, Group
from odyssey.cli.option import DATA, GROUPS, LOGGING, MODEL, RUN, Option, option
from odyssey.cli.option_types import FiniteFloat, WholeNumber
from odyssey.errors import MAX_MESSAGE


@click.group(cls=Group)
def main():
    """Do things."""


@main.command()
@option("--log", group=LOGGING, help="Log file.", type=click.Path(dir_okay=False))
@option("--title", group=LOGGING, help="Title.", may_be_empty=True)
@option("--seed", group=RUN, type=WholeNumber(0, 2**63 - 1), default=0, help="Seed.")
@option("--lr", group=RUN, type=FiniteFloat(0, min_open=True), help="Rate.")
@option("--weights-dir", group=RUN, type=click.Path(file_okay=False), help="Folder.")
@option("--model", group=MODEL, type=Choice(["net1", "net2"]), help="Network.")
@option("--pair", group=DATA, type=(WholeNumber(0), WholeNumber(0)), help="Two.")
@option(
    "--fast/--not-fast", group=MODEL, default=False, help="Hurry " + "--not-fast " * 30
)
def train(**options):
    """Train."""
    click.echo(sorted(options.items()))


def run(*words, status=0, command=main):
    result = CliRunner().invoke(command, [str(w) for w in words], prog_name="prog")
    assert result.exit_code == status, result.output
    return result.output


def error(*words):
    """Return the error message of a command line of ``train``."""
    output = run("train", *words, status=2)
    assert output.startswith("Usage: prog train [OPTIONS]\n")
    message = output.splitlines()[-1]
    assert message.startswith("Error: ") and output.count("Error:") == 1
    return message.removeprefix("Error: ")


@pytest.mark.parametrize("words", [["-h"], ["train", "-h"]])
def test_help(words):
    assert run(*words) == run(*words[:-1], "--help")
    assert all(len(line) <= 80 for line in run(*words).splitlines())
    assert "  -h, --help" in run(*words)


@pytest.mark.parametrize("words", [["--version"], ["train", "--version"]])
def test_version(words):
    assert run(*words) == f"odyssey {odyssey.__version__}\n"


def test_groups_stand_in_their_order():
    text = run("train", "--help")
    heads = re.findall(r"^(\w+) options:$", text, re.MULTILINE)
    assert heads == ["Run", "Model", "Data", "Logging"]
    assert [head.lower() for head in heads] == [g for g in GROUPS if g in _used()]
    texts = re.split(r"^\w+ options:$", text, flags=re.M)[1:]
    sections = dict(zip(heads, texts, strict=True))
    assert re.findall(r"^  (-\S+)", sections["Run"], re.M) == [
        *("--seed", "--lr", "--weights-dir", "--version", "-h,")
    ]
    assert re.findall(r"^  (-\S+)", sections["Model"], re.M) == ["--model", "--fast"]
    # all texts begin in the same column
    assert len(set(re.findall(r"^  -.{2,}?  +(?=\w)", text, re.M))) > 1
    columns = {len(m) for m in re.findall(r"^(  --\S+(?: \S+)* {2,})\w", text, re.M)}
    assert len(columns) == 1


def _used():
    return {param.group for param in main.commands["train"].params}


def test_values_and_defaults_in_the_help():
    text = " ".join(run("train", "--help").split())
    assert "--seed N Seed. [default: 0; 0<=x<=2**63-1]" in text
    assert "--lr X Rate. [x>0]" in text
    assert "--weights-dir DIR Folder." in text and "--log FILE Log file." in text
    assert "--model [net1|net2] Network." in text
    assert "[default: not-fast]" in text
    assert not re.search(r"-$", run("train", "--help"), re.MULTILINE)  # split words


def test_a_group_that_there_is_not():
    with pytest.raises(ValueError, match="group must be one of"):
        Option(["--x"], group="other")


@pytest.mark.parametrize(
    "words, message",
    [
        (["--weights", 1], "No such option: --weights; did you mean --weights-dir?"),
        (["--learning-rate=1"], "No such option: --learning-rate; did you mean --lr?"),
        (["-lr", 1], "No such option: -lr; did you mean --lr?"),
        (["-help"], "No such option: -help; did you mean --help?"),
        (["-x"], "No such option: -x"),
        (["--dampening"], "No such option: --dampening; momentum has no dampening."),
        (["net1"], "Got unexpected extra argument (net1); did you mean --model net1?"),
        (["lr=1"], "Got unexpected extra argument (lr=1); did you mean --lr=1?"),
        (["--fast", "yes"], "argument (yes); a switch has no value: --x turns it on"),
        (["—lr", 1], "(—lr); options begin with two hyphens, this is another dash."),
        (["--lr", 1, "2"], "Got unexpected extra argument (2)"),
        (["--lr"], "Option '--lr' requires an argument."),
        (["--lr", "--seed", 1], "Option '--lr' needs a value, but the option '--seed'"),
        (["--weights-dir", "--fast"], "'--weights-dir' needs a value, but the option"),
        (["--weights-dir", "-h"], "'--weights-dir' needs a value, but the option '-h'"),
        (
            ["--weights-dir", ""],
            "Invalid value for '--weights-dir': must not be empty.",
        ),
        (["--weights-dir", "a\0b"], "'--weights-dir': must not hold a NUL character."),
        (["--lr", ""], "Invalid value for '--lr': must not be empty."),
        (["--pair", 1], "Option '--pair' requires 2 arguments."),
        (["--pair", 1, -1], "Invalid value for '--pair': -1 is not in the range x>=0."),
        (["--lr", "nan"], "Invalid value for '--lr': nan is not a finite number."),
        (["--lr", "1e39"], "'--lr': 1e39 is not a finite number of float32."),
        (["--lr", -1], "Invalid value for '--lr': -1.0 is not in the range x>0."),
        (["--lr", "fast"], "Invalid value for '--lr': 'fast' is not a valid number."),
        (["--seed", 1.5], "Invalid value for '--seed': '1.5' is not a valid whole num"),
        (["--seed", -1], "'--seed': -1 is not in the range 0<=x<=2**63-1."),
        (["--model", "Net-1"], "'Net-1' is not one of the choices; did you mean net1?"),
        (["--model", "x"], "'--model': 'x' is not one of 'net1', 'net2'."),
    ],
)
def test_what_cannot_be_used_is_answered(words, message):
    assert message in error(*words)


@pytest.mark.parametrize("word", ["x" * 5000, "x\ny\x1b[31m\0"])
@pytest.mark.parametrize("option", ["--model", "--lr", "--seed", "--"])
def test_what_is_quoted_is_a_line_of_readable_length(option, word):
    if option == "--":
        message = error("--" + word)
        assert message.startswith("No such option: --x")
    else:
        message = error(option, word)
        assert message.startswith(f"Invalid value for '{option}': 'x")
    assert len(message) < MAX_MESSAGE + 40 and message.isprintable()


def test_what_can_be_used():
    given = ["--weights-dir", "-odd", "--title", "", "--lr", "1", "--lr", "2"]
    output = run("train", *given)
    assert "('weights_dir', '-odd')" in output and "('title', '')" in output
    assert "('lr', 2.0)" in output  # the last one counts


def test_a_choice_that_is_missing():
    @click.command(cls=Command)
    @click.argument("name", metavar="NAME", type=Choice(["net1", "net2"]))
    def show(name):
        pass

    line = run(command=show, status=2).splitlines()[-1]
    assert line == "Error: Missing argument 'NAME'. Choose from net1, net2."


def test_commands_that_there_are_not():
    assert "No such command 'trian'; did you mean train?" in run("trian", status=2)
    assert run("foo", status=2).endswith("Error: No such command 'foo'.\n")


def test_arguments_take_what_options_do_not():
    @click.command(cls=Command)
    @click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
    def show(paths):
        click.echo(len(paths))

    assert run("a", "b", command=show) == "2\n"
