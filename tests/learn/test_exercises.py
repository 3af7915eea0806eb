"""All exercises: stubs earn nothing, solutions all, and none looks ahead."""

import ast
import time
from pathlib import Path

import pytest
from tries import failures, functions, tries

import odyssey
from odyssey.learn import course, exercises
from odyssey.learn.grading import grade, plan
from odyssey.learn.sources import SourceError, needs, solution, stub

NAMES = course.ORDER
ROOT = Path(odyssey.__file__).resolve().parent.parent
each = pytest.mark.parametrize("name", NAMES)


def test_every_file_is_in_the_course():
    files = Path(exercises.__file__).parent.glob("[!_]*.py")
    assert sorted(path.stem for path in files) == sorted(NAMES)
    assert [course.load(name).name for name in NAMES] == list(NAMES)


@each
def test_an_untouched_stub_earns_nothing(name):
    exercise = course.load(name)
    checks = list(grade(exercise, functions(name, stub(exercise))))
    assert len(checks) == len(plan(exercise)) >= 5
    assert not any(check.passed for check in checks)
    assert not any(check.written for check in checks if check.reached)


@each
def test_the_solution_earns_everything(name):
    exercise = course.load(name)
    checks = list(grade(exercise, functions(name, solution(exercise))))
    assert [check.message for check in checks if not check.passed] == []
    assert [c.about for c in checks] == [c.about for c in plan(exercise)]


@pytest.mark.parametrize(
    ("name", "attempt"),
    [(name, attempt) for name in NAMES for attempt in tries(name)],
    ids=lambda value: value if isinstance(value, str) else value.fault,
)
def test_a_wrong_try_fails_where_it_is_wrong(name, attempt):
    begin = time.process_time()
    first = failures(name, attempt.text(name))[0]
    assert time.process_time() - begin < 3.0, "the diagnosis takes too long"
    assert (first.function, first.about) == (attempt.function, attempt.check)
    assert attempt.says in first.message
    assert max(map(len, first.message.splitlines())) < 160
    assert len(first.message.splitlines()) < 80


@each
def test_nothing_later_is_needed(name):
    earlier = NAMES[: NAMES.index(name)]
    assert set(needs(course.load(name))) <= set(earlier)
    for text in (stub(course.load(name)), solution(course.load(name))):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                assert node.module in (*earlier, "math", "collections.abc")
            elif isinstance(node, ast.Import):
                assert {a.name for a in node.names} <= {"numpy", "math"}


def test_an_earlier_exercise_that_is_not_written_is_named():
    found = functions("residual_block", solution(course.load("residual_block")))
    found |= functions("conv2d", stub(course.load("conv2d")))
    first = next(grade(course.load("residual_block"), found))
    assert first.written and not first.passed
    assert (
        "called a function of conv2d.py that is not written yet: write that exercise "
        "first"
    ) in first.message


def test_a_solution_that_looks_ahead_is_refused(monkeypatch):
    exercise = course.load("softmax_cross_entropy")
    monkeypatch.setattr(course, "ORDER", ("softmax_cross_entropy", "relu"))
    assert needs(exercise) == []
    source = ast.parse("from odyssey.reference.activation import relu\nrelu(1)")
    from odyssey.learn.sources import _imports

    with pytest.raises(SourceError, match="uses relu, which no exercise before it"):
        _imports(exercise, source.body)


@each
def test_a_stub_has_signature_shapes_and_formula_and_no_solution(name):
    exercise = course.load(name)
    text, right = ast.parse(stub(exercise)), ast.parse(solution(exercise))
    in_stub = {n.name: n for n in text.body if isinstance(n, ast.FunctionDef)}
    in_solution = {n.name: n for n in right.body if isinstance(n, ast.FunctionDef)}
    assert list(in_stub) == [function.name for function in exercise.functions]
    for function, node in in_stub.items():
        assert ast.unparse(node.args) == ast.unparse(in_solution[function].args)
        assert len(node.body) == 2 and ast.get_docstring(node)
        assert isinstance(node.body[1], ast.Raise)
    assert max(map(len, stub(exercise).splitlines())) <= 88
    assert f"learn check {name}" in ast.get_docstring(text)


@each
def test_hints_are_three_and_pages_exist(name):
    exercise = course.load(name)
    assert len({" ".join(hint.split()) for hint in exercise.hints}) == 3
    assert exercise.pages
    for page in exercise.pages:
        assert (ROOT / page).exists(), page


def test_a_change_of_an_operation_changes_its_exercise(monkeypatch):
    from odyssey.learn import sources

    text = "def relu(x, slope=0.0):\n    return x\n\ndef relu_backward(g, x):\n    pass"
    monkeypatch.setattr(sources, "_parsed", lambda module: (text, ast.parse(text)))
    assert "def relu(x, slope=0.0):" in stub(course.load("relu"))
    assert "return x\n" in solution(course.load("relu"))
