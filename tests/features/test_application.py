"""The order of work, without a server: parts, limits while working, cancellation, memory given back."""

from __future__ import annotations

import base64
import dataclasses
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from marketml.features.v1 import features_pb2 as pb
from marketml.rpc.refusals import (
    Cancelled,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    Reason,
    ResourceExhausted,
)
from services.features import wire
from services.features.answer import Header, Part, Progress, Summary, Values
from services.features.application import FeaturesApplication
from services.features.budget import MemoryBudget
from services.features.catalogue import entries
from services.features.config import (
    CATALOGUE_FAMILIES,
    FamilyChoice,
    FeatureConfig,
    Limits,
    TsfreshChoice,
)
from services.features.digest import code_version, config_digest, result_digest
from services.features.expressions import Expression
from services.features.feature import Family
from services.features.generation import READING_SHARE, ROW_BYTES
from services.features.source import SeriesSource, SnapshotSource
from tests.features.frames import HOUR, random_walk
from tests.features.whole import EVERYTHING, KEY, Shelf, generated, planned
from tests.support.programs import ROOT

SNAPSHOT = SnapshotSource("a" * 64)
NOTHING = {family.value: FamilyChoice(enabled=False) for family in CATALOGUE_FAMILIES}
CLOCK = FeatureConfig(**NOTHING | {"calendar": FamilyChoice(features=("hour_of_day", "month"))})


def nobody() -> None:
    """Nobody wants it to stop."""


def application(
    frame: pd.DataFrame, total_bytes: int = 2**40, now: Callable[[], float] = lambda: 0.0
) -> tuple[FeaturesApplication, Shelf]:
    shelf = Shelf({SNAPSHOT.snapshot_id: frame, "series": frame})
    return FeaturesApplication(shelf, MemoryBudget(total_bytes), now), shelf


def parts_of(frame: pd.DataFrame, config: FeatureConfig = EVERYTHING, newest_count: int = 0) -> list[Part]:
    room, _ = application(frame)
    return list(room.generate_features(SNAPSHOT, config, newest_count, nobody))


def header_of(frame: pd.DataFrame, config: FeatureConfig = EVERYTHING, newest_count: int = 0) -> Header:
    header = parts_of(frame, config, newest_count)[0]
    assert isinstance(header, Header)
    return header


def values_of(frame: pd.DataFrame, config: FeatureConfig = EVERYTHING, newest_count: int = 0) -> pd.DataFrame:
    room, _ = application(frame)
    return pd.concat(
        pd.DataFrame(np.array(part.values).T, part.open_time, list(part.header.names))
        for part in room.generate_features(SNAPSHOT, config, newest_count, nobody)
        if isinstance(part, Values)
    )


def test_the_parts_come_in_order_and_the_frame_is_what_the_engine_computes():
    frame = random_walk(1, 300)
    header, *progress, values, done, summary = parts_of(frame)
    assert isinstance(header, Header)
    assert isinstance(values, Values)
    assert isinstance(summary, Summary)
    assert all(isinstance(part, Progress) for part in progress)
    assert (progress[0], done) == (Progress(0.0, "computing"), Progress(1.0, "done"))
    pd.testing.assert_frame_equal(values_of(frame), generated(frame, EVERYTHING), check_freq=False)
    assert header.row_count == summary.row_count == 300
    assert summary.feature_count == len(header.names)
    assert header.config == EVERYTHING
    assert header.key == KEY


def test_progress_comes_at_most_every_fifth_of_a_second_and_never_falls():
    ticks = iter(range(10**6))
    room, _ = application(random_walk(1, 300), now=lambda: next(ticks) / 100)
    parts = list(room.generate_features(SNAPSHOT, EVERYTHING, 0, nobody))
    fractions = [part.fraction for part in parts if isinstance(part, Progress)]
    assert fractions == sorted(fractions)
    work_count = len(planned(random_walk(1, 300), EVERYTHING).features)
    assert 5 < len(fractions) < work_count / 4


def test_the_newest_rows_are_those_of_the_whole():
    frame = random_walk(1, 900)
    whole, newest = header_of(frame), header_of(frame, newest_count=100)
    pd.testing.assert_frame_equal(values_of(frame, newest_count=100), values_of(frame).iloc[-100:])
    assert newest.row_count == 100
    assert whole.warm_up_bars == 760
    assert newest.warm_up_bars == 0
    assert header_of(frame, newest_count=200).warm_up_bars == 60
    assert newest.digest == whole.digest


@pytest.mark.parametrize(
    ("newest_count", "rows"), [(0, 50), (1, 1), (49, 49), (50, 50), (51, 50), (2**63 - 1, 50)]
)
def test_as_many_rows_come_as_were_asked_for_and_are_there(newest_count: int, rows: int):
    assert header_of(random_walk(1, 50), newest_count=newest_count).row_count == rows
    assert len(values_of(random_walk(1, 50), newest_count=newest_count)) == rows


