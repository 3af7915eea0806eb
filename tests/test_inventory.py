"""Nothing is forgotten: each operation has a backward, a twin and a gradient check.

What operations there are is what the modules of ``odyssey/ops`` list in ``__all__``.
"""

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest

import odyssey
from odyssey import reference
from odyssey.op_specs import OPS

ROOT = Path(__file__).resolve().parent.parent

#: The forward's argument that its backward does without: no gradient depends on it.
LEFT_OUT = {"conv2d": "bias", "linear": "bias"}
#: What of its forward's results a backward takes in place of all arguments.
RESULT_INSTEAD = {"dropout": "mask"}
#: Functions without a gradient that have a twin.
HELPERS = [
    "sgd_momentum_update_inplace",
    "clip_grad_norm_inplace",
    "orthogonalize",
    "muon_update_inplace",
    "scale_to_norm_inplace",
    "extract_batch_pair",
    "compute_num_batches",
]
#: Public names that are no functions.
CLASSES = ["PreparedKernel"]
#: Operations that are a part of another, whose backward goes through them.
PARTS = {"batch_statistics": "batch_norm2d"}


def functions(module) -> set[str]:
    # dir, not vars: odyssey imports what it offers only when asked for it
    return {
        name
        for name in dir(module)
        if not name.startswith("_") and inspect.isfunction(getattr(module, name))
    }


def in_ops(name: str) -> bool:
    return getattr(odyssey, name).__module__.startswith("odyssey.ops.")


PUBLIC = {name for name in functions(odyssey) if in_ops(name)}
OPERATIONS = sorted(n for n in PUBLIC - set(PARTS) if not n.endswith("_backward"))
BACKWARDS = {f"{name}_backward" for name in OPERATIONS}


def test_every_operation_has_a_backward():
    assert len(OPERATIONS) >= 11
    assert functions(odyssey) | {"reference", *CLASSES} == set(odyssey.__all__)
    assert PUBLIC - set(PARTS) == BACKWARDS | set(OPERATIONS)
    assert set(PARTS) < PUBLIC and set(PARTS.values()) < set(OPERATIONS)


def test_every_operation_has_a_registered_gradient_check():
    assert {spec.name for spec in OPS if spec.cases} == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_file_of_a_backward_derives_its_gradients(name):
    page = sys.modules[getattr(odyssey, f"{name}_backward").__module__].__doc__
    assert "grad_output" in page
    assert {word for word in re.findall(r"grad_[a-z]+", page)} > {"grad_output"}
    for elsewhere in re.findall(r"docs/derivations/\w+\.md", page):
        assert (ROOT / elsewhere).exists()


def test_the_twins_hold_the_operations_and_nothing_else():
    assert functions(reference) == BACKWARDS | set(OPERATIONS) | set(HELPERS)


@pytest.mark.parametrize("name", sorted(functions(reference)))
def test_a_twin_has_the_signature_of_the_public_function(name):
    public = list(inspect.signature(getattr(odyssey, name)).parameters.values())
    twin = list(inspect.signature(getattr(reference, name)).parameters.values())
    assert [(p.name, p.default, p.kind) for p in public[: len(twin)]] == [
        (p.name, p.default, p.kind) for p in twin
    ]
    for extra in public[len(twin) :]:
        assert extra.kind == inspect.Parameter.KEYWORD_ONLY
        assert extra.default is not inspect.Parameter.empty


@pytest.mark.parametrize("module", [odyssey, reference])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_backward_takes_the_gradient_and_the_forwards_arguments(name, module):
    forward, backward = (
        [
            (argument.name, argument.default)
            for argument in inspect.signature(function).parameters.values()
            if argument.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        ]
        for function in (getattr(module, name), getattr(module, f"{name}_backward"))
    )
    assert backward.pop(0) == ("grad_output", inspect.Parameter.empty)
    if name in RESULT_INSTEAD:
        assert [argument for argument, _ in backward] == [RESULT_INSTEAD[name]]
    else:
        left_out = LEFT_OUT.get(name)
        assert (left_out in dict(forward)) == (name in LEFT_OUT)
        assert backward == [a for a in forward if a[0] != left_out]


@pytest.mark.parametrize("name", sorted(functions(reference)))
def test_public_functions_and_twins_are_documented(name):
    for module in (odyssey, reference):
        assert inspect.getdoc(getattr(module, name))


def test_the_twins_import_nothing_but_numpy_and_math():
    files = sorted(Path(reference.__file__).parent.glob("[!_]*.py"))
    assert len(files) > 5
    for path in files:
        imported = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module)
        assert imported <= {"math", "numpy"}, path.name


def test_the_package_offers_its_tools_at_the_top():
    assert odyssey.reference is reference
    assert inspect.isfunction(odyssey.gradcheck)
