"""Pages over what has a name, and the tokens that continue them."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Protocol, TypeVar

from marketml.rpc.refusals import InvalidArgument, OutOfRange

DEFAULT_SIZE, SIZE_MAX = 100, 1000
_TAG_BYTES = 8


class Named(Protocol):
    """What is listed."""

    @property
    def name(self) -> str: ...


_Listed = TypeVar("_Listed", bound=Named)


def page(listed: Sequence[_Listed], size: int, token: str) -> tuple[Sequence[_Listed], str]:
    """The next of a list and the token of the page after them, empty on the last.

    Raises
    ------
    InvalidArgument
        The size is out of range, or the token is none of this listing: another family's or version's.
    OutOfRange
        The token points past the end.
    """
    if not 0 <= size <= SIZE_MAX:
        raise InvalidArgument.of("page_size", "range", f"must be 0 to {SIZE_MAX}: {size}.")
    tag = hashlib.sha256("\n".join(entry.name for entry in listed).encode()).digest()[:_TAG_BYTES]
    start = _start(token, tag) if token else 0
    if start > len(listed):
        raise OutOfRange(f"page_token points past the {len(listed)} there are.")
    end = start + (size or DEFAULT_SIZE)
    following = base64.urlsafe_b64encode(tag + end.to_bytes(4, "big")).decode() if end < len(listed) else ""
    return listed[start:end], following


def _start(token: str, tag: bytes) -> int:
    try:
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _TAG_BYTES + 4 or raw[:_TAG_BYTES] != tag:
        raise InvalidArgument.of(
            "page_token", "page_token", f"must be the next_page_token of the same listing: {token!r:.60}."
        )
    return int.from_bytes(raw[_TAG_BYTES:], "big")
