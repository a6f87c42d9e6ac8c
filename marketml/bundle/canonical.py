"""Canonical JSON: one text for one value, so that a digest of the text is a digest of the value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from marketml.rpc.refusals import InvalidArgument, ResourceExhausted, Violation

JsonObject: TypeAlias = Mapping[str, Any]


def write_canonical_json(value: JsonObject) -> bytes:
    """UTF-8 JSON with sorted keys and no white space.

    Raises
    ------
    ValueError
        NaN or infinity, which JSON does not know, or text that is not Unicode.
    TypeError
        A value or key that JSON does not know.
    """
    _require_text_keys(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def read_canonical_json(data: bytes, path: str, limit_bytes: int) -> dict[str, Any]:
    """Read what `write_canonical_json` wrote, and nothing else.

    A second text for the same value (white space, a repeated key, `1.0e0`) is refused: comparing with the
    canonical text leaves no room for two readers to understand one file differently.

    Parameters
    ----------
    data : bytes
    path : str
        Field path for refusals.
    limit_bytes : int

    Raises
    ------
    ResourceExhausted
        More than `limit_bytes`.
    InvalidArgument
        No JSON object, or not its canonical text.
    """
    if len(data) > limit_bytes:
        raise ResourceExhausted(path, f"{path} may have {limit_bytes} bytes, has {len(data)}.")
    try:
        value = json.loads(data.decode())
        canonical = write_canonical_json(value) if isinstance(value, dict) else None
    except (ValueError, RecursionError):  # no UTF-8, no JSON, NaN, a lone surrogate, a bomb of brackets
        raise InvalidArgument.of(path, "json", "must be canonical JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise InvalidArgument.of(path, "json", f"must be a JSON object, is a {type(value).__name__}.")
    if canonical != data:
        raise InvalidArgument.of(
            path, "canonical", "must be canonical JSON: sorted unique keys, no white space, shortest numbers."
        )
    return value


class Fields:
    """The fields of one JSON object, read once each with their type; `finish` refuses those left over."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise InvalidArgument.of(path, "type", f"must be an object, is {_name_of(value)}.")
        self.path = path
        self._left = dict(value)

    def text(self, name: str) -> str:
        """A string."""
        return str(self._take(name, str))

    def optional_text(self, name: str) -> str | None:
        """A string, or None where the field is absent."""
        return self.text(name) if name in self._left else None

    def count(self, name: str, low: int, high: int) -> int:
        """An integer in `[low, high]`."""
        found = int(self._take(name, int))
        if not low <= found <= high:
            raise InvalidArgument.of(
                f"{self.path}.{name}", "range", f"must be from {low} to {high}, is {found}."
            )
        return found

    def list(self, name: str) -> list[Any]:
        """A list, of anything."""
        return list(self._take(name, list))

    def object(self, name: str) -> dict[str, Any]:
        """An object, of anything."""
        return dict(self._take(name, dict))

    def optional_object(self, name: str) -> dict[str, Any] | None:
        """An object, or None where the field is absent."""
        return self.object(name) if name in self._left else None

    def finish(self) -> None:
        """Refuse every field that was not read."""
        if self._left:
            raise InvalidArgument(
                [
                    Violation(f"{self.path}.{name}", "unknown", "is no field of this format version.")
                    for name in sorted(self._left)[:10]
                ]
            )

    def _take(self, name: str, kind: type[Any]) -> Any:
        if name not in self._left:
            raise InvalidArgument.of(f"{self.path}.{name}", "required", "must be present.")
        value = self._left.pop(name)
        if type(value) is not kind:  # exact: True is no count
            raise InvalidArgument.of(
                f"{self.path}.{name}", "type", f"must be {_NAMES[kind]}, is {_name_of(value)}."
            )
        return value


_NAMES: dict[type[Any], str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _name_of(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)


def _require_text_keys(value: object) -> None:
    """json.dumps turns other keys into text, and then 1 and "1" are one key."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            if not isinstance(key, str):
                raise TypeError(f"JSON keys are text, {key!r} is {type(key).__name__}.")
            _require_text_keys(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _require_text_keys(each)