def test_a_broken_config_is_refused_before_anything_is_read():
    room, shelf = application(random_walk(1, 50))
    config = FeatureConfig(limits=Limits(max_rows=0), tsfresh=TsfreshChoice(True, (3,)))
    with pytest.raises(InvalidArgument) as refused:
        next(room.generate_features(SNAPSHOT, config, -1, nobody))
    assert [violation.field for violation in refused.value.violations] == [
        "config.tsfresh.windows[0]",
        "config.limits.max_rows",
        "newest_count",
    ]
    assert shelf.asked == []


def test_a_source_is_not_read_beyond_its_limit():
    room, shelf = application(random_walk(1, 500))
    with pytest.raises(ResourceExhausted, match="more than the 100 bars") as refused:
        next(room.generate_features(SNAPSHOT, FeatureConfig(limits=Limits(max_rows=100)), 0, nobody))
    assert refused.value.subject == "config.limits.max_rows"
    assert shelf.asked == [(SNAPSHOT, 100)]


def test_a_source_that_does_not_fit_the_memory_is_not_read_whole():
    room, _ = application(random_walk(1, 20_000))
    config = FeatureConfig(**NOTHING | {"calendar": FamilyChoice()}, limits=Limits(max_memory_bytes=1024**2))
    with pytest.raises(ResourceExhausted) as refused:
        next(room.generate_features(SNAPSHOT, config, 0, nobody))
    assert refused.value.subject == "config.limits.max_memory_bytes"


def test_work_that_takes_too_long_is_stopped_and_says_so():
    ticks = iter(range(10**6))
    config = FeatureConfig(limits=Limits(timeout_seconds=30.0))
    room, _ = application(random_walk(1, 300), now=lambda: float(next(ticks)))
    with pytest.raises(ResourceExhausted, match="took longer than") as refused:
        list(room.generate_features(SNAPSHOT, config, 0, nobody))
    assert refused.value.subject == "config.limits.timeout_seconds"
    assert next(ticks) < 50


def test_work_stops_at_the_next_look_when_the_caller_is_gone():
    looks = []

    def gone() -> None:
        looks.append(1)
        if len(looks) == 5:
            raise Cancelled("The caller went away.")

    room, _ = application(random_walk(1, 300))
    with pytest.raises(Cancelled):
        list(room.generate_features(SNAPSHOT, EVERYTHING, 0, gone))
    assert len(looks) == 5


def test_memory_is_lent_while_a_call_runs_and_given_back_whatever_its_end():
    frame = random_walk(1, 300)
    need = planned(frame, EVERYTHING).memory_bytes + int(frame.memory_usage().sum())
    assert need > READING_SHARE * ROW_BYTES * len(frame)
    room, _ = application(frame, total_bytes=need)
    for _ in range(3):
        first = room.generate_features(SNAPSHOT, EVERYTHING, 0, nobody)
        next(first)
        with pytest.raises(ResourceExhausted, match="other calls hold") as refused:
            next(room.generate_features(SNAPSHOT, EVERYTHING, 0, nobody))
        assert refused.value.reason is Reason.OVERLOADED
        assert refused.value.retry_after_seconds
        first.close()
    assert len(list(room.generate_features(SNAPSHOT, EVERYTHING, 0, nobody))) >= 4
    assert len(list(room.generate_features(SNAPSHOT, EVERYTHING, 0, nobody))) >= 4


def test_work_that_the_server_can_never_lend_memory_for_is_refused_for_good():
    room, shelf = application(random_walk(1, 300), total_bytes=1000)
    with pytest.raises(ResourceExhausted, match="lends 1,000") as refused:
        next(room.generate_features(SNAPSHOT, EVERYTHING, 0, nobody))
    assert refused.value.retry_after_seconds is None
    assert shelf.asked == []  # refused before it was read


def test_what_the_data_room_refuses_is_refused():
    room, _ = application(random_walk(1, 300))
    with pytest.raises(NotFound):
        next(room.generate_features(SnapshotSource("b" * 64), EVERYTHING, 0, nobody))


def test_equal_content_gives_equal_digests_whatever_the_source():
    room, _ = application(random_walk(1, 300))
    of_series = next(room.generate_features(SeriesSource(KEY), EVERYTHING, 0, nobody))
    assert isinstance(of_series, Header)
    assert of_series.digest == header_of(random_walk(1, 300)).digest


