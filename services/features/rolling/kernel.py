"""Kernels: compiled code that computes some of tsfresh's calculators for a block of windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from services.features.columns import Floats
from services.features.rolling.block import Block

Parameter: TypeAlias = bool | int | float | str | tuple[int, ...]


@dataclass(frozen=True)
class Item:
    """One of tsfresh's calculators with its parameters fixed: a feature of a window."""

    calculator: str
    parameters: Mapping[str, Parameter]

    def whole(self, name: str) -> int:
        """A parameter that is a whole number."""
        value = self.parameters[name]
        if not isinstance(value, int):
            raise TypeError(f"{name} of {self.calculator} is {value!r}, not a whole number")
        return value

    def number(self, name: str) -> float:
        """A parameter that is any number."""
        value = self.parameters[name]
        if not isinstance(value, int | float):
            raise TypeError(f"{name} of {self.calculator} is {value!r}, not a number")
        return float(value)


@dataclass(frozen=True)
class Kernel:
    """What computes some calculators.

    Attributes
    ----------
    calculators : tuple of str
        tsfresh's names.
    prepare : callable
        `prepare(window, items)` gives the tables for windows of so many bars and for these items, once.
    run : callable
        `run(block, tables, out)` puts the values into `out` float64 (items, windows), in the order of the
        items. A value does not depend on how many windows follow its own.
    """

    calculators: tuple[str, ...]
    prepare: Callable[[int, Sequence[Item]], Any]
    run: Callable[[Block, Any, Floats], None]
