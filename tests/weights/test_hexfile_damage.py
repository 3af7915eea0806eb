"""Every damage of a hex file is refused with file, line and reason."""

import os
import tracemalloc

import numpy as np
import pytest

from odyssey.weights.hexfile import load_tensor, save_tensor

BYTES = b"w\nfloat32 2\n0000803f000000c0\n"

DAMAGED = {
    "empty file": (b"", "line 1: the file ends here"),
    "one line": (b"w\n", "line 2: the file ends here"),
    "two lines": (b"w\nfloat32 2", "line 2: the file ends here"),
    "no digits": (b"w\nfloat32 2\n", "line 3: 16 hex digits expected .* got 0$"),
    "short": (BYTES[:-3], "line 3: 16 hex digits expected for float32 .* got 14$"),
    "odd": (BYTES[:-2], "line 3: .* got 15, an odd number$"),
    "one digit more": (BYTES[:-1] + b"0", "line 3: .* got more"),
    "long": (BYTES[:-1] + b"00" * 9 + b"\n", "line 3: .* got more"),
    "bad digit": (BYTES.replace(b"c0", b"g0"), "line 3: character 15 is no hex digit"),
    "blank": (BYTES.replace(b"803f", b"80 f"), "line 3: character 7 is no hex digit"),
    "not ASCII digit": (BYTES.replace(b"c0", b"\xb20"), "line 3: character 15"),
    "fourth line": (BYTES + b"more\n", "line 4"),
    "empty fourth line": (BYTES + b"\n", "line 4"),
    "digits on two lines": (BYTES.replace(b"3f", b"3f\n"), "line 3: .* got 8"),
    "Windows": (BYTES.replace(b"\n", b"\r\n"), "line 1: .*carriage return"),
    "Windows at the end": (BYTES[:-1] + b"\r\n", "line 3"),
    "name not ASCII": (b"\xc3\xa9" + BYTES, "line 1: not ASCII"),
    "name with NUL": (b"\0" + BYTES, "line 1: name with unprintable"),
    "name without end": (b"n" * 200_000, "line 1: longer than"),
    "dtype not ASCII": (BYTES.replace(b" 2", b" \xd9\xa3"), "line 2: not ASCII"),
    "float32's digits": (
        BYTES.replace(b"float32", b"bfloat16"),
        "line 3: 8 hex digits expected for bfloat16 .* got more",
    ),
    "header zero": (b"w\nfloat32 \n" + BYTES, "line 2: dimension ''"),
}
for dtype in (
    "",
    "bool",
    "float8",
    "complex64",
    "<f4",
    "Float32",
    "object",
    "bfloat32",
):
    DAMAGED[f"dtype {dtype}"] = (
        BYTES.replace(b"float32", dtype.encode()),
        "line 2: unknown dtype",
    )
for dims in ("-2", "+2", "02", "2.0", "2_0", " 2", "2 ", "2,", "0x2", "2\t1", "None"):
    DAMAGED[f"dims {dims!r}"] = (
        BYTES.replace(b"32 2", b"32 " + dims.encode()),
        "line 2: dimension .* is not a plain decimal number",
    )
for dims in ("9" * 19, "9" * 5000, f"{2**32} {2**32}", f"0 {2**62} {2**62}"):
    DAMAGED[f"dims {dims[:24]}"] = (
        BYTES.replace(b"32 2", b"32 " + dims.encode()),
        "line 2: .* is too large",
    )
DAMAGED["many dims"] = (BYTES.replace(b"32 2", b"32 2" + b" 1" * 32), "33 dimensions")


@pytest.mark.parametrize(("data", "reason"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damage_is_said_with_file_line_and_reason(tmp_path, data, reason):
    path = tmp_path / "broken.weights"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=reason) as caught:
        load_tensor(path)
    assert str(caught.value).startswith(f"{path}: line ")


def test_every_shortening_is_noticed(tmp_path):
    path = tmp_path / "t"
    for length in range(len(BYTES) - 1):  # but for the last newline alone
        path.write_bytes(BYTES[:length])
        with pytest.raises(ValueError, match="line"):
            load_tensor(path)


@pytest.mark.parametrize("dims", [f"{2**60}", f"{2**30} {2**30}", "1000000000"])
def test_nothing_is_allocated_on_the_word_of_a_header(tmp_path, dims):
    path = tmp_path / "t"
    path.write_bytes(b"w\nfloat64 " + dims.encode() + b"\n00\n")
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="line"):
            load_tensor(path)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_large_file_of_a_small_tensor_is_not_read_whole(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(b"w\nfloat32 2\n")
    os.truncate(path, 1 << 36)  # 64 GB of holes
    with pytest.raises(ValueError, match="line 3"):
        load_tensor(path)


def test_folder_and_pipe_are_no_files(tmp_path):
    with pytest.raises(IsADirectoryError):
        load_tensor(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="not a regular file"):
            load_tensor(tmp_path / "pipe")


def test_any_changed_byte_changes_the_tensor_or_is_refused(tmp_path):
    path = tmp_path / "t"
    save_tensor(np.arange(1, 5, dtype=np.int16), path, "name")
    good = path.read_bytes()
    for place in range(len(good)):
        for flip in (1, 0x20, 0x80):
            data = bytearray(good)
            data[place] ^= flip
            path.write_bytes(data)
            try:
                tensor = load_tensor(path)
            except ValueError as error:
                assert str(path) in str(error)
            else:  # another name, another number, or a digit of the other case
                assert tensor.size == 4