def test_whatever_decides_the_values_changes_the_digest():
    frame = random_walk(1, 300)
    other = frame.copy()
    other.loc[other.index[7], "volume"] += 1e-9
    holed = frame.copy()
    holed.loc[holed.index[7], "volume"] = np.nan
    shifted = frame.set_axis(frame.index + pd.Timedelta(HOUR))
    everything = planned(frame, EVERYTHING)
    of_config = config_digest(everything, ())
    slower = dataclasses.replace(everything.features[0], lookback_bars=10_000)
    digests = [
        of_config,
        config_digest(planned(frame, FeatureConfig()), ()),
        config_digest(dataclasses.replace(everything, names=everything.names[:-1]), ()),
        config_digest(dataclasses.replace(everything, features=(slower, *everything.features[1:])), ()),
        config_digest(everything, (Expression("mine", "close"),)),
        config_digest(everything, (Expression("mine", "open"),)),
        result_digest(frame, HOUR, of_config),
        result_digest(frame, HOUR, of_config[::-1]),
        result_digest(frame, timedelta(hours=2), of_config),
        result_digest(other, HOUR, of_config),
        result_digest(holed, HOUR, of_config),
        result_digest(shifted, HOUR, of_config),
        result_digest(frame.rename(columns={"volume": "quantity"}), HOUR, of_config),
        result_digest(frame.iloc[:-1], HOUR, of_config),
    ]
    assert len(set(digests)) == len(digests)
    assert all(len(digest) == 64 for digest in digests)


def test_limits_do_not_change_the_digest():
    frame = random_walk(1, 300)
    wide = FeatureConfig(limits=Limits(max_rows=500))
    assert header_of(frame, wide).digest == header_of(frame, FeatureConfig()).digest


def test_another_process_gives_the_same_digest():
    script = "from services.features.digest import code_version; print(code_version())"
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == code_version()


def test_a_review_tells_violations_or_what_a_config_would_do():
    room, _ = application(random_walk(1, 10))
    good = room.validate_feature_config(CLOCK)
    assert (good.violations, good.feature_count, good.warm_up_bars) == ((), 2, 0)
    bad = room.validate_feature_config(FeatureConfig(limits=Limits(max_rows=0)))
    assert bad.violations[0].field == "config.limits.max_rows"
    assert (bad.feature_count, bad.warm_up_bars) == (0, 0)


def test_pages_hold_every_feature_once_in_order():
    room, _ = application(random_walk(1, 10))
    found, token = [], ""
    while True:
        page, token = room.list_features(None, 7, token)
        found += page
        if not token:
            break
        assert len(page) == 7
    assert found == list(entries())
    families = [entry.family for entry in found]
    assert families == sorted(families, key=list(Family).index)
    for family in Family:
        names = [entry.name for entry in found if entry.family is family]
        assert names == sorted(names)
        assert room.list_features(family, 1000, "")[0] == entries(family)
    assert len(room.list_features(None, 0, "")[0]) == 100


def test_a_token_belongs_to_its_listing():
    room, _ = application(random_walk(1, 10))
    _, token = room.list_features(Family.TECHNICAL, 5, "")
    for family, wrong in [
        (None, token),
        (Family.SERIES, token),
        (None, "x"),
        (None, "é"),
        (None, token[:-4]),
    ]:
        with pytest.raises(InvalidArgument) as refused:
            room.list_features(family, 5, wrong)
        assert refused.value.violations[0].field == "page_token"


def test_a_token_past_the_end_is_out_of_range():
    room, _ = application(random_walk(1, 10))
    _, token = room.list_features(Family.CALENDAR, 5, "")
    tag = base64.urlsafe_b64decode(token)[:-4]
    beyond = base64.urlsafe_b64encode(tag + (10_000).to_bytes(4, "big")).decode()
    with pytest.raises(OutOfRange):
        room.list_features(Family.CALENDAR, 5, beyond)


@pytest.mark.parametrize("size", [-1, 1001, 2**31 - 1])
def test_a_page_size_out_of_range_is_refused(size: int):
    room, _ = application(random_walk(1, 10))
    with pytest.raises(InvalidArgument) as refused:
        room.list_features(None, size, "")
    assert refused.value.violations[0].field == "page_size"


def test_every_feature_of_the_default_is_listed_and_explained():
    listed = {entry.name: entry for entry in entries()}
    for name in planned(random_walk(1, 300), FeatureConfig()).names:
        assert listed[name].is_default
    for entry in listed.values():
        message = wire.write_entry(entry)
        assert message.description.endswith(".")
        assert message.group
        assert message.cost_microseconds > 0.0
        assert message.family != pb.FEATURE_FAMILY_UNSPECIFIED
        assert message.HasField("lookback_bars") == (
            "settlements" not in message.parameters
            and entry.family not in (Family.TSFRESH, Family.HIGHER_TIMEFRAME, Family.EXPRESSION)
        )


def test_an_empty_source_is_refused():
    room, _ = application(random_walk(1, 300).iloc[:0])
    with pytest.raises(FailedPrecondition, match="no bars"):
        next(room.generate_features(SNAPSHOT, EVERYTHING, 0, nobody))
