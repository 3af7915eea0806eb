"""The house: imports run one way, and options are named where options are."""

import ast
import re
from pathlib import Path

import pytest

import odyssey

PACKAGE = Path(odyssey.__file__).parent
FILES = sorted(p for p in PACKAGE.rglob("*.py") if "examples" not in p.parts)

#: From the ground up: a storey may import from itself and from those before it.  What
#: of `distributed` is about training has storeys of its own.
STOREYS = (
    (
        "errors",
        "output",
        "lazy",
        "cpu_quota",
        "distributed",
        "forks",
        "pickle_machine",
        "processor",
        "bfloat16",
        "reference",
        "op_specs",
    ),
    (
        "checks",
        "memory",
        "layout",
        "threads",
        "kernel_cache",
        "compiling",
        "compiling_together",
    ),
    ("kernels",),
    ("central_differences", "ops", "optim", "muon", "init", "folding", "schedules"),
    ("graph", "foreign", "pickle_machine"),
    ("gradcheck", "diagnosis", "layers", "network", "precision"),
    tuple(f"distributed.{name}" for name in ("wire", "gradients", "data_parallel")),
    ("weights", "data"),
    ("info", "warmup", "footprint", "multiply_adds", "layer_table", "formats"),
    ("training", "distributed.agreement", "distributed.evaluation"),
    ("report", "series"),
    ("learn",),
    ("cli", "__main__"),
)
HEIGHT = {name: height for height, names in enumerate(STOREYS) for name in names}


def height_of(name: str) -> int:
    """Return the storey of a module: its own, or that of its package."""
    return HEIGHT[name if name in HEIGHT else name.split(".")[0]]


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


#: What is written like an option and is none of ours, by module.
OF_OTHERS = {
    "report.tables": ["--share"],  # a variable of its style sheet
    "distributed.join": ["--mpi", "--mpi"],  # srun's
    "distributed.launcher": ["--mpi", "--mpi", "--kill-on-bad-exit"],
}

MODULES = {module_name(path): path for path in FILES}


def imports(path: Path) -> set[str]:
    """Return the modules of the package that a file imports, without its name."""
    return _imports_of(ast.parse(path.read_text(encoding="utf-8")))


def at_import(path: Path) -> set[str]:
    """Return what is imported when the module is: not within functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body = [ast.Pass()]
    return {name for name in _imports_of(tree) if name}


def _imports_of(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = whole.removeprefix("odyssey.") in MODULES
                found.add(whole if is_module else node.module)
    names = (name for name in found if name.split(".")[0] == "odyssey")
    return {name.partition(".")[2] for name in names}


def test_every_module_has_a_storey():
    packages = {name.split(".")[0] for name in MODULES if name}
    assert packages == {name for name in HEIGHT if "." not in name}
    assert HEIGHT.keys() - packages <= MODULES.keys()


@pytest.mark.parametrize("name", sorted(filter(None, MODULES)))
def test_nothing_imports_upwards(name):
    above = {
        other
        for other in imports(MODULES[name])
        if other and height_of(other) > height_of(name)
    }
    assert above == set()


def test_no_imports_go_in_a_circle():
    arrows = {name: at_import(path) & set(MODULES) for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in sorted(arrows[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in sorted(filter(None, MODULES)):
        visit(name, ())


OUTSIDE = [path for path in FILES if path.parent.name != "cli"]
outside_the_command_line = pytest.mark.parametrize(
    "path", OUTSIDE, ids=lambda path: module_name(path) or "odyssey"
)


@outside_the_command_line
def test_no_option_is_named_outside_the_command_line(path):
    text = path.read_text(encoding="utf-8")
    words = re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)
    assert words == OF_OTHERS.get(module_name(path), [])


@outside_the_command_line
def test_no_program_is_named_outside_the_command_line(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in docstrings
    ]
    programs = r"\b(?:train|inference|run_ablations|plot_runs|download_cifar10)\.py\b"
    assert [text for text in texts if re.search(programs, text)] == []


@outside_the_command_line
def test_click_is_not_imported_outside_the_command_line(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            roots.add(node.module.split(".")[0])
    assert "click" not in roots
