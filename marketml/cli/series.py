"""The options that name a series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from marketml.imports.series import TIMEFRAMES

F = TypeVar("F", bound=Callable[..., Any])


def series_options(*, is_required: bool = True, has_range: bool = True) -> Callable[[F], F]:
    """`--venue`, `--symbol`, `--timeframe`, and perhaps `--start` and `--end`."""

    def decorate(function: F) -> F:
        options = [
            click.option("--venue", required=is_required, help="Exchange, as binance."),
            click.option("--symbol", required=is_required, help="As BTC/USDT or BTC/USDT:USDT."),
            click.option("--timeframe", type=click.Choice(list(TIMEFRAMES)), help="Of candles, as 1h."),
        ]
        if has_range:
            options += [
                click.option("--start", metavar="TIME", help="First time inside, as 2024-01-31T08:00Z."),
                click.option("--end", metavar="TIME", help="First time after."),
            ]
        decorated: Any = function
        for option in reversed(options):
            decorated = option(decorated)
        return cast(F, decorated)

    return decorate
