"""``odyssey info FILE`` lists the tensors of a file of any format."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from odyssey.cli.main import main
from odyssey.formats.files import write_tensors
from odyssey.weights.hexfile import save_tensor

TENSORS = {
    "layer.0.weight": np.zeros((64, 3, 7, 7), np.float32),
    "layer.0.num_batches_tracked": np.zeros((), np.int64),
}


def info(*words, status=0):
    result = CliRunner().invoke(main, ["info", *map(str, words)])
    assert result.exit_code == status, result.output
    return result


def test_tensors_are_listed_with_totals_and_what_to_do_next(tmp_path):
    path = tmp_path / "my model.safetensors"
    write_tensors(path, TENSORS, {"format": "pt", "long": "x" * 999})
    head, titles, first, second, *rest = info(path).stdout.splitlines()
    assert head == f"{path}: safetensors, 2 tensors, 9,409 numbers, 37,640 bytes"
    assert titles.split() == ["name", "dtype", "shape", "bytes"]
    assert first.split()[:2] == ["layer.0.weight", "float32"]
    assert first.endswith("(64, 3, 7, 7)  37,632")
    assert second.split() == ["layer.0.num_batches_tracked", "int64", "()", "8"]
    assert len({len(line) for line in (titles, first, second)}) == 1
    assert rest[0] == "format: pt"
    assert rest[1].startswith("long: xxx") and len(rest[1]) < 310
    assert rest[2:] == [
        "next:",
        f"  python -m odyssey convert '{path}' --to 'my model_weights/'",
    ]


def test_the_same_as_json(tmp_path):
    write_tensors(tmp_path / "w", TENSORS, {"odyssey": {"classes": ["a", "b"]}})
    assert json.loads(info(tmp_path / "w", "--json").stdout) == {
        "kind": "folder of hex files",
        "tensors": [
            {
                "name": "layer.0.weight",
                "dtype": "float32",
                "shape": [64, 3, 7, 7],
                "bytes": 37632,
            },
            {
                "name": "layer.0.num_batches_tracked",
                "dtype": "int64",
                "shape": [],
                "bytes": 8,
            },
        ],
        "total": {"tensors": 2, "numbers": 9409, "bytes": 37640},
        "metadata": {"odyssey": {"classes": ["a", "b"]}},
        "notes": [],
    }


def test_notes_are_shown(tmp_path):
    save_tensor(np.zeros(2), tmp_path / "a.weights")
    assert (
        "note: no manifest.json: whether these are all tensors cannot be checked"
        in info(tmp_path).stdout.splitlines()
    )


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path):
    names = {"\x1b[2Jx": np.zeros(1), "two\nlines": np.zeros(1)}
    write_tensors(tmp_path / "x.safetensors", names, {"\x1b]0;title\7": "a\x1b[0m\nb"})
    lines = info(tmp_path / "x.safetensors").stdout.splitlines()
    assert "\x1b" not in "".join(lines) and len(lines) == 8
    assert lines[2].startswith(r"  \x1b[2Jx")
    assert lines[4] == "format: pt"
    assert lines[5] == r"\x1b]0;title\x07: a\x1b[0m b"


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "an empty file; what is read: PyTorch, safetensors, NumPy (npz)"),
        (b'\x08\0\0\0\0\0\0\0{"a":{}}', "a: its entry does not have just data_offsets"),
    ],
)
def test_another_file_is_a_usage_error_of_one_line(tmp_path, content, reason):
    (tmp_path / "x").write_bytes(content)
    result = info(tmp_path / "x", status=2)
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: {tmp_path}/x: {reason}")
    assert result.stderr.count("\n") == 1


def test_a_file_that_is_not_there(tmp_path):
    assert "does not exist" in info(tmp_path / "none", status=2).stderr
