"""Which cases of ``odyssey/op_specs.py`` PyTorch's numbers are kept for."""

from odyssey.op_specs import ALL_CASES


def golden_cases(specs) -> list:
    """The cases that PyTorch's numbers are kept for."""
    return [
        (spec, case)
        for spec in specs
        for case in spec.cases
        if spec.pytorch and not case.label.startswith("wide")
    ]


#: What ``golden/make_golden_bfloat16.py`` computes.  Where windows of pooling overlap,
#: PyTorch rounds after each gradient that it adds.
BFLOAT16_GOLDENS = [
    (spec, case)
    for spec, case in ALL_CASES
    if (spec.name == "conv2d" and case.label in ("3x3", "3x3 stride 2", "wide 1x1"))
    or (spec.name == "batch_norm2d" and case.label in ("training", "wide"))
    or (spec.name == "maxpool2d" and case.label == "2")
]
