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
