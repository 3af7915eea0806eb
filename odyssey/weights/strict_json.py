"""JSON from a file that anybody may have changed: one meaning, or an error."""

import json
from typing import Any


def parse_json(data: bytes | str) -> Any:
    """Return what JSON holds, but for what other readers may take otherwise.

    Raises
    ------
    ValueError
        If it is no UTF-8 or no JSON, names a key twice, has NaN or an infinity, or is
        nested so deeply that it cannot be read.
    """
    try:
        return json.loads(
            data if isinstance(data, str) else data.decode("utf-8"),
            object_pairs_hook=_refuse_duplicates,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"key {key[:200]!r} stands twice in one object")
        result[key] = value
    return result


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")
