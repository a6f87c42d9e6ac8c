"""What features are chosen for: the rows that are looked at, and what came of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from services.features.columns import Floats

Codes = npt.NDArray[np.int64]


class TargetKind(StrEnum):
    """What a target is."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REAL = "real"


@dataclass(frozen=True, eq=False)
class Target:
    """A number or a class for each row, rows in order of time.

    Attributes
    ----------
    kind : TargetKind
    values : float64 (rows,)
        Finite; classes are whole numbers.
    weights : float64 (rows,) or None
        Not negative, not all zero.
    sources : int64 (rows,) or None
        Of which of several sources each row is; None: all are of one.
    """

    kind: TargetKind
    values: Floats
    weights: Floats | None = None
    sources: Codes | None = None

    @cached_property
    def classes(self) -> Floats:
        """The classes, ascending; none of a real target."""
        return np.empty(0) if self.kind is TargetKind.REAL else np.unique(self.values)

    @cached_property
    def codes(self) -> Codes:
        """Position of each row's class among `classes`."""
        return np.searchsorted(self.classes, self.values).astype(np.int64)

    @cached_property
    def class_counts(self) -> tuple[int, ...]:
        """Rows of each class."""
        return (
            tuple(int(count) for count in np.bincount(self.codes, minlength=len(self.classes)))
            if (len(self.classes))
            else ()
        )

    def of(self, rows: slice) -> Target:
        """The same of some of the rows."""
        return Target(self.kind, self.values[rows], None if self.weights is None else self.weights[rows])
