"""Request ids: whose is kept, whose is replaced."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketml.rpc import correlation


@given(st.from_regex(r"[A-Za-z0-9._:-]{1,64}", fullmatch=True))
def test_a_well_formed_id_is_kept(request_id: str) -> None:
    assert correlation.accepted(request_id) == request_id


@pytest.mark.parametrize("sent", [None, "", "x" * 65, "a b", "ü", "a\n", b"bytes", "a/b", "{}"])
def test_anything_else_is_replaced_by_a_fresh_id(sent: str | bytes | None) -> None:
    made = correlation.accepted(sent)
    assert made != sent
    assert made != correlation.accepted(sent)
    assert correlation.accepted(made) == made


def test_remaining_seconds_never_fall_below_zero() -> None:
    assert correlation.Correlation("x").remaining_seconds() is None
    assert correlation.Correlation("x", deadline=0.0).remaining_seconds() == 0.0
    left = correlation.Correlation("x", deadline=time.monotonic() + 100).remaining_seconds()
    assert left is not None
    assert 0 < left <= 100
