"""After ``python -m odyssey warmup`` nothing is left to compile."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from click.testing import CliRunner
from numba.core.dispatcher import Dispatcher
from tiny_cifar import write_tiny_cifar

from odyssey import kernel_cache, warmup
from odyssey.cli.main import main
from odyssey.errors import ProgramError
from odyssey.processor import has_amx

ROOT = Path(__file__).resolve().parent.parent

#: Warms up and says what is compiled then; trains and classifies with the examples, and
#: with activations in NCHW memory, and calls operations on bfloat16; says what is
#: compiled then.
PROGRAM = """
import json, sys
import numpy as np
import odyssey
from odyssey import reference, warmup
from odyssey.bfloat16 import bfloat16
from odyssey.data.loader import BatchLoader
from odyssey.op_specs import ALL_CASES

def combinations():
    return {
        name: [str(signature) for signature in kernel.signatures]
        for name, kernel in warmup.all_kernels().items()
    }

warmup.warm_up(["float32", "float64", bfloat16()])
before = combinations()

for spec, case in ALL_CASES:
    if spec.bfloat16:
        inputs = [
            x.astype(bfloat16() if i in spec.batched else np.float32)
            for i, x in enumerate(case.make())
        ]
        grad_output = spec.grad_output(reference, inputs, case.options)
        spec.forward(odyssey, inputs, case.options)
        spec.backward(odyssey, grad_output, inputs, case.options)
sys.path.insert(0, "examples")
import alexnet_cifar10.inference, alexnet_cifar10.train
import lenet5_cifar10.inference, lenet5_cifar10.train
import vgg16_cifar10.inference, vgg16_cifar10.train
from resnet18_cifar10 import architecture, inference, model, train

run, *data = sys.argv[1:]
narrow = ["--width", "4"]
small = "--batch-size 16 --epochs 1 --no-progress --log-interval 1".split()
for programs, own in (
    ((train, inference), ["--width", "16"]),
    ((lenet5_cifar10.train, lenet5_cifar10.inference), ["--overwrite"]),
    ((alexnet_cifar10.train, alexnet_cifar10.inference), [*narrow, "--overwrite"]),
    ((vgg16_cifar10.train, vgg16_cifar10.inference), [*narrow, "--overwrite"]),
):
    for program, options in zip(programs, ([*small, *own], [])):
        words = [*data, *options, "--weights-dir", run]
        program.main(words, standalone_mode=False)

config = architecture.ResNetConfig(width=16)
params, state = architecture.initialize(config, 0)
x = np.ones((4, 3, 32, 32), np.float32)
logits, _, cache = model.forward(params, state, x, config)
model.backward(logits, cache, params, config)

images, labels = np.zeros((4, 3, 32, 32), np.uint8), np.arange(4)
options = {"cutout": 8, "randaugment_ops": 2, "mixup_alpha": 1.0, "num_classes": 4}
list(BatchLoader(images, labels, 2, augment=True, **options).epoch(0))
print(json.dumps([before, combinations()]))
"""

#: Kernels of uint8 alone: one combination serves both dtypes.
OF_PIXELS = {"randaugment.apply_operations", "randaugment.draw_operations"}


def run(*command):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Signatures by kernel after a warm-up, and again after using the example."""
    folder = tmp_path_factory.mktemp("warmup")
    write_tiny_cifar(folder / "data")
    result = run("-c", PROGRAM, folder / "run", "--data-dir", folder / "data")
    assert result.returncode == 0, result.stderr
    assert "epoch 1/1 done" in result.stdout
    return json.loads(result.stdout.splitlines()[-1])


def test_the_examples_find_all_their_kernels(compiled):
    before, after = compiled
    assert after == before


def of_tiles(name):
    """Whether a kernel is for processors with tiles alone."""
    return name.startswith(("conv_tiles", "tile_"))


#: Modules whose kernels are for other dtypes than this one.
OF_OTHERS = {
    "float32": ("gelu_float64.", "wire.round_to_bfloat16"),  # that one takes its bits
    "float64": ("gelu.", "exponential.", "wire."),
}


def kernels_of_all(dtype="float32"):
    kernels = warmup.all_kernels()
    return {
        name: kernels[name]
        for name in kernels
        if not of_tiles(name) and not name.startswith(OF_OTHERS[dtype])
    }


