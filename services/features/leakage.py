"""AuditLeakage from its source to its summary: rules, memory, the bars, and the audit of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from marketml.rpc.refusals import FailedPrecondition, InvalidArgument, Reason, ResourceExhausted
from services.features import config_rules
from services.features.audit import AuditRequest, Told, audit, chosen, memory_bytes
from services.features.budget import MemoryBudget
from services.features.columns import Columns
from services.features.deadline import watched
from services.features.generation import READING_SHARE, ROW_BYTES, DataRoom, read, rows_allowed
from services.features.plan import plan


def audited(
    data: DataRoom,
    budget: MemoryBudget,
    request: AuditRequest,
    check: Callable[[], None],
    now: Callable[[], float],
) -> Iterator[Told]:
    """Progress and findings, last the summary. `check` raises when nobody waits any more; it is called
    between pieces of work, and so is the config's limit of time looked at.

    Raises
    ------
    InvalidArgument
        A field breaks a rule.
    FailedPrecondition
        The source has fewer than two bars, or not the columns that features asked for by name need.
    ResourceExhausted
        The work would break one of the config's limits.
    """
    violations = [*config_rules.violations(request.config), *request.violations()]
    if violations:
        raise InvalidArgument(violations)
    limits = request.config.limits
    look = watched(limits, check, now)
    rows_max = rows_allowed(limits)
    with budget.reserved(READING_SHARE * ROW_BYTES * data.count(request.source, rows_max)) as loan:
        bars = read(data, request.source, limits)
        look()
        columns = Columns(bars.frame, bars.key.bar)
        source_bytes = int(bars.frame.memory_usage().sum())
        planned = plan(request.config, columns, source_bytes)
        if columns.bars < 2:
            raise FailedPrecondition(
                "source", "An audit needs 2 bars and the source has 1.", Reason.TOO_LITTLE_DATA
            )
        need = memory_bytes(planned, columns.bars, source_bytes)
        if need > limits.max_memory_bytes:
            raise ResourceExhausted(
                "config.limits.max_memory_bytes",
                f"The work needs max_memory_bytes of {need:,} and config.limits.max_memory_bytes is "
                f"{limits.max_memory_bytes:,}.",
            )
        loan.resize(need)
        choices = chosen(
            columns.bars, planned.warm_up_bars, request.cuts_count, request.live_count, request.seed
        )
        yield from audit(planned, columns, bars.frame, choices, look, now)
