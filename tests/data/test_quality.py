"""CheckQuality and RepairSeries over gRPC, on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from marketml.clients.data_quality import mark_absent, mark_missing, refetch
from marketml.data.v1 import data_pb2 as pb
from marketml.rpc.refusals import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from tests.data.market import (
    HOUR,
    START,
    SYMBOL,
    TIMEFRAME,
    candle_rows,
    candles,
    data_room,
    funding,
    header,
    open_interest,
    same,
)
from tests.support.exchange_server import ExchangeServer

VENUE = "nowhere"  # no exchange that could be asked
SERIES = (VENUE, SYMBOL, TIMEFRAME)
CANDLES = ("candles", *SERIES)
MICROSECOND = pd.Timedelta("1us")


def found(checked: pb.CheckQualityResponse) -> dict[str, tuple[int, int]]:
    return {one.rule: (one.count, one.places_count) for one in checked.findings}


def times(rows: object) -> list[pd.Timestamp]:
    return [pd.Timestamp(row.time.ToDatetime(), tz="UTC") for row in rows]


def some(count: int, **more: object) -> pd.DataFrame:
    """Candles of a quiet random walk."""
    close = 100 * np.exp(np.random.default_rng(0).normal(0, 1e-3, count).cumsum())
    frame = candles(count, **more)
    frame["open"], frame["close"] = np.append(100.0, close[:-1]), close
    frame["high"] = frame[["open", "close"]].max(axis=1) * 1.0001
    frame["low"] = frame[["open", "close"]].min(axis=1) * 0.9999
    return frame


def test_a_whole_series_has_no_findings_and_says_what_it_holds(room):
    frame = some(12_000)
    room.clock.now = frame.index[-1] + HOUR
    room.client.ingest_candles(frame, *SERIES)
    checked = room.client.check_quality(*CANDLES)
    assert not checked.findings
    assert not checked.plan
    assert checked.row_count == 12_000
    assert (times([pb.QualityRow(time=checked.first_time)]), checked.spacing.seconds) == ([START], 3600)
    assert len(checked.content_sha256) == 64


def test_the_digest_of_a_series_is_the_same_in_any_order_of_any_calls(room):
    frame = some(10_000)
    room.client.ingest_candles(frame, *SERIES)
    random = np.random.default_rng(1)
    shuffled = frame.iloc[random.permutation(len(frame))]
    for start in range(0, len(frame), 1_700):
        room.client.ingest_candles(shuffled.iloc[start : start + 1_700], "elsewhere", SYMBOL, TIMEFRAME)
    one = room.client.check_quality(*CANDLES).content_sha256
    assert room.client.check_quality("candles", "elsewhere", SYMBOL, TIMEFRAME).content_sha256 == one
    # Rows before they are ingested have the digest that they will have.
    given = room.client.check_quality("candles", timeframe="1h", frame=shuffled)
    assert given.content_sha256 == one


def test_a_gap_is_found_planned_for_and_marked_as_missing_on_request_alone(room):
    whole = some(10_000)
    frame = whole.drop(whole.index[5_000:5_004])
    room.client.ingest_candles(frame, *SERIES)
    checked = room.client.check_quality(*CANDLES)
    assert found(checked)["gap"] == (4, 1)
    [action] = checked.plan
    assert (action.WhichOneof("action"), action.rule, action.rows_count) == ("mark_missing", "gap", 4)
    assert found(room.client.check_quality(*CANDLES)) == found(checked)  # nothing was repaired by itself

    [outcome] = room.client.repair_series(*CANDLES, actions=checked.plan)
    assert outcome.marked_count == 4
    again = room.client.check_quality(*CANDLES)
    assert "gap" not in found(again)
    assert found(again)["marked_missing"] == (4, 1)
    assert not again.plan
    assert again.content_sha256 == checked.content_sha256
    same(room.client.query_candles(*SERIES), frame)
    [series] = room.client.list_series()
    assert (series.row_count, series.missing_bars_count, series.marked_missing_count) == (9_996, 4, 4)

    # What comes after all is there again.
    report = room.client.ingest_candles(whole.iloc[4_990:5_010], *SERIES, on_conflict="keep")
    assert (report.inserted, report.revised, report.unchanged) == (0, 4, 16)
    same(room.client.query_candles(*SERIES), whole)
    [series] = room.client.list_series()
    assert (series.row_count, series.missing_bars_count, series.marked_missing_count) == (10_000, 0, 0)


def test_a_marked_row_is_left_out_of_every_answer_and_readable_as_of_before(room):
    frame = some(100)
    room.client.ingest_candles(frame, *SERIES, capture_time=frame.index[-1] + HOUR)
    room.client.ingest_funding_rates(funding(8), VENUE, SYMBOL, capture_time=START + 90 * HOUR)
    room.client.ingest_open_interest(open_interest(90), VENUE, SYMBOL, capture_time=START + 90 * HOUR)
    snapshot = room.client.create_snapshot(*SERIES)
    before = pd.Timestamp.now(tz="UTC")
    bars = [frame.index[0], frame.index[50], frame.index[99]]
    room.client.repair_series(*CANDLES, actions=[mark_missing(bar, bar + HOUR) for bar in bars])
    rest = frame.drop(bars)
    same(room.client.query_candles(*SERIES), rest)
    same(room.client.query_candles(*SERIES, limit=2), rest.iloc[:2])
    same(room.client.query_candles(*SERIES, limit=60, newest_first=True), rest.iloc[-60:])
    inside = room.client.query_candles(*SERIES, start=frame.index[50], end=frame.index[52])
    same(inside, rest.iloc[49:50])
    assert room.client.query_frame(*SERIES).index.equals(rest.index)
    same(room.client.query_candles(*SERIES, as_of=before), frame)
    assert room.client.query_frame(*SERIES, as_of=before).index.equals(frame.index)
    series = room.client.list_series(kind="candles")[0]
    assert times([pb.QualityRow(time=series.first_time), pb.QualityRow(time=series.last_time)]) == [
        frame.index[1],
        frame.index[98],
    ]
    assert room.client.create_snapshot(*SERIES).row_count == 97
    assert room.client.read_snapshot(snapshot.snapshot_id).index.equals(frame.index)

    settled = funding(8).index[3]
    rates = ("funding_rates", VENUE, SYMBOL)
    [outcome] = room.client.repair_series(*rates, actions=[mark_missing(settled, settled + 8 * HOUR)])
    assert outcome.marked_count == 1
    assert settled not in room.client.query_funding_rates(VENUE, SYMBOL).index
    known = room.client.query_frame(*SERIES, start=settled, end=settled + 7 * HOUR, funding_max_age=24 * HOUR)
    assert known["funding_rate"].unique().tolist() == [funding(8)["funding_rate"].iloc[2]]
    interest = ("open_interest", VENUE, SYMBOL)
    [outcome] = room.client.repair_series(*interest, actions=[mark_missing(START, START + 3 * HOUR)])
    assert outcome.marked_count == 3
    assert len(room.client.query_open_interest(VENUE, SYMBOL)) == 87


def test_a_check_as_of_before_a_repair_sees_what_was_there_and_plans_nothing(room):
    frame = some(60)
    room.client.ingest_candles(frame.drop(frame.index[30]), *SERIES, capture_time=START + 70 * HOUR)
    before = pd.Timestamp.now(tz="UTC")
    checked = room.client.check_quality(*CANDLES)
    room.client.repair_series(*CANDLES, actions=checked.plan)
    then = room.client.check_quality(*CANDLES, as_of=before)
    assert found(then)["gap"] == (1, 1)
    assert not then.plan
    assert "gap" not in found(room.client.check_quality(*CANDLES))


def test_a_range_is_looked_at_alone(room):
    frame = some(200)
    room.client.ingest_candles(frame.drop(frame.index[[10, 150]]), *SERIES)
    checked = room.client.check_quality(*CANDLES, start=frame.index[100], end=frame.index[180])
    assert checked.row_count == 79
    assert found(checked) == {"gap": (1, 1)}  # the range ends with its rows, which are not stale by then
    assert times(checked.findings[0].rows) == [frame.index[150]]


def test_doubtful_rows_are_found_with_their_rows_gravest_first(room):
    frame = some(500)
    frame.iloc[100, [1, 3]] *= 1.2
    frame.iloc[300:304, 4] = 0
    frame = frame.drop(frame.index[400])
    room.client.ingest_candles(frame, *SERIES)
    checked = room.client.check_quality(*CANDLES, rows_max=1)
    told = found(checked)
    assert told["jump"] == (2, 2)
    assert told["zero_volume_run"] == (4, 1)
    assert [one.severity for one in checked.findings] == sorted(
        (one.severity for one in checked.findings), reverse=True
    )
    [jump] = [one for one in checked.findings if one.rule == "jump"]
    assert times(jump.rows) == [frame.index[100]]
    assert jump.rows[0].value == f"close {float(frame['close'].iloc[100])!r}"
    lenient = room.client.check_quality(*CANDLES, jump_z=1e6, zero_volume_run_bars=5)
    assert not {"jump", "zero_volume_run"} & found(lenient).keys()
    assert found(lenient)["zero_volume"] == (4, 1)


def test_an_ingest_flags_what_is_doubtful_and_stores_it(room):
    frame = some(500)
    frame.iloc[100, [1, 3]] *= 1.2
    frame.iloc[[7, 300], 4] = 0
    report = room.client.ingest_candles(frame.iloc[::-1], *SERIES)
    assert report.inserted == 500
    assert report.doubtful_count == 4
    assert [(one.row, one.field, one.rule, one.value) for one in report.doubtful] == [
        (199, "volume", "zero_volume", "0.0"),
        (398, "close", "jump", repr(float(frame["close"].iloc[101]))),
        (399, "close", "jump", repr(float(frame["close"].iloc[100]))),
        (492, "volume", "zero_volume", "0.0"),
    ]
    interest = open_interest(100)
    interest.iloc[60:, 0] *= 1000
    report = room.client.ingest_open_interest(interest, VENUE, SYMBOL)
    rules = {(one.row, one.rule) for one in report.doubtful}
    assert report.doubtful_count == 1
    assert rules <= {(60, "unit_change"), (60, "jump")}
    checked = room.client.check_quality("open_interest", VENUE, SYMBOL)
    assert found(checked)["unit_change"] == (1, 1)


def test_at_most_a_hundred_doubtful_rows_are_told_and_all_are_counted(room):
    frame = some(500)
    frame["volume"] = 0.0
    report = room.client.ingest_candles(frame, *SERIES)
    assert report.doubtful_count == 500
    assert [one.row for one in report.doubtful] == list(range(100))
    assert {one.rule for one in report.doubtful} == {"zero_volume_run"}


def test_a_funding_interval_that_changes_is_no_gap(room):
    eight, four = funding(20), funding(40, START + 20 * 8 * HOUR, step=4 * HOUR)
    room.client.ingest_funding_rates(pd.concat([eight, four]), VENUE, SYMBOL)
    checked = room.client.check_quality("funding_rates", VENUE, SYMBOL)
    assert "settlement_gap" not in found(checked)
    [change] = [one for one in checked.findings if one.rule == "interval_change"]
    assert change.severity == pb.SEVERITY_INFO
    assert [row.value for row in change.rows] == ["8 h to 4 h"]


def test_a_bar_stored_while_it_was_open_and_never_again_is_an_error_once_it_is_over(room):
    frame = some(60)
    room.clock.now = frame.index[-1] + HOUR / 2
    room.client.ingest_candles(frame, *SERIES)
    assert not room.client.check_quality(*CANDLES).findings
    room.clock.now = frame.index[-1] + 1.5 * HOUR
    checked = room.client.check_quality(*CANDLES)
    assert found(checked) == {"never_closed": (1, 1)}
    assert checked.findings[0].severity == pb.SEVERITY_ERROR
    assert times(checked.findings[0].rows) == [frame.index[-1]]
    assert [action.rule for action in checked.plan] == ["never_closed"]
    room.client.ingest_candles(frame.iloc[-1:], *SERIES)
    assert not room.client.check_quality(*CANDLES).findings


def test_a_damaged_frame_is_looked_at_before_it_is_ingested(room):
    frame = some(300)
    before = room.contents()
    damaged = frame.drop(frame.index[100:103])
    damaged.iloc[50, 1] = damaged.iloc[50, 2] / 2
    damaged.iloc[60, 3] = -1.0
    damaged = pd.concat([damaged, damaged.iloc[10:12], damaged.iloc[20:21] * 1.01])
    checked = room.client.check_quality("candles", timeframe="1h", frame=damaged)
    told = found(checked)
    assert told["duplicate"] == (2, 2)
    assert told["duplicate_differs"] == (2, 2)
    assert told["high_below_low"] == (1, 1)
    assert told["positive"] == (1, 1)
    assert told["gap"][0] >= 3
    assert checked.row_count == 300
    assert not checked.plan
    assert room.contents() == before
    off_grid = some(30, start=START + MICROSECOND)
    assert found(room.client.check_quality("candles", timeframe="1h", frame=off_grid)) == {
        "off_grid": (30, 30)
    }


def test_a_repair_repeated_under_its_id_has_its_answer_and_no_second_effect(room):
    frame = some(50)
    room.client.ingest_candles(frame, *SERIES)
    actions = [mark_missing(frame.index[n], frame.index[n + 1]) for n in (10, 20)]
    first = room.client.repair_series(*CANDLES, actions=actions, request_id="r1")
    room.client.ingest_candles(frame, *SERIES)
    assert room.client.repair_series(*CANDLES, actions=actions, request_id="r1") == first
    assert len(room.client.query_candles(*SERIES)) == 50
    with pytest.raises(AlreadyExists):
        room.client.repair_series(*CANDLES, actions=actions[:1], request_id="r1")
    second = room.client.repair_series(*CANDLES, actions=[*actions, actions[0]])
    assert [outcome.marked_count for outcome in second] == [1, 1, 0]


def test_one_repair_sent_by_many_at_once_has_one_effect_and_one_answer(room):
    frame = some(50)
    room.client.ingest_candles(frame, *SERIES)
    actions = [mark_missing(frame.index[n], frame.index[n + 2]) for n in (10, 20, 30)]

    def send(_number: int) -> list[pb.RepairOutcome]:
        return room.client.repair_series(*CANDLES, actions=actions, request_id="at-once")

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(send, range(6)))
    assert [[one.marked_count for one in answer] for answer in answers] == [[2, 2, 2]] * 6
    assert len(room.client.query_candles(*SERIES)) == 44


def test_a_repair_with_one_bad_action_does_none(room):
    frame = some(50)
    room.client.ingest_candles(frame, *SERIES)
    future = pd.Timestamp.now(tz="UTC") + 10 * HOUR
    good = mark_missing(frame.index[0], frame.index[1])
    for bad, field in [
        (mark_missing(START, future), "actions[1].mark_missing.end_time"),
        (mark_missing(START - pd.Timedelta("200D") * 365, START), "actions[1].mark_missing.start_time"),
        (refetch(START, START + HOUR), "actions[1].refetch"),
        (pb.RepairAction(), "actions[1].action"),
    ]:
        with pytest.raises(InvalidArgument) as refused:
            room.client.repair_series(*CANDLES, actions=[good, bad])
        assert [one.field for one in refused.value.violations] == [field]
    room.client.ingest_funding_rates(funding(5), VENUE, SYMBOL)
    with pytest.raises(InvalidArgument, match="no grid"):
        room.client.repair_series("funding_rates", VENUE, SYMBOL, actions=[mark_absent(START, START + HOUR)])
    with pytest.raises(NotFound):
        room.client.repair_series("candles", VENUE, "ETH/USDT", "1h", actions=[good])
    same(room.client.query_candles(*SERIES), frame)


def test_marks_of_a_gap_of_many_blocks_are_bounded(room):
    minute = pd.Timedelta("1min")
    frame = candles(2, step=minute)
    room.client.ingest_candles(frame, VENUE, SYMBOL, "1m")
    series = ("candles", VENUE, SYMBOL, "1m")
    with pytest.raises(InvalidArgument, match="1,000,000"):
        room.client.repair_series(*series, actions=[mark_missing(START, START + 1_000_001 * minute)])
    [outcome] = room.client.repair_series(
        *series, actions=[mark_missing(START + minute, START + 20_001 * minute)]
    )
    assert outcome.marked_count == 20_000
    assert len(room.client.query_candles(VENUE, SYMBOL, "1m")) == 1


def test_a_series_too_large_for_the_memory_of_the_room_is_refused_and_nothing_stays_held(
    database_url, tmp_path
):
    with data_room(database_url, tmp_path, ingest_bytes=1_000_000) as room:
        frame = some(10_000)
        for start in range(0, 10_000, 5_000):
            room.client.ingest_candles(frame.iloc[start : start + 5_000], *SERIES)
        for _ in range(3):
            with pytest.raises(ResourceExhausted, match="range by range"):
                room.client.check_quality(*CANDLES)
            assert room.client.check_quality(*CANDLES, end=frame.index[2_000]).row_count == 2_000


def test_an_ingest_in_typed_rows_flags_too(room):
    frame = some(60)
    frame.iloc[30, 4] = 0
    requests = [
        pb.IngestCandlesRequest(header=header(venue=VENUE)),
        pb.IngestCandlesRequest(rows=candle_rows(frame)),
    ]
    report = room.stub.IngestCandles(iter(requests)).report
    assert [(one.row, one.rule) for one in report.doubtful] == [(30, "zero_volume")]


@pytest.fixture
def traded(database_url, tmp_path):
    """A room that can ask an exchange, and the exchange."""
    with (
        ExchangeServer(now="2024-01-09T00:30Z") as exchange,
        data_room(
            database_url, tmp_path, exchange_urls=f"binanceusdm={exchange.url}", exchange_backoff_seconds=0.01
        ) as room,
    ):
        room.clock.now = pd.Timestamp("2024-01-09T00:30Z")
        yield room, exchange


TRADED = ("candles", "binanceusdm", SYMBOL, "1h")


def said_by(exchange: ExchangeServer, count: int = 190) -> pd.DataFrame:
    """What the exchange says of the bars from its beginning."""
    index = pd.date_range(START, periods=count, freq=HOUR, name="open_time", unit="us")
    bars = [exchange.bar(exchange.stamp(stamp), 3_600_000) for stamp in index]
    return pd.DataFrame(bars, index=index, columns=candles().columns)


def test_a_gap_of_an_exchange_is_asked_for_again_on_request(traded):
    room, exchange = traded
    frame = said_by(exchange)
    exchange.absent.add(exchange.stamp(frame.index[101]))
    room.client.ingest_candles(frame.drop(frame.index[[50, 100, 101]]), *TRADED[1:])
    checked = room.client.check_quality(*TRADED)
    assert found(checked)["gap"] == (3, 2)
    [action] = checked.plan  # near gaps are one page of the exchange
    assert action.WhichOneof("action") == "refetch"
    assert "gap" in action.rule.split()
    assert not exchange.asked  # nothing is asked for by itself

    [outcome] = room.client.repair_series(*TRADED, actions=checked.plan, request_id="r")
    assert (outcome.inserted, outcome.revised) == (2, 0)
    assert outcome.still_missing_count == 1
    same(room.client.query_candles(*TRADED[1:]), frame.drop(frame.index[101]))

    asked = len(exchange.asked)
    assert room.client.repair_series(*TRADED, actions=checked.plan, request_id="r") == [outcome]
    assert len(exchange.asked) == asked

    # What the exchange does not have either can be marked, and comes no more as a gap.
    [outcome] = room.client.repair_series(*TRADED, actions=[mark_absent(frame.index[0], frame.index[-1])])
    assert outcome.marked_count == 1
    same(room.client.query_candles(*TRADED[1:]), frame.drop(frame.index[101]))
    told = found(room.client.check_quality(*TRADED))
    assert "gap" not in told
    assert told["marked_missing"] == (1, 1)


def test_a_collection_flags_what_is_doubtful_in_all_of_its_pages(traded):
    room, exchange = traded
    exchange.rows_max = 60
    frame = said_by(exchange)
    for place in (40, 150):
        exchange.revised[exchange.stamp(frame.index[place])] = 1000.0
    key = {"venue": TRADED[1], "symbol": SYMBOL, "timeframe": "1h"}
    source = pb.ExchangeSource(series=[{"kind": 1, "key": key}])
    [outcome] = [
        each.outcome for each in room.client.collect_series(source) if each.WhichOneof("part") == "outcome"
    ]
    assert outcome.report.inserted == 192
    assert outcome.report.doubtful_count == len(outcome.report.doubtful) >= 4
    assert {40, 41, 150, 151} <= {one.row for one in outcome.report.doubtful if one.rule == "jump"}


def test_a_doubtful_bar_is_what_the_exchange_says_now_and_was_what_it_said_then(traded):
    room, exchange = traded
    frame = said_by(exchange)
    damaged = frame.copy()
    damaged.iloc[120, :4] *= 3
    room.client.ingest_candles(damaged, *TRADED[1:], capture_time=frame.index[-1] + HOUR)
    checked = room.client.check_quality(*TRADED, jump_z=10.0)
    assert frame.index[120] in times(
        [row for one in checked.findings if one.rule in ("jump", "disconnected") for row in one.rows]
    )
    outcomes = room.client.repair_series(*TRADED, actions=checked.plan)
    assert sum(outcome.revised for outcome in outcomes) == 1
    same(room.client.query_candles(*TRADED[1:]), frame)
    same(room.client.query_candles(*TRADED[1:], as_of=frame.index[-1] + HOUR), damaged)


def test_an_exchange_that_is_down_repairs_nothing_and_the_same_request_goes_on_later(traded):
    room, exchange = traded
    frame = said_by(exchange)
    room.client.ingest_candles(frame.drop(frame.index[[20, 60]]), *TRADED[1:])
    actions = [
        mark_missing(frame.index[60], frame.index[61]),
        refetch(frame.index[20], frame.index[21]),
    ]
    exchange.is_down = True
    request = pb.RepairSeriesRequest(
        kind=1,
        key={"venue": TRADED[1], "symbol": SYMBOL, "timeframe": "1h"},
        actions=actions,
        request_id="later",
    )
    with pytest.raises(Unavailable):
        room.stub.RepairSeries(request, timeout=60)
    [series] = room.client.list_series()
    assert (series.row_count, series.marked_missing_count) == (188, 1)  # each action whole or not
    exchange.is_down = False
    outcomes = room.stub.RepairSeries(request, timeout=60).outcomes
    assert [(one.marked_count, one.inserted) for one in outcomes] == [(1, 0), (0, 1)]
    assert [one.row_count for one in room.client.list_series()] == [189]
