"""``python -m odyssey verify``: exit status and messages."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from odyssey.cli.main import main
from odyssey.weights.checkpoint import save_checkpoint
from odyssey.weights.folder import save_folder
from odyssey.weights.hexfile import save_tensor


def verify(*arguments):
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


@pytest.fixture
def run(tmp_path):
    tensors = {"a": np.ones((2, 3), np.float32), "b": np.zeros(1)}
    run = tmp_path / "run"
    for step in (1, 2):
        save_checkpoint(run, step, tensors, {"seed": 0})
    save_folder(tensors, run, metadata={"model": "m"})
    (run / "metrics.csv").write_text("epoch\n")
    (run / "checkpoints" / ".tmp-step-00000003-1").mkdir()
    return run


def test_whole_run_and_every_part_of_it(run):
    parts = {".": 3, "checkpoints": 2, "checkpoints/step-00000001": 1}
    for part, lines in parts.items():
        result = verify(run / part)
        assert result.exit_code == 0
        assert result.stderr == ""
        assert len(result.stdout.splitlines()) == lines
    assert f"{run}: weights, 2 tensors, 7 numbers" in verify(run).stdout
    assert "step-00000002: checkpoint, 2 tensors" in verify(run).stdout


def test_run_without_weights_yet(run):
    for path in [*run.glob("*.weights"), run / "manifest.json"]:
        path.unlink()
    result = verify(run)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 2


def test_damage_is_named(run):
    (run / "a.weights").unlink()
    (run / "checkpoints" / "step-00000001" / "b.weights").write_text("b\n")
    result = verify(run)
    assert result.exit_code == 1
    assert "1 missing: a.weights" in result.stderr
    assert "step-00000001/b.weights" in result.stderr.replace("\\", "/")
    assert "step-00000002" in result.stdout
    assert "Traceback" not in result.output


def test_old_manifest_matches_but_for_what_has_no_checksum(run):
    for path in run.rglob("manifest.json"):
        manifest = json.loads(path.read_text())
        del manifest["manifest_sha256"]
        path.write_text(json.dumps(manifest))
    result = verify(run)
    assert (result.exit_code, result.stderr) == (0, "")
    weights, *checkpoints = result.stdout.splitlines()
    assert weights.endswith(
        "all there and matching; what the manifest says of the model has no checksum"
    )
    assert all(line.endswith("all there and matching") for line in checkpoints)


def test_changed_word_in_the_manifest_is_damage(run):
    path = run / "manifest.json"
    path.write_text(path.read_text().replace('"model": "m"', '"model": "n"'))
    result = verify(run)
    assert result.exit_code == 1
    assert "manifest.json: damaged manifest: its contents changed" in result.stderr


@pytest.mark.parametrize("make", ["manifest", "nothing", "checkpoint"])
def test_what_has_no_manifest_cannot_be_verified(run, make):
    if make == "manifest":
        (run / "manifest.json").unlink()
    elif make == "checkpoint":
        (run / "checkpoints" / "step-00000002" / "manifest.json").unlink()
    else:
        shutil.rmtree(run)
        run.mkdir()
    result = verify(run)
    assert result.exit_code == 1
    assert "no manifest.json" in result.stderr


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_text(path.read_text().replace("weights", "\\ud800", 1)),
        lambda path: os.truncate(path, 1 << 34),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["unprintable kind", "huge", "folder"],
)
def test_manifest_that_is_no_manifest_is_named(run, spoil):
    spoil(run / "manifest.json")
    result = verify(run)
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "manifest.json" in result.stderr
    assert "step-00000002: checkpoint" in result.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_folder_with_an_unprintable_name(run):
    strange = run.rename(os.fsdecode(bytes(run.parent) + b"/\xff\x1b"))
    command = [sys.executable, "-m", "odyssey", "verify", strange]
    strict = {
        "env": {**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        "capture_output": True,
        "text": True,
    }
    done = subprocess.run(command, **strict)
    assert (done.returncode, done.stderr) == (0, "")
    assert r"/\udcff\x1b/checkpoints/step-00000001: checkpoint" in done.stdout
    (strange / "a.weights").unlink()
    done = subprocess.run(command, **strict)
    assert done.returncode == 1
    assert "1 missing: a.weights" in done.stderr
    assert "Traceback" not in done.stderr


def test_stray_weights_beside_checkpoints(run):
    save_tensor(np.ones(1), run / "stray.weights", "stray")
    result = verify(run)
    assert result.exit_code == 1
    assert "1 unexpected: stray.weights" in result.stderr


def test_no_such_folder(run):
    assert verify(run / "nowhere").exit_code == 2
    assert verify(run / "a.weights").exit_code == 2
    assert verify().exit_code == 2
    assert "does not exist" in verify(run / "nowhere").stderr


def test_as_a_program(run):
    command = [sys.executable, "-m", "odyssey"]
    done = subprocess.run([*command, "verify", run], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run([*command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "python -m odyssey" in done.stdout
    assert "verify" in done.stdout
