"""Currencies that are known by their code, and pairs of them as they are spelled in one word or two."""

from __future__ import annotations

import re
from dataclasses import dataclass

DOLLARS = frozenset(
    ("USDT", "USDC", "USD", "BUSD", "FDUSD", "TUSD", "USDE", "USD1", "DAI", "PYUSD", "USDD", "USDP", "USDS")
)
_FIAT_LISTED = """
USD EUR GBP JPY KRW TRY BRL AUD CAD CHF INR MXN ZAR UAH RUB PLN IDR ARS NGN AED SGD HKD NZD CZK SEK NOK DKK
CNY THB PHP VND COP
"""
FIAT = frozenset(_FIAT_LISTED.split())
_LISTED = """
1INCH AAVE ACE ACH ACT ADA AERO AEVO AGIX AGLD AIXBT ALGO ALICE ALPHA ALT ANKR APE API3 APT AR ARB ARKM ASTR
ATOM AUDIO AVAX AXS BABYDOGE BAL BANANA BAND BAT BCH BERA BGB BIGTIME BIO BLUR BNB BOME BONK BRETT BSV BTC
BTT CAKE CELO CETUS CFX CHEEMS CHR CHZ CKB COMP COTI COW CRO CRV CVC CVX CYBER DASH DEXE DOGE DOGS DOT DUSK
DYDX DYM EGLD EIGEN ENA ENJ ENS EOS ETC ETH ETHFI ETHW FARTCOIN FET FIL FLOKI FLOW FTM FTT FXS GALA GAS GLM
GMT GMX GOAT GRT GT HBAR HMSTR HNT HOT HT HYPE ICP ICX ILV IMX INJ IOST IOTA IOTX JASMY JST JTO JUP KAIA
KAITO KAS KAVA KCS KLAY KNC KSM LDO LEO LINK LISTA LPT LQTY LRC LTC LUNA LUNC MAGIC MANA MANTA MASK MATIC
MEME MEW METIS MINA MKR MNT MOG MOODENG MORPHO MOVE NEAR NEIRO NEO NOT OCEAN OKB OM OMG ONDO ONE ONT OP ORCA
ORDI PAXG PENDLE PENGU PEOPLE PEPE PIXEL PNUT POL POPCAT PORTAL PUMP PYTH QNT QTUM RATS RENDER REP RNDR ROSE
RPL RSR RUNE RVN SAND SATS SEI SHIB SKL SNX SOL SSV STETH STORJ STRK STX SUI SUSHI SXP SYRUP TAO THETA TIA
TON TRB TRUMP TRX TURBO TWT UMA UNI USUAL VANA VET VIRTUAL W WAVES WBTC WIF WLD WLFI WOO XAI XAU XAUT XEC
XEM XLM XMR XRP XTZ YFI YGG ZEC ZEN ZETA ZIL ZK ZRO ZRX
"""
BASES = frozenset(_LISTED.split()) | DOLLARS | FIAT
QUOTES = DOLLARS | FIAT | {"BTC", "ETH", "BNB"}
_ALIASES = {"XBT": "BTC", "XDG": "DOGE"}
# A lot of a small coin is listed as a coin of its own: 1000PEPE, 1MBABYDOGE, SHIB1000, kPEPE.
_MULTIPLIED = re.compile(r"(?:10{1,6}|1M|1K|K)(?P<before>[A-Z]\w{1,15})|(?P<after>[A-Z]{2,15}?)10{1,6}")
_WORD = re.compile(r"[A-Z0-9]{1,20}")
_MONEY, _OTHERS = 0, 9
_RANKS = {"BTC": 1, "ETH": 2, "BNB": 3}


@dataclass(frozen=True)
class Currencies:
    """What may be bought, and what it may be quoted in."""

    bases: frozenset[str] = BASES
    quotes: frozenset[str] = QUOTES


def plain(word: str) -> str:
    """A currency by its usual code."""
    return _ALIASES.get(word, word)


def is_known(word: str, bases: frozenset[str]) -> bool:
    """Whether a word is a currency, or a lot of one."""
    if plain(word) in bases:
        return True
    lot = _MULTIPLIED.fullmatch(word)
    return lot is not None and (lot["before"] or lot["after"]) in bases


def is_money(word: str) -> bool:
    """Whether a currency is a state's, or a dollar on a chain."""
    return word in DOLLARS or word in FIAT


def is_reversed(base: str, quote: str) -> bool:
    """Whether the pair is the other way round than markets quote: `USDT/BTC`, `BTC/ETH`."""
    return _rank(base) < _rank(quote)


def split_pair(text: str, known: Currencies) -> tuple[str, str] | None:
    """Base and quote: split at the one separator, else where both halves are known and in one way only."""
    halves = re.split(r"[-_/ ]", text)
    if len(halves) == 2:
        base, quote = map(plain, halves)
        is_pair = all(map(_WORD.fullmatch, halves)) and base != quote and quote in known.quotes | known.bases
        return (base, quote) if is_pair else None
    if len(halves) > 2 or plain(text) in known.bases:
        return None
    splits = {
        (plain(head), quote)
        for quote in known.quotes
        if (head := text.removesuffix(quote)) != text and _is_pair(plain(head), quote, known.bases)
    }
    return splits.pop() if len(splits) == 1 else None


def _is_pair(base: str, quote: str, bases: frozenset[str]) -> bool:
    is_nothing = base == quote or (base == "USD" and quote in DOLLARS)
    return not is_nothing and is_known(base, bases) and not is_reversed(base, quote)


def _rank(currency: str) -> int:
    return _MONEY if is_money(currency) else _RANKS.get(currency, _OTHERS)
