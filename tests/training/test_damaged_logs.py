"""A run that goes on although its logs were damaged or saved by another program."""

from standin import losses, metrics, run


def test_the_run_goes_on_and_says_what_is_lost(tmp_path, capsys):
    run(tmp_path / "whole", changes={"epochs": 5})
    whole_losses, whole_rows = losses(tmp_path / "whole"), metrics(tmp_path / "whole")
    folder = tmp_path / "run"
    run(folder)
    steps, rows = folder / "steps.jsonl", folder / "metrics.csv"
    lines = steps.read_text().splitlines(True)
    steps.write_text("".join([*lines[:6], lines[6].replace('"loss"', '"los"')]))
    with open(steps, "a") as file:
        file.writelines(lines[7:])
    table = rows.read_text().splitlines(True)
    rows.write_text("".join([*table[:2], "2,0.0\n", *table[3:]]))
    capsys.readouterr()
    run(folder, resume=True, changes={"epochs": 4})
    assert capsys.readouterr().err.splitlines() == [
        f"Warning: {steps}: line 7: no loss; 14 of 15 steps are intact and kept, the "
        "original is steps.jsonl.old",
        f"Warning: {rows}: line 3: 2 values under 8 columns; 2 of 3 epochs are intact "
        "and kept, the original is metrics.csv.old",
    ]
    run(folder, resume=True, changes={"epochs": 5})
    assert capsys.readouterr().err.splitlines() == [
        f"Warning: {steps}: 1 of 20 steps missing: 7",
        f"Warning: {rows}: 1 of 4 epochs missing: 2",
    ]
    assert losses(folder) == [*whole_losses[:6], *whole_losses[7:]]
    assert metrics(folder) == [*whole_rows[:2], *whole_rows[3:]]


def test_line_ends_of_another_program(tmp_path, capsys):
    """All is there, nothing is twice, and every line ends as the others do."""
    run(tmp_path / "whole", changes={"epochs": 4})
    folder = tmp_path / "run"
    run(folder)
    names = ("steps.jsonl", "metrics.csv")
    changed = {}
    for name in names:
        changed[name] = (folder / name).read_bytes().replace(b"\n", b"\r\n")
        (folder / name).write_bytes(changed[name])
    capsys.readouterr()
    run(folder, resume=True, changes={"epochs": 4})
    assert capsys.readouterr().err.count("changed by another program") == 2
    assert losses(folder) == losses(tmp_path / "whole")
    assert metrics(folder) == metrics(tmp_path / "whole")
    for name in names:
        assert b"\r" not in (folder / name).read_bytes()
        assert (folder / f"{name}.old").read_bytes() == changed[name]
