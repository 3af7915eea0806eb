"""Names of the package are imported when asked for, and no sooner."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import odyssey

PACKAGE = Path(odyssey.__file__).parent
MAKEFILE = (PACKAGE.parent / "Makefile").read_text("utf-8")
FUNCTIONS = sorted(set(odyssey.__all__) - {"reference"})


def run(*command):
    """Run a Python of its own in the folder of the package; return what it prints."""
    result = subprocess.run(
        [sys.executable, "-W", "error", *command],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import odyssey",
        "from odyssey import gradcheck, load_tensor, reference, step_decay",
        "import odyssey; dir(odyssey); odyssey.weights.folder; odyssey.data.batching",
        "import odyssey.__main__",
    ],
)
def test_numba_is_not_imported_where_it_is_not_needed(statement):
    run("-c", f"import sys; {statement}; assert 'numba' not in sys.modules")


@pytest.mark.parametrize(
    "statement", ["import odyssey.gradcheck", "from odyssey.cli import startup"]
)
def test_nor_is_numpy_before_programs_are_ready_for_signals(statement):
    run("-c", f"import sys; {statement}; assert 'numpy' not in sys.modules")


@pytest.mark.parametrize(
    "statements",
    [
        "import odyssey; odyssey.relu; odyssey.ops.pooling.maxpool2d",
        "import odyssey; odyssey.kernels.pooling.sum_windows; odyssey.training.loop",
        "import odyssey.ops.conv.direct; odyssey.ops.conv.conv2d; odyssey.conv2d",
        "import odyssey.ops.conv; odyssey.conv2d; odyssey.ops.loss.softmax",
        "from odyssey.ops import pooling; pooling.maxpool2d",
        "from odyssey import *; conv2d; gradcheck; reference.conv2d",
        # module and function have the same name, and the function is what is offered
        "import odyssey.gradcheck; assert callable(odyssey.gradcheck)",
        "from odyssey.gradcheck import gradcheck; import odyssey; "
        "assert odyssey.gradcheck is gradcheck",
    ],
)
def test_names_are_there_whatever_was_imported_first(statements):
    run("-c", statements)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_name_is_listed_and_stays_what_it_is(name):
    assert name in dir(odyssey)
    function = getattr(odyssey, name)
    assert function.__name__ == name
    assert vars(odyssey)[name] is function
    assert getattr(sys.modules[function.__module__], name) is function


def test_what_is_listed():
    assert dir(odyssey) == sorted([*odyssey.__all__, "__version__"])
    assert {"conv", "pooling"} <= set(dir(odyssey.ops))
    for name in dir(odyssey.ops):
        home = PACKAGE / "ops" / name
        assert home.with_suffix(".py").exists() or (home / "__init__.py").exists()
    # also when more of it has been imported
    run(
        "-c",
        "import odyssey; first = dir(odyssey); import odyssey.data, odyssey.info; "
        "assert dir(odyssey) == first",
    )


@pytest.mark.parametrize("module", [odyssey, odyssey.ops])
def test_a_name_that_is_not_there(module):
    assert not hasattr(module, "conv3d")
    with pytest.raises(AttributeError, match=f"'{module.__name__}'.*'conv3d'"):
        module.conv3d  # noqa: B018
    with pytest.raises(ImportError, match="conv3d"):
        run_import(module.__name__, "conv3d")


def run_import(module, name):
    exec(f"from {module} import {name}", {})


def test_the_stub_is_the_one_that_is_made(tmp_path):
    text = (PACKAGE / "__init__.pyi").read_text("utf-8")
    assert text == odyssey.lazy.stub(odyssey._HOMES)
    # `make stub`, but for the last step
    (line,) = re.findall(r"^\t\$\(BIN\)/python -c '(.*?)'", MAKEFILE, re.M | re.S)
    assert run("-c", line.replace("\\\n", "")) == text


def test_editors_are_told_the_same_names():
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    told = {
        alias.asname: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(told) == odyssey.__all__
    for name in FUNCTIONS:
        assert getattr(odyssey, name).__module__ == told[name]
