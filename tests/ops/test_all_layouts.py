"""Every operation takes any memory layout, and gives back the one it was given."""

import numpy as np
import pytest
from op_checks import nerr, run

import odyssey
from odyssey import reference
from odyssey.op_specs import ALL_CASES, name_of


def channels_last(x):
    if x.ndim != 4:
        return x
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def every_second(x):
    """A view that steps over elements which are NaN: reading one would show."""
    wide = np.full([2 * length for length in x.shape], 99, x.dtype)
    if x.dtype.kind == "f":
        wide[...] = np.nan
    view = wide[tuple(slice(None, None, 2) for _ in x.shape)]
    view[...] = x
    return view


def backwards(x):
    """A view with negative strides."""
    flip = tuple(slice(None, None, -1) for _ in x.shape)
    return np.ascontiguousarray(x[flip])[flip]


def big_endian(x):
    return x.astype(x.dtype.newbyteorder(">"))


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


def read_only_big_endian_channels_last(x):
    return read_only(big_endian(channels_last(x)))


def repeated(x):
    """A view whose first axis has a stride of zero."""
    return np.broadcast_to(x[:1], x.shape) if x.ndim else x


def from_a_buffer(x):
    """An array over foreign memory that starts at an odd address."""
    raw = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:]
    return raw.view(x.dtype).reshape(x.shape)


LAYOUTS = [
    channels_last,
    np.asfortranarray,
    every_second,
    backwards,
    big_endian,
    read_only,
    read_only_big_endian_channels_last,
    repeated,
    from_a_buffer,
]

SOME_CASES = [
    (spec, case)
    for spec, case in ALL_CASES
    if case in spec.cases[:2] or case.label == "evaluation"
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize(("spec", "case"), SOME_CASES, ids=name_of)
def test_any_layout_gives_the_same_numbers(spec, case, layout):
    inputs = [layout(x) for x in case.make()]
    grad_output = spec.grad_output(reference, inputs, case.options)
    if isinstance(grad_output, np.ndarray):
        grad_output = layout(grad_output)
    plain = [np.array(x, x.dtype.newbyteorder("="), order="C") for x in inputs]
    plain_upstream = np.array(grad_output, np.float64, order="C")

    got, got_grads = run(odyssey, spec, case, inputs, grad_output)
    want, want_grads = run(odyssey, spec, case, plain, plain_upstream)
    for value, right in zip((*got, *got_grads), (*want, *want_grads), strict=True):
        assert nerr(value, right) <= 1e-14
        assert type(value) is float or value.dtype.isnative


IMAGES = [
    (spec, case)
    for spec, case in SOME_CASES
    if all(case.make()[position].ndim == 4 for position in spec.batched)
]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("spec", "case"), IMAGES, ids=name_of)
def test_results_have_the_layout_of_the_input(spec, case, batch):
    inputs = list(case.make())
    for position in spec.batched:
        inputs[position] = inputs[position][:batch]
    grad_output = spec.grad_output(reference, inputs, case.options)

    (out, *_), grads = run(odyssey, spec, case, inputs, grad_output)
    assert out.flags.c_contiguous
    assert all(grads[i].flags.c_contiguous for i in spec.batched)

    for position in spec.batched:
        inputs[position] = channels_last(inputs[position])
    upstream = channels_last(grad_output)
    (out, *_), grads = run(odyssey, spec, case, inputs, upstream)
    for array in (out, *(grads[i] for i in spec.batched)):
        assert array.transpose(0, 2, 3, 1).flags.c_contiguous
