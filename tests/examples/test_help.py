"""The options of all programs: their help, and the documents about them."""

import importlib
import re
import shlex

import click
import numba
import pytest
from click.testing import CliRunner
from programs import EXAMPLE, ROOT

import odyssey
from odyssey.cli.command import Command, Group
from odyssey.cli.main import main as odyssey_main
from odyssey.cli.option import GROUPS

EXAMPLES = EXAMPLE.parent
PROGRAMS = {
    name: importlib.import_module(name.replace("/", ".")).main
    for name in (
        *("resnet18_cifar10/train", "resnet18_cifar10/inference"),
        *("resnet18_cifar10/download_cifar10", "resnet18_cifar10/summary"),
        *("resnet18_cifar10/show_augmentation", "resnet18_cifar10/plot_runs"),
        "resnet18_cifar10/run_ablations",
        *("lenet5_cifar10/train", "lenet5_cifar10/inference"),
        *("alexnet_cifar10/train", "alexnet_cifar10/inference"),
        *("vgg16_cifar10/train", "vgg16_cifar10/inference"),
        *("speedrun_cifar10/train", "speedrun_cifar10/inference"),
        "compare_architectures",
    )
}
TRAIN = PROGRAMS["resnet18_cifar10/train"]
CONTEXT = click.Context(odyssey_main)
COMMANDS = {
    name: odyssey_main.get_command(CONTEXT, name)
    for name in odyssey_main.list_commands(CONTEXT)
}
ALL = {**PROGRAMS, "odyssey": odyssey_main}
ALL |= {f"odyssey {name}": command for name, command in COMMANDS.items()}
GROUP = COMMANDS["learn"]
ALL |= {f"odyssey learn {n}": c for n, c in GROUP.commands.items()}

#: Options that documents name of other programs: torchvision's, TensorBoard's ...
OTHERS = {"--lr-warmup-method", "--lr-step-size", "--auto-augment", "--ra-magnitude"}
OTHERS |= {"--logdir"}
OTHERS |= {"--kill-on-bad-exit", "--mpi", "--signal", "--wrap"}  # of Slurm
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def options_of(command):
    context = click.Context(command, info_name="program")
    return [p for p in command.get_params(context) if isinstance(p, click.Option)]


def names_of(command):
    return {n for o in options_of(command) for n in (*o.opts, *o.secondary_opts)}


@pytest.fixture(params=ALL)
def command(request):
    return ALL[request.param]


def run(command, *words):
    result = CliRunner().invoke(command, words, prog_name="program")
    assert result.exit_code == 0, result.output
    return result.output


def test_every_program_is_here():
    programs = {
        str(path.relative_to(EXAMPLES).with_suffix(""))
        for path in EXAMPLES.rglob("*.py")
        if "startup.run(main)" in _text(path)
    }
    assert programs == PROGRAMS.keys()


def _text(path):
    return path.read_text("utf-8")


def test_every_option_has_a_sentence_and_a_group(command):
    for option in options_of(command):
        assert option.group in GROUPS, option.name
        assert re.fullmatch(r"[A-Z].*[^. ]\.", option.help, re.DOTALL), option.opts
        assert "  " not in option.help and "\n" not in option.help


def test_help_fits_a_terminal(command):
    assert run(command, "-h") == run(command, "--help")
    for line in run(command, "-h").splitlines():
        assert len(line) <= 80 and line == line.rstrip()
    assert isinstance(command, (Command, Group))


def test_the_list_of_commands_is_not_cut_short():
    commands = run(odyssey_main, "--help").partition("\nCommands:\n")[2].splitlines()
    assert len(commands) == len(COMMANDS)
    assert all(re.fullmatch(r"  \w+ +[A-Z].*[^.]\.", line) for line in commands)


def test_an_option_is_shown_once_and_whole(command):
    """In a line of its own, and nowhere split at its hyphens."""
    text = run(command, "--help")
    for option in options_of(command):
        names = "[, /]+".join(map(re.escape, [*option.opts, *option.secondary_opts]))
        assert len(re.findall(rf"^  {names}(?:[ ,]|$)", text, re.M)) == 1, option.opts
    assert not re.search(r"--?[a-z-]+-$", text, re.MULTILINE)


def test_the_version_of_every_program(command):
    assert run(command, "--version") == f"odyssey {odyssey.__version__}\n"


def test_the_groups_of_train():
    heads = re.findall(r"^(\w+) options:$", run(TRAIN, "-h"), re.MULTILINE)
    assert [head.lower() for head in heads] == list(GROUPS)


def examples_of(command):
    """Return the commands that the help shows, as words."""
    block = run(command, "--help").partition("\n  Examples:\n")[2].partition("\n\n")[0]
    return [shlex.split(line) for line in block.splitlines()]


def test_the_help_has_examples_that_the_command_takes(command, monkeypatch):
    """Each is parsed by the command that it names; files need not be there."""
    monkeypatch.setattr(click.Path, "convert", lambda self, value, *where: value)
    threads = numba.get_num_threads()
    shown = examples_of(command)
    assert 1 <= len(shown) <= 4
    try:
        for words in shown:
            if words[:3] == ["python", "-m", "odyssey"]:
                words = words[2:]
            if words[0] == "odyssey":
                called, words = COMMANDS[words[1]], words[2:]
                if called is GROUP and words:
                    assert command in (GROUP.commands[words[0]], GROUP, odyssey_main)
                    called, words = GROUP.commands[words[0]], words[1:]
                else:
                    assert command in (called, odyssey_main)
            else:
                assert words[0] == "python"
                name = words[1].removeprefix("examples/").removesuffix(".py")
                called, words = PROGRAMS[name], words[2:]
                assert command is called
            with called.make_context("program", words) as context:
                assert context.params
    finally:
        numba.set_num_threads(threads)  # parsing --threads changes it


def test_documents_name_only_options_that_there_are():
    known = OTHERS.union(*map(names_of, ALL.values()))
    known |= _benchmark_options()
    documents = [EXAMPLE / "README.md", ROOT / "README.md", *ROOT.glob("docs/*.md")]
    told = {path: set(_OPTION.findall(_text(path))) for path in documents}
    assert all(told[path] for path in documents[:2])
    assert {str(p): names - known for p, names in told.items() if names - known} == {}


def _benchmark_options():
    texts = "".join(map(_text, (ROOT / "benchmarks").rglob("*.py")))
    return set(re.findall(r'"(--[a-z-]+)"', texts))


def test_defaults_in_the_readme():
    """What stands in parentheses after an option is its default."""
    shown = {}
    for option in options_of(TRAIN):
        for name in option.opts:
            shown[name] = option.default
    text = _text(EXAMPLE / "README.md")
    told = re.findall(r"`?(--[a-z-]+)(?: [A-Z]+)?`? \(([\d.,]+)\)", text)
    assert len(told) >= 12
    for name, value in told:
        default = shown[name]
        same = value == default if isinstance(default, str) else float(value) == default
        assert same, (name, value, default)
