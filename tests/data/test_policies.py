"""Collection policies: one a series, changed only as they were read, listed, shown beside their series."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketml.data.v1 import data_pb2 as pb
from marketml.rpc import refusals
from services.data.collection.policies import INTERVAL_US_MAX, INTERVAL_US_MIN, RETRY_US_MIN, next_run_us
from tests.data.market import HOUR, KEY, START, SYMBOL, VENUE, candles, funding

SERIES = ("candles", VENUE, SYMBOL, "1h")
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def made(room, *series, **given):
    """A paused policy: no run of it changes what a test looks at."""
    return room.client.create_collection_policy(
        *(series or SERIES), **({"interval": MINUTE, "paused": True} | given)
    )


def test_a_policy_reads_as_it_was_made(room):
    policy = made(room, interval=timedelta(hours=6), start=START)
    assert room.client.get_collection_policy(policy.policy_id) == policy
    assert policy.series == pb.CollectionTarget(kind=pb.SERIES_KIND_CANDLES, key=KEY)
    assert policy.interval.ToTimedelta() == timedelta(hours=6)
    assert policy.start_time.ToDatetime() == START.tz_localize(None)
    assert policy.paused
    assert policy.create_time == policy.update_time
    assert policy.status.next_run_time == policy.create_time
    assert not policy.status.HasField("last_run_time")
    assert not policy.status.HasField("lag")


def test_a_series_has_one_policy_and_a_second_is_told_which(room):
    policy = made(room)
    with pytest.raises(refusals.AlreadyExists, match=policy.policy_id) as refused:
        made(room, interval=DAY)
    assert (refused.value.kind, refused.value.name) == ("collection policy", policy.policy_id)
    assert room.client.list_collection_policies() == [policy]
    made(room, "candles", VENUE, SYMBOL, "1m")
    made(room, "funding_rates", VENUE, SYMBOL)
    assert len(room.client.list_collection_policies()) == 3


def test_of_many_at_once_one_is_made(room):
    def make(_number: int) -> str:
        try:
            return made(room).policy_id
        except refusals.AlreadyExists as refused:
            return refused.name

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, range(16)))) == 1
    assert len(room.client.list_collection_policies()) == 1


def test_a_repeated_request_has_its_first_answer_and_no_second_effect(room):
    policy = made(room, request_id="make-1")
    assert made(room, request_id="make-1") == policy
    with pytest.raises(refusals.AlreadyExists):
        made(room, interval=DAY, request_id="make-1")

    changed = room.client.update_collection_policy(policy.policy_id, interval=DAY, request_id="change-1")
    again = room.client.update_collection_policy(policy.policy_id, interval=DAY, request_id="change-1")
    assert again == changed == room.client.get_collection_policy(policy.policy_id)

    for _ in range(2):
        room.client.delete_collection_policy(policy.policy_id, request_id="delete-1")
    with pytest.raises(refusals.NotFound):
        room.client.delete_collection_policy(policy.policy_id)


def test_a_change_takes_what_the_mask_names_and_nothing_else(room):
    policy = made(room)
    changed = room.stub.UpdateCollectionPolicy(
        pb.UpdateCollectionPolicyRequest(
            policy=pb.CollectionPolicy(policy_id=policy.policy_id, interval=DAY, paused=False),
            update_mask={"paths": ["interval"]},
        )
    ).policy
    assert changed.interval.ToTimedelta() == DAY
    assert changed.paused
    assert changed.series == policy.series
    assert changed.etag != policy.etag
    assert changed.update_time.ToNanoseconds() > policy.update_time.ToNanoseconds()
    assert room.client.get_collection_policy(policy.policy_id) == changed


def test_a_change_of_what_was_changed_since_is_aborted(room):
    policy = made(room)
    changed = room.client.update_collection_policy(policy.policy_id, interval=DAY, etag=policy.etag)
    with pytest.raises(refusals.Aborted):
        room.client.update_collection_policy(policy.policy_id, interval=MINUTE, etag=policy.etag)
    assert room.client.get_collection_policy(policy.policy_id) == changed
    room.client.update_collection_policy(policy.policy_id, interval=MINUTE)


def test_of_changes_at_once_with_one_etag_one_wins(room):
    policy = made(room)

    def change(number: int) -> bool:
        try:
            room.client.update_collection_policy(
                policy.policy_id, interval=timedelta(minutes=number + 1), etag=policy.etag
            )
        except refusals.Aborted:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(change, range(16))) == 1


def test_pages_hold_every_policy_once_in_the_order_of_series(room):
    for symbol in ("ETH/USDT", "BTC/USDT", "ADA/USDT:USDT"):
        for timeframe in ("1m", "1h"):
            made(room, "candles", VENUE, symbol, timeframe)
        made(room, "open_interest", VENUE, symbol)
    whole = room.client.list_collection_policies()
    keys = [(one.series.key.symbol, one.series.kind, one.series.key.timeframe) for one in whole]
    assert keys == sorted(keys)
    assert len(keys) == 9
    for page_size in (1, 4, 9):
        assert room.client.list_collection_policies(page_size=page_size) == whole


def test_what_does_not_exist_is_not_found(room):
    nobody = "0" * 32
    for call in (
        lambda: room.client.get_collection_policy(nobody),
        lambda: room.client.update_collection_policy(nobody, paused=True),
        lambda: room.client.delete_collection_policy(nobody),
    ):
        with pytest.raises(refusals.NotFound) as refused:
            call()
        assert (refused.value.kind, refused.value.name) == ("collection policy", nobody)


def test_series_show_how_their_collection_fares_and_how_old_their_newest_row_is(room):
    now = pd.Timestamp.now("UTC")
    last_open = now.floor("h") - HOUR
    room.client.ingest_candles(candles(3, last_open - 2 * HOUR), VENUE, SYMBOL, "1h")
    room.client.ingest_candles(candles(3, step=24 * HOUR), VENUE, SYMBOL, "1d")
    room.client.ingest_funding_rates(funding(2), VENUE, SYMBOL)
    bars, rates = made(room), made(room, "funding_rates", VENUE, SYMBOL)
    made(room, "candles", VENUE, "ETH/USDT", "1h")

    found = {(one.kind, one.key.timeframe): one for one in room.client.list_series()}
    assert set(found) == {(1, "1h"), (1, "1d"), (2, "")}
    assert not found[(1, "1d")].HasField("collection")
    assert found[(2, "")].collection.next_run_time == rates.status.next_run_time
    status = found[(1, "1h")].collection
    assert status.next_run_time == bars.status.next_run_time
    since_close = pd.Timestamp.now("UTC") - (last_open + HOUR)
    assert now - (last_open + HOUR) <= status.lag.ToTimedelta() <= since_close
    by_page = room.client.list_series(page_size=1)
    assert [one.HasField("collection") for one in by_page] == [False, True, True]
    alone = room.client.get_collection_policy(bars.policy_id)
    assert alone.status.lag.ToTimedelta() >= status.lag.ToTimedelta()


def test_deleting_a_series_leaves_its_policy_and_deleting_the_policy_its_rows(room):
    room.client.ingest_candles(candles(3), VENUE, SYMBOL, "1h")
    policy = made(room)
    room.client.delete_series(*SERIES)
    assert not room.client.get_collection_policy(policy.policy_id).status.HasField("lag")
    room.client.ingest_candles(candles(3), VENUE, SYMBOL, "1h")
    room.client.delete_collection_policy(policy.policy_id)
    [series] = room.client.list_series()
    assert series.row_count == 3
    assert not series.HasField("collection")


def _create(request_id="", **given):
    fields = {"series": pb.CollectionTarget(kind=1, key=KEY), "interval": MINUTE} | given
    return pb.CreateCollectionPolicyRequest(policy=pb.CollectionPolicy(**fields), request_id=request_id)


def _update(*paths, policy_id="0" * 32, **given):
    policy = pb.CollectionPolicy(policy_id=policy_id)
    return pb.UpdateCollectionPolicyRequest(policy=policy, update_mask={"paths": paths}, **given)


@given(
    due_us=st.integers(0, 10**16),
    interval_us=st.integers(INTERVAL_US_MIN, INTERVAL_US_MAX),
    late_us=st.integers(0, 10**14),
    failed=st.integers(0, 1000),
)
def test_the_next_run_is_to_come_within_an_interval_and_keeps_the_pace(due_us, interval_us, late_us, failed):
    now_us = due_us + late_us
    next_us = next_run_us(due_us, interval_us, failed, now_us)
    assert now_us < next_us <= now_us + interval_us
    if not failed:
        assert (next_us - due_us) % interval_us == 0


def test_failed_runs_are_repeated_soon_and_then_ever_later():
    day_us = 86_400 * 10**6
    waits = [next_run_us(0, day_us, failed, 0) for failed in range(1, 30)]
    assert waits[:3] == [RETRY_US_MIN, 2 * RETRY_US_MIN, 4 * RETRY_US_MIN]
    assert waits == sorted(waits)
    assert waits[-1] == day_us


INVALID = [
    ("CreateCollectionPolicy", _create(start_time={"seconds": -1}), "policy.start_time", "range"),
    (
        "CreateCollectionPolicy",
        _create(series={"kind": 1, "key": {"venue": "binanse", "symbol": SYMBOL, "timeframe": "1h"}}),
        "policy.series.key.venue",
        "unknown",
    ),
    (
        "CreateCollectionPolicy",
        _create(series={"kind": 2, "key": {"venue": "coinbase", "symbol": SYMBOL}}),
        "policy.series.kind",
        "not_offered",
    ),
    ("CreateCollectionPolicy", _create(interval=None), "policy.interval", "required"),
    *[
        ("CreateCollectionPolicy", _create(interval=interval), "policy.interval", "range")
        for interval in (
            {"seconds": 9, "nanos": 999_999_999},
            {"seconds": 31 * 86_400, "nanos": 1000},
            {"seconds": -60},
            {"seconds": 60, "nanos": -1},
            {"seconds": 2**62},
            {"seconds": 60, "nanos": 2**31 - 1},
        )
    ],
    ("CreateCollectionPolicy", _create(policy_id="0" * 32), "policy.policy_id", "empty"),
    ("CreateCollectionPolicy", _create(etag="x"), "policy.etag", "empty"),
    ("CreateCollectionPolicy", _create(status={}), "policy.status", "empty"),
    ("CreateCollectionPolicy", _create(series=None), "policy.series.kind", "required"),
    (
        "CreateCollectionPolicy",
        _create(series={"kind": 2, "key": KEY}),
        "policy.series.key.timeframe",
        "empty",
    ),
    ("CreateCollectionPolicy", _create(series={"kind": 1}), "policy.series.key.venue", "required"),
    (
        "CreateCollectionPolicy",
        _create(start_time={"seconds": 2**62}),
        "policy.start_time",
        "timestamp",
    ),
    ("UpdateCollectionPolicy", _update(), "update_mask.paths", "required"),
    ("UpdateCollectionPolicy", _update("interval"), "policy.interval", "required"),
    ("UpdateCollectionPolicy", _update("paused", "start_time"), "update_mask.paths[1]", "unknown"),
    ("UpdateCollectionPolicy", _update("policy.paused"), "update_mask.paths[0]", "unknown"),
    ("UpdateCollectionPolicy", _update("paused", etag="'; --"), "etag", "etag"),
    ("UpdateCollectionPolicy", _update("paused", policy_id="x"), "policy.policy_id", "policy_id"),
    ("UpdateCollectionPolicy", _update("paused", policy_id=""), "policy.policy_id", "required"),
    ("CreateCollectionPolicy", _create(start_time={"seconds": 10**11}), "policy.start_time", "future"),
    ("CreateCollectionPolicy", _create(request_id="a b"), "request_id", "request_id"),
    ("UpdateCollectionPolicy", _update("paused", request_id="é"), "request_id", "request_id"),
    ("GetCollectionPolicy", pb.GetCollectionPolicyRequest(), "policy_id", "required"),
    ("GetCollectionPolicy", pb.GetCollectionPolicyRequest(policy_id="A" * 32), "policy_id", "policy_id"),
    ("DeleteCollectionPolicy", pb.DeleteCollectionPolicyRequest(), "policy_id", "required"),
    (
        "DeleteCollectionPolicy",
        pb.DeleteCollectionPolicyRequest(policy_id="../x"),
        "policy_id",
        "policy_id",
    ),
    (
        "DeleteCollectionPolicy",
        pb.DeleteCollectionPolicyRequest(policy_id="0" * 32, request_id="x" * 129),
        "request_id",
        "request_id",
    ),
    ("ListCollectionPolicies", pb.ListCollectionPoliciesRequest(page_size=-1), "page_size", "range"),
    ("ListCollectionPolicies", pb.ListCollectionPoliciesRequest(page_size=1001), "page_size", "range"),
    ("ListCollectionPolicies", pb.ListCollectionPoliciesRequest(page_token="x"), "page_token", "token"),
]


def test_a_bad_field_is_named_with_its_path_and_rule(room):
    made(room)
    before = room.contents()
    for name, request, field, rule in INVALID:
        with pytest.raises(refusals.InvalidArgument) as refused:
            getattr(room.stub, name)(request)
        found = [(one.field, one.rule) for one in refused.value.violations]
        assert (field, rule) in found, (name, request, found)
        assert all(one.description.endswith(".") for one in refused.value.violations)
    assert room.contents() == before
