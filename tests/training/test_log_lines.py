"""What is read of a log: what is intact, and the reason for each line that is not."""

import json

import numpy as np
import pytest

from odyssey.training.log_lines import (
    METRICS,
    Damage,
    Log,
    describe,
    first_and_last,
    missing,
    read_metrics,
    read_steps,
)

HEADER = ",".join(METRICS)
ROWS = [f"{n},0.1,{1 / n!r},0.5,2.0,0.25,1.000,10.00" for n in range(1, 6)]


def step(number, **changes):
    loss = 1 / number
    record = {"step": number, "epoch": 1, "lr": 0.1, "loss": loss}
    return json.dumps(record | {"loss_hex": loss.hex()} | changes)


def of_lines(lines):
    return "".join(f"{line}\n" for line in lines).encode()


def places(log):
    return [line.place for line in log.lines]


def test_steps_as_they_were_written():
    lines = [step(n) for n in range(1, 4)]
    log = read_steps(of_lines(lines))
    assert [line.text.decode() for line in log.lines] == [f"{li}\n" for li in lines]
    assert [line.values for line in log.lines] == [json.loads(line) for line in lines]
    assert places(log) == [line.number for line in log.lines] == [1, 2, 3]
    assert (log.damaged, log.torn) == ([], None)


@pytest.mark.parametrize(
    "line, reason",
    [
        (step(2).replace("0.5", "9.5"), "loss 9.5 contradicts loss_hex '0x1.0000"),
        (step(2, loss_hex=None), "loss 0.5 contradicts loss_hex None"),
        (step(2, loss_hex="0X1P-1"), "loss 0.5 contradicts loss_hex '0X1P-1'"),
        (step(2).replace('"step"', '"stfp"'), "no step"),
        (step(2).replace("loss_hex", "hex"), "no loss_hex"),
        (step(2)[:-9], "not JSON: Unterminated string"),
        (step(2) + "}", "not JSON: Extra data"),
        (step(2).replace("0.1", "NaN"), "NaN is no JSON"),
        (step(2).replace("0.1", "1e999"), "1e999 is too large a number"),
        (step(2, lr=True), "lr is True, not a finite number"),
        (step(2, lr="0.1"), "lr is '0.1', not a finite number"),
        (step(2, lr=10**400), "lr is huge, not a finite number"),
        (step(2, step=2.0), "step is 2.0, not an integer from 1 on"),
        (step(2, step=True), "step is True, not an integer from 1 on"),
        (step(2, epoch=0), "epoch is 0, not an integer from 1 on"),
        (step(2, step=10**400), "step is huge, not an integer from 1 on"),
        (step(2).replace("2,", "9" * 5000 + ",", 1), "Exceeds the limit"),
        (step(2).replace("{", '{"step": 1, '), "key 'step' is there twice"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        (step(2, step=[[[["x"] * 9999]]]), "step is [[[['x', 'x'"),
        ("[2]", "not a JSON object"),
        ("null", "not a JSON object"),
        ("\x00\x00", "not JSON"),
        ("step 2", "not JSON: Expecting value"),
    ],
)
def test_a_damaged_step_is_named_and_costs_no_other(line, reason):
    log = read_steps(of_lines([step(1), line, step(3), step(4)]))
    assert places(log) == [1, 3, 4]
    (damage,) = log.damaged
    assert damage.number == 2
    assert damage.reason.startswith(reason) and len(damage.reason) <= 120


def test_a_line_that_is_not_utf8():
    log = read_steps(of_lines([step(1)]) + b"\xff\xfe\n" + of_lines([step(2)]))
    assert (places(log), log.damaged) == ([1, 2], [Damage(2, "not UTF-8")])


def test_the_last_line_may_still_be_written():
    data = of_lines([step(1), step(2)])
    table = of_lines([HEADER, *ROWS[:2]])
    for read, whole, number in ((read_steps, data, 2), (read_metrics, table, 3)):
        for stop in range(whole[:-1].rindex(b"\n") + 2, len(whole)):
            log = read(whole[:stop])
            assert (places(log), log.damaged) == ([1], [])
            assert log.torn.number == number
    assert read_steps(b"") == Log([], [])


@pytest.mark.parametrize(
    "steps, kept, damaged",
    [
        ([1, 2, 300, 4, 5], [1, 2, 4, 5], [Damage(3, "step 300 is out of order")]),
        ([1, 2, 3, 1, 5], [1, 2, 3, 5], [Damage(4, "step 1 is a duplicate")]),
        ([3, 1, 2], [1, 2], [Damage(1, "step 3 is out of order")]),
        ([1, 2, 2, 3], [1, 2, 3], [Damage(2, "step 2 is a duplicate")]),
        ([1, 2, 5, 6], [1, 2, 5, 6], []),  # a hole is no damage of a line
    ],
)
def test_steps_rise_and_one_wrong_number_costs_one_line(steps, kept, damaged):
    log = read_steps(of_lines(step(n) for n in steps))
    assert (places(log), log.damaged) == (kept, damaged)


def test_the_most_lines_that_can_stay_in_order_stay():
    """Against the plain way: the longest rising part that ends with each line."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        steps = [int(n) for n in rng.integers(1, 12, rng.integers(1, 15))]
        longest = []
        for i, n in enumerate(steps):
            ends = [longest[j] for j in range(i) if steps[j] < n]
            longest.append(1 + max(ends, default=0))
        log = read_steps(of_lines(step(n) for n in steps))
        assert places(log) == sorted(set(places(log)))
        assert len(log.lines) == max(longest)
        assert len(log.lines) + len(log.damaged) == len(steps)


def test_metrics_as_they_were_written():
    log = read_metrics(of_lines([HEADER, *ROWS]))
    assert [line.text.decode() for line in log.lines] == [f"{row}\n" for row in ROWS]
    assert log.lines[2].values == {
        "epoch": 3,
        "lr": 0.1,
        "train_loss": 1 / 3,
        "train_accuracy": 0.5,
        "test_loss": 2.0,
        "test_accuracy": 0.25,
        "seconds": 1.0,
        "images_per_second": 10.0,
    }
    assert [line.number for line in log.lines] == [2, 3, 4, 5, 6]
    assert (log.damaged, log.torn) == ([], None)


def quoted(text):
    return b"\n".join(
        b'"%b"' % line.replace(b",", b'","') for line in text.split(b"\n")
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.replace(b"\n", b",\n"),
        lambda text: text.replace(b"\n", b',"a note, quoted"\n'),
        lambda text: text.replace(b"epoch,", b'"epoch",', 1),
        lambda text: text.replace(b",", b";"),
        lambda text: text.replace(b",", b"\t"),
        lambda text: text.replace(b",", b" , "),
        lambda text: text.replace(b"\n", b"\n\n"),
        lambda text: quoted(text.strip()) + b"\n",
        lambda text: b"".join(
            b",".join(reversed(line.split(b","))) + b"\n" for line in text.splitlines()
        ),
    ],
)
def test_what_another_program_has_saved_says_the_same(change):
    data = of_lines([HEADER, *ROWS])
    log, changed = read_metrics(data), read_metrics(change(data))
    assert changed.damaged == [] and places(changed) == [1, 2, 3, 4, 5]
    for line, other in zip(log.lines, changed.lines, strict=True):
        assert (line.text, line.values) == (other.text, other.values)


@pytest.mark.parametrize(
    "row, reason",
    [
        ("2,0.0", "2 values under 8 columns"),
        (ROWS[1] + ",7", "9 values under 8 columns"),
        (ROWS[1].replace("2.0", "x"), "test_loss is 'x', not a finite number"),
        (ROWS[1].replace("2.0", ""), "test_loss is '', not a finite number"),
        (ROWS[1].replace("2.0", "nan"), "test_loss is 'nan', not a finite number"),
        (ROWS[1].replace("2.0", "2_0"), "test_loss is '2_0', not a finite number"),
        (ROWS[1].replace("2.0", "1e999"), "test_loss is '1e999', not a finite number"),
        (ROWS[1].replace("2.0", "2;0"), "test_loss is '2;0', not a finite number"),
        (ROWS[1].replace("0.25", "9.25"), "test_accuracy is '9.25', not from 0 to 1"),
        (ROWS[1].replace("2,", "2.5,", 1), "epoch is '2.5', not an integer from 1 on"),
        (ROWS[1].replace("2,", "0,", 1), "epoch is '0', not an integer from 1 on"),
        (ROWS[1].replace("2,", "9" * 400 + ",", 1), "epoch is '999"),
        (ROWS[1].replace("2,", "4,", 1), "epoch 4 is a duplicate"),
        (ROWS[1].replace("2,", "9,", 1), "epoch 9 is out of order"),
        ('2,"0.1', "not CSV: "),
    ],
)
def test_a_damaged_row_is_named_and_costs_no_other(row, reason):
    log = read_metrics(of_lines([HEADER, ROWS[0], row, *ROWS[2:]]))
    assert places(log) == [1, 3, 4, 5]
    (damage,) = log.damaged
    assert damage.number == 3
    assert damage.reason.startswith(reason) and len(damage.reason) <= 120


@pytest.mark.parametrize(
    "header, reason",
    [
        (HEADER.replace("test_acc", "tst_acc"), "no column test_accuracy"),
        (HEADER + ",lr", "two columns lr"),
        ("something else", "no column epoch"),
        ("\x00" * 20, "no column epoch"),
    ],
)
def test_a_header_that_says_too_little_or_too_much(header, reason):
    assert read_metrics(of_lines([header, *ROWS])) == Log([], [Damage(1, reason)])


def test_half_a_header_is_being_written():
    for stop in range(len(HEADER)):
        log = read_metrics(HEADER[:stop].encode())
        assert (log.lines, log.damaged) == ([], []) and log.torn.number == 1


@pytest.mark.parametrize("last", ["x", "\0" * 4096, "9" * 4096, '{"step"' * 999])
def test_what_no_trainer_begins_is_damage(last):
    for log, number in (
        (read_metrics(last.encode()), 1),
        (read_steps(last.encode()), 1),
        (read_metrics(of_lines([HEADER, *ROWS]) + last.encode()), 7),
        (read_steps(of_lines([step(1)]) + last.encode()), 2),
    ):
        assert [damage.number for damage in log.damaged] == [number]
        assert log.torn is None


def test_the_columns_of_a_program():
    """Of those it needs the text; of all that are known, the values."""
    data = b"test_loss,mine,epoch\n0.5,x,1\n"
    (line,) = read_metrics(data, ["epoch"]).lines
    assert line.text == b"1\n"
    assert line.values == {"epoch": 1, "test_loss": 0.5}


def test_how_much_is_said_of_many_lines():
    damaged = [Damage(n, "no step") for n in range(2, 900)]
    assert describe(damaged[:2]) == "line 2: no step; line 3: no step"
    assert describe(damaged) == (
        "line 2: no step; line 3: no step; line 4: no step; and 895 more, to line 899"
    )
    assert missing([1, 3, 4, 7], 8) == [2, 5, 6, 8]
    assert first_and_last([2, 5, 6]) == "2, 5, 6"
    assert first_and_last(range(1, 100)) == "1, 2, 3, 4, 5 ... 99"
