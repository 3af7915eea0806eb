"""What a wrong backward of the zoo is, and how it is checked."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace

from odyssey import gradcheck, op_specs, reference
from odyssey.op_specs import Case, OpSpec

#: Every wrong backward, in the order of the files.
ZOO = []
SPECS = {spec.name: spec for spec in op_specs.OPS}


@dataclass(frozen=True)
class Wrong:
    """A backward as students write it wrongly, and the name that its fault has.

    ``backward`` is called as the twin's is.  ``named`` are all names that the diagnosis
    of input ``input`` has to have, none else; "unknown" where it can have none.
    """

    operation: str
    fault: str
    backward: Callable
    named: tuple[str, ...]
    input: int
    case: Case
    spec: OpSpec = field(repr=False)

    @property
    def name(self) -> str:
        return self.backward.__name__

    def call(self):
        """Return forward, backward and inputs as gradcheck takes them."""
        ops = SimpleNamespace(**vars(reference))
        setattr(ops, f"{self.operation}_backward", self.backward)
        spec, options = self.spec, self.case.options

        def forward(*inputs):
            return spec.forward(ops, inputs, options)[0]

        def backward(grad_output, *inputs):
            return spec.backward(ops, grad_output, inputs, options)

        return forward, backward, self.case.make()

    @cached_property
    def error(self) -> AssertionError:
        """What gradcheck raises; it must raise something."""
        try:
            gradcheck(*self.call(), diagnose=True)
        except AssertionError as error:
            return error
        raise LookupError(f"{self.name} passes the gradient check")

    def names(self) -> tuple[str, ...]:
        """Return the names that the diagnosis gives for the input that is wrong."""
        found = self.error.diagnosis
        return tuple(d.name for d in found if d.input in (self.input, None))


def wrong(operation, fault, *named, input=0, case=0, spec=None):
    """Put the decorated backward into the zoo.

    ``case`` is a number or the label of a case of the operation, or a case.
    """
    spec = spec or SPECS[operation]
    if isinstance(case, int):
        case = spec.cases[case]
    elif isinstance(case, str):
        (case,) = [c for c in spec.cases if c.label == case]

    def put(backward):
        ZOO.append(Wrong(operation, fault, backward, named, input, case, spec))
        return backward

    return put
