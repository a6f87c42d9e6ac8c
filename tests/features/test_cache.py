"""Results on disk: found again, shared while they are computed, bounded, never served damaged."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketml.rpc.refusals import Cancelled, InvalidArgument
from services.features.answer import Part, Progress, Summary, Values
from services.features.application import FeaturesApplication
from services.features.budget import MemoryBudget
from services.features.cache import Cache
from services.features.cached import CacheFilter
from services.features.calculators import statistical
from services.features.columns import BLOCK_BARS
from services.features.config import CATALOGUE_FAMILIES, FamilyChoice, FeatureConfig, Limits, TsfreshChoice
from services.features.feature import Family
from services.features.source import SeriesKey, SnapshotSource
from tests.features.frames import random_walk
from tests.features.whole import KEY, Shelf, generated
from tests.support.small_disk import small_disk
from tests.support.waiting import eventually

MIB = 1024**2
SNAPSHOT = SnapshotSource("a" * 64)
OTHER = SnapshotSource("b" * 64)
NOTHING = {family.value: FamilyChoice(enabled=False) for family in CATALOGUE_FAMILIES}
# Named, so that the clock is looked at as often however many features the family has.
STATISTICAL = FeatureConfig(
    **NOTHING
    | {"statistical": FamilyChoice(features=tuple(feature.name for feature in statistical.FEATURES))}
)
SMALL = FeatureConfig(**NOTHING | {"calendar": FamilyChoice(features=("month", "hour_sin"))})
# So little memory that a few thousand bars are many chunks.
NARROW = replace(STATISTICAL, limits=Limits(max_memory_bytes=10 * MIB))
FRAME = random_walk(1, 4000)


def nobody() -> None:
    """Nobody wants it to stop."""


class Room:
    """The application with a cache in `folder`, and a clock that counts how often it is looked at."""

    def __init__(self, folder: Path | None, limit_bytes: int = 2**31, key: SeriesKey = KEY) -> None:
        self.shelf = Shelf({SNAPSHOT.snapshot_id: FRAME, OTHER.snapshot_id: random_walk(2, 4000)}, key)
        self.cache = Cache(folder, limit_bytes)
        self.ticks = 0
        self.application = FeaturesApplication(self.shelf, MemoryBudget(2**40), self._now, self.cache)

    def _now(self) -> float:
        self.ticks += 1
        return float(self.ticks)

    def parts(
        self,
        config: FeatureConfig = STATISTICAL,
        newest_count: int = 0,
        source: SnapshotSource = SNAPSHOT,
        check: Callable[[], None] = nobody,
    ) -> Iterator[Part]:
        patient = replace(config, limits=replace(config.limits, timeout_seconds=3600.0))
        return self.application.generate_features(source, patient, newest_count, check)

    def ask(
        self, config: FeatureConfig = STATISTICAL, newest_count: int = 0, source: SnapshotSource = SNAPSHOT
    ) -> tuple[pd.DataFrame, Summary]:
        return collected(self.parts(config, newest_count, source))


def collected(parts: Iterator[Part]) -> tuple[pd.DataFrame, Summary]:
    frames, summary = [], None
    for part in parts:
        if isinstance(part, Values):
            frames.append(pd.DataFrame(np.array(part.values).T, part.open_time, list(part.header.names)))
        if isinstance(part, Summary):
            summary = part
    assert summary is not None
    return pd.concat(frames), summary


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(one, other, check_exact=True, check_freq=False)


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_the_same_again_comes_from_the_disk_with_the_same_bits(tmp_path: Path):
    room = Room(tmp_path)
    computed, first = room.ask()
    found, second = room.ask()
    same(computed, generated(FRAME, STATISTICAL))
    same(found, computed)
    assert (first.is_cache_hit, second.is_cache_hit) == (False, True)
    assert second.row_count == 4000
    assert sum(second.seconds.values()) == 0.0


def test_another_process_finds_what_an_earlier_one_left(tmp_path: Path):
    computed, _ = Room(tmp_path).ask()
    found, summary = Room(tmp_path).ask()
    same(found, computed)
    assert summary.is_cache_hit


def test_limits_and_the_division_of_the_work_do_not_make_another_result(tmp_path: Path):
    room = Room(tmp_path)
    room.ask()
    rolled = TsfreshChoice(parallel_jobs=4)
    assert room.ask(replace(STATISTICAL, limits=Limits(max_rows=5000), tsfresh=rolled))[1].is_cache_hit
    assert room.cache.status(CacheFilter()).use.entry_count == 1


def test_another_source_or_config_is_another_result(tmp_path: Path):
    room = Room(tmp_path)
    room.ask()
    assert not room.ask(SMALL)[1].is_cache_hit
    found, summary = room.ask(source=OTHER)
    assert not summary.is_cache_hit
    same(found, generated(random_walk(2, 4000), STATISTICAL))


@given(newest_count=st.integers(1, 4200), is_whole_kept=st.booleans())
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_newest_rows_come_from_the_whole_or_from_a_file_of_their_own(
    tmp_path: Path, newest_count: int, is_whole_kept: bool
):
    room = Room(tmp_path)
    room.cache.clear(CacheFilter(), dry_run=False)
    if is_whole_kept:
        room.ask(NARROW)
    for is_hit in (is_whole_kept, True):
        found, summary = room.ask(NARROW, newest_count)
        same(found, generated(FRAME, NARROW).iloc[-newest_count:])
        assert summary.is_cache_hit == is_hit


def test_a_file_is_plain_arrow(tmp_path: Path):
    room = Room(tmp_path)
    computed, _ = room.ask(NARROW)
    (path,) = files(tmp_path)
    with pa.OSFile(str(path)) as source:
        table = pa.ipc.open_stream(source).read_all()
    np.testing.assert_array_equal(table.drop_columns(["open_time"]).to_pandas(), computed)
    assert (table["open_time"].to_pandas() == computed.index).all()


def work_of(*summaries: Summary) -> float:
    """Ticks of the clock that calls took to compute: one for each feature of each chunk."""
    return sum(summary.seconds[Family.STATISTICAL] for summary in summaries)


def test_two_at_once_compute_once_and_whoever_is_faster_does_not_wait_for_the_other(tmp_path: Path):
    _, alone = Room(None).ask(NARROW)
    room = Room(tmp_path)
    slow, fast = room.parts(NARROW), room.parts(NARROW)
    early = [next(part for part in slow if isinstance(part, Values)).values.copy()]
    found, first = collected(fast)
    same(found, generated(FRAME, NARROW))
    frames = list(early)
    for part in slow:
        if isinstance(part, Values):
            frames.append(part.values.copy())
        if isinstance(part, Summary):
            second = part
    np.testing.assert_array_equal(np.concatenate(frames, axis=1).T, found)
    assert work_of(first, second) == work_of(alone)
    assert 0.0 < work_of(second) < work_of(first)
    assert len(files(tmp_path)) == 1


def test_many_threads_compute_once(tmp_path: Path):
    room = Room(tmp_path)
    answers: list[tuple[pd.DataFrame, Summary]] = []
    threads = [threading.Thread(target=lambda: answers.append(room.ask(NARROW))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    expected = generated(FRAME, NARROW)
    assert len(answers) == 4
    for found, _ in answers:
        same(found, expected)
    assert room.cache.status(CacheFilter()).use.entry_count == 1
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("parts_count", [3, 30, 60])
def test_when_the_first_is_cancelled_the_second_goes_on(tmp_path: Path, parts_count: int):
    room = Room(tmp_path)
    first, second = room.parts(NARROW), room.parts(NARROW)
    for _ in range(parts_count):
        next(first)
    for _ in range(2):
        next(second)
    first.close()
    found, summary = collected(second)
    same(found, generated(FRAME, NARROW))
    assert room.ask(NARROW)[1].is_cache_hit
    assert not summary.is_cache_hit


def test_who_waits_for_another_to_compute_can_be_cancelled(tmp_path: Path):
    room = Room(tmp_path)
    first = room.parts(NARROW)
    until = next(part for part in first if isinstance(part, Progress) and part.fraction > 0.0)
    assert until.stage == "statistical"  # and so it is the first one's turn
    looks, refused = [], []

    def gone() -> None:
        looks.append(1)
        if len(looks) > 5:
            raise Cancelled("The caller went away.")

    def wait() -> None:
        try:
            list(room.parts(NARROW, check=gone))
        except Cancelled as cancelled:
            refused.append(cancelled)

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(30)
    assert len(refused) == 1
    same(collected(first)[0].iloc[-100:], generated(FRAME, NARROW).iloc[-100:])


def test_what_all_have_left_is_removed(tmp_path: Path):
    room = Room(tmp_path)
    first, second = room.parts(NARROW), room.parts(NARROW)
    for parts in (first, second):
        next(part for part in parts if isinstance(part, Values))
    first.close()
    assert len(files(tmp_path)) == 1
    second.close()
    assert files(tmp_path) == []


def damaged(path: Path, how: str, at: float) -> None:
    content = bytearray(path.read_bytes())
    place = min(int(len(content) * at), len(content) - 1)
    match how:
        case "flipped":
            content[place] ^= 0x10
        case "cut":
            del content[place:]
        case "zeroed":
            content[place : place + 4096] = bytes(len(content[place : place + 4096]))
        case "longer":
            content += b"more"
    replacement = path.with_suffix(".other")
    replacement.write_bytes(content)
    replacement.rename(path)


@given(how=st.sampled_from(["flipped", "cut", "zeroed", "longer"]), at=st.floats(0.0, 1.0))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_computed_again_and_never_served(tmp_path: Path, how: str, at: float):
    room = Room(tmp_path)
    room.ask(NARROW)
    (path,) = files(tmp_path)
    before = path.read_bytes()
    damaged(path, how, at)
    if path.read_bytes() == before:
        return
    expected = generated(FRAME, NARROW)
    same(room.ask(NARROW)[0], expected)
    same(room.ask(NARROW)[0], expected)
    same(room.ask(NARROW)[0], expected)
    assert room.ask(NARROW)[1].is_cache_hit


def test_damage_in_the_middle_is_noticed_after_what_was_whole_and_the_rest_is_computed(tmp_path: Path):
    room = Room(tmp_path)
    room.ask(NARROW)
    (path,) = files(tmp_path)
    parts = room.parts(NARROW)
    first = next(part for part in parts if isinstance(part, Values))
    assert len(first.values[0]) < 4000
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(64))
    rest, summary = collected(parts)
    same(rest, generated(FRAME, NARROW).iloc[len(first.values[0]) :])
    assert not summary.is_cache_hit
    assert files(tmp_path) == []


def test_a_shared_draft_that_is_damaged_is_not_served(tmp_path: Path):
    room = Room(tmp_path)
    first, second = room.parts(NARROW), room.parts(NARROW)
    next(part for part in first if isinstance(part, Values))
    next(second)
    (path,) = files(tmp_path)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(64))
    same(collected(second)[0], generated(FRAME, NARROW))
    first.close()
    assert files(tmp_path) == []


def test_what_was_not_used_for_longest_makes_room(tmp_path: Path):
    room = Room(tmp_path)
    room.ask(SMALL)
    size = files(tmp_path)[0].stat().st_size
    room = Room(tmp_path, limit_bytes=int(size * 3.5))
    configs = [
        FeatureConfig(**NOTHING | {"calendar": FamilyChoice(features=names)})
        for names in (("month", "hour_sin"), ("month", "hour_cos"), ("month", "is_weekend"))
    ]
    for number, config in enumerate(configs):
        room.ask(config)
        set_ages(tmp_path, number)
    assert room.ask(configs[0])[1].is_cache_hit  # used again: now the second is the oldest
    room.ask(FeatureConfig(**NOTHING | {"calendar": FamilyChoice(features=("month", "is_friday"))}))
    status = room.cache.status(CacheFilter())
    assert status.eviction_count == 1
    assert status.use.size_bytes <= status.limit_bytes
    assert [room.ask(config)[1].is_cache_hit for config in (configs[0], configs[2], configs[1])] == [
        True,
        True,
        False,
    ]


def set_ages(folder: Path, number: int) -> None:
    """Make the newest file as old as the `number`-th, all of them long ago."""
    newest = max(files(folder), key=lambda path: path.stat().st_mtime)
    os.utime(newest, (1_000_000 + number, 1_000_000 + number))


def test_a_result_larger_than_the_bound_is_not_kept(tmp_path: Path):
    room = Room(tmp_path, limit_bytes=100_000)
    room.ask(SMALL)
    kept = files(tmp_path)
    for _ in range(2):
        found, summary = room.ask(STATISTICAL)
        assert not summary.is_cache_hit
    same(found, generated(FRAME, STATISTICAL))
    assert files(tmp_path) == kept  # and nothing had to go for it
    assert room.cache.status(CacheFilter()).eviction_count == 0


def test_drafts_of_a_process_that_died_are_removed_and_those_of_one_at_work_are_not(tmp_path: Path):
    (tmp_path / "dead.part").write_bytes(b"half")
    room = Room(tmp_path)
    assert files(tmp_path) == []
    parts = room.parts(NARROW)
    next(part for part in parts if isinstance(part, Values))
    working = files(tmp_path)
    assert len(working) == 1
    other = Room(tmp_path)
    assert files(tmp_path) == working
    same(other.ask(NARROW)[0], generated(FRAME, NARROW))
    collected(parts)
    assert other.ask(NARROW)[1].is_cache_hit
    assert len(files(tmp_path)) == 1


def test_a_full_disk_only_means_that_nothing_is_kept():
    with small_disk(2 * MIB) as disk:
        folder = disk.folder / "cache"
        room = Room(folder)
        room.ask(SMALL)
        assert room.ask(SMALL)[1].is_cache_hit
        disk.fill(256 * 1024)
        for _ in range(2):
            found, summary = room.ask(NARROW)
            same(found, generated(FRAME, NARROW))
            assert not summary.is_cache_hit
        assert len(files(folder)) == 1
        assert room.ask(SMALL)[1].is_cache_hit
        disk.free()


def test_a_folder_that_cannot_be_made_only_means_that_nothing_is_kept(tmp_path: Path):
    (tmp_path / "taken").write_text("a file")
    room = Room(tmp_path / "taken" / "cache")
    for _ in range(2):
        found, summary = room.ask(SMALL)
        assert not summary.is_cache_hit
    same(found, generated(FRAME, SMALL))
    assert room.cache.status(CacheFilter()).use.entry_count == 0
    assert room.cache.clear(CacheFilter(), dry_run=False).size_bytes == 0


def test_entries_are_counted_and_cleared_by_series_and_by_config(tmp_path: Path):
    keys = [KEY, replace(KEY, timeframe="4h"), replace(KEY, symbol="ETH/USDT:USDT")]
    for number, key in enumerate(keys):
        room = Room(tmp_path, key=key)
        room.shelf.frames[SNAPSHOT.snapshot_id] = random_walk(10 + number, 600)
        room.ask(SMALL)
        if key is KEY:
            room.ask(STATISTICAL)
    application = room.application

    def counted(which: CacheFilter, config: FeatureConfig | None = None) -> int:
        status = application.get_feature_cache_status(which, config)
        would = application.clear_feature_cache(which, config, dry_run=True)
        assert would == status.use
        assert status.use.size_bytes == sum(use.size_bytes for _, use in status.of_series)
        return status.use.entry_count

    of_symbol = CacheFilter(KEY.venue, KEY.symbol)
    assert counted(CacheFilter()) == len(files(tmp_path)) == 4
    assert counted(of_symbol) == 3
    assert counted(replace(of_symbol, timeframe="1h")) == 2
    assert counted(replace(of_symbol, timeframe="1h"), SMALL) == 1
    assert counted(CacheFilter(), replace(SMALL, limits=Limits(max_rows=7))) == 3
    assert counted(CacheFilter("nowhere", KEY.symbol)) == 0
    on_disk = sum(path.stat().st_size for path in files(tmp_path))
    freed = application.clear_feature_cache(CacheFilter(), SMALL, dry_run=False)
    assert freed.entry_count == 3
    assert on_disk - freed.size_bytes == sum(path.stat().st_size for path in files(tmp_path))
    assert [key for key, _ in application.get_feature_cache_status(CacheFilter(), None).of_series] == [KEY]
    application.clear_feature_cache(CacheFilter(), None, dry_run=False)
    assert files(tmp_path) == []


def test_the_series_that_take_most_come_first(tmp_path: Path):
    for bars, symbol in ((300, "A/USDT"), (900, "B/USDT"), (600, "C/USDT")):
        room = Room(tmp_path, key=replace(KEY, symbol=symbol))
        room.shelf.frames[SNAPSHOT.snapshot_id] = random_walk(1, bars)
        room.ask(SMALL)
    listed = [key.symbol for key, _ in room.cache.status(CacheFilter()).of_series]
    assert listed == ["B/USDT", "C/USDT", "A/USDT"]


def test_hits_and_misses_are_counted(tmp_path: Path):
    room = Room(tmp_path)
    for _ in range(3):
        room.ask(SMALL)
    room.ask(STATISTICAL)
    status = room.cache.status(CacheFilter())
    assert (status.hit_count, status.miss_count) == (2, 2)


def test_a_broken_config_names_no_entries(tmp_path: Path):
    room = Room(tmp_path)
    room.ask(SMALL)
    with pytest.raises(InvalidArgument) as refused:
        room.application.clear_feature_cache(CacheFilter(), replace(SMALL, only=("nothing",)), dry_run=False)
    assert refused.value.violations[0].field == "config.only[0]"
    assert len(files(tmp_path)) == 1


def test_who_reads_an_entry_that_is_cleared_reads_on(tmp_path: Path):
    room = Room(tmp_path)
    room.ask(NARROW)
    parts = room.parts(NARROW)
    next(part for part in parts if isinstance(part, Values))
    room.cache.clear(CacheFilter(), dry_run=False)
    rest, summary = collected(parts)
    same(rest, generated(FRAME, NARROW).iloc[-len(rest) :])
    assert summary.is_cache_hit


def test_no_descriptor_stays_open(tmp_path: Path):
    def open_files() -> list[str]:
        found = []
        for number in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                found.append(os.readlink(f"/proc/self/fd/{number}"))
        return [name for name in found if name.startswith(str(tmp_path))]

    room = Room(tmp_path)
    parts = room.parts(NARROW)
    next(part for part in parts if isinstance(part, Values))
    assert open_files()
    parts.close()
    for _ in range(2):
        room.ask(NARROW)
    room.cache.status(CacheFilter())
    eventually(lambda: not open_files(), what="the end of all readers")


def test_chunks_are_many_in_these_tests():
    bars = [len(part.values[0]) for part in Room(None).parts(NARROW) if isinstance(part, Values)]
    assert len(bars) > 3
    assert bars[1] % BLOCK_BARS == 0
