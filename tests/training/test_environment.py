"""Variables of the environment that cannot be used are named in one line."""

import pytest
from click.testing import CliRunner

from odyssey.cli.main import main
from odyssey.cli.startup import check_environment


@pytest.mark.parametrize("value", ["0", "-3", "many", "1.5", ""])
def test_a_number_of_threads_that_is_none(monkeypatch, capsys, value):
    monkeypatch.setenv("NUMBA_NUM_THREADS", value)
    with pytest.raises(SystemExit) as stopped:
        check_environment()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        f"Error: NUMBA_NUM_THREADS must be a whole number from 1, got '{value}'\n"
    )


@pytest.mark.parametrize("value", [None, "1", "64"])
def test_a_number_of_threads(monkeypatch, value):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    if value is not None:
        monkeypatch.setenv("NUMBA_NUM_THREADS", value)
    check_environment()


@pytest.mark.parametrize("command", ["info", "warmup"])
def test_commands_say_so(monkeypatch, command):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "0")
    result = CliRunner().invoke(main, [command])
    assert result.exit_code == 2
    assert result.output.startswith("Error: NUMBA_NUM_THREADS must be")


def test_verify_does_without_threads(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "0")
    result = CliRunner().invoke(main, ["verify", str(tmp_path)])
    assert result.exit_code == 1  # for there is nothing to check
    assert "NUMBA" not in result.output
