"""What docs/diagnosis.md shows is what the code gives."""

import re
from pathlib import Path

import pytest
from zoo.table import summary, table

import odyssey
from odyssey import reference

PAGE = (Path(__file__).parents[2] / "docs" / "diagnosis.md").read_text("utf-8")


def test_the_table_of_the_page_is_what_the_diagnosis_says():
    assert PAGE.rpartition("-->")[2].strip() == f"{table()}\n\n{summary()}"


def test_the_error_of_the_page_is_what_its_code_raises():
    code = re.search(r"^```python\n(.*?)^```", PAGE, re.M | re.S)[1]
    setup, call = code.split("odyssey.gradcheck(")
    names = {}
    exec(setup, names)
    with pytest.raises(AssertionError) as caught:
        odyssey.gradcheck(
            reference.linear, names["backward"], (names["x"], names["weights"]),
            diagnose=True,
        )  # fmt: skip
    assert "odyssey.linear, backward, (x, weights), diagnose=True" in call
    printed = re.search(r"^```text\n(.*?)^```", PAGE, re.M | re.S)[1]
    assert str(caught.value) == printed.strip("\n")
