"""How long a request may work."""

from __future__ import annotations

from collections.abc import Callable

from marketml.rpc.refusals import ResourceExhausted
from services.features.config import Limits


def watched(limits: Limits, check: Callable[[], None], now: Callable[[], float]) -> Callable[[], None]:
    """What looks whether work that begins now shall go on; it is called between pieces of it.

    Parameters
    ----------
    check
        Raises when nobody waits any more.
    now
        A clock in seconds that never falls.
    """
    ends_at = now() + limits.timeout_seconds

    def look() -> None:
        check()
        if now() > ends_at:
            raise ResourceExhausted(
                "config.limits.timeout_seconds",
                f"The work took longer than config.limits.timeout_seconds of {limits.timeout_seconds:g}.",
            )

    return look
