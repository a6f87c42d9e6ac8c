"""`marketml data policies`: what the data room collects by itself."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import click

from marketml.cli.command import Context, ListsByDefault, command
from marketml.cli.documents import parse_given_time
from marketml.cli.output import cell
from marketml.cli.series import KINDS, SERIES_KINDS, check_timeframe, kind_text, series_options
from marketml.clients.data import DataClient
from marketml.data.v1 import data_pb2 as pb

_INTERVAL = re.compile(r"([0-9]+)\s*([smhd])")
_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}


@click.group("policies", cls=ListsByDefault)
def policies() -> None:
    """List, make and change collection policies; alone it lists them.

    A policy has the data room collect one series by itself, again and again: candles, funding rates or open
    interest of an exchange. `marketml data list` shows how far behind each series is.
    """


@policies.command("list")
@command("data")
def list_policies(context: Context) -> None:
    """List policies: how their last runs went, and how old the newest row of each is."""
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        found = client.list_collection_policies()
    if context.output.is_json:
        for policy in found:
            context.output.line(policy)
        return
    context.output.table(
        ("policy", "venue", "symbol", "kind", "timeframe", "every", "state", "last run", "lag", "error"),
        [
            (
                one.policy_id,
                one.series.key.venue,
                one.series.key.symbol,
                kind_text(one.series.kind),
                one.series.key.timeframe,
                _interval_text(one),
                _state(one),
                one.status.last_run_time,
                lag(one.status),
                one.status.error,
            )
            for one in found
        ],
    )


@policies.command("create")
@series_options(has_range=False)
@click.option("--kind", type=click.Choice(KINDS), default="candles", show_default=True)
@click.option("--every", required=True, metavar="INTERVAL", help="Between two runs, as 30s, 5m, 1h or 1d.")
@click.option(
    "--start",
    metavar="TIME",
    help="Where a series without rows begins; default the oldest row that the exchange gives.",
)
@click.option("--paused", "is_paused", is_flag=True, help="Make it, and run it once it is resumed.")
@command("data")
def create_policy(
    context: Context,
    venue: str,
    symbol: str,
    timeframe: str | None,
    kind: str,
    every: str,
    start: str | None,
    is_paused: bool,
) -> None:
    """Have a series collected by the room, from now on. A series has one policy."""
    check_timeframe(kind, timeframe)
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        made = client.create_collection_policy(
            SERIES_KINDS[kind],
            venue,
            symbol,
            timeframe or "",
            interval=_interval(every),
            start=parse_given_time(start, "--start"),
            paused=is_paused,
        )
    _tell(context, made)


@policies.command("show")
@click.argument("policy_id", metavar="POLICY")
@command("data")
def show_policy(context: Context, policy_id: str) -> None:
    """Show a policy and how its last run went."""
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        _tell(context, client.get_collection_policy(policy_id))


@policies.command("pause")
@click.argument("policy_id", metavar="POLICY")
@command("data")
def pause_policy(context: Context, policy_id: str) -> None:
    """Run a policy no more until it is resumed; a run under way stops after its page."""
    _change(context, policy_id, paused=True)


@policies.command("resume")
@click.argument("policy_id", metavar="POLICY")
@command("data")
def resume_policy(context: Context, policy_id: str) -> None:
    """Run a paused policy again; what it missed is collected by its next run."""
    _change(context, policy_id, paused=False)


@policies.command("set-interval")
@click.argument("policy_id", metavar="POLICY")
@click.argument("every", metavar="INTERVAL")
@command("data")
def set_interval(context: Context, policy_id: str, every: str) -> None:
    """Change the time between two runs, as 30s, 5m, 1h or 1d."""
    _change(context, policy_id, interval=_interval(every))


@policies.command("delete")
@click.argument("policy_id", metavar="POLICY")
@command("data")
def delete_policy(context: Context, policy_id: str) -> None:
    """Delete a policy; the rows it collected stay."""
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        client.delete_collection_policy(policy_id)
    if context.output.is_json:
        context.output.document({"deleted": policy_id})
    else:
        context.output.show(f"{policy_id} deleted; its rows stay.")


def lag(status: pb.CollectionStatus) -> Any:
    """How old the newest row is, None without one."""
    return status.lag if status.HasField("lag") else None


def _change(context: Context, policy_id: str, **given: Any) -> None:
    with DataClient(context.endpoint("data"), tls=context.tls) as client:
        _tell(context, client.update_collection_policy(policy_id, **given))


def _tell(context: Context, policy: pb.CollectionPolicy) -> None:
    if context.output.is_json:
        context.output.document(policy)
        return
    key, status = policy.series.key, policy.status
    name = " ".join(
        word for word in (key.venue, key.symbol, key.timeframe, kind_text(policy.series.kind)) if word
    )
    context.output.show(f"{policy.policy_id}: {name} every {_interval_text(policy)}, {_state(policy)}")
    if not policy.paused and not status.is_running:
        context.output.show(f"  next run {cell(status.next_run_time)} UTC")
    if status.HasField("last_run_time"):
        context.output.show(f"  last run {cell(status.last_run_time)} UTC: {status.inserted:,} new rows")
    if status.HasField("lag"):
        context.output.show(f"  newest row known since {cell(status.lag)}")
    if status.error:
        context.output.show(f"  failed {status.failed_runs_count} times in a row: {status.error}")


def _state(policy: pb.CollectionPolicy) -> str:
    if policy.paused:
        return "paused"
    if policy.status.is_running:
        return "running"
    return "failing" if policy.status.error else "waiting"


def _interval(text: str) -> timedelta:
    found = _INTERVAL.fullmatch(text.strip())
    if found is None or len(found[1]) > 8:
        raise click.UsageError(f"An interval is a number and s, m, h or d, as 30s, 5m, 1h or 1d: {text!r}.")
    return int(found[1]) * _UNITS[found[2]]


def _interval_text(policy: pb.CollectionPolicy) -> str:
    interval = policy.interval.ToTimedelta()
    for letter, unit in _UNITS.items():
        if not interval % unit:
            return f"{interval // unit}{letter}"
    return cell(policy.interval)
