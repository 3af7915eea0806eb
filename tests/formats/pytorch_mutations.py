"""Files of PyTorch, changed at random: in their bytes, or below their checksums."""

import functools
import random
import struct

import numpy as np
from pytorch_goldens import GOLDEN, golden, records_of, rezipped

FILES = sorted(name for name in GOLDEN if name.endswith(".pth"))
UNCHECKED = "model_unchecked.pth"  # zipfile refuses to read it
#: Numbers at the edges of what sizes and places can be.
EDGES = (0, 1, 0x7F, 0xFF, 0xFFFF, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)
#: Instructions of pickles, and pieces of what PyTorch writes.
PIECES = (
    *(bytes([code]) for code in b"(.0NRbcehjlopqrstu]}QKMJGX"),
    *(bytes([code]) for code in b"\x81\x85\x86\x87\x88\x89\x8a"),
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


def changed_file(seed):
    """Return a file after changes, whose checksums may be right again."""
    chance = random.Random(seed)
    name = chance.choice(FILES)
    if name.startswith("refused_") and chance.random() < 0.8:
        name = "kinds.pth"  # of what is refused anyway, little is to be learnt
    raw = golden(name)
    if raw[:2] != b"PK" or name == UNCHECKED or chance.random() < 0.25:
        return changed_bytes(raw, chance)
    records = dict(golden_records(name))
    # Most changes go to the pickle: the rest are numbers, where any byte is right.
    chosen = chance.choice(["archive/data.pkl"] * 4 + sorted(records))
    records[chosen] = changed_bytes(records[chosen], chance)
    return rezipped(records)


@functools.cache
def golden_records(name):
    return records_of(golden(name))


def changed_bytes(raw, chance):
    """Return bytes after one to five changes anywhere."""
    raw = bytearray(raw)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5))):
        place = chance.randrange(len(raw)) if raw else 0
        match chance.randrange(7):
            case 0:
                raw[place : place + 1] = bytes([chance.randrange(256)])
            case 1 if raw:
                raw[place] ^= 1 << chance.randrange(8)
            case 2:
                code, edge = chance.choice("BHLQd"), chance.choice(EDGES)
                if code != "d":
                    edge %= 256 ** struct.calcsize(f"<{code}")
                piece = struct.pack(f">{code}" if code == "d" else f"<{code}", edge)
                raw[place : place + len(piece)] = piece
            case 3:
                raw[place:place] = chance.choice(PIECES)
            case 4:
                del raw[place : place + chance.randint(1, 40)]
            case kind:  # a piece of it again, inserted or instead of another one
                length = chance.randint(1, 60)
                source = chance.randrange(len(raw)) if raw else 0
                replaced = length if kind == 5 else 0
                raw[place : place + replaced] = raw[source : source + length]
    return bytes(raw)


def check_whole(file):
    """Check that all that was read has memory of its own, and can be used."""
    assert file.tensors
    for array in file.tensors.values():
        assert isinstance(array, np.ndarray) and array.flags.c_contiguous
        assert array.dtype.isnative and array.flags.writeable
        array.tobytes()
