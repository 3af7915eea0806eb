"""Nothing is forgotten: each operation has a backward, a twin and a gradient check."""

import inspect

import pytest
from op_specs import OPS

import odyssey
from odyssey import reference

OPERATIONS = [
    "conv2d",
    "batch_norm2d",
    "relu",
    "add",
    "avgpool2d",
    "maxpool2d",
    "global_avgpool2d",
    "linear",
    "dropout",
    "softmax",
    "cross_entropy",
]
#: The forward's argument that its backward does without: no gradient depends on it.
LEFT_OUT = {"conv2d": "bias", "linear": "bias"}
#: What of its forward's results a backward takes in place of all arguments.
RESULT_INSTEAD = {"dropout": "mask"}
HELPERS = [
    "sgd_momentum_update_inplace",
    "clip_grad_norm_inplace",
    "extract_batch_pair",
    "compute_num_batches",
]


def functions(module) -> set[str]:
    # dir, not vars: odyssey imports what it offers only when asked for it
    return {
        name
        for name in dir(module)
        if not name.startswith("_") and inspect.isfunction(getattr(module, name))
    }


def in_ops(name: str) -> bool:
    return getattr(odyssey, name).__module__.startswith("odyssey.ops.")


def test_every_backward_has_a_registered_gradient_check():
    backwards = {
        name
        for name in functions(odyssey) | functions(reference)
        if name.endswith("_backward")
    }
    registered = {f"{spec.name}_backward" for spec in OPS if spec.cases}
    assert {f"{name}_backward" for name in OPERATIONS} <= backwards
    assert backwards == registered


def test_every_public_operation_is_in_the_lists_above():
    public = {name for name in functions(odyssey) if in_ops(name)}
    assert functions(odyssey) | {"reference"} == set(odyssey.__all__)
    expected = set(OPERATIONS) | {f"{name}_backward" for name in OPERATIONS}
    # a part of batch_norm2d, whose backward goes through it
    assert public == expected | {"batch_statistics"}


def test_the_twins_hold_nothing_else():
    expected = {f"{name}_backward" for name in OPERATIONS}
    assert functions(reference) == expected | set(OPERATIONS) | set(HELPERS)


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


def test_the_twins_import_numpy_alone():
    imported = [
        value.__name__ for value in vars(reference).values() if inspect.ismodule(value)
    ]
    assert imported == ["numpy"]
    assert "numba" not in inspect.getsource(reference)


def test_the_package_offers_its_tools_at_the_top():
    assert odyssey.reference is reference
    assert inspect.isfunction(odyssey.gradcheck)
