"""Whatever a student's file does, the check answers and names the place."""

import os
import time

import pytest
from click.testing import CliRunner

from odyssey.cli.main import main
from odyssey.learn import course
from odyssey.learn.running import check_file
from odyssey.learn.sources import solution, stub

RIGHT = solution(course.load("relu"))
BACKWARD = "return np.where(x <= 0, x.dtype.type(0), grad_output)"
assert BACKWARD in RIGHT


def graded(tmp_path, text, limit=20.0):
    (tmp_path / "relu.py").write_text(text, encoding="utf-8")
    return check_file(tmp_path, "relu", limit)


def test_an_endless_loop_is_an_answer(tmp_path):
    loop = RIGHT.replace(BACKWARD, "while True:\n        x = x + 1")
    result = graded(tmp_path, loop, limit=1.0)
    line = loop[: loop.index("x = x + 1")].count("\n") + 1
    failed = [check for check in result.checks if check.message]
    assert [check.function for check in failed] == ["relu_backward"]
    assert f"no answer after 1 seconds, in line {line} of relu.py" in failed[0].message
    assert result.earned == 6 and not result.passed


def test_an_endless_loop_at_import_is_one_too(tmp_path):
    result = graded(tmp_path, "while True:\n    pass\n", limit=1.0)
    assert "relu.py cannot be imported: no answer after 1 seconds" in result.unusable


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def relu(x)\n", "SyntaxError"),
        ("import nothing_like_this\n", "ModuleNotFoundError"),
        ("1 / 0\n", "ZeroDivisionError: division by zero\n  relu.py, line 1: 1 / 0"),
        ("raise SystemExit(0)\n", "SystemExit: 0"),
        ("import os\nos._exit(0)\n", "ended Python"),
        ("import odyssey\n", "imports odyssey"),
        ("from odyssey.reference import relu\n", "imports odyssey"),
        ("__import__('odyssey')\n", "imports odyssey"),
        ("import importlib\nimportlib.import_module('odyssey.ops')\n", "line 2, imp"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, text, says):
    result = graded(tmp_path, text)
    assert says in result.unusable
    assert result.earned == 0 and not result.passed


def test_a_helper_may_not_import_the_library_either(tmp_path):
    (tmp_path / "helper.py").write_text("import odyssey.reference\n", "utf-8")
    result = graded(tmp_path, f"import helper\n{RIGHT}")
    assert result.unusable.startswith("helper.py, line 1, imports odyssey")


def test_a_file_of_an_earlier_exercise_that_is_missing_is_named(tmp_path):
    result = graded(tmp_path, f"from linear import linear\n{RIGHT}")
    assert "ModuleNotFoundError: No module named 'linear'" in result.unusable
    assert "relu.py uses linear.py: write that exercise first" in result.unusable
    (tmp_path / "linear.py").write_text(solution(course.load("linear")), "utf-8")
    assert graded(tmp_path, f"from linear import linear\n{RIGHT}").passed


def test_a_crash_is_an_answer(tmp_path):
    crash = "import faulthandler; faulthandler._sigsegv()"
    result = graded(tmp_path, RIGHT.replace(BACKWARD, crash))
    (failed,) = [check for check in result.checks if check.message]
    assert "Python crashed, in line" in failed.message


def test_exit_within_a_function_is_a_failure(tmp_path):
    result = graded(tmp_path, RIGHT.replace(BACKWARD, "import sys; sys.exit(0)"))
    (failed,) = [check for check in result.checks if check.message]
    assert "SystemExit: 0" in failed.message
    assert "import sys; sys.exit(0)" in failed.message


def test_what_the_code_prints_is_shown_and_does_not_disturb(tmp_path):
    text = RIGHT.replace(BACKWARD, f"print('größe', x.size)\n    {BACKWARD}")
    result = graded(tmp_path, text)
    assert result.passed
    assert result.printed.startswith("größe 6\n")
    loud = RIGHT.replace(BACKWARD, f"print('x' * 10_000_000)\n    {BACKWARD}")
    result = graded(tmp_path, loud)
    assert result.passed
    assert len(result.printed) < 2100


def test_a_missing_function_and_another_signature_are_named(tmp_path):
    result = graded(tmp_path, RIGHT.replace("def relu_backward(", "def backward("))
    (failed,) = [check for check in result.checks if check.message]
    assert failed.message == "there is no function relu_backward in the file"
    result = graded(tmp_path, RIGHT.replace("(grad_output, x)", "(x, grad_output)"))
    (failed,) = [check for check in result.checks if check.message]
    assert failed.message == (
        "relu_backward must take (grad_output, x); yours takes (x, grad_output)"
    )


def test_half_of_an_exercise_earns_half(tmp_path):
    half = stub(course.load("relu")).replace(
        "raise NotImplementedError  # your code here",
        "return np.where(x <= 0, x.dtype.type(0), x)",
        1,
    )
    result = graded(tmp_path, half)
    assert result.earned == 6
    assert not result.untouched
    output = CliRunner().invoke(
        main, ["learn", "check", "relu", "--folder", str(tmp_path)]
    )
    assert output.exit_code == 1
    assert "relu_backward\n  not written yet\n\n6 of 13 checks passed." in output.output


def test_no_files_of_python_are_left_in_the_folder(tmp_path):
    assert graded(tmp_path, RIGHT).passed
    assert [path.name for path in tmp_path.iterdir()] == ["relu.py"]


def test_a_change_within_the_same_second_is_seen(tmp_path):
    for text, passes in ((RIGHT, True), (RIGHT.replace("<= 0", ">= 0"), False)):
        assert graded(tmp_path, text).passed is passes


def test_processes_that_the_code_starts_neither_hold_up_the_check_nor_answer(tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork")
    fork = (
        f"import os, time\n    if not os.fork():\n        time.sleep(9)\n    {BACKWARD}"
    )
    begun = time.perf_counter()
    result = graded(tmp_path, RIGHT.replace(BACKWARD, fork, 1))
    assert result.passed and result.earned == 13
    assert time.perf_counter() - begun < 8
    both = RIGHT.replace(
        "import numpy as np", "import numpy as np\nimport os\nos.fork()"
    )
    assert graded(tmp_path, both).earned == 13


def test_what_the_code_writes_among_the_results_does_not_count(tmp_path):
    junk = "import sys\nopen(sys.argv[3], 'a').write('junk\\n7\\n')\n"
    assert graded(tmp_path, RIGHT + junk).passed


def test_all_arguments_may_be_handed_on(tmp_path):
    text = RIGHT.replace("def relu(x):", "def relu(*args, **kw):\n    (x,) = args")
    assert graded(tmp_path, text).passed


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("ValueError('z' * 9999)", f"ValueError: {'z' * 500} ... (the rest is left"),
        ("ValueError('a\\nb')", "  ValueError: a\n    b\n  relu.py, line "),
        (
            "type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()",
            "Odd: (its text cannot be made)\n  relu.py, line ",
        ),
    ],
)
def test_odd_texts_of_errors_are_shown(tmp_path, raised, said):
    result = graded(tmp_path, RIGHT.replace(BACKWARD, f"raise {raised}"))
    (failed,) = [check for check in result.checks if check.message]
    assert said in failed.message
    assert len(failed.message) < 2000
