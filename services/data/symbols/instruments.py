"""An instrument by its unified symbol, and a text that is to be read as one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.data.symbols.currencies import Currencies
from services.data.symbols.expiries import from_digits

_STABLE_ENDS = ("USDT", "USDC", "FDUSD")
_STABLE_BASE = re.compile(r"(?!.*USD[TC]?$)[A-Z0-9]{2,20}")


@dataclass(frozen=True)
class Symbol:
    """A unified symbol and how it was recognised, for people."""

    base: str
    quote: str
    settle: str
    expiry: str
    recognised_as: str

    @property
    def text(self) -> str:
        settled = f":{self.settle}" if self.settle else ""
        return f"{self.base}/{self.quote}{settled}" + (f"-{self.expiry}" if self.expiry else "")


class Unclear(ValueError):
    """The spelling is understood, and names no one instrument."""


@dataclass(frozen=True)
class Spelling:
    """A text to be read: in capitals, and as it was given; and the currencies that are known."""

    text: str
    as_given: str
    known: Currencies


def settles_in(base: str, quote: str) -> str:
    """What a contract pays in: its base when it is quoted in plain dollars (inverse), else its quote."""
    return base if quote == "USD" else quote


def stable_end(text: str) -> tuple[str, str] | None:
    """Base and quote of a word that ends with a stablecoin, the base listed here or not."""
    ends = [(text.removesuffix(quote), quote) for quote in _STABLE_ENDS if text.endswith(quote)]
    return next((end for end in ends if _STABLE_BASE.fullmatch(end[0])), None)


def expiry_of(digits: str | None) -> str:
    """YYMMDD of YYMMDD or YYYYMMDD; empty without.

    Raises
    ------
    Unclear
        It is no day.
    """
    if not digits:
        return ""
    expiry = from_digits(digits)
    if expiry is None:
        raise Unclear(f"has {digits}, which is no day YYMMDD")
    return expiry


def separator(text: str) -> str:
    """What stands between base and quote; empty when nothing does."""
    return next((sign for sign in "-_/ " if sign in text), "")