@pytest.mark.skipif(not has_amx(), reason="this processor has no tiles")
def test_every_kernel_of_tiles_is_reached(compiled):
    tiles = {name for name in warmup.all_kernels() if of_tiles(name)}
    parallel = {
        name
        for name in tiles
        if warmup.all_kernels()[name].targetoptions.get("parallel")
    }
    assert parallel <= {name for name, signatures in compiled[0].items() if signatures}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_kernel_is_reached(compiled, dtype):
    kernels = kernels_of_all(dtype)
    assert len(kernels) > 30
    reached = {
        name
        for name, signatures in compiled[0].items()
        if name in kernels
        and (
            any(f"array({dtype}, " in types.lower() for types in signatures)
            or (name in OF_PIXELS and signatures)
        )
    }
    # A kernel that was kept comes with the helpers in it, which Numba does not list.
    todo, names = list(reached), {kernel: name for name, kernel in kernels.items()}
    while todo:
        function = kernels[todo.pop()].py_func
        used = (function.__globals__.get(name) for name in function.__code__.co_names)
        for helper in used:
            if isinstance(helper, Dispatcher) and names[helper] not in reached:
                reached.add(names[helper])
                todo.append(names[helper])
    assert reached == set(kernels)


#: Kernels of weights and of images, which are no activations.
WITHOUT_BFLOAT16 = {
    *OF_PIXELS,
    "augment.crop_flip_normalize",
    "matrix.product",
    "matrix.products_of_rows",
    "packing.kernel_matrix",
    "update.sgd_momentum",
    "update.sum_of_squares",
    "winograd_kernel.kernel_to_places",
    "winograd_kernel.totals_to_kernel",
}


def test_every_kernel_of_activations_is_reached_in_bfloat16(compiled):
    parallel = {
        name
        for name, kernel in kernels_of_all().items()
        if kernel.targetoptions.get("parallel")
    }
    reached = {
        name
        for name, signatures in compiled[0].items()
        if any("array(uint16, " in types.lower() for types in signatures)
    }
    assert reached & parallel == parallel - WITHOUT_BFLOAT16


def test_bfloat16_without_ml_dtypes_is_a_wrong_option(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    result = CliRunner().invoke(main, ["warmup", "--bf16"])
    assert result.exit_code == 2
    wanted = 'Error: bfloat16 needs ml_dtypes: pip install "odyssey-by-hand[bf16]"\n'
    assert result.output == wanted


def test_the_second_time_is_quick_and_says_so():
    assert run("-m", "odyssey", "warmup").returncode == 0
    result = run("-m", "odyssey", "warmup")
    assert result.returncode == 0
    line, head, last = result.stdout.splitlines()
    assert head == "next:" and last.endswith("--dataset synthetic --epochs 3")
    assert line.startswith("all ") and "kernels were there" in line
    assert line.endswith(f"kept in {warmup.folder()}")


@pytest.mark.parametrize(
    "counts, text",
    [
        ((5, 0), "5 kernels compiled ("),
        ((5, 2), "5 kernels compiled, 2 others were there ("),
        ((0, 7), "all 7 kernels were there ("),
    ],
)
def test_what_is_said_in_the_end(monkeypatch, capsys, counts, text):
    monkeypatch.setattr(warmup, "warm_up", lambda dtypes: counts)
    warmup.run(["float32"])
    line = capsys.readouterr().out
    assert line.startswith(text)
    assert warmup.folder() in line


def test_it_is_not_said_that_kernels_are_kept_where_they_are_not(monkeypatch, capsys):
    monkeypatch.setattr(warmup, "warm_up", lambda dtypes: (5, 0))
    monkeypatch.setattr(kernel_cache, "_all_kept", False)
    with pytest.raises(ProgramError, match=r"^5 kernels compiled \(.*not all could be"):
        warmup.run(["float32"])
    assert capsys.readouterr().out == ""


def test_what_is_said_on_the_way(monkeypatch, capsys):
    """A line for each call that compiled something, none for the others."""
    counts = iter([(0, 0), *[(0, 0), (2, 0)], *[(2, 0), (2, 1)], (2, 1)])
    monkeypatch.setattr(warmup, "counts", lambda: next(counts))
    calls = [warmup.partial(abs, 1), warmup.partial(max, 1, 2)]
    monkeypatch.setattr(warmup, "calls", lambda dtype: calls)
    assert warmup.warm_up(["float32"]) == (2, 1)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("1/2 float32 abs: ")


def test_nothing_is_compiled_where_that_is_forbidden(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(ProgramError, match="NUMBA_DISABLE_JIT"):
        warmup.run(["float32"])
