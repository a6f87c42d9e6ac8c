"""What whoever fits a unit for somebody else answers, as bytes: the outcome, or why there is none."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from marketml.rpc.refusals import (
    FailedPrecondition,
    InvalidArgument,
    Reason,
    Refusal,
    ResourceExhausted,
    Violation,
)
from services.training.learners.fitting import Check, Matrix, OnRound
from services.training.workshop.unit_files import read_file, read_task, write_file
from services.training.workshop.units import FitOutcome, Noting, fit_unit


class Withdrawn(Exception):
    """Nobody wants the unit any more."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A unit that was fitted; `is_whole` unless it was told to end early."""

    outcome: FitOutcome
    is_whole: bool


def answer(task: bytes, matrix: Callable[[], Matrix], on_round: OnRound, check: Check) -> bytes:
    """Fit a written task on its matrix. A `check` that raises `Withdrawn` ends it; nothing is raised here."""
    noting = Noting(check)
    try:
        check()
        outcome = fit_unit(read_task(task, matrix()), on_round, noting)
        return write_file({"kind": "ended" if noting.said_end else "fitted"}, outcome)
    except Withdrawn:
        return write_file({"kind": "withdrawn"}, None)
    except (InvalidArgument, FailedPrecondition, ResourceExhausted) as refusal:
        return write_file({"kind": "refused"}, _written(refusal))
    except MemoryError:
        no_more = ResourceExhausted("memory", "The machine gave no more memory.")
        return write_file({"kind": "refused"}, _written(no_more))
    except Exception:
        reference = secrets.token_hex(8)
        fields = {"reference": reference}
        logging.getLogger("marketml.problems").exception("A bug ended a unit.", extra={"fields": fields})
        return write_file({"kind": "failed"}, reference)


def read_answer(data: bytes) -> Fitted:
    """What was fitted.

    Raises
    ------
    Withdrawn
    Refusal
        The one that the fit raised.
    RuntimeError
        A bug.
    UnreadableError
    """
    label, value = read_file(data)
    match label["kind"]:
        case "withdrawn":
            raise Withdrawn
        case "refused":
            raise _refusal(value)
        case "failed":
            raise RuntimeError(f"A bug ended a unit elsewhere; its log has the rest under {value}.")
        case kind:
            return Fitted(value, is_whole=kind == "fitted")


def _written(refusal: InvalidArgument | FailedPrecondition | ResourceExhausted) -> dict[str, Any]:
    said = {"message": refusal.message, "reason": str(refusal.reason)}
    if isinstance(refusal, InvalidArgument):
        return said | {"violations": [asdict(each) for each in refusal.violations]}
    return said | {"subject": refusal.subject, "is_limit": isinstance(refusal, ResourceExhausted)}


def _refusal(said: dict[str, Any]) -> Refusal:
    reason = Reason(said["reason"])
    if "violations" in said:
        return InvalidArgument([Violation(**each) for each in said["violations"]], reason)
    if said["is_limit"]:
        return ResourceExhausted(said["subject"], said["message"], reason=reason)
    return FailedPrecondition(said["subject"], said["message"], reason)
