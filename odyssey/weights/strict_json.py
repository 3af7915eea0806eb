"""Parse JSON strictly: refuse what other readers may read differently."""

import json
import math
from typing import Any


def parse_json(data: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises
    ------
    ValueError
        If the text is not UTF-8 or not JSON, has a key twice in an object, contains
        NaN, infinity or a number as large (1e999), or is nested too deeply.
    """
    try:
        return json.loads(
            data if isinstance(data, str) else data.decode("utf-8"),
            object_pairs_hook=_refuse_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"key {key[:200]!r} is there twice in one object")
        result[key] = value
    return result


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number
