"""model_table.py: what stands in its cells."""

import model_table
from click.testing import CliRunner

TIMES = {
    "odyssey": {"seconds": {"train": [0.5, 0.5]}, "peak_memory_mib": [100, 102]},
    "pytorch": {"seconds": {"train": [2.0, 2.0]}, "peak_memory_mib": [300, 300]},
    "pytorch-channels-last": {
        "seconds": {"train": [1.0, 1.5]},
        "peak_memory_mib": [200, 200],
    },
}


def test_a_line_has_the_counts_of_the_model_and_its_faster_peer():
    cells = model_table.row("resnet18", TIMES, batch=10)
    assert cells[:3] == ["ResNet-18", "11,173,962", "555,422,720"]
    assert cells[3:] == ["20.0", "8.0", "2.50", "101", "200"]


def test_without_a_peer_its_cells_are_dashes():
    cells = model_table.row("resnet20", {"odyssey": TIMES["odyssey"]}, batch=10)
    assert cells[3:] == ["20.0", "-", "-", "101", "-"]


def test_it_prints_a_markdown_table(without_peers):
    sizes = ["--batch", "2", "--rounds", "1", "--repeat", "1"]
    done = CliRunner().invoke(model_table.main, ["resnet20", *sizes])
    assert done.exit_code == 0, done.output
    *_, head, rule, line = done.output.splitlines()
    assert head.startswith("|  | parameters |") and rule.startswith("| --- | ---: |")
    assert line.startswith("| ResNet-20 | 269,722 | ") and line.count("|") == 9
