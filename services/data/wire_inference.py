"""InferSeries on the wire."""

from __future__ import annotations

from collections.abc import Sequence

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.frames import CHUNK_BYTES_MAX, Limits, read_ipc
from marketml.rpc.refusals import InvalidArgument, Violation
from services.data.inference.clues import Unlabelled
from services.data.inference.inferring import Suggestion
from services.data.inference.unlabelled import unlabelled
from services.data.series import venue_violations
from services.data.wire import written_key

ENTRIES_MAX = 32
TEXT_LENGTH_MAX = 1000
_ARROW_LIMITS = Limits(rows_max=200_000, columns_max=256, bytes_max=CHUNK_BYTES_MAX)


def read_unlabelled(request: pb.InferSeriesRequest) -> Unlabelled:
    """InferSeriesRequest."""
    violations = venue_violations(request.venue, "venue") if request.venue else []
    if len(request.metadata) > ENTRIES_MAX:
        violations.append(
            Violation(
                "metadata", "at_most", f"must be at most {ENTRIES_MAX} entries, not {len(request.metadata)}."
            )
        )
    for key, text in request.metadata.items():
        longest = max(len(key), len(text))
        if longest > TEXT_LENGTH_MAX:
            sentence = f"must be at most {TEXT_LENGTH_MAX} characters, not {longest}."
            violations.append(Violation(f"metadata[{key[:64]}]", "length", sentence))
    if not request.arrow_ipc:
        violations.append(Violation("arrow_ipc", "required", "must hold some rows of the frame."))
    elif len(request.arrow_ipc) > CHUNK_BYTES_MAX:
        sentence = f"must be at most {CHUNK_BYTES_MAX} bytes, not {len(request.arrow_ipc)}."
        violations.append(Violation("arrow_ipc", "at_most", sentence))
    if violations:
        raise InvalidArgument(violations[:ENTRIES_MAX])
    table = read_ipc(request.arrow_ipc, "arrow_ipc", _ARROW_LIMITS)
    return unlabelled(table, dict(request.metadata), request.venue)


def written_suggestions(found: Sequence[Suggestion]) -> pb.InferSeriesResponse:
    """InferSeriesResponse."""
    return pb.InferSeriesResponse(
        suggestions=[
            pb.SeriesSuggestion(
                kind=one.series.kind.number,  # type: ignore[arg-type]
                key=written_key(one.series),
                symbol_confidence=one.symbol_confidence,
                timeframe_confidence=one.timeframe_confidence,
                reasons=one.reasons,
            )
            for one in found
        ]
    )
