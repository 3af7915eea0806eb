"""compare_pytorch.py: what it says, refuses and writes; not how fast anything is."""

import json
from types import SimpleNamespace

import agreement
import compare_pytorch
import contenders
import numpy as np
import odyssey_ops
import op_cases
import pytest
import tables
from agreement import Disagreement
from click.testing import CliRunner
from contenders import Contender
from resnet18_cifar10.architecture import ResNetConfig, parameter_shapes

PEER = Contender("peer", "odyssey", (), ("train",))


def run(*arguments):
    return CliRunner().invoke(compare_pytorch.main, list(map(str, arguments)))


def test_without_peers_it_measures_odyssey_and_says_what_to_install(
    without_peers, tmp_path
):
    path = tmp_path / "times.json"
    sizes = ["--batch", 2, "--rounds", 1, "--repeat", 1]
    done = run("--what", "train", *sizes, "--json", path)
    assert done.exit_code == 0, done.output
    assert "not installed, left out; pip install torch" in done.output
    assert "onnx" not in done.output  # it has no part in training
    assert "Odyssey alone, its results unchecked" in done.output
    report = json.loads(path.read_text())
    assert list(report["times"]["train"]) == ["odyssey"]
    (seconds,) = report["times"]["train"]["odyssey"]["seconds"]["train"]
    assert seconds > 0
    assert report["times"]["train"]["odyssey"]["peak_memory_mib"][0] > 50


def test_a_peer_is_checked_timed_and_put_beside_and_a_broken_one_left_out(
    without_peers, tmp_path, monkeypatch
):
    # Odyssey stands in for a peer: a difference of 0 is what must come out
    broken = PEER._replace(name="broken", side="no_such")
    monkeypatch.setattr(contenders, "PEERS", (PEER, broken))
    path = tmp_path / "times.json"
    sizes = ["--model", "resnet20", "--batch", 2, "--rounds", 1, "--repeat", 1]
    done = run("--what", "train", *sizes, "--json", path)
    assert done.exit_code == 0, done.output
    assert "left out: broken (train) ended with status 1: ModuleNotFound" in done.output
    report = json.loads(path.read_text())
    differences = {"losses": [0, 1e-3], "gradients": [0, 5e-2]}
    assert report["differences"]["train"] == {"peer": differences}
    (own,), (peer,) = (
        report["times"]["train"][name]["seconds"]["train"]
        for name in ("odyssey", "peer")
    )
    assert report["ratios"]["train"] == {"peer": {"train": [peer / own]}}
    assert f"{peer / own:8.2f} x" in done.output


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_only_a_lower_precision_may_differ_and_is_left_out_then(precision, monkeypatch):
    def disagree(*_):
        raise Disagreement("far off")

    monkeypatch.setattr(compare_pytorch, "compare", disagree)
    workers = SimpleNamespace(check=lambda *_: {})
    peers = [PEER._replace(precision=precision)]
    if precision == "float32":
        with pytest.raises(Disagreement, match="far off"):
            compare_pytorch.check_section(workers, "train", peers)
    else:
        assert compare_pytorch.check_section(workers, "train", peers) == {}


def test_another_model_is_measured_under_its_name(without_peers):
    sizes = ["--batch", 2, "--rounds", 1, "--repeat", 1]
    done = run("--what", "train", "--model", "resnet20", *sizes)
    assert done.exit_code == 0, done.output
    assert "Training step of ResNet-20, batch 2" in done.output


def test_the_advice_names_every_package_and_who_waits_for_it(without_peers):
    able, advice = contenders.present(("train", "eval", "ops"))
    assert able == []
    assert [line.rpartition("; ")[2] for line in advice] == [
        "pip install ml_dtypes",
        "pip install torch",
        "pip install onnx onnxruntime",
        "pip install onnx openvino",
    ]
    assert "pytorch-channels-last" in advice[1]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--what", "train,nothing"], "'nothing' is none of train, eval, ops"),
        (["--json", "/no/such/folder/times.json"], "no folder to write to"),
        (["--batch", "0"], "--batch"),
    ],
)
def test_wrong_options_are_refused_before_any_work(arguments, said):
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.output


def test_results_that_differ_or_are_not_numbers_do_not_agree():
    good = {"train: gradient of fc_bias": np.array([3.0, 4.0])}
    assert agreement.compare(good, good, PEER) == {"gradients": (0, 5e-2)}
    for bad in ([3.0, 4.3], [3.0, np.nan], [3.0]):
        with pytest.raises(Disagreement, match=r"peer and odyssey differ: .*fc_bias"):
            agreement.compare({name: np.array(bad) for name in good}, good, PEER)
    with pytest.raises(Disagreement, match="only one of both gives train: loss"):
        agreement.compare({**good, "train: loss": np.array(1.0)}, good, PEER)


def test_ratios_are_taken_round_by_round():
    times = {
        "odyssey": {"seconds": {"eval": [1.0, 4.0, None]}},
        "peer": {"seconds": {"eval": [3.0, 4.0, 1.0]}},
    }
    assert tables.ratios(times) == {"peer": {"eval": [3.0, 1.0, None]}}


@pytest.mark.parametrize("job", op_cases.JOBS)
def test_every_operation_runs_at_the_shapes_of_the_network(job):
    tasks = odyssey_ops.prepare(job, "odyssey", 1, 1)
    assert tasks
    for part, task in tasks.items():
        arrays = task.results(task.run())
        assert arrays, part
        for name, array in arrays.items():
            assert np.isfinite(array).all(), (part, name)


def test_the_shapes_are_those_of_the_network():
    params, _ = op_cases.update_inputs()
    expected = parameter_shapes(ResNetConfig()).values()
    assert sorted(param.shape for param in params) == sorted(expected)
