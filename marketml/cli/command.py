"""What every command has: `--json`, the rooms' endpoints, and exit statuses.

0 done, 1 failed, 2 wrong usage, 3 refused by a server (with the field on stderr).
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from marketml.cli.output import Output
from marketml.cli.rooms import PORTS, RoomsFailed
from marketml.imports import ImportRefused
from marketml.rpc.channels import Tls
from marketml.rpc.refusals import (
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    Refusal,
    Unavailable,
)

FAILED, REFUSED = 1, 3
# The server did not decide against the request: it could not be asked, or broke.
FAILURES = (Unavailable, DeadlineExceeded, Cancelled, Internal, DataLoss)

F = TypeVar("F", bound=Callable[..., Any])


class CommandFailed(click.ClickException):
    """The command did not do what it was told; one sentence."""

    exit_code = FAILED


class ListsByDefault(click.Group):
    """A group whose name alone is its command `list`: `marketml data snapshots`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        names_none = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        return super().parse_args(ctx, ["list", *args] if names_none else args)


@dataclass(frozen=True)
class Context:
    """What a command gets beside its own arguments."""

    output: Output
    endpoints: dict[str, str]
    tls: Tls | None

    def endpoint(self, room: str) -> str:
        return self.endpoints[room]


def command(*rooms: str) -> Callable[[F], F]:
    """Give a function its `context`, the options of every command and of the rooms it calls, and its
    exit status."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, is_json: bool, **given: Any) -> Any:
            endpoints = {room: given.pop(f"{room}_endpoint") for room in rooms}
            with reported_errors(is_json):
                context = Context(Output(is_json), endpoints, _tls(given) if rooms else None)
                return function(context, *args, **given)

        decorated: Any = run
        for room in reversed(rooms):
            decorated = click.option(
                f"--{room}-endpoint",
                envvar=f"MARKETML_ENDPOINT_{room.upper()}",
                default=f"127.0.0.1:{PORTS[room]}",
                metavar="HOST:PORT",
                show_default=True,
                show_envvar=True,
                help=f"The {room} room.",
            )(decorated)
        if rooms:
            for name, meaning in _TLS_OPTIONS:
                decorated = click.option(
                    f"--tls-{name}",
                    envvar=f"MARKETML_TLS_{name.upper().replace('-', '_')}",
                    type=click.Path(path_type=Path, exists=True, dir_okay=False),
                    show_envvar=True,
                    help=meaning,
                )(decorated)
        decorated = click.option("--json", "is_json", is_flag=True, help="Answer in JSON.")(decorated)
        return cast(F, decorated)

    return decorate


_TLS_OPTIONS = (
    ("authority", "PEM: trust this authority; makes the connection TLS."),
    ("certificate", "PEM: our certificate, for mutual TLS."),
    ("key", "PEM: our key, for mutual TLS."),
)


def _tls(given: dict[str, Any]) -> Tls | None:
    authority, certificate, key = (given.pop(f"tls_{name}") for name in ("authority", "certificate", "key"))
    if authority is None and certificate is None and key is None:
        return None
    if (certificate is None) != (key is None):
        raise click.UsageError("--tls-certificate and --tls-key are given together.")
    return Tls(authority, certificate, key)


class reported_errors:  # noqa: N801  (used as a function)
    """Turns what a command raises into a sentence on stderr and its exit status."""

    def __init__(self, is_json: bool) -> None:
        self._is_json = is_json

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        match error:
            case Refusal():
                status = FAILED if isinstance(error, FAILURES) else REFUSED
                self._leave(status, _told(error), _violations(error), str(error.reason))
            case ImportRefused() | RoomsFailed():
                self._leave(FAILED, str(error), [], "")
            case CommandFailed():
                self._leave(FAILED, error.message, [], "")
            case BrokenPipeError():  # the reader of our output left, as `head` does
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(0)
            case KeyboardInterrupt():
                sys.exit(130)

    def _leave(self, status: int, message: str, violations: list[dict[str, str]], reason: str) -> None:
        if self._is_json:
            said = {"status": status, "reason": reason, "message": message, "violations": violations}
            print(json.dumps({"error": said}, ensure_ascii=False), file=sys.stderr)
        else:
            print(f"{'Refused' if status == REFUSED else 'Failed'}: {message}", file=sys.stderr)
            if len(violations) > 1:
                for violation in violations:
                    print(f"  {violation['field']}: {violation['description']}", file=sys.stderr)
        sys.exit(status)


def _told(refusal: Refusal) -> str:
    """What was refused; where nobody answered, what to do about it."""
    if isinstance(refusal, Unavailable) and refusal.message.startswith("failed to connect"):
        return f"{refusal.message}. Is the room running? `marketml up` starts all four."
    return refusal.message


def _violations(refusal: Refusal) -> list[dict[str, str]]:
    if not isinstance(refusal, InvalidArgument):
        return []
    return [
        {"field": one.field, "rule": one.rule, "description": one.description} for one in refusal.violations
    ]
