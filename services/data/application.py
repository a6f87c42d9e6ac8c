"""The data room without gRPC: every call is a method of `DataApplication`."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from marketml.rpc.frames import END_OF_STREAM
from marketml.rpc.refusals import InvalidArgument, Refusal, ResourceExhausted, Unavailable
from services.data.collection.ccxt_exchange import Access
from services.data.collection.collector import Collector
from services.data.collection.dump_files import ImportFolder, no_import_folder
from services.data.collection.exchange import Exchanges
from services.data.collection.file_collector import FileCollector
from services.data.collection.file_imports import FileOutcome, FileProgress, FileRequest
from services.data.collection.outcomes import CollectionRequest, SeriesOutcome, SeriesProgress
from services.data.collection.policies import Change, Draft, Policy
from services.data.collection.schedule import Schedule
from services.data.inference.clues import Unlabelled
from services.data.inference.inferring import Suggestion, infer_series
from services.data.quality.inspections import Question, inspect_series
from services.data.quality.repairer import Repairer, Run
from services.data.quality.repairs import Action, Outcome, planned
from services.data.quality.rules import Inspection, inspect_given
from services.data.query.alignment import FrameSpec, frame_schema
from services.data.query.bounds import Bounds
from services.data.query.lags import NO_LAGS, OpenInterestLags
from services.data.query.reading import FrameQuery, Query, Reader
from services.data.records import Coverage, Snapshot
from services.data.series import Kind, Series
from services.data.snapshots.files import SnapshotFiles, schema_of
from services.data.store import PolicyStore, RepairStore, SeriesStore, SnapshotStore
from services.data.symbols.unified import Symbol, normalize_symbol
from services.data.uploads import Budget, Header, Piece, Upload

SWEEP_INTERVAL_SECONDS = 3600.0

_log = logging.getLogger("marketml.data")


@dataclass(frozen=True)
class Limits:
    """What the operator allows, and what the feeds are like."""

    ingest_rows_max: int = 5_000_000
    ingest_bytes_max: int = 1024**3
    query_rows_max: int = 10_000_000
    query_seconds: float = 600.0
    open_interest_lags: OpenInterestLags = NO_LAGS
    request_memory_seconds: float = 7 * 86_400.0
    sweep_grace_seconds: float = 3600.0
    collection_runs_max: int = 4
    collection_lease_seconds: float = 60.0


class DataApplication:
    """What happened, and when it was known.

    Parameters
    ----------
    clock
        Microseconds since 1970 UTC.
    """

    def __init__(
        self,
        series: SeriesStore,
        snapshots: SnapshotStore,
        policies: PolicyStore,
        repairs: RepairStore,
        files: SnapshotFiles,
        clock: Callable[[], int],
        limits: Limits = Limits(),
        import_folder: ImportFolder | None = None,
        access: Access | None = None,
    ) -> None:
        self._series = series
        self._snapshots = snapshots
        self._policies = policies
        self._files = files
        self._clock = clock
        self._limits = limits
        self._import_folder = import_folder
        self._budget = Budget(limits.ingest_bytes_max)
        self._reader = Reader(series, limits.open_interest_lags)
        self._exchanges = Exchanges(access or Access())
        self._collector = Collector(self._exchanges, series, self._upload, clock)
        self._schedule = Schedule(
            policies,
            self._collector,
            runs_max=limits.collection_runs_max,
            lease_seconds=limits.collection_lease_seconds,
        )
        self._repairer = Repairer(series, repairs, self._collector, clock)

    @asynccontextmanager
    async def background(self) -> AsyncIterator[None]:
        """Sweep now and every hour, and run the collection policies that are due."""
        tasks = [
            asyncio.create_task(work) for work in (self._sweep_for_ever(), self._schedule.run_for_ever())
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            await self._exchanges.close()
            if bugs := [end for end in ends if isinstance(end, Exception)]:
                raise bugs[0]

    def ingest_candles(self, header: Header) -> Upload:
        """An upload of candles; see `Upload`."""
        return self._upload(header)

    def ingest_funding_rates(self, header: Header) -> Upload:
        """An upload of funding rates."""
        return self._upload(header)

    def ingest_open_interest(self, header: Header) -> Upload:
        """An upload of open interest."""
        return self._upload(header)

    def collect_series(
        self, request: CollectionRequest, run: Run, check: Callable[[], None]
    ) -> AsyncGenerator[SeriesProgress | SeriesOutcome, None]:
        """Pull series from exchanges; see `Collector.collect`."""
        self._refuse_future(request.start_us, "exchange.start_time")
        self._refuse_future(request.end_us, "exchange.end_time")
        return self._collector.collect(request, run, check, "exchange.series")

    def collect_files(
        self, request: FileRequest, check: Callable[[], None]
    ) -> Generator[FileProgress | FileOutcome, None, None]:
        """Take dump files of the import folder, one after the other; see `FileCollector`."""
        if self._import_folder is None:
            raise no_import_folder()
        return FileCollector(
            self._import_folder,
            self._upload,
            self.normalize_symbol,
            self._budget,
            check,
        ).collect(request)

    def create_collection_policy(self, draft: Draft, *, request_id: str, body: bytes) -> Policy:
        """Have a series collected from now on, again and again."""
        self._refuse_future(draft.start_us, "policy.start_time")
        return self._policies.create_policy(draft, request_id=request_id, body=body)

    def get_collection_policy(self, policy_id: str) -> Policy:
        """A policy and how it fares."""
        return self._policies.policy(policy_id)

    def list_collection_policies(self, after: Sequence[Any] | None, count: int) -> list[Policy]:
        """Policies, by venue, symbol, kind and timeframe."""
        return self._policies.policies(after, count)

    def update_collection_policy(self, change: Change, *, request_id: str, body: bytes) -> Policy:
        """Change how often a series is collected, or pause and resume it."""
        return self._policies.update_policy(change, request_id=request_id, body=body)

    def delete_collection_policy(self, policy_id: str, *, request_id: str, body: bytes) -> None:
        """Collect a series no more; its rows stay."""
        self._policies.delete_policy(policy_id, request_id=request_id, body=body)

    def query_candles(self, query: Query, check: Callable[[], None]) -> Iterator[list[Any]]:
        """Candles as Arrow IPC streams in parts; see `Reader.streams`.

        Parameters
        ----------
        check
            Called between steps; raises when nobody waits for the answer any more.
        """
        return self._streams(query, check)

    def query_funding_rates(self, query: Query, check: Callable[[], None]) -> Iterator[list[Any]]:
        """Funding rates in the same way."""
        return self._streams(query, check)

    def query_open_interest(self, query: Query, check: Callable[[], None]) -> Iterator[list[Any]]:
        """Open interest in the same way."""
        return self._streams(query, check)

    def query_frame(self, query: FrameQuery, check: Callable[[], None]) -> Iterator[list[Any]]:
        """Aligned frames in the same way."""
        self._refuse_future(query.specs[0].as_of_us, "frame.as_of_time")
        return self._reader.frames(query, self._bounds(check))

    def get_frame_state(self, spec: FrameSpec, check: Callable[[], None]) -> str:
        """A word that is another one whenever the frame's rows may be others; see `Reader.state`."""
        self._refuse_future(spec.as_of_us, "frame.as_of_time")
        return self._reader.state(spec, check)

    def remembered_frame_state(self, spec: FrameSpec) -> str | None:
        """The same where that takes no time, else None."""
        return self._reader.remembered_state(spec)

    def create_snapshot(
        self, spec: FrameSpec, *, request_id: str, body: bytes, check: Callable[[], None]
    ) -> Snapshot:
        """Freeze a frame. The same rows give the same snapshot, the first one made of them.

        Parameters
        ----------
        request_id, body
            A repeat of the request, told by these, has the first answer.
        check
            Called between steps; raises when nobody waits for the snapshot any more.
        """
        self._refuse_future(spec.as_of_us, "frame.as_of_time")
        remembered = self._snapshots.remembered_snapshot(request_id, body)
        if remembered is not None:
            return remembered
        spec = self._reader.resolved(spec, check)
        draft = self._files.draft(frame_schema(spec))
        try:
            row_count, ends = 0, []
            for batch in self._reader.frame(spec, check):
                draft.write(pa.Table.from_batches([batch]))
                row_count += batch.num_rows
                ends += [batch.column(0)[0].value, batch.column(0)[-1].value]
            written = draft.finish()
            first_us, last_us = (ends[0], ends[-1]) if ends else (None, None)
            about = written.snapshot_id, spec, row_count, written.size_bytes, first_us, last_us
            check()
            return self._snapshots.add_snapshot(
                Snapshot(*about, self._clock()),
                written.seal,
                draft.publish,
                request_id=request_id,
                body=body,
            )
        finally:
            draft.discard()

    def get_snapshot(self, snapshot_id: str) -> Snapshot:
        """What is known of a snapshot."""
        return self._snapshots.snapshot(snapshot_id)

    def list_snapshots(self, after: Sequence[Any] | None, count: int) -> list[Snapshot]:
        """Snapshots, newest first."""
        return self._snapshots.snapshots(after, count)

    def read_snapshot(self, snapshot_id: str) -> Iterator[list[Any]]:
        """A snapshot's rows as Arrow IPC streams in parts, its record batches as they lie in the file, each
        one verified. The parts are good until the next stream is asked for."""
        size_bytes = self._snapshots.snapshot(snapshot_id).size_bytes
        known_seal, known_state = self._snapshots.seal(snapshot_id)
        seal = self._files.seal(snapshot_id, size_bytes) if known_seal is None else known_seal
        seen_state = self._files.verified_state(snapshot_id)
        pieces = self._files.read(snapshot_id, size_bytes, seal, known_state)
        schema = schema_of(next(pieces))
        schema_bytes = schema.with_metadata((schema.metadata or {}) | {"digest": snapshot_id}).serialize()
        is_empty = True
        for batch in pieces:
            is_empty = False
            yield [schema_bytes, batch, END_OF_STREAM]
        if is_empty:
            yield [schema_bytes, END_OF_STREAM]
        state = self._files.verified_state(snapshot_id)
        if known_seal is None or state not in (known_state, seen_state):
            with contextlib.suppress(Unavailable, ResourceExhausted):  # a database that takes no writes now
                self._snapshots.add_seal(snapshot_id, seal, state)

    def delete_snapshot(self, snapshot_id: str, *, request_id: str, body: bytes) -> int:
        """Delete a snapshot and its file; returns the bytes freed."""
        freed_bytes = self._snapshots.delete_snapshot(snapshot_id, request_id=request_id, body=body)
        self._snapshots.remove_unnamed(snapshot_id, self._files.remove)
        return freed_bytes

    def check_quality(
        self, question: Question, given: Piece | None, check: Callable[[], None]
    ) -> tuple[Inspection, list[Action]]:
        """What is wrong or doubtful in a series, or in given rows, and what could be done about it now."""
        self._refuse_future(question.as_of_us, "as_of_time")
        series = question.series
        if given is not None:
            thresholds, places_max = question.thresholds, question.places_max
            looked = inspect_given(
                series,
                given.times,
                given.columns,
                self._clock(),
                thresholds=thresholds,
                places_max=places_max,
            )
            return looked, []
        looked = inspect_series(self._series, question, self._clock(), self._budget, check)
        if question.as_of_us is not None:
            return looked, []  # it may have been repaired since
        can_refetch = self._repairer.can_refetch(series)
        return looked, planned(series, looked.findings, looked.spacing_us, can_refetch=can_refetch)

    async def repair_series(
        self,
        series: Series,
        actions: Sequence[Action],
        *,
        request_id: str,
        body: bytes,
        run: Run,
        check: Callable[[], None],
    ) -> list[Outcome]:
        """Apply repairs; see `Repairer.repair`."""
        return await self._repairer.repair(
            series, actions, request_id=request_id, body=body, run=run, check=check
        )

    def list_series(
        self, *, venue: str, symbol: str, kind: Kind | None, after: Sequence[Any] | None, count: int
    ) -> list[Coverage]:
        """Series, their coverage and how their collection fares, by venue, symbol, kind and timeframe."""
        found = self._series.coverage(venue=venue, symbol=symbol, kind=kind, after=after, count=count)
        statuses = self._policies.statuses(found[0].series, found[-1].series) if found else {}
        return [
            dataclasses.replace(
                one,
                collection=statuses.get(one.series),
                settlement_interval_us=self._reader.settlement_interval_us(one.series),
            )
            for one in found
        ]

    def normalize_symbol(self, text: str, venue: str) -> Symbol:
        """A venue's spelling in unified form."""
        return normalize_symbol(text, venue, self._series.symbols())

    def infer_series(self, frame: Unlabelled, check: Callable[[], None]) -> list[Suggestion]:
        """What a frame of unknown origin may be; see `infer_series`."""
        return infer_series(frame, self._series, check)

    def delete_series(
        self, series: Series, *, dry_run: bool, force: bool, request_id: str, body: bytes
    ) -> int:
        """Delete a series or count what that would delete; returns the rows, all revisions included."""
        return self._series.delete_series(
            series, dry_run=dry_run, force=force, request_id=request_id, body=body
        )

    def sweep(self) -> None:
        """Forget old requests, and remove files that belong to no snapshot."""
        self._snapshots.sweep(self._limits.request_memory_seconds)
        until_us = self._clock() - int(self._limits.sweep_grace_seconds * 1e6)
        for snapshot_id in self._files.leftovers(until_us):
            self._snapshots.remove_unnamed(snapshot_id, self._files.remove)

    def _upload(self, header: Header) -> Upload:
        return Upload(header, self._series, self._clock, self._limits.ingest_rows_max, self._budget)

    def _streams(self, query: Query, check: Callable[[], None]) -> Iterator[list[Any]]:
        self._refuse_future(query.selection.as_of_us, "as_of_time")
        return self._reader.streams(query, self._bounds(check))

    def _bounds(self, check: Callable[[], None]) -> Bounds:
        seconds = self._limits.query_seconds
        until = time.monotonic() + seconds

        def check_time() -> None:
            check()
            if time.monotonic() > until:
                raise ResourceExhausted(
                    "query_seconds",
                    f"The query took longer than {seconds:g} s (query_seconds): ask range by range, or for "
                    "fewer series.",
                )

        return Bounds(self._limits.query_rows_max, check_time)

    def _refuse_future(self, as_of_us: int | None, field: str) -> None:
        if as_of_us is not None and as_of_us > self._clock():
            raise InvalidArgument.of(
                field, "future", f"must not be in the future: {np.datetime64(as_of_us, 'us')}Z."
            )

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.sweep)
            except (Refusal, OSError):
                _log.warning("A sweep did not finish; the next one is in an hour.", exc_info=True)
            await asyncio.sleep(SWEEP_INTERVAL_SECONDS)
