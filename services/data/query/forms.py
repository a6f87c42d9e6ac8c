"""Forms: which columns of a series or frame a query gives, in which order, and how many bits each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from marketml.rpc.refusals import Violation


@dataclass(frozen=True)
class Form:
    """No `columns` are all of them. The time always comes first and as it is."""

    columns: tuple[str, ...] = ()
    is_float32: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether rows are given as they lie in the store."""
        return not self.columns and not self.is_float32

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """Of what is given."""
        return pa.schema(
            [self._field(schema.field(place)) for place in self._places(schema)], schema.metadata
        )

    def batch(self, batch: Any) -> Any:
        """A record batch as it is given."""
        if self.is_plain:
            return batch
        schema = self.schema(batch.schema)
        places = self._places(batch.schema)
        arrays = [batch.column(place).cast(field.type) for place, field in zip(places, schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _places(self, schema: pa.Schema) -> list[int]:
        if not self.columns:
            return list(range(len(schema)))
        return [0, *map(schema.get_field_index, self.columns)]

    def _field(self, field: Any) -> Any:
        is_narrowed = self.is_float32 and field.type == pa.float64()
        return field.with_type(pa.float32()) if is_narrowed else field


PLAIN = Form()


def column_violations(columns: Sequence[str], schema: pa.Schema) -> list[Violation]:
    """The rules that a choice of columns breaks."""
    known = schema.names[1:]
    found = []
    # More than there are break a rule within these; what a caller sends is compared with no more.
    for position, name in enumerate(columns[: len(known) + 1]):
        if name not in known:
            said = f"must be one of {' '.join(known)}, not {name[:64]!r}."
            found.append(Violation(f"columns[{position}]", "unknown", said))
        elif name in columns[:position]:
            found.append(Violation(f"columns[{position}]", "unique", f"must be named once: {name!r}."))
    return found
