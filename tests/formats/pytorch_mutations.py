"""Files changed at random, in their bytes or below their checksums, for fuzz tests."""

import struct

import numpy as np
from hypothesis import strategies as st
from pytorch_goldens import GOLDEN, golden, records_of, rezipped

FILES = sorted(name for name in GOLDEN if name.endswith(".pth"))
#: Numbers at the edges of what sizes and places can be.
EDGES = (0, 1, 0x7F, 0xFF, 0xFFFF, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)
#: Instructions of pickles, and pieces of what PyTorch writes.
PIECES = (
    *(
        bytes([code])
        for code in b"(.0NRbcehjlopqrstu]}\x81\x85\x86\x87\x88\x89\x8aQKMJGX"
    ),
    b"ctorch\nFloatStorage\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._utils\n_rebuild_tensor_v3\n",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"ctorch._tensor\n_rebuild_from_type_v2\n",
    b"ccollections\nOrderedDict\n",
    b"cos\nsystem\n",
    b"PK\1\2",
    b"PK\3\4",
    b"PK\5\6",
)


@st.composite
def changed_bytes(draw, raw):
    """Return bytes after one to five changes anywhere."""
    raw = bytearray(raw)
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, max(len(raw) - 1, 0)))
        match draw(st.integers(0, 6)):
            case 0 if raw:
                raw[place] = draw(st.integers(0, 255))
            case 1 if raw:
                raw[place] ^= 1 << draw(st.integers(0, 7))
            case 2:
                code = draw(st.sampled_from("<B <H <L <Q >d".split()))
                edge = draw(st.sampled_from(EDGES))
                number = (
                    float(edge) if code == ">d" else edge % 256 ** struct.calcsize(code)
                )
                piece = struct.pack(code, number)
                raw[place : place + len(piece)] = piece
            case 3:
                raw[place:place] = draw(st.sampled_from(PIECES))
            case 4:
                del raw[place : place + draw(st.integers(1, 40))]
            case 5:
                length = draw(st.integers(1, 60))
                source = draw(st.integers(0, max(len(raw) - 1, 0)))
                raw[place:place] = raw[source : source + length]
            case 6:
                length = draw(st.integers(1, 60))
                source = draw(st.integers(0, max(len(raw) - 1, 0)))
                raw[place : place + length] = raw[source : source + length]
    return bytes(raw)


@st.composite
def changed_files(draw):
    """Return a file of PyTorch after changes, whose checksums may be right again."""
    name = draw(st.sampled_from(FILES))
    raw = golden(name)
    unchecked = name == "model_unchecked.pth"  # zipfile refuses it
    if raw[:2] != b"PK" or unchecked or draw(st.booleans()):
        return draw(changed_bytes(raw))
    records = records_of(raw)
    # Most changes go to the pickle: the rest are numbers, where any byte is right.
    chosen = draw(st.sampled_from(["archive/data.pkl"] * 3 + sorted(records)))
    records[chosen] = draw(changed_bytes(records[chosen]))
    return rezipped(records)


def is_whole(file):
    """Return whether all that was read has memory of its own, and can be used."""
    arrays = list(file.tensors.values())
    for array in arrays:
        assert isinstance(array, np.ndarray) and array.flags.c_contiguous
        assert array.dtype.isnative and array.flags.writeable
        array.tobytes()
    return bool(arrays)
