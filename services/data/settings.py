"""Settings of the data room, read from `MARKETML_DATA_*`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from services.data.query.lags import OpenInterestLags
from services.data.series import venue_violations
from services.host.settings import ServerSettings, SettingsError

LAG_MS_MAX = 24 * 3600 * 1000
_MILLISECONDS = re.compile(r"[0-9]{1,8}")
RUNS_MAX = 100


@dataclass(frozen=True, kw_only=True)
class DataSettings(ServerSettings):
    """Where the rows lie, and what one call may take."""

    address: str = "127.0.0.1:50051"
    folder: Path = Path(".run/data")  # snapshots
    database_url: str = "sqlite:///.run/data/data.sqlite"

    import_folder: Path | None = None  # exchange dumps that callers may name; None reads no files
    exchange_urls: str = ""  # mirrors, as binance=https://mirror.example bybit=…; else the exchanges' own
    exchange_proxy: str | None = None  # of all requests to exchanges
    exchange_attempts_count: int = 6  # of a request, before its series fails
    exchange_request_seconds: float = 20.0  # for one answer
    exchange_backoff_seconds: float = 1.0  # before the second attempt; doubles from there
    exchange_wait_seconds: float = 120.0  # the longest wait that an exchange may ask for
    runs_policies: bool = True  # of collection; false leaves them to other processes on the same database
    collection_runs_count: int = 4  # at once by this process
    collection_lease_seconds: float = 60.0  # after its last sign of life a process's runs go to others
    open_interest_lag_ms: int = 0  # open interest is known this long after its observation
    open_interest_lags_ms: str = ""  # of single venues, as binance=300000 bybit=0; else the one above
    ingest_rows_count: int = 5_000_000  # of one call
    ingest_bytes: int = 1024**3  # of all calls under way
    query_rows_count: int = 10_000_000  # of one answer
    query_seconds: float = 600.0  # from a query's begin to its last row
    cache_bytes: int = 256 * 1024**2  # blocks kept in memory, in the form in which they are sent
    request_memory_seconds: float = 7 * 86_400.0  # how long a request_id is remembered
    sweep_grace_seconds: float = 3600.0  # how old a file without a snapshot must be to be removed

    def __post_init__(self) -> None:
        if not 0 <= self.open_interest_lag_ms <= LAG_MS_MAX:
            raise SettingsError(
                f"open_interest_lag_ms must be from 0 to {LAG_MS_MAX}: {self.open_interest_lag_ms}."
            )
        if not 1 <= self.collection_runs_count <= RUNS_MAX:
            raise SettingsError(
                f"collection_runs_count must be from 1 to {RUNS_MAX}: {self.collection_runs_count}."
            )
        if not 1 <= self.collection_lease_seconds <= 3600:
            raise SettingsError(
                f"collection_lease_seconds must be from 1 to 3600: {self.collection_lease_seconds:g}."
            )
        venue_lags_ms(self.open_interest_lags_ms)
        venue_urls(self.exchange_urls)
        if self.exchange_proxy is not None and not _is_address(self.exchange_proxy):
            raise SettingsError("exchange_proxy must be an address that begins with http:// or https://.")
        super().__post_init__()

    @property
    def open_interest_lags(self) -> OpenInterestLags:
        """Both settings on the lag of open interest."""
        named = venue_lags_ms(self.open_interest_lags_ms)
        return OpenInterestLags(
            self.open_interest_lag_ms * 1000, {venue: lag_ms * 1000 for venue, lag_ms in named.items()}
        )


def venue_lags_ms(text: str) -> dict[str, int]:
    """The lags of open interest by venue.

    Raises
    ------
    SettingsError
        The text is not `venue=milliseconds` with spaces between, each venue once.
    """
    found: dict[str, int] = {}
    for word in text.split():
        venue, _, lag = word.partition("=")
        is_lag = _MILLISECONDS.fullmatch(lag) and int(lag) <= LAG_MS_MAX
        if not is_lag or venue_violations(venue, "") or venue in found:
            raise SettingsError(
                "open_interest_lags_ms must be venue=milliseconds with spaces between, each venue once, the "
                f"milliseconds from 0 to {LAG_MS_MAX}, not {word[:80]!r}."
            )
        found[venue] = int(lag)
    return found


def venue_urls(text: str) -> dict[str, str]:
    """The mirrors by venue.

    Raises
    ------
    SettingsError
        The text is not `venue=address` with spaces between.
    """
    found = dict(word.partition("=")[::2] for word in text.split())
    if not all(venue and _is_address(url) for venue, url in found.items()):
        raise SettingsError(
            "exchange_urls must be venue=address with spaces between, an address begins with http:// or https://."
        )
    return found


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
