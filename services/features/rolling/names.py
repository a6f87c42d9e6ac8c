"""Items and their names: tsfresh's own, read and written without evaluating anything."""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.features.rolling.kernel import Item, Parameter

_QUOTED = re.compile(r'"([A-Za-z_]+)"')
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_REAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_WHOLES = re.compile(r"\(([0-9]{1,9}(, ?[0-9]{1,9})*),?\)")


def label(calculator: str, parameters: Mapping[str, Parameter]) -> str:
    """tsfresh's name of a feature without its column: `autocorrelation__lag_3`."""
    written = (
        f'{key}_"{value}"' if isinstance(value, str) else f"{key}_{value}"
        for key, value in sorted(parameters.items())
    )
    return "__".join([calculator, *written])


def read(text: str) -> Item:
    """The item that a name without its column says.

    Raises
    ------
    ValueError
        A part is not `name_value` with a value as tsfresh writes it.
    """
    calculator, *parts = text.split("__")
    parameters: dict[str, Parameter] = {}
    for part in parts:
        key, divided, value = part.rpartition("_")
        if not divided or not key or key in parameters:
            raise ValueError(f"{part!r} is not name_value, each name once")
        parameters[key] = _value(value)
    return Item(calculator, parameters)


def _value(text: str) -> Parameter:
    if found := _QUOTED.fullmatch(text):
        return found[1]
    if text in ("True", "False"):
        return text == "True"
    if _WHOLE.fullmatch(text):
        return int(text)
    if len(text) <= 40 and _REAL.fullmatch(text):
        return float(text)
    if len(text) <= 200 and (found := _WHOLES.fullmatch(text)):
        return tuple(int(each) for each in found[1].split(","))
    raise ValueError(f"{text!r} is no value as tsfresh writes one")
