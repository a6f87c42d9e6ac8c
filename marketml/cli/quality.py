"""`marketml data quality`: what is wrong or doubtful in a series, and what would repair it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click
from google.protobuf.timestamp_pb2 import Timestamp

from marketml.cli.command import CommandFailed, Context, command
from marketml.cli.documents import parse_given_time, parse_time
from marketml.cli.output import Output, cell, enum_text, time_text
from marketml.cli.series import KINDS, SERIES_KINDS, check_timeframe, series_options
from marketml.clients.data import DataClient
from marketml.clients.data_quality import mark_absent, mark_missing
from marketml.data.v1 import data_pb2 as pb

PLAN_LINES = 10
_DOES = {
    "refetch": "ask the exchange again for",
    "mark_missing": "mark as missing",
    "mark_absent": "mark what is absent as missing from",
}


@click.command("quality")
@series_options()
@click.option("--kind", type=click.Choice(KINDS), default="candles", show_default=True)
@click.option("--as-of", metavar="TIME", help="What was known then; default now.")
@click.option("--jump-z", type=click.FloatRange(0, min_open=True), help="Robust z of a jump; default 20.")
@click.option("--zero-volume-run", type=click.IntRange(1), metavar="BARS", help="Default 3.")
@click.option(
    "--stale-after",
    type=click.FloatRange(0, min_open=True),
    metavar="HOURS",
    help="Age of the newest row; default three times the series' own spacing.",
)
@click.option("--unit-change", type=click.FloatRange(1, min_open=True), metavar="FACTOR", help="Default 10.")
@click.option("--rows", type=click.IntRange(1, 1000), default=3, show_default=True, help="Per finding.")
@click.option("--repair", "is_repair", is_flag=True, help="Apply the plan after telling it.")
@click.option(
    "--mark-missing",
    "marked",
    nargs=2,
    metavar="START END",
    help="Take the bars (of other kinds the stored rows) from START to before END as missing.",
)
@click.option(
    "--mark-absent",
    "absent",
    nargs=2,
    metavar="START END",
    help="Take the bars that are absent from START to before END as missing; stored ones stay.",
)
@command("data")
def quality(
    context: Context,
    venue: str,
    symbol: str,
    timeframe: str | None,
    start: str | None,
    end: str | None,
    kind: str,
    as_of: str | None,
    jump_z: float | None,
    zero_volume_run: int | None,
    stale_after: float | None,
    unit_change: float | None,
    rows: int,
    is_repair: bool,
    marked: tuple[str, str] | None,
    absent: tuple[str, str] | None,
) -> None:
    """Check a series: gaps, impossible and doubtful rows, a stale feed; and what would repair it.

    Changes nothing unless told to: --repair applies the plan that is printed (ask the exchange again where
    the room can, else mark absent bars as missing); --mark-missing and --mark-absent mark in a range of your
    own. The series is checked again afterwards; what was stored before stays readable with `data query
    --as-of`.

    \b
    Findings, gravest first:
      error    wrong, or rows are absent that the series needs
      warning  possible but doubtful: look at it
      info     worth knowing: marked rows, a changed funding interval

    Exit status: 0 without an error finding (warnings are no failure), 1 when one remains after what was done,
    2 wrong usage, 3 refused by the room.
    """
    check_timeframe(kind, timeframe)
    if as_of and (is_repair or marked or absent):
        raise click.UsageError("--as-of looks at the past, which cannot be repaired.")
    if is_repair + bool(marked) + bool(absent) > 1:
        raise click.UsageError("Give one of --repair, --mark-missing, --mark-absent.")
    asked: dict[str, Any] = {
        "start": parse_given_time(start, "--start"),
        "end": parse_given_time(end, "--end"),
        "as_of": parse_given_time(as_of, "--as-of"),
        "jump_z": jump_z,
        "zero_volume_run_bars": zero_volume_run,
        "stale_after": timedelta(hours=stale_after) if stale_after else None,
        "unit_change_factor": unit_change,
        "rows_max": rows,
    }
    actions: Sequence[pb.RepairAction] = ()
    if marked:
        actions = [mark_missing(*(parse_time(text, "--mark-missing") for text in marked))]
    if absent:
        actions = [mark_absent(*(parse_time(text, "--mark-absent") for text in absent))]
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        series = _Series(SERIES_KINDS[kind], venue, symbol, timeframe or "")
        same = _given(
            ("--start", start), ("--end", end), ("--jump-z", jump_z), ("--unit-change", unit_change)
        )
        checked = None
        if not actions:
            checked = client.check_quality(*series.words, **asked)
            actions = checked.plan if is_repair else ()
        repaired: list[pb.RepairOutcome] = []
        if actions:
            for action in actions:
                context.output.say(_action(action))
            for action in actions:
                repaired += client.repair_series(*series.words, actions=[action])
                _tell_repaired(context.output, repaired[-1])
            checked = client.check_quality(*series.words, **asked)
        assert checked is not None
    if context.output.is_json:
        context.output.document({"quality": checked, "repaired": repaired})
    else:
        _tell(context.output, checked)
        _tell_plan(context.output, checked, series.command, same)
    errors = [one.rule for one in checked.findings if one.severity == pb.SEVERITY_ERROR]
    if errors:
        raise CommandFailed(f"the series has errors: {', '.join(errors)}.")


@dataclass(frozen=True)
class _Series:
    """A series by the words that calls and commands name it with."""

    kind: str
    venue: str
    symbol: str
    timeframe: str

    @property
    def words(self) -> tuple[str, str, str, str]:
        return self.kind, self.venue, self.symbol, self.timeframe

    @property
    def command(self) -> list[str]:
        """The command that checks it."""
        kind = next(word for word, name in SERIES_KINDS.items() if name == self.kind)
        words = ["marketml", "data", "quality", "--venue", self.venue, "--symbol", self.symbol]
        return [*words, *(["--timeframe", self.timeframe] if self.timeframe else ["--kind", kind])]


def _given(*options: tuple[str, Any]) -> list[str]:
    """The words of the options that were given."""
    return [word for name, value in options if value is not None for word in (name, str(value))]


def _tell(output: Output, checked: pb.CheckQualityResponse) -> None:
    span = f", {cell(checked.first_time)} to {cell(checked.last_time)} UTC" if checked.row_count else ""
    output.show(f"{checked.row_count:,} rows{span}; content {checked.content_sha256[:16]}")
    if not checked.findings:
        output.show("Nothing is wrong or doubtful.")
        return
    listed: list[tuple[Any, ...]] = []
    for one in checked.findings:
        severity = enum_text(pb.Severity.DESCRIPTOR, one.severity)
        listed.append((severity, one.rule, one.count, one.places_count, one.description))
        listed += [("", "", None, None, f"  {_place(row)}") for row in one.rows]
        if one.places_count > len(one.rows):
            listed.append(("", "", None, None, f"  and {one.places_count - len(one.rows):,} more"))
    output.table(("severity", "rule", "rows", "places", "what"), listed)


def _place(row: pb.QualityRow) -> str:
    words = [time_text(row.time) if row.HasField("time") else "without a time"]
    if row.HasField("end_time") and row.rows_count > 1:
        words.append(f"to before {time_text(row.end_time)} ({row.rows_count:,})")
    return " ".join([*words, row.value]).rstrip()


def _tell_plan(output: Output, answer: pb.CheckQualityResponse, command: list[str], same: list[str]) -> None:
    """The plan, and the exact commands that apply it; `same` are the options that made it what it is."""
    plan = answer.plan
    if not plan:
        return
    output.show()
    output.show("What could be done about it; nothing was done:")
    for action in plan[:PLAN_LINES]:
        output.show(f"  {_action(action)}")
    if len(plan) > PLAN_LINES:
        output.show(f"  and {len(plan) - PLAN_LINES:,} more")
    output.show("To do all of it:")
    output.show(f"  {shlex.join([*command, *same, '--repair'])}")
    if plan[0].WhichOneof("action") != "refetch":
        output.show("To do the first alone:")
        option = f"--{plan[0].WhichOneof('action')}".replace("_", "-")
        output.show(f"  {shlex.join([*command, option, *map(time_text, _span(plan[0]))])}")
    elif gap := _first_gap(answer.findings):  # not what is asked for again: most rows of that may be good
        output.show("To take absent bars as missing instead, for example the first:")
        output.show(f"  {shlex.join([*command, '--mark-missing', *map(time_text, gap)])}")
        output.show("or all that stay absent, once the exchange was asked:")
        span = _span(plan[0])[0], _span(plan[-1])[1]
        output.show(f"  {shlex.join([*command, '--mark-absent', *map(time_text, span)])}")


def _first_gap(findings: Sequence[pb.QualityFinding]) -> tuple[Any, Any] | None:
    """Begin and end of the first listed gap of several bars."""
    places = [place for one in findings if one.rule == "gap" for place in one.rows]
    return next(((place.time, place.end_time) for place in places if place.HasField("end_time")), None)


def _action(action: pb.RepairAction) -> str:
    start, end = _span(action)
    does = _DOES[str(action.WhichOneof("action"))]
    rows = "row" if action.rows_count == 1 else "rows"
    why = f" ({action.rule}, {action.rows_count:,} {rows})" if action.rule else ""
    return f"{does} {time_text(start)} to before {time_text(end)}{why}"


def _span(action: pb.RepairAction) -> tuple[Timestamp, Timestamp]:
    span = getattr(action, str(action.WhichOneof("action")))
    return span.start_time, span.end_time


def _tell_repaired(output: Output, outcome: pb.RepairOutcome) -> None:
    counts = {
        "inserted": outcome.inserted,
        "revised": outcome.revised,
        "unchanged": outcome.unchanged,
        "marked as missing": outcome.marked_count,
        "absent at the exchange, too": outcome.still_missing_count,
    }
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    output.show(f"{_action(outcome.action)}: {told or 'nothing to change'}")
