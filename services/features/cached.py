"""What the cache is asked for and what it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

from services.features.source import SeriesKey


@dataclass(frozen=True)
class CacheLabel:
    """Whose features an entry holds, and the digest of the config that chose them."""

    key: SeriesKey
    config: str


@dataclass(frozen=True)
class CacheFilter:
    """Which entries: those that fit all that is given. An empty timeframe is every one."""

    venue: str | None = None
    symbol: str | None = None
    timeframe: str = ""
    config: str | None = None

    def holds(self, label: CacheLabel) -> bool:
        """Whether an entry is one of them."""
        return (
            (self.venue is None or (self.venue, self.symbol) == (label.key.venue, label.key.symbol))
            and self.timeframe in ("", label.key.timeframe)
            and self.config in (None, label.config)
        )


@dataclass(frozen=True)
class CacheUse:
    """What entries take: of one series, or of all that were asked for."""

    entry_count: int
    size_bytes: int


@dataclass(frozen=True)
class CacheStatus:
    """What the cache holds of what was asked for, and what it did since the room started."""

    use: CacheUse
    of_series: tuple[tuple[SeriesKey, CacheUse], ...]
    limit_bytes: int
    hit_count: int
    miss_count: int
    eviction_count: int
